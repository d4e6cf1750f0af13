"""The call status of every branch while a dial lives (DV-31), out of what an observer is told.

    statuses = CallStatuses()
    dial.observe(lambda happening: show(statuses.of(happening)))

The last status of a branch is always a terminal one: that of its record.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from engine.dial.dial import Happening
from engine.dial.events import HangUpLeg, LegAnswered, LegEarlyMedia, LegHeldBack, LegRinging, LegTrying
from engine.dial.result import LegRecord
from engine.ids import CallSid

__all__ = ["CallStatus", "CallStatuses", "StatusChange"]


class CallStatus(StrEnum):
    """The words of the call status notifications."""

    QUEUED = "queued"
    TRYING = "trying"
    RINGING = "ringing"
    EARLY_MEDIA = "early-media"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"


class StatusChange(Struct, frozen=True):
    """One branch has come to another status."""

    leg: CallSid
    status: CallStatus
    sip_status: int
    sip_reason: str
    at: float | None
    """Monotonic seconds; None: the branch was abandoned and may still be saying goodbye."""
    record: LegRecord | None = None
    """The whole story, with the terminal status."""


class CallStatuses:
    """Follows the branches of one dial. Repeats nothing: two 180s are one `ringing`."""

    __slots__ = ("_last", "_let_go")

    def __init__(self) -> None:
        self._last: dict[CallSid, CallStatus] = {}
        self._let_go: set[CallSid] = set()

    def of(self, happening: Happening) -> StatusChange | None:
        """The change this happening means, or None."""
        match happening:
            case LegHeldBack():
                return self._change(happening.leg, CallStatus.QUEUED, 0, "", happening.at)
            case LegTrying():
                return self._change(happening.leg, CallStatus.TRYING, 100, "Trying", happening.at)
            case LegRinging():
                return self._on_provisional(happening, CallStatus.RINGING)
            case LegEarlyMedia():
                return self._on_provisional(happening, CallStatus.EARLY_MEDIA)
            case LegAnswered():
                return self._on_provisional(happening, CallStatus.IN_PROGRESS)
            case HangUpLeg():
                self._let_go.add(happening.leg)
                return None
            case LegRecord():
                status = CallStatus(happening.status.value)
                return StatusChange(
                    happening.leg,
                    status,
                    happening.sip_status,
                    happening.sip_reason,
                    happening.ended_at,
                    happening,
                )
            case _:
                return None

    def _on_provisional(
        self, event: LegRinging | LegEarlyMedia | LegAnswered, status: CallStatus
    ) -> StatusChange | None:
        if event.leg in self._let_go:
            return None  # crossed our CANCEL: nobody is in progress there
        return self._change(event.leg, status, event.sip_status, event.sip_reason, event.at)

    def _change(
        self, leg: CallSid, status: CallStatus, sip_status: int, sip_reason: str, at: float
    ) -> StatusChange | None:
        if self._last.get(leg) is status:
            return None
        self._last[leg] = status
        return StatusChange(leg, status, sip_status, sip_reason, at)
