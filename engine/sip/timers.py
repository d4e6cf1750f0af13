"""One heap of deadlines for the whole stack. Cancelling is marking; marked entries are dropped when met.

A cancelled or fired timer lets go of what it would have called, so that a finished call is freed at once
although its entry may stay in the heap until its deadline. When more than half of a large heap is marked,
it is rebuilt: cost and memory stay proportional to the timers that wait, whatever was cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

__all__ = ["Timer", "TimerQueue"]

_REBUILD_ABOVE = 256

_DEADLINE, _SERIAL, _ACTION = range(3)


class Timer(list[Any]):
    """One deadline: `[deadline, serial, action]`. `cancel` may be called at any time, also after it fired.

    It is its own entry in the heap: lists compare in C and item by item, the serial is unique, so the
    action is never compared; and tens of thousands of waiting timers are half as many objects.
    """

    __slots__ = ("_queue",)

    def __init__(
        self, queue: TimerQueue, deadline: float, serial: int, action: Callable[[float], None]
    ) -> None:
        super().__init__((deadline, serial, action))
        self._queue = queue

    @property
    def deadline(self) -> float:
        """When it is due."""
        deadline: float = self[_DEADLINE]
        return deadline

    @property
    def is_pending(self) -> bool:
        """Neither fired nor cancelled."""
        return self[_ACTION] is not None

    def cancel(self) -> None:
        """It will not fire."""
        if self[_ACTION] is not None:
            self[_ACTION] = None
            self._queue._note_cancelled()


class TimerQueue:
    """Deadlines in order; equal deadlines fire in the order they were set."""

    __slots__ = ("_cancelled", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._serial = count()
        self._cancelled = 0

    def at(self, deadline: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` once `now` has reached `deadline`."""
        timer = Timer(self, deadline, next(self._serial), action)
        heappush(self._heap, timer)
        return timer

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if nothing waits."""
        heap = self._heap
        while heap:
            first = heap[0]
            if first[_ACTION] is not None:
                return first.deadline
            heappop(heap)
            self._cancelled -= 1
        return None

    def run(self, now: float) -> None:
        """Fire what is due, those included that firing adds."""
        heap = self._heap
        while heap and heap[0][_DEADLINE] <= now:
            timer = heappop(heap)
            action = timer[_ACTION]
            if action is None:
                self._cancelled -= 1
            else:
                timer[_ACTION] = None
                action(now)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap) - self._cancelled

    def _note_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > _REBUILD_ABOVE and self._cancelled * 2 > len(self._heap):
            # In place: `run` may be in the middle of this very list.
            self._heap[:] = [timer for timer in self._heap if timer[_ACTION] is not None]
            heapify(self._heap)
            self._cancelled = 0
