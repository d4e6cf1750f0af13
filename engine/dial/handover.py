"""A dial gives its callee away: the leg lives on under a new owner, the dial ends (reason `replaced`).

The new owner takes the leg in the very step in which the dial lets go of it; there is always somebody who is
responsible for the call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import structlog

from engine.dial.leg import Leg

__all__ = ["HandOvers", "NewOwner"]

log = structlog.get_logger(__name__)

NewOwner: TypeAlias = Callable[[Leg], None]
"""Takes a connected leg over; returns at once. A leg that ended in that moment says so when it is watched."""


class HandOvers:
    """Who asked for the callee, in the order in which they asked: the dial's inbox has one event for each."""

    __slots__ = ("_asked",)

    def __init__(self) -> None:
        self._asked: deque[tuple[NewOwner, asyncio.Future[bool]]] = deque()

    def ask(self, new_owner: NewOwner) -> asyncio.Future[bool]:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((new_owner, answer))
        return answer

    def grant(self, leg: Leg) -> bool:
        """Give the leg to whoever's turn it is; False if that one failed to take it."""
        new_owner, answer = self._asked[0]
        try:
            new_owner(leg)
        except Exception:
            log.exception("the new owner of a leg failed to take it", leg=leg.id)
            return False
        if not answer.done():
            answer.set_result(True)
        return True

    def next(self) -> None:
        """The plan has decided about the one whose turn it was."""
        _, answer = self._asked.popleft()
        if not answer.done():
            answer.set_result(False)

    def refuse_all(self) -> None:
        """The dial is over."""
        while self._asked:
            self.next()
