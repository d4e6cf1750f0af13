"""Phones for the tests of this folder; none outlives its test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.phones import PhoneRack


@pytest.fixture
async def rack() -> AsyncIterator[PhoneRack]:
    async with PhoneRack() as phones:
        yield phones
