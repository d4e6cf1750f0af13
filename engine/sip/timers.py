"""One heap of deadlines for the whole stack. Cancelling is marking; marked entries are dropped when met.

A cancelled or fired timer lets go of what it would have called, so that a finished call is freed at once
although its entry may stay in the heap until its deadline. When more than half of a large heap is marked,
it is rebuilt: cost and memory stay proportional to the timers that wait, whatever was cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

__all__ = ["Timer", "TimerQueue"]

_REBUILD_ABOVE = 256


class Timer:
    """One deadline. `cancel` may be called at any time, also after it fired."""

    __slots__ = ("_action", "_queue", "deadline")

    def __init__(self, queue: TimerQueue, deadline: float, action: Callable[[float], None]) -> None:
        self._queue = queue
        self._action: Callable[[float], None] | None = action
        self.deadline = deadline

    @property
    def is_pending(self) -> bool:
        """Neither fired nor cancelled."""
        return self._action is not None

    def cancel(self) -> None:
        """It will not fire."""
        if self._action is not None:
            self._action = None
            self._queue._note_cancelled()

    def _fire(self, now: float) -> None:
        action, self._action = self._action, None
        if action is not None:
            action(now)


class TimerQueue:
    """Deadlines in order; equal deadlines fire in the order they were set."""

    __slots__ = ("_cancelled", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._serial = count()
        self._cancelled = 0

    def at(self, deadline: float, action: Callable[[float], None]) -> Timer:
        """Call `action(now)` once `now` has reached `deadline`."""
        timer = Timer(self, deadline, action)
        heappush(self._heap, (deadline, next(self._serial), timer))
        return timer

    def next_deadline(self) -> float | None:
        """The earliest deadline, None if nothing waits."""
        heap = self._heap
        while heap:
            if heap[0][2]._action is not None:
                return heap[0][0]
            heappop(heap)
            self._cancelled -= 1
        return None

    def run(self, now: float) -> None:
        """Fire what is due, those included that firing adds."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heappop(heap)[2]
            if timer._action is None:
                self._cancelled -= 1
            else:
                timer._fire(now)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._heap) - self._cancelled

    def _note_cancelled(self) -> None:
        self._cancelled += 1
        if self._cancelled > _REBUILD_ABOVE and self._cancelled * 2 > len(self._heap):
            # In place: `run` may be iterating over this very list.
            self._heap[:] = [entry for entry in self._heap if entry[2]._action is not None]
            heapify(self._heap)
            self._cancelled = 0
