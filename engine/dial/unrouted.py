"""A branch that fails at once: a factory returns it for an unknown trunk or an unregistered user (DV-25)."""

from __future__ import annotations

from collections.abc import Callable

from engine.dial.events import LegEnded
from engine.dial.failure import LegFailure
from engine.dial.leg import Cause, EndedBy, Inbox, LegMedia
from engine.ids import CallSid

__all__ = ["UnroutedLeg"]


class UnroutedLeg:
    """A `Leg` whose only event is its end."""

    __slots__ = ("_clock", "_failure", "_id", "_inbox")

    def __init__(self, leg_id: CallSid, failure: LegFailure, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds, usually `loop.time`."""
        self._id = leg_id
        self._failure = failure
        self._clock = clock
        self._inbox: Inbox | None = None

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def media(self) -> LegMedia | None:
        return None

    def start(self, inbox: Inbox) -> None:
        inbox.post(LegEnded(leg=self._id, at=self._clock(), by=EndedBy.ENGINE, failure=self._failure))

    def hang_up(self, cause: Cause) -> None:
        """Nothing: it has ended already."""

    def detach(self) -> None:
        """Nothing: it has said all it had to say."""
