"""Changing an established session: re-INVITE (RFC 3261 §14) and UPDATE (RFC 3311), both directions.

`Modification` is ours on its way, with glare back-off; `PendingOffer` is theirs waiting for our owner;
`Acceptance` is a 2xx to an INVITE of theirs that waits for its ACK. Bodies are opaque.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.sip.acceptance import Repetition
from engine.sip.dialog import DIALOG_ENDING, Ack, Dialog
from engine.sip.events import AnswerReceived, OfferReceived, OfferRejected, OfferWithdrawn
from engine.sip.message import Request, Response
from engine.sip.negotiation import OfferState
from engine.sip.reading import description_of, min_se_of, retry_after_of
from engine.sip.sender import Sender
from engine.sip.timers import Timer
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Body, FailureKind

if TYPE_CHECKING:
    from engine.sip.session import Call

__all__ = ["Acceptance", "Modification", "PendingOffer"]

_MOST_ATTEMPTS = 8
"""After so many 491 (or 422) in a row the owner is told."""


class Modification:
    """Our re-INVITE or UPDATE, from the first attempt to its outcome."""

    __slots__ = (
        "_ack",
        "_attempts",
        "_is_done",
        "_retry",
        "_sender",
        "body",
        "call",
        "dialog",
        "is_refresh",
        "method",
    )

    def __init__(
        self, call: Call, dialog: Dialog, method: str, body: Body | None, *, is_refresh: bool = False
    ) -> None:
        self.call = call
        self.dialog = dialog
        self.method = method
        self.body = body
        self.is_refresh = is_refresh
        self._attempts = 0
        self._ack: Ack | None = None
        self._sender: Sender | None = None
        self._retry: Timer | None = None
        self._is_done = False

    @property
    def is_in_flight(self) -> bool:
        """Sent, without final response: not waiting for a back-off."""
        return self._retry is None and not self._is_done

    def start(self, now: float) -> None:
        """Send it."""
        if self.body is not None:
            self.dialog.negotiation.offer_locally(self.body)
        self._attempts += 1
        stack = self.call.stack
        timer = self.call.session_timer.request_fields() if self.call.is_confirmed else ()
        fields = (*stack.capabilities, *timer)
        sender = self.dialog.request(self.method, self, fields=fields, body=self.body, with_contact=True)
        self._sender = sender
        self.dialog.start(sender, now)

    def abandon(self, now: float) -> None:
        """The call is over. What is on its way is still acknowledged, its outcome matters no more."""
        if self._is_done:
            return
        self._is_done = True
        if self._retry is not None:
            self._retry.cancel()
        if self.body is not None:
            self.dialog.negotiation.withdraw()
        sender = self._sender
        if sender is not None:
            sender.stop()
            if sender.transaction is not None:
                sender.transaction.give_up_at(now + self.call.timers.after_cancel)

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            return
        if status >= 300:
            if not self._is_done:
                self._refused(status, response.reason, response, now)
            return
        if self.method == "INVITE":
            if self._ack is not None:
                self._ack.send_again()
                return
            if not self._is_done:
                self.dialog.refresh_target(response)
            self._ack = self.dialog.acknowledge(sender, None, now)
        elif not self._is_done:
            self.dialog.refresh_target(response)
        if not self._is_done:
            self._accepted(response, now)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        if self._is_done:
            return
        if kind is FailureKind.NO_RESPONSE:
            self._finish(now)
            self.call.lose_dialog(408, now, say_bye=True)
        else:
            self._refused(503, detail, None, now)

    def on_end(self, sender: Sender, now: float) -> None: ...

    def _accepted(self, response: Response, now: float) -> None:
        self._finish(now)
        call = self.call
        call.session_timer.on_success(response, now)
        if self.body is None:
            return
        negotiation = self.dialog.negotiation
        answer = description_of(response)
        if answer is None:
            negotiation.withdraw()
            if not self.is_refresh:
                call.stack.emit(OfferRejected(call, response.status, "no answer in the response", None, now))
            return
        before = negotiation.remote
        negotiation.answer_remotely(answer)
        if not self.is_refresh or answer != before:
            call.stack.emit(AnswerReceived(call, answer, now))

    def _refused(self, status: int, reason: str, response: Response | None, now: float) -> None:
        if self.body is not None:
            self.dialog.negotiation.withdraw()
        call = self.call
        if status == 491 and self._attempts < _MOST_ATTEMPTS:
            self._retry = call.stack.timers.at(now + call.glare_delay_s(), self._try_again)
            return
        if status == 422 and response is not None and self._attempts < _MOST_ATTEMPTS:
            min_se = min_se_of(response)
            if min_se is not None and call.session_timer.raise_to(min_se):
                self.start(now)
                return
        self._finish(now)
        if status in DIALOG_ENDING:
            call.lose_dialog(status, now, say_bye=status == 408)
        elif self.is_refresh:
            call.session_timer.refresh_failed(status, now)
        else:
            retry_after_s = retry_after_of(response) if response is not None else None
            call.stack.emit(OfferRejected(call, status, reason, retry_after_s, now))

    def _try_again(self, now: float) -> None:
        """§14.1: "When the timer fires, the UAC SHOULD attempt the re-INVITE once more, if it still
        desires for that session modification to take place." If the peer's own change is being answered,
        wait again."""
        if self.call.has_pending_offer or self.dialog.negotiation.state is not OfferState.STABLE:
            self._retry = self.call.stack.timers.at(now + self.call.glare_delay_s(), self._try_again)
            return
        self._retry = None
        self.start(now)

    def _finish(self, now: float) -> None:
        self._is_done = True
        self.call.modified(self, now)


class PendingOffer:
    """A request of the peer that carries an offer, or asks for one, until our owner has replied."""

    __slots__ = ("_deliver", "body", "call", "dialog", "request", "transaction")

    def __init__(
        self,
        call: Call,
        dialog: Dialog,
        body: Body | None,
        *,
        request: Request | None = None,
        transaction: ServerTransaction | None = None,
        deliver: Callable[[Body | None, float], None] | None = None,
    ) -> None:
        """`deliver` sends the answer when the offer came in a response; None as body: there is none."""
        self.call = call
        self.dialog = dialog
        self.body = body
        self.request = request
        self.transaction = transaction
        self._deliver = deliver

    @classmethod
    def by_reinvite(
        cls, call: Call, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None:
        """§14.2, with the glare rules of RFC 3261 §14.2 and RFC 3311 §5.2."""
        stack = call.stack
        state = dialog.negotiation.state
        modification = call.modification
        if call.has_pending_offer or state is OfferState.REMOTE_OFFER:
            stack.respond(transaction, 500, now, fields=stack.retry_later())
        elif state is OfferState.LOCAL_OFFER or (
            modification is not None and modification.method == "INVITE" and modification.is_in_flight
        ):
            stack.respond(transaction, 491, now)
        elif not call.session_timer.refuses(request, transaction, now):
            body = description_of(request)
            if body is not None:
                dialog.negotiation.offer_remotely(body)
            pending = cls(call, dialog, body, request=request, transaction=transaction)
            transaction.user = pending
            stack.respond(transaction, 100, now)
            call.wait_for_answer(pending)
            stack.emit(OfferReceived(call, body, "INVITE", now))

    @classmethod
    def by_update(
        cls, call: Call, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None:
        """RFC 3311 §5.2. Without offer it refreshes session timer and target, and is answered at once."""
        stack = call.stack
        body = description_of(request)
        if body is None:
            if not call.session_timer.refuses(request, transaction, now):
                dialog.refresh_target(request)
                fields = (
                    stack.contact_for(transaction, dialog.contact_user),
                    *call.session_timer.accept(request, now),
                )
                stack.respond(transaction, 200, now, fields=fields)
            return
        state = dialog.negotiation.state
        if state is OfferState.LOCAL_OFFER:
            stack.respond(transaction, 491, now)
        elif state is OfferState.REMOTE_OFFER or call.has_pending_offer:
            stack.respond(transaction, 500, now, fields=stack.retry_later())
        elif not call.session_timer.refuses(request, transaction, now):
            cls.by_request(call, dialog, request, transaction, body, now)

    @classmethod
    def by_request(
        cls,
        call: Call,
        dialog: Dialog,
        request: Request,
        transaction: ServerTransaction,
        body: Body,
        now: float,
    ) -> None:
        """An offer in UPDATE or PRACK that may be made now."""
        dialog.negotiation.offer_remotely(body)
        call.wait_for_answer(cls(call, dialog, body, request=request, transaction=transaction))
        call.stack.emit(OfferReceived(call, body, request.method, now))

    def answer(self, body: Body, now: float) -> None:
        """The owner's answer; or its offer, if the peer asked for one."""
        negotiation = self.dialog.negotiation
        if self.body is not None:
            negotiation.answer_locally(body)
        else:
            negotiation.offer_locally(body)
        if self._deliver is not None:
            self._deliver(body, now)
            return
        call, stack = self.call, self.call.stack
        request, transaction = self.request, self.transaction
        assert request is not None
        assert transaction is not None
        if request.method == "PRACK":
            stack.respond(transaction, 200, now, body=body)
            return
        self.dialog.refresh_target(request)
        fields = (
            stack.contact_for(transaction, self.dialog.contact_user),
            *stack.capabilities,
            *call.session_timer.accept(request, now),
        )
        data = stack.respond(transaction, 200, now, fields=fields, body=body)
        if request.method == "INVITE":
            call.accept(Acceptance(call, self.dialog, transaction, data, now))

    def reject(self, status: int, now: float) -> None:
        """The owner's refusal."""
        self.dialog.negotiation.withdraw()
        if self._deliver is not None:
            # An offer in a 2xx cannot be refused: acknowledge it and end the call (RFC 3261 §13.2.2.4).
            self._deliver(None, now)
            self.call.hang_up(now)
        elif self.transaction is not None:
            self.call.stack.respond(self.transaction, status, now)

    def withdrawn(self, now: float) -> None:
        """The peer cancelled its re-INVITE."""
        self.dialog.negotiation.withdraw()
        assert self.transaction is not None
        self.call.stack.respond(self.transaction, 487, now)
        self.call.stack.emit(OfferWithdrawn(self.call, now))

    def abandon(self, now: float) -> None:
        """The call is over (§15.1.2: pending requests get 487)."""
        self.dialog.negotiation.withdraw()
        if self._deliver is not None:
            self._deliver(None, now)
        elif self.transaction is not None:
            self.call.stack.respond(self.transaction, 487, now)

    # ServerUser of a re-INVITE.

    def on_ack(self, transaction: ServerTransaction, ack: Request, now: float) -> None:
        self.call.on_ack(self.dialog, ack, now)

    def on_ack_timeout(self, transaction: ServerTransaction, now: float) -> None: ...

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        self.call.on_cancel(transaction, cancel, now)


