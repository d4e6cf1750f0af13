"""An event loop whose clock is virtual: waiting takes no time and ends at exactly the right moment.

    @in_virtual_time
    async def test_the_ring_timer_ends_the_dial_after_60_seconds() -> None: ...

When nothing is ready the clock jumps to the next timer. When there is no timer either, everybody waits for
something that will never come: the loop raises `Deadlock` instead of hanging the test. A test that leaves a
task running fails with `LeakedTasks`. For cores and fakes only: with real sockets or threads in play use the
ordinary loop.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["Deadlock", "LeakedTasks", "VirtualTimeLoop", "in_virtual_time", "run_in_virtual_time", "settle"]

P = ParamSpec("P")
T = TypeVar("T")


class Deadlock(AssertionError):
    """Nothing is ready, no timer is set: this would have waited for ever."""


class LeakedTasks(AssertionError):
    """Tasks were still alive when the test's main coroutine returned."""


class _JumpingSelector(selectors.DefaultSelector):
    """Selects without waiting; the time it was asked to wait is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.next_timer: Callable[[], float | None] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        due = self.next_timer()
        if due is None:
            raise Deadlock("every task waits and no timer is set")
        # Set, not added: a sum of differences would drift away from the exact deadline.
        self.now = max(self.now, due)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at 0.0 seconds."""

    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        self._virtual = _JumpingSelector()
        super().__init__(self._virtual)
        self._virtual.next_timer = self._next_timer
        self.set_debug(False)

    def time(self) -> float:
        return self._virtual.now

    def _next_timer(self) -> float | None:
        return self._scheduled[0].when() if self._scheduled else None


def run_in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a fresh virtual loop; raise LeakedTasks if it leaves anything running."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(main)
        left = asyncio.all_tasks(runner.get_loop())
        if left:
            raise LeakedTasks(", ".join(sorted(task.get_name() for task in left)))
        return result


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Make an async test run on a virtual clock."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_in_virtual_time(test(*args, **kwargs))

    return run


async def settle() -> None:
    """Let everything that is ready run, without any time passing."""
    for _ in range(8):
        await asyncio.sleep(0)
