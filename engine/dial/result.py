"""What a dial hands back: one result, final and immutable, one entry per branch (sections 6.1, 6.2)."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from engine.dial.failure import LegFailure
from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus, TerminationReason, to_caller
from engine.ids import CallSid
from engine.json_text import encode_json

__all__ = ["DialResult", "LegRecord"]


class LegRecord(Struct, frozen=True):
    """One branch, as it ended. Times are monotonic seconds; None: it never came so far."""

    leg: CallSid
    type: str
    """`phone`, `sip` or `user`."""
    to: str
    """The number, URI or name that was asked for."""
    status: DialStatus
    sip_status: int
    """Final response to the INVITE, or the number that stands for a local failure; 0: no INVITE was sent."""
    sip_reason: str
    sip_call_id: str
    started_at: float | None = None
    ringing_at: float | None = None
    early_media_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    ended_by: EndedBy = EndedBy.ENGINE
    reason_header: str = ""
    """RFC 3326 Reason of the message that ended the leg, as received."""
    failure: LegFailure | None = None
    is_answered_elsewhere: bool = False
    """Let go because another branch won."""
    is_abandoned: bool = False
    """Had not reported its end when the result was due (DV-30); it ends without the dial."""
    is_handed_over: bool = False
    """Was given to another owner while it talked: it is up, and its end will be told there."""


class DialResult(Struct, frozen=True):
    """The one result of a dial."""

    dial_id: str
    dial_status: DialStatus
    dial_sip_status: int
    termination_reason: TerminationReason
    legs: tuple[LegRecord, ...]
    leg: CallSid | None
    """The child that decided the result: the winner, else the branch whose response was chosen."""
    ended_by: EndedBy
    started_at_utc: float
    """Seconds since the epoch."""
    ring_s: float
    """From the start until somebody was connected or the dial was decided."""
    talk_s: float
    """From the connection until one side hung up; 0.0 without a connection."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the request but did not stop it."""
    error: str = ""
    """A mistake of our own that made the dial fail; empty otherwise."""

    @property
    def is_answered(self) -> bool:
        """Somebody was connected."""
        return self.dial_status is DialStatus.COMPLETED

    def record_of(self, leg: CallSid | None) -> LegRecord | None:
        """The entry of one branch."""
        return next((record for record in self.legs if record.leg == leg), None)

    def response_to_caller(self, overrides: Mapping[int, int] | None = None) -> int:
        """Section 9: the final response to a caller still unanswered when nothing follows this dial."""
        return to_caller(self.dial_sip_status, self.termination_reason, overrides)

    def to_dict(self) -> dict[str, object]:
        """The fields of section 6.1 under their documented names, JSON-ready."""
        decisive = self.record_of(self.leg)
        return {
            "dial_call_sid": self.leg or "",
            "dial_status": self.dial_status.value,
            # The family's schema of this older name has no `queued` (6.1).
            "dial_call_status": (
                "failed" if self.dial_status is DialStatus.QUEUED else self.dial_status.value
            ),
            "dial_sip_status": self.dial_sip_status,
            "dial_sbc_callid": decisive.sip_call_id if decisive else "",
            "dial_termination_reason": self.termination_reason.value,
            "dial_legs": [
                {
                    "call_sid": record.leg,
                    "type": record.type,
                    "to": record.to,
                    "sip_status": record.sip_status,
                    "sip_reason": record.sip_reason,
                    "status": record.status.value,
                }
                for record in self.legs
            ],
        }

    def to_json(self) -> bytes:
        """`to_dict` as UTF-8 JSON."""
        return encode_json(self.to_dict())