class Acceptance:
    """A 2xx of ours to an INVITE, repeated until its ACK comes."""

    __slots__ = ("_data", "_dialog", "_on_acknowledged", "_repetition", "_transaction", "call", "cseq")

    def __init__(
        self,
        call: Call,
        dialog: Dialog,
        transaction: ServerTransaction,
        data: bytes,
        now: float,
        on_acknowledged: Callable[[float], None] | None = None,
    ) -> None:
        """`data`: the 2xx as sent. If it carried an offer, the answer is expected in the ACK."""
        self.call = call
        self.cseq = transaction.request.cseq.number
        self._dialog = dialog
        self._data = data
        self._transaction = transaction
        self._on_acknowledged = on_acknowledged
        timers = call.timers
        self._repetition = Repetition(
            call.stack.timers, timers, self._send_again, self._give_up, now, longest=timers.t2
        )

    def stop(self) -> None:
        """The call is over."""
        self._repetition.stop()

    def acknowledged(self, ack: Request, now: float) -> None:
        """The ACK came."""
        self._repetition.stop()
        negotiation = self._dialog.negotiation
        answer = description_of(ack)
        call = self.call
        has_answer = negotiation.state is OfferState.LOCAL_OFFER and call.modification is None
        if has_answer and answer is not None:
            negotiation.answer_remotely(answer)
        elif has_answer:
            negotiation.withdraw()
        if self._on_acknowledged is not None:
            self._on_acknowledged(now)
        if has_answer and answer is not None and not call.is_over:
            call.stack.emit(AnswerReceived(call, answer, now))

    def _send_again(self, now: float) -> None:
        self._transaction.send(200, self._data, now)

    def _give_up(self, now: float) -> None:
        self.call.never_acknowledged(now)
