"""What a leg tells whoever watches it, all its life, beside the inbox of the dial it may be in.

An inbox belongs to one dial and ends with it; a call under an application outlives its dials. Notes are told
on the loop, in the order things happened, and `LegGone` is the last one. Nobody watches: none is made.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from engine.dial.leg import EndedBy
from engine.ids import CallSid

if TYPE_CHECKING:
    from engine.legs.referral import Referral

__all__ = [
    "DigitKeyed",
    "DigitMethod",
    "InfoGot",
    "LegConfirmed",
    "LegGone",
    "LegNote",
    "PeerHeld",
    "Referred",
    "Watcher",
]


class DigitMethod(StrEnum):
    """How a digit reached us."""

    EVENT = "telephone-event"
    """RFC 4733."""
    INFO = "info"
    IN_BAND = "in-band"


class LegConfirmed(Struct, frozen=True):
    """The call is up: the 200 to our INVITE came, or the ACK to our 200."""

    leg: CallSid
    at: float


class DigitKeyed(Struct, frozen=True):
    """The peer keyed one digit."""

    leg: CallSid
    at: float
    digit: str
    """One of 0-9 * # A-D."""
    duration_ms: int
    method: DigitMethod


class InfoGot(Struct, frozen=True):
    """An INFO of the peer that carries no digit; it was answered with 200."""

    leg: CallSid
    at: float
    content_type: str
    """Empty: it had no body."""
    data: bytes
    headers: tuple[tuple[str, str], ...]


class PeerHeld(Struct, frozen=True):
    """The peer's offer put us on hold (sendonly, inactive, 0.0.0.0), or ended that; it was answered."""

    leg: CallSid
    at: float
    is_held: bool


class Referred(Struct, frozen=True):
    """The peer asks us to contact somebody else (RFC 3515).

    Whoever wants to decide about it calls `referral.take()` before returning, and accepts or rejects it
    later. A referral that nobody takes is refused with 501 (DV-82).
    """

    leg: CallSid
    at: float
    referral: Referral


class LegGone(Struct, frozen=True):
    """The leg is over; nothing follows."""

    leg: CallSid
    at: float
    by: EndedBy
    """CALLER: the peer of an inbound call; CALLEE: the peer of an outbound one; ENGINE: we, or a failure."""
    sip_status: int
    """200 after an answer; before it the final response, 487 after CANCEL, or what stands for a failure."""
    sip_reason: str
    reason_header: str = ""
    """RFC 3326 Reason of the message that ended it, as received."""
    headers: tuple[tuple[str, str], ...] = ()
    """All header fields of that message (BYE or final response), as received; empty: it was our doing."""


LegNote: TypeAlias = LegConfirmed | DigitKeyed | InfoGot | PeerHeld | Referred | LegGone

Watcher: TypeAlias = Callable[[LegNote], None]
"""Returns at once. One that raises is reported to the log and costs itself only."""
