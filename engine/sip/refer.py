"""REFER in a dialog and its implicit subscription (RFC 3515, RFC 4488), both roles.

The subscription ends with the call: an owner gets no event after `Ended`, and a NOTIFY after that gets 481.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.sip.dialog import DIALOG_ENDING, Dialog
from engine.sip.errors import ParseError
from engine.sip.events import ReferProgress, ReferReceived
from engine.sip.message import Request, Response
from engine.sip.sender import IGNORE_OUTCOME, Sender, check_fields
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Body, FailureKind, WrongState

if TYPE_CHECKING:
    from engine.sip.session import Call

__all__ = ["IncomingRefer", "Refers"]

SIPFRAG = "message/sipfrag;version=2.0"
_SUBSCRIPTION_S = 180
"""Only a promise in Subscription-State: what ends the subscription is the outcome."""


class Refers:
    """The REFERs of one call, sent and received, until each has its outcome."""

    __slots__ = ("_received", "_sent", "call")

    def __init__(self, call: Call) -> None:
        self.call = call
        self._sent: dict[int, _SentRefer] = {}
        self._received: list[IncomingRefer] = []

    def send(self, dialog: Dialog, refer_to: str, headers: Sequence[tuple[str, str]], now: float) -> None:
        """REFER to the peer."""
        refer = _SentRefer(self)
        fields = (("Refer-To", refer_to), *headers)
        sender = dialog.request("REFER", refer, fields=fields, with_contact=True)
        refer.cseq = sender.cseq
        self._sent[sender.cseq] = refer
        dialog.start(sender, now)

    def finished(self, refer: _SentRefer) -> None:
        """For the refer itself, at its end."""
        self._sent.pop(refer.cseq, None)

    def on_refer(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        """REFER from the peer. ParseError unless there is exactly one Refer-To (RFC 3515 §2.4.2)."""
        if len(request.headers.get_all("refer-to")) != 1 or request.refer_to is None:
            raise ParseError("not exactly one", field="refer-to")
        refer = IncomingRefer(self, dialog, request, transaction)
        self._received.append(refer)
        self.call.stack.emit(ReferReceived(self.call, refer, request, now))

    def on_notify(self, request: Request, transaction: ServerTransaction, now: float) -> None:
        """NOTIFY from the peer: of a REFER of ours, else 489 or 481."""
        event = request.event
        stack = self.call.stack
        if event is None or event.value.lower() != "refer":
            stack.respond(transaction, 489, now, fields=(("Allow-Events", "refer"),))
            return
        serial = event.params.get("id")
        if serial is None:
            refer = next(iter(self._sent.values()), None)
        else:
            refer = self._sent.get(int(serial)) if serial.isascii() and serial.isdigit() else None
        if refer is None:
            stack.respond(transaction, 481, now)
            return
        stack.respond(transaction, 200, now)
        refer.on_notify(request, now)

    def stop(self, now: float) -> None:
        """The call is over; a REFER that was not answered gets 487 (RFC 3261 §15.1.2)."""
        self._sent.clear()
        received, self._received = self._received, []
        for refer in received:
            refer.abandon(now)


class _SentRefer:
    """User of a REFER of ours, and of the NOTIFYs that tell about it (they may overtake the 202)."""

    __slots__ = ("_refers", "_was_notified", "cseq")

    def __init__(self, refers: Refers) -> None:
        self._refers = refers
        self.cseq = 0
        self._was_notified = False

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        # The retry with credentials has another CSeq number, which is the id that NOTIFYs will carry.
        sent = self._refers._sent
        if sender.cseq != self.cseq and sent.pop(self.cseq, None) is self:
            self.cseq = sender.cseq
            sent[self.cseq] = self
        without_subscription = (response.headers.get("refer-sub") or "").strip().lower() == "false"
        if status >= 300 or without_subscription:
            self._report(status, response.reason, True, now)
        elif not self._was_notified:
            self._report(status, response.reason, False, now)
        if status in DIALOG_ENDING:
            self._refers.call.lose_dialog(status, now, say_bye=status == 408)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        is_silence = kind is FailureKind.NO_RESPONSE
        self._report(408 if is_silence else 503, detail, True, now)
        if is_silence:
            self._refers.call.lose_dialog(408, now, say_bye=True)

    def on_end(self, sender: Sender, now: float) -> None: ...

    def on_notify(self, request: Request, now: float) -> None:
        self._was_notified = True
        status, reason = _status_of_fragment(request.body)
        state = (request.headers.get("subscription-state") or "").partition(";")[0].strip().lower()
        if status is None:
            if state == "terminated":
                self._report(500, "ended without result", True, now)
            return
        self._report(status, reason, state == "terminated" or status >= 200, now)

    def _report(self, status: int, reason: str, is_final: bool, now: float) -> None:
        call = self._refers.call
        if self._refers._sent.get(self.cseq) is not self or call.is_over:
            return
        if is_final:
            self._refers.finished(self)
        call.stack.emit(ReferProgress(call, status, reason, is_final, now))


class IncomingRefer:
    """A REFER the peer sent us: accept or reject it once, then report progress until a final status."""

    __slots__ = (
        "_dialog",
        "_is_abandoned",
        "_is_answered",
        "_is_silent",
        "_refers",
        "_request",
        "_transaction",
        "is_over",
    )

    def __init__(
        self, refers: Refers, dialog: Dialog, request: Request, transaction: ServerTransaction
    ) -> None:
        self._refers = refers
        self._dialog = dialog
        self._request = request
        self._transaction = transaction
        self._is_answered = False
        self._is_abandoned = False
        self._is_silent = (request.headers.get("refer-sub") or "").strip().lower() == "false"
        self.is_over = False
        """Nothing further will be sent."""

    @property
    def refer_to(self) -> str:
        """Refer-To, verbatim."""
        return self._request.headers.get("refer-to") or ""

    @property
    def referred_by(self) -> str | None:
        """Referred-By, verbatim."""
        return self._request.headers.get("referred-by")

    def accept(self, now: float) -> None:
        """202, and NOTIFY with `SIP/2.0 100 Trying` unless the peer wants no subscription.

        Nothing if the call has ended. Raises WrongState if it was answered.
        """
        if self._is_abandoned:
            return
        self._answer_once("accept")
        stack = self._refers.call.stack
        fields = [stack.contact_for(self._transaction, self._dialog.contact_user)]
        if self._is_silent:
            fields.append(("Refer-Sub", "false"))
        stack.respond(self._transaction, 202, now, fields=fields)
        if self._is_silent:
            self._end()
        else:
            self.progress(now, 100, "Trying")

    def reject(
        self, now: float, status: int = 603, reason: str = "", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Refuse with a final response 300-699. Nothing if the call has ended. WrongState if it was
        answered."""
        if not 300 <= status <= 699:
            raise ValueError(f"status {status} does not refuse a REFER")
        if self._is_abandoned:
            return
        check_fields(tuple(headers))
        self._answer_once("reject")
        self._refers.call.stack.respond(self._transaction, status, now, reason=reason, fields=tuple(headers))
        self._end()

    def progress(self, now: float, status: int, reason: str = "") -> None:
        """NOTIFY with a status line; a final one ends the subscription. Nothing once it is over."""
        if self._is_abandoned:
            return
        if not self._is_answered:
            raise WrongState("progress of a REFER that was not accepted")
        if self.is_over:
            return
        is_final = status >= 200
        state = "terminated;reason=noresource" if is_final else f"active;expires={_SUBSCRIPTION_S}"
        phrase = reason or self._refers.call.stack.phrase(status)
        fields = (
            ("Event", f"refer;id={self._request.cseq.number}"),
            ("Subscription-State", state),
        )
        body = Body(SIPFRAG, f"SIP/2.0 {status} {phrase}\r\n".encode("utf-8", "surrogateescape"))
        sender = self._dialog.request("NOTIFY", IGNORE_OUTCOME, fields=fields, body=body, with_contact=True)
        self._dialog.start(sender, now)
        if is_final:
            self._end()

    def abandon(self, now: float) -> None:
        """The call is over."""
        self.is_over = self._is_abandoned = True
        if not self._is_answered:
            self._refers.call.stack.respond(self._transaction, 487, now)

    def _answer_once(self, action: str) -> None:
        if self._is_answered:
            raise WrongState(f"{action} of a REFER that was answered already")
        self._is_answered = True

    def _end(self) -> None:
        self.is_over = True
        if self in self._refers._received:
            self._refers._received.remove(self)


def _status_of_fragment(body: bytes) -> tuple[int | None, str]:
    """Status and phrase of the first line of a message/sipfrag (RFC 3420); None if it is none."""
    line = body.lstrip().split(b"\n", 1)[0].decode("utf-8", "surrogateescape").strip()
    version, _, rest = line.partition(" ")
    code, _, phrase = rest.strip().partition(" ")
    if version.upper() != "SIP/2.0" or len(code) != 3 or not (code.isascii() and code.isdigit()):
        return None, ""
    status = int(code)
    return (status, phrase.strip()) if 100 <= status <= 699 else (None, "")
