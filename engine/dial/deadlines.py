"""Several deadlines on one timer of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.dial.events import Deadline

__all__ = ["Deadlines"]


class Deadlines:
    """Calls `passed` for each deadline when its time has come, once.

    A deadline that is cancelled or moved away leaves the timer as it is: it finds nothing due and is set
    anew, which is cheaper than a cancelled timer in the loop's heap.
    """

    __slots__ = ("_at", "_loop", "_passed", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[Deadline], None]) -> None:
        self._loop = loop
        self._passed = passed
        self._at: dict[Deadline, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def set(self, deadline: Deadline, at: float | None) -> None:
        """`at`: monotonic seconds of the loop's clock; None: cancel it."""
        if at is None:
            self._at.pop(deadline, None)
        else:
            self._at[deadline] = at
            self._arm(at)

    def clear(self) -> None:
        self._at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        timer = self._timer
        if timer is not None:
            if timer.when() <= at:
                return
            timer.cancel()
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        assert self._timer is not None
        due, self._timer = self._timer.when(), None
        for deadline in [each for each, at in self._at.items() if at <= due]:
            del self._at[deadline]
            self._passed(deadline)
        if self._at:
            self._arm(min(self._at.values()))
