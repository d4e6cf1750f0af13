"""The virtual loop itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.virtual_time import Deadlock, LeakedTasks, in_virtual_time, run_in_virtual_time


@in_virtual_time
async def test_waiting_takes_no_time_and_ends_at_exactly_the_right_moment() -> None:
    loop, began = asyncio.get_running_loop(), time.monotonic()
    assert loop.time() == 0.0
    await asyncio.sleep(32.0)
    assert loop.time() == 32.0
    for _ in range(1000):
        await asyncio.sleep(0.02)
    assert loop.time() == pytest.approx(52.0)
    assert time.monotonic() - began < 10.0


@in_virtual_time
async def test_timers_run_in_the_order_of_their_deadlines() -> None:
    loop, seen = asyncio.get_running_loop(), list[tuple[str, float]]()
    loop.call_later(2.0, lambda: seen.append(("late", loop.time())))
    loop.call_at(1.0, lambda: seen.append(("early", loop.time())))
    cancelled = loop.call_later(1.5, lambda: seen.append(("never", loop.time())))
    cancelled.cancel()
    await asyncio.sleep(3.0)
    assert seen == [("early", 1.0), ("late", 2.0)]


@in_virtual_time
async def test_a_timeout_scope_uses_the_virtual_clock() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60.0):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 60.0


def test_waiting_for_nothing_is_a_deadlock_and_not_a_hanging_test() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run_in_virtual_time(wait())


def test_a_task_left_running_is_a_leak() -> None:
    async def leave() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(1.0), name="left behind")

    with pytest.raises(LeakedTasks, match="left behind"):
        run_in_virtual_time(leave())


def test_arguments_and_results_go_through() -> None:
    @in_virtual_time
    async def add(a: int, *, b: int) -> int:
        return a + b

    assert add(1, b=2) == 3
