"""What lab tests share: SIPps and phones that do not outlive their test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.phones import PhoneRack
from tests.support.sipp import SippBench


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[SippBench]:
    async with SippBench(tmp_path) as bench:
        yield bench


@pytest.fixture
async def rack() -> AsyncIterator[PhoneRack]:
    async with PhoneRack() as phones:
        yield phones
