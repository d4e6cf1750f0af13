"""What is still to be done in this turn of the event loop, before it waits again.

A message from a socket becomes an event, the event a decision of a dial, the decision messages to others.
As callbacks of the loop each of these steps would cost a turn of its own, with a look at all sockets and
timers; on one agenda they are one turn, in the same order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Agenda"]


class Agenda:
    """One per event loop. Whoever adds an action adds it once until it was carried out."""

    __slots__ = ("_actions", "_is_running", "_loop", "_turn")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._actions: deque[Callable[[], None]] = deque()
        self._is_running = False
        self._turn: asyncio.Handle | None = None

    def add(self, action: Callable[[], None]) -> None:
        """Behind what is there already; never before this returns."""
        self._actions.append(action)
        if self._turn is None and not self._is_running:
            self._turn = self._loop.call_soon(self.run)

    def run(self, first: Callable[[], None] | None = None) -> None:
        """Carry out `first` and then everything, what is added meanwhile included.

        For callbacks of the loop and steps of tasks. An action that raises is told to the loop's exception
        handler; the others go on.
        """
        actions = self._actions
        if first is not None:
            actions.appendleft(first)
        if self._is_running:
            return
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._is_running = True
        try:
            while actions:
                action = actions.popleft()
                try:
                    action()
                except Exception as error:  # noqa: BLE001 - one action's bug must not cost the others theirs
                    self._loop.call_exception_handler(
                        {"message": f"{action!r} failed in the turn of the loop", "exception": error}
                    )
        finally:
            self._is_running = False
