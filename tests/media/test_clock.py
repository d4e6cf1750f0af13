"""The clock on a loop whose time is moved by hand."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from media.clock import MediaClock


class HandLoop(asyncio.SelectorEventLoop):
    """A loop with virtual time: `advance` runs what is due, in order, at exactly its time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.late_s = 0.0
        self.pending: list[asyncio.TimerHandle] = []
        self.reported: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.reported.append(context))

    def time(self) -> float:
        return self.now

    def call_at(  # type: ignore[override]  # simpler than the variadic original
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.pending.append(handle)
        return handle

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted((h for h in self.pending if not h.cancelled() and h.when() <= end), key=_when):
            self.pending.remove(due[0])
            self.now = max(self.now, due[0].when() + self.late_s)
            due[0]._run()
        self.now = max(self.now, end)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.pending = [each for each in self.pending if each is not handle]


def _when(handle: asyncio.TimerHandle) -> float:
    return handle.when()


@pytest.fixture
def loop() -> Any:
    hand = HandLoop()
    yield hand
    hand.close()


def test_a_second_has_fifty_ticks_at_exact_distances_although_the_loop_is_late(loop: HandLoop) -> None:
    clock, ticks = MediaClock(loop=loop), []  # type: tuple[MediaClock, list[float]]
    loop.late_s = 0.007
    clock.add(ticks.append)
    loop.advance(1.001)
    assert ticks == pytest.approx([100 + n * 0.02 for n in range(1, 51)])


def test_one_timer_serves_all_users_in_order_of_arrival(loop: HandLoop) -> None:
    clock = MediaClock(loop=loop)
    calls: list[str] = []
    users = [lambda _, name=name: calls.append(name) for name in "abc"]
    for user in users:
        clock.add(user)
    clock.add(users[0])
    assert len(loop.pending) == 1
    loop.advance(0.041)
    assert "".join(calls) == "abcabc"
    assert len(loop.pending) == 1


def test_the_clock_stops_with_its_last_user_and_starts_again(loop: HandLoop) -> None:
    clock = MediaClock(loop=loop)
    ticks: list[float] = []
    clock.add(ticks.append)
    clock.remove(ticks.append)
    clock.remove(ticks.append)
    assert not clock.is_running
    assert loop.pending == []
    loop.advance(1.0)
    assert ticks == []
    clock.add(ticks.append)
    loop.advance(0.021)
    assert ticks == pytest.approx([101.02])


def test_a_user_may_remove_itself_and_others_from_within_a_tick(loop: HandLoop) -> None:
    clock = MediaClock(loop=loop)
    calls: list[str] = []

    def last(_: float) -> None:
        calls.append("last")

    def first(_: float) -> None:
        calls.append("first")
        clock.remove(last)
        clock.remove(first)

    clock.add(first)
    clock.add(last)
    loop.advance(1.0)
    assert calls == ["first"]
    assert not clock.is_running


def test_a_user_that_raises_is_reported_and_removed_and_the_others_go_on(loop: HandLoop) -> None:
    clock = MediaClock(loop=loop)
    ticks: list[float] = []

    def broken(_: float) -> None:
        raise ZeroDivisionError

    clock.add(broken)
    clock.add(ticks.append)
    loop.advance(0.061)
    assert len(ticks) == 3
    assert [type(each["exception"]) for each in loop.reported] == [ZeroDivisionError]


def test_a_short_stall_is_caught_up_and_a_long_one_is_skipped(loop: HandLoop) -> None:
    clock = MediaClock(loop=loop)
    ticks: list[float] = []
    clock.add(ticks.append)
    loop.now += 0.101
    loop.advance(0)
    assert len(ticks) == 5
    assert clock.skipped == 0
    loop.now += 10.0
    loop.advance(0)
    assert len(ticks) == 6
    assert clock.skipped == 499
    loop.advance(0.1)
    assert len(ticks) == 11


async def test_it_runs_on_a_real_loop() -> None:
    clock = MediaClock(5)
    third = asyncio.get_running_loop().create_future()
    ticks: list[float] = []

    def tick(due: float) -> None:
        ticks.append(due)
        if len(ticks) == 3:
            third.set_result(None)
            clock.remove(tick)

    clock.add(tick)
    async with asyncio.timeout(5):
        await third
    assert ticks[2] - ticks[0] == pytest.approx(0.010)
    assert not clock.is_running
