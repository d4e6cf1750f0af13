"""The dial's notes about one branch, and the record made of them at the end. Decides nothing."""

from __future__ import annotations

from engine.dial.events import (
    DialEvent,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegRinging,
    LegTrying,
)
from engine.dial.leg import Cause, EndedBy, Leg
from engine.dial.outcome import BranchEnd, StatusMap, of_branch
from engine.dial.request import Target
from engine.dial.result import LegRecord

__all__ = ["BranchNotes"]


class BranchNotes:
    """What has been heard of one leg so far."""

    __slots__ = (
        "answered_at",
        "cause",
        "early_media_at",
        "end",
        "is_handed_over",
        "leg",
        "ringing_at",
        "sip_call_id",
        "sip_reason",
        "started_at",
        "target",
    )

    def __init__(self, leg: Leg, target: Target) -> None:
        self.leg = leg
        self.target = target
        self.cause: Cause | None = None
        """Why we let go of it first; None while we have not."""
        self.end: LegEnded | None = None
        self.is_handed_over = False
        """It lives on under another owner."""
        self.sip_call_id = ""
        self.sip_reason = ""
        self.started_at: float | None = None
        self.ringing_at: float | None = None
        self.early_media_at: float | None = None
        self.answered_at: float | None = None

    def note(self, event: DialEvent) -> None:
        """Remember what one of the leg's own events tells."""
        match event:
            case LegTrying():
                self.started_at = event.at
                self.sip_call_id = event.sip_call_id
            case LegRinging():
                if self.ringing_at is None:
                    self.ringing_at = event.at
            case LegEarlyMedia():
                if self.early_media_at is None:
                    self.early_media_at = event.at
            case LegAnswered():
                self.answered_at = event.at
                self.sip_reason = event.sip_reason
            case LegEnded():
                self.end = event
            case _:
                pass

    def record(self, end: BranchEnd, status_map: StatusMap) -> LegRecord:
        """The final entry. `end` is what the plan made of the branch."""
        over = self.end
        failure = over.failure if over is not None else None
        if self.answered_at is not None:
            sip_reason = self.sip_reason
        elif failure is not None:
            sip_reason = failure.reason
        else:
            sip_reason = over.sip_reason if over is not None else ""
        return LegRecord(
            leg=self.leg.id,
            type=self.target.type.value,
            to=self.target.address,
            status=of_branch(end, status_map),
            sip_status=end.sip_status,
            sip_reason=sip_reason,
            sip_call_id=self.sip_call_id,
            started_at=self.started_at,
            ringing_at=self.ringing_at,
            early_media_at=self.early_media_at,
            answered_at=self.answered_at,
            ended_at=over.at if over is not None else None,
            ended_by=over.by if over is not None else EndedBy.ENGINE,
            reason_header=over.reason_header if over is not None else "",
            failure=failure,
            is_answered_elsewhere=self.cause is Cause.COMPLETED_ELSEWHERE,
            is_abandoned=over is None and not self.is_handed_over,
            is_handed_over=self.is_handed_over,
        )
