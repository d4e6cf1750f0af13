"""What a dial knows about a leg: one party's call, whatever carries it.

The dial owns the decisions, a leg owns its call. A leg posts the events of `events.py` into the inbox it was
started with and obeys two verbs, `start` and `hang_up`; it keeps no opinion about the other legs. Nothing
here knows SIP, though causes and failures carry the SIP numbers that people and hooks read.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from engine.ids import CallSid

if TYPE_CHECKING:
    from engine.dial.events import DialEvent

__all__ = ["Cause", "EndedBy", "Inbox", "Leg", "LegMedia", "ParentLeg"]


class Cause(StrEnum):
    """Why the dial lets go of a leg. `reason_header` is what the goodbye should carry (RFC 3326)."""

    NORMAL = "normal"
    """The conversation is over."""
    COMPLETED_ELSEWHERE = "completed-elsewhere"
    """Another branch won: phones must not log a missed call (DV-33)."""
    CALLER_GONE = "caller-gone"
    RING_TIMEOUT = "ring-timeout"
    TIME_LIMIT = "time-limit"
    DECLINED = "declined"
    """Screening refused this callee."""
    REQUESTED = "requested"
    """Somebody asked by API or Ctrl-C."""
    REPLACED = "replaced"
    """A live update put other instructions in the place of this dial."""
    SHUTDOWN = "shutdown"
    ENGINE_ERROR = "engine-error"

    @property
    def reason_header(self) -> str:
        """Value of the Reason header for CANCEL or BYE; empty: send none, so that a missed call is logged."""
        return _REASON_HEADERS.get(self, "")


_REASON_HEADERS = {Cause.COMPLETED_ELSEWHERE: 'SIP;cause=200;text="Call completed elsewhere"'}


class EndedBy(StrEnum):
    """Who ended a leg or a conversation."""

    CALLER = "caller"
    CALLEE = "callee"
    """The far side of the leg: a BYE, a final response, silence."""
    ENGINE = "engine"
    """We hung up, or a failure of our own."""


class Inbox(Protocol):
    """Where a leg reports. Called from the event loop's thread only; returns at once; does not raise."""

    def post(self, event: DialEvent) -> None: ...


class LegMedia(Protocol):
    """A leg's audio as far as the dial is concerned: an opaque end that `bridge.py` joins to another one."""

    def close(self) -> None: ...


class Leg(Protocol):
    """An outbound branch.

    The leg posts, each with the monotonic time at which it happened: at most one `LegHeldBack`, `LegTrying`
    when the INVITE goes out, any number of `LegRinging` and `LegEarlyMedia`, at most one `LegAnswered`, and
    **always, exactly once, last**: `LegEnded`. That also holds after `hang_up`, and a `LegAnswered` that
    crossed with it may still be posted.
    """

    @property
    def id(self) -> CallSid: ...

    @property
    def media(self) -> LegMedia | None:
        """None until there is audio to speak of (early media or an answer)."""

    def start(self, inbox: Inbox) -> None:
        """Begin to call. Does not raise: a failed start is a `LegEnded`."""

    def hang_up(self, cause: Cause) -> None:
        """Let go. Returns at once; at any time, any number of times; the first cause counts."""

    def detach(self) -> None:
        """Post nothing more: the leg has been handed over and lives on without the dial."""


class ParentLeg(Protocol):
    """The caller's leg, given to a dial that has to reach somebody for it. The dial never ends it.

    `attach` hands over the inbox into which the leg posts `CallerGone` (once, when the caller hangs up,
    cancels, or the leg breaks), `CallerAnswered` and `DtmfReceived`. After `detach` it posts nothing more to
    the dial. A leg that is over already when it is attached posts `CallerGone` at once. None of the methods
    raises or waits: what cannot be done becomes a `CallerGone`.
    """

    @property
    def id(self) -> CallSid: ...

    @property
    def media(self) -> LegMedia | None: ...

    @property
    def has_answered(self) -> bool:
        """The caller's INVITE got its 200 and both sides' media is known: a bridge may be opened."""

    def attach(self, inbox: Inbox) -> None: ...

    def detach(self) -> None: ...

    def ring(self) -> None:
        """180 without SDP; nothing if early media is open or the leg is answered."""

    def open_early_media(self) -> None:
        """183 with SDP, so that audio can be sent to the unanswered caller; nothing if it was done before."""

    def answer(self) -> None:
        """200 OK. `has_answered` is true on return if media is known at once, or `CallerAnswered` follows."""
