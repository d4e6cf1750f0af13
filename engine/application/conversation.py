"""What goes on beside two parties who hear each other: captures, transfers, hold music, streams.

Begins when a dial has joined caller and callee, ends when it parts them. Nothing here can end the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.application.capture import DigitCapture
from engine.dial.leg import Leg
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg

if TYPE_CHECKING:
    from engine.application.dialling import Dialling

__all__ = ["Conversation"]


class Conversation:
    """Of one dial."""

    __slots__ = ("_capture", "_dialling", "winner")

    def __init__(self, dialling: Dialling, winner: Leg) -> None:
        self._dialling = dialling
        self.winner = winner
        self._capture: DigitCapture | None = None

    def begin(self) -> None:
        """They hear each other now."""
        self._capture_digits()

    def end(self) -> None:
        """They do not any more."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def _capture_digits(self) -> None:
        dialling, verb = self._dialling, self._dialling.verb
        if verb.dtmf_hook is None:
            return
        capture = self._capture = DigitCapture(verb.captures, self._on_captured)
        caller = dialling.call.party.line
        if isinstance(caller, CallLeg):
            capture.watch_caller(caller)
        if isinstance(self.winner, CallLeg):
            capture.watch_callee(self.winner)

    def _on_captured(self, leg: CallSid, sequence: str) -> None:
        dialling = self._dialling
        is_callee = leg == self.winner.id and dialling.children is not None
        facts = dialling.children.of(leg) if is_callee and dialling.children else dialling.call.facts()
        dialling.call.session.notify(
            dialling.verb.dtmf_hook, {"dtmf": sequence}, verb_id=dialling.verb.id, facts=facts
        )
