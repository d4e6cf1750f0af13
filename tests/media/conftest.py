"""A plane and far sides for tests on real loopback sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from media import MediaConfig, MediaPlane
from tests.media.far_side import FarSide


@pytest_asyncio.fixture
async def plane() -> AsyncIterator[MediaPlane]:
    made = MediaPlane(MediaConfig())
    yield made
    await made.close()
    assert not made.streams
    assert not made.clock.is_running


@pytest.fixture
def new_far_side() -> Iterator[Callable[[], FarSide]]:
    with ExitStack() as stack:
        ssrc = 0x1000

        def make() -> FarSide:
            nonlocal ssrc
            ssrc += 1
            made = FarSide(ssrc=ssrc)
            stack.callback(made.close)
            return made

        yield make
