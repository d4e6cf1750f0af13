"""CallerLeg: a call of ours that was answered, as the caller of a dial: `engine.dial.leg.ParentLeg`.

A call made over REST, or a callee who was handed over by a dial, may be given a document with a `dial` of its
own: then this leg is the one somebody is reached for. It is answered already, so there is nothing to ring.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.dial.events import CallerGone, DtmfReceived
from engine.dial.identity import CallerIdentity
from engine.dial.leg import Cause, Inbox
from engine.ids import CallSid
from engine.legs.notes import DigitKeyed, LegGone, LegNote
from engine.legs.sip_leg import SipLeg
from engine.routing.identity import identity_of_address
from media import MediaStream

__all__ = ["CallerLeg"]


class CallerLeg:
    """Thin: the leg goes on being owned by whoever made it, and can be watched there."""

    __slots__ = ("_inbox", "identity", "leg")

    def __init__(self, leg: SipLeg, identity: CallerIdentity | None = None) -> None:
        """`identity`: who is presented as calling; None: the number this leg was called from."""
        self.leg = leg
        self.identity = identity or identity_of_address(leg.from_)
        self._inbox: Inbox | None = None

    @property
    def id(self) -> CallSid:
        return self.leg.id

    @property
    def media(self) -> MediaStream | None:
        return self.leg.media

    @property
    def has_answered(self) -> bool:
        return self.leg.is_answered

    @property
    def is_gone(self) -> bool:
        """The party has hung up, or the call broke."""
        return self.leg.is_over

    def attach(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.leg.watch(self._on_note)

    def detach(self) -> None:
        self._inbox = None
        self.leg.unwatch(self._on_note)

    def ring(self) -> None:
        """Nothing: it is answered."""

    def open_early_media(self) -> None:
        """Nothing: it is answered."""

    def answer(self) -> None:
        """Nothing: it is answered."""

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        """Key digits to the party."""
        self.leg.send_dtmf(digits, duration_ms=duration_ms)

    def hang_up(self, cause: Cause = Cause.NORMAL, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        """BYE. Any number of times."""
        self.leg.hang_up(cause, headers=headers)

    def _on_note(self, note: LegNote) -> None:
        inbox = self._inbox
        if inbox is None:
            return
        match note:
            case DigitKeyed():
                inbox.post(DtmfReceived(note.leg, note.at, note.digit, note.duration_ms))
            case LegGone():
                inbox.post(CallerGone(note.at, note.reason_header or note.sip_reason))
            case _:
                pass
