"""Several deadlines on one timer."""

from __future__ import annotations

import asyncio

from engine.dial.deadlines import Deadlines
from engine.dial.events import Deadline
from tests.support.virtual_time import in_virtual_time


class Clocked:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.passed: list[tuple[Deadline, float]] = []
        self.deadlines = Deadlines(self.loop, lambda each: self.passed.append((each, self.loop.time())))


@in_virtual_time
async def test_each_deadline_passes_at_its_own_time() -> None:
    clocked = Clocked()
    clocked.deadlines.set(Deadline.RING, 60.0)
    clocked.deadlines.set(Deadline.NEXT, 5.0)
    await asyncio.sleep(100.0)
    assert clocked.passed == [(Deadline.NEXT, 5.0), (Deadline.RING, 60.0)]


@in_virtual_time
async def test_a_deadline_can_be_moved_both_ways_and_passes_once() -> None:
    clocked = Clocked()
    clocked.deadlines.set(Deadline.RING, 10.0)
    clocked.deadlines.set(Deadline.RING, 20.0)
    clocked.deadlines.set(Deadline.SETTLE, 20.0)
    clocked.deadlines.set(Deadline.SETTLE, 3.0)
    await asyncio.sleep(100.0)
    assert clocked.passed == [(Deadline.SETTLE, 3.0), (Deadline.RING, 20.0)]


@in_virtual_time
async def test_a_cancelled_deadline_never_passes_and_the_others_do() -> None:
    clocked = Clocked()
    clocked.deadlines.set(Deadline.RING, 10.0)
    clocked.deadlines.set(Deadline.TIME_LIMIT, 30.0)
    clocked.deadlines.set(Deadline.RING, None)
    clocked.deadlines.set(Deadline.NEXT, None)
    await asyncio.sleep(100.0)
    assert clocked.passed == [(Deadline.TIME_LIMIT, 30.0)]


@in_virtual_time
async def test_nothing_passes_after_clear() -> None:
    clocked = Clocked()
    clocked.deadlines.set(Deadline.RING, 10.0)
    clocked.deadlines.clear()
    clocked.deadlines.clear()
    await asyncio.sleep(100.0)
    assert clocked.passed == []
