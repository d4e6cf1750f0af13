"""What happens to a dial (events, past tense) and what its plan orders (commands, imperative).

Both are frozen facts. Events come from legs, the caller, timers, screening and the API, through one inbox;
the order in which they were posted is the order in which they are decided upon.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from engine.dial.failure import LegFailure
from engine.dial.leg import Cause, EndedBy
from engine.dial.outcome import Verdict
from engine.ids import CallSid

__all__ = [
    "AnswerCaller",
    "CallerAnswered",
    "CallerCommand",
    "CallerGone",
    "Command",
    "Connect",
    "Connected",
    "Deadline",
    "DeadlinePassed",
    "DetectorFired",
    "DialEvent",
    "Disconnect",
    "DtmfReceived",
    "Finish",
    "HandOverRequested",
    "HangUpLeg",
    "HangUpRequested",
    "LegAnswered",
    "LegEarlyMedia",
    "LegEnded",
    "LegHeldBack",
    "LegRinging",
    "LegTrying",
    "MusicFailed",
    "OpenCallerEarlyMedia",
    "PlayMusic",
    "PlayRingback",
    "PresentEarlyMedia",
    "ReleaseLeg",
    "RingCaller",
    "Screen",
    "Screened",
    "SetDeadline",
    "StartLeg",
]


class Deadline(StrEnum):
    """The clocks of a dial. A plan has each of them at most once."""

    RING = "ring"
    """All branches together (DV-32)."""
    NEXT = "next"
    """When a plan that rings in steps starts the next leg."""
    TIME_LIMIT = "time-limit"
    """Maximum connected time (DV-35)."""
    SETTLE = "settle"
    """How long branches may take to report their end once the dial is decided (DV-30)."""


# --- events of a leg ----------------------------------------------------------------------------------------


class LegHeldBack(Struct, frozen=True):
    """An admission limit (trunk pacing, channel limit) makes the leg wait; `LegTrying` follows when it goes
    out."""

    leg: CallSid
    at: float


class LegTrying(Struct, frozen=True):
    """The first INVITE left."""

    leg: CallSid
    at: float
    sip_call_id: str = ""


class LegRinging(Struct, frozen=True):
    """A provisional response without media: 180, 181, 182, 183 (DV-41: never an answer)."""

    leg: CallSid
    at: float
    sip_status: int = 180
    sip_reason: str = "Ringing"


class LegEarlyMedia(Struct, frozen=True):
    """A provisional response with SDP; the leg's `media` can be listened to."""

    leg: CallSid
    at: float
    sip_status: int = 183
    sip_reason: str = "Session Progress"


class LegAnswered(Struct, frozen=True):
    """The far side accepted (2xx or its equivalent) and the leg's media is open in both directions."""

    leg: CallSid
    at: float
    """Monotonic seconds at which the answer was received, before any processing."""
    sip_status: int = 200
    sip_reason: str = "OK"


class LegEnded(Struct, frozen=True):
    """The leg is over. Posted exactly once per leg, last."""

    leg: CallSid
    at: float
    by: EndedBy = EndedBy.CALLEE
    sip_status: int = 0
    """Final response to the INVITE: 200 after an answer, 487 after our CANCEL; with a `failure` its status
    counts."""
    sip_reason: str = ""
    failure: LegFailure | None = None
    """None: an ordinary goodbye after an answer, or the end we asked for."""
    reason_header: str = ""
    """RFC 3326 Reason of the message that ended it, as received."""


# --- events of the caller, of timers and of others ----------------------------------------------------------


class CallerAnswered(Struct, frozen=True):
    """The caller's leg, answered by us, now has media (for an INVITE without offer: the ACK brought the
    answer)."""

    at: float


class CallerGone(Struct, frozen=True):
    """The caller hung up, cancelled, or the caller's leg broke. Overtakes everything waiting in the inbox."""

    at: float
    reason: str = ""


class HangUpRequested(Struct, frozen=True):
    """Somebody else wants the dial to end: API, Ctrl-C, live update, shutdown (DV-85)."""

    at: float
    cause: Cause = Cause.REQUESTED


class HandOverRequested(Struct, frozen=True):
    """Somebody wants the connected callee for itself: nobody is hung up, the dial ends (`Dial.hand_over`)."""

    at: float


class Screened(Struct, frozen=True):
    """Screening of an answered branch ended (section 7)."""

    leg: CallSid
    at: float
    is_accepted: bool
    reason: str = ""


class Connected(Struct, frozen=True):
    """Caller and callee hear each other now (without a caller: the callee is ours to talk to)."""

    leg: CallSid
    at: float


class DeadlinePassed(Struct, frozen=True):
    deadline: Deadline
    at: float


class MusicFailed(Struct, frozen=True):
    """`dial_music` could not be fetched or decoded; ringback takes its place (DV-43)."""

    at: float
    reason: str


class DtmfReceived(Struct, frozen=True):
    """One digit from one party; `leg` may be the caller's."""

    leg: CallSid
    at: float
    digit: str
    duration_ms: int = 0


class DetectorFired(Struct, frozen=True):
    """A detector on the callee's audio said something (machine, beep, ...). Passed to observers, decides
    nothing."""

    leg: CallSid
    at: float
    detail: object


DialEvent: TypeAlias = (
    LegHeldBack
    | LegTrying
    | LegRinging
    | LegEarlyMedia
    | LegAnswered
    | LegEnded
    | CallerAnswered
    | CallerGone
    | HangUpRequested
    | HandOverRequested
    | Screened
    | Connected
    | DeadlinePassed
    | MusicFailed
    | DtmfReceived
    | DetectorFired
)


# --- commands -----------------------------------------------------------------------------------------------


class StartLeg(Struct, frozen=True):
    leg: CallSid


class HangUpLeg(Struct, frozen=True):
    leg: CallSid
    cause: Cause


class ReleaseLeg(Struct, frozen=True):
    """Give the connected callee to whoever asked for it; it is the dial's leg no more."""

    leg: CallSid


class Screen(Struct, frozen=True):
    """Run the screening application on this answered callee; `Screened` comes back."""

    leg: CallSid


class Connect(Struct, frozen=True):
    """Answer the caller if that was not done and join the two; `Connected` comes back."""

    leg: CallSid


class Disconnect(Struct, frozen=True):
    """Part the caller from whatever the caller hears."""


class SetDeadline(Struct, frozen=True):
    deadline: Deadline
    at: float | None
    """Monotonic seconds; None: cancel it."""


class RingCaller(Struct, frozen=True):
    """180 to the caller."""


class OpenCallerEarlyMedia(Struct, frozen=True):
    """183 with SDP to the caller."""


class AnswerCaller(Struct, frozen=True):
    """200 to the caller."""


class PlayRingback(Struct, frozen=True):
    """The engine's ringback tone, in place of what the caller hears now."""


class PlayMusic(Struct, frozen=True):
    """`dial_music`, looped, in place of what the caller hears now."""

    url: str


class PresentEarlyMedia(Struct, frozen=True):
    """The callee's early media goes through to the caller."""

    leg: CallSid


class Finish(Struct, frozen=True):
    """All branches have ended or are abandoned: the result is final."""

    verdict: Verdict


CallerCommand: TypeAlias = (
    RingCaller | OpenCallerEarlyMedia | AnswerCaller | PlayRingback | PlayMusic | PresentEarlyMedia
)
"""What `progress.py` orders for the caller."""

Command: TypeAlias = (
    StartLeg | HangUpLeg | ReleaseLeg | Screen | Connect | Disconnect | SetDeadline | Finish | CallerCommand
)
