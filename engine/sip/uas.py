"""IncomingInvite: an INVITE we received, the callee's side of RFC 3261 §13.3 with reliable provisionals
(RFC 3262)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from engine.sip.acceptance import Repetition
from engine.sip.dialog import Dialog
from engine.sip.errors import ParseError
from engine.sip.events import AnswerReceived, Confirmed
from engine.sip.message import Request
from engine.sip.modify import Acceptance, PendingOffer
from engine.sip.negotiation import OfferState
from engine.sip.reading import description_of, expires_of
from engine.sip.sender import Fields, check_fields
from engine.sip.session import Call, goodbye_fields
from engine.sip.timers import Timer
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Body, EndCause, FailureKind, Flow, InviteState, Party

if TYPE_CHECKING:
    from engine.sip.stack import SipStack

__all__ = ["IncomingInvite"]


_REMINDER_S = 60.0
"""RFC 3261 §13.3.1.1."""
_RELIABLE_REMINDER_S = 150.0
"""RFC 3262 §3: the peer is known to have the response, so "two and a half minutes" will do."""


class _Reliable:
    """A provisional response until its PRACK comes; waits its turn without `repetition`."""

    __slots__ = ("body", "fields", "reason", "repetition", "rseq", "status")

    def __init__(self, status: int, reason: str, fields: Fields, body: Body | None) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body = body
        self.rseq = 0
        self.repetition: Repetition | None = None


class IncomingInvite(Call):
    """The callee's side: ring any number of times, then answer or reject once.

    Once the call is over (its `Failed` or `Ended` may still be on its way to you), methods do nothing.
    """

    __slots__ = (
        "_acceptance",
        "_expiry",
        "_has_described",
        "_held_answer",
        "_overtaken",
        "_reliables",
        "_reminder",
        "_rseq",
        "_transaction",
        "_was_pracked",
        "_wish",
        "dialog_of_call",
        "flow",
        "request",
    )

    def __init__(self, stack: SipStack, request: Request, transaction: ServerTransaction, flow: Flow) -> None:
        """ParseError if the INVITE cannot make a dialog."""
        super().__init__(stack, request.call_id, stack.config.timers, InviteState.PROCEEDING)
        self.request = request
        self.flow = flow
        self._transaction = transaction
        transaction.to_tag = stack.new_tag()
        transaction.user = self
        dialog = Dialog.of_uas(stack, self, request, transaction.to_tag, flow, self.timers)
        self.dialog = dialog
        self.dialog_of_call = dialog
        body = description_of(request)
        if body is not None:
            dialog.negotiation.offer_remotely(body)
        self._acceptance: Acceptance | None = None
        self._expiry: Timer | None = None
        self._held_answer: tuple[Body | None, Fields] | None = None
        self._overtaken: int | None = None
        """RSeq of a provisional that our 200 has overtaken."""
        self._reliables: deque[_Reliable] | None = None
        self._reminder: Timer | None = None
        self._rseq = 0
        self._was_pracked = False
        self._has_described = False
        """Our answer or offer has gone out in a reliable provisional: SDP after it would be a new offer."""
        self._wish: Fields | None = None
        """What our owner wants the BYE to carry that has to wait for the ACK; None: no BYE waits."""

    def limit_ringing(self, now: float) -> None:
        """§13.3.1: an INVITE with Expires gets 487 when it has expired without a final response."""
        expires_s = expires_of(self.request)
        if expires_s is not None:
            self._expiry = self.stack.timers.at(now + expires_s, self._expire)

    # What the owner may do.

    def ring(
        self,
        now: float,
        status: int = 180,
        body: Body | None = None,
        *,
        reason: str = "",
        reliable: bool | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send a provisional response 101-199.

        `reliable` None: only if the caller requires it (RFC 3262); True: also if it only supports it. A
        reliable one waits until the one before has its PRACK. Raises WrongState after a final response,
        ValueError for another status.
        """
        if self._is_over:
            return
        if not 101 <= status <= 199:
            raise ValueError(f"status {status} is no provisional response to send")
        if self.state is not InviteState.PROCEEDING or self._held_answer is not None:
            raise self._wrong("ring")
        check_fields(tuple(headers), body)
        is_required = "100rel" in self.request.require
        is_possible = is_required or "100rel" in self.request.supported
        contact = self.stack.contact_for(self._transaction, self.dialog_of_call.contact_user)
        fields = (contact, ("Allow", self.stack.allow), *headers)
        if is_required or (reliable and is_possible and self.stack.config.reliable_provisionals):
            self._ring_reliably(_Reliable(status, reason, fields, body), now)
            self._remind_at(now + _RELIABLE_REMINDER_S, lambda at: self.ring(at, status, reliable=reliable))
        else:
            transaction = self._transaction
            data = self.stack.respond(transaction, status, now, reason=reason, fields=fields, body=body)
            self._remind_at(now + _REMINDER_S, lambda at: self._ring_again(status, data, at))

    def answer(self, body: Body | None, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send 200; retransmitted until the ACK comes (→ `Confirmed`). WrongState after a final response.

        `body` is the answer, or our offer when the INVITE had none; it is left out if a reliable provisional
        response carried it already. A reliable response with SDP that waits for its PRACK delays the 200.
        """
        if self._is_over:
            return
        if self.state is not InviteState.PROCEEDING or self._held_answer is not None:
            raise self._wrong("answer")
        check_fields(tuple(headers), body)
        if self._reminder is not None:
            self._reminder.cancel()
        reliables = self._reliables
        if reliables and any(reliable.body is not None for reliable in reliables):
            # RFC 3262 §3: no 2xx while a provisional with a session description is unacknowledged.
            self._held_answer = (body, tuple(headers))
        else:
            self._answer(body, tuple(headers), now)

    def reject(
        self, now: float, status: int = 480, reason: str = "", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send a final response 300-699. Raises WrongState after a final response."""
        if self._is_over:
            return
        if not 300 <= status <= 699:
            raise ValueError(f"status {status} does not reject a call")
        if self.state is not InviteState.PROCEEDING:
            raise self._wrong("reject")
        check_fields(tuple(headers))
        self._refuse(FailureKind.REJECTED, status, reason, now, tuple(headers))

    def hang_up(
        self,
        now: float,
        reason_header: str = "",
        *,
        status: int = 480,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """End the call from any state, any number of times: before an answer it is rejected with `status`.

        §15: BYE has to wait for the ACK of our 2xx, or for the time in which it could come.
        """
        if self._is_over:
            return
        fields = goodbye_fields(reason_header, headers)
        if self.state is InviteState.PROCEEDING:
            self._refuse(FailureKind.REJECTED, status, "", now, fields)
        elif self._acceptance is None:
            self._end(Party.LOCAL, EndCause.HANG_UP, now, say_bye=True, fields=fields)
        else:
            self._wish = fields
            self._end_without_bye(now)

    # DialogUser and ServerUser.

    def on_ack(self, dialog_or_transaction: object, ack: Request, now: float) -> None:
        """Of our 2xx; by the dialog, or by the transaction from peers without magic cookie."""
        acceptance = self._acceptance
        if ack.to_tag and ack.to_tag != self._transaction.to_tag:
            return  # Of another fork's response: a proxy without a mind sends it to all (§17.1.1.3).
        if acceptance is not None and ack.cseq.number == acceptance.cseq:
            self._acceptance = None
            acceptance.acknowledged(ack, now)
        else:
            super().on_ack(self.dialog_of_call, ack, now)

    def on_ack_timeout(self, transaction: ServerTransaction, now: float) -> None:
        """Timer H: our refusal was never acknowledged. There is nothing to tell anybody."""

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        """§9.2: it has no effect once a final response was sent."""
        if transaction is not self._transaction:
            super().on_cancel(transaction, cancel, now)
        elif self.state is InviteState.PROCEEDING and not self._is_over:
            self._refuse(FailureKind.CALLER_GONE, 487, "", now, request=cancel)

    def never_acknowledged(self, now: float) -> None:
        """64·T1 without ACK: BYE is allowed now, and due."""
        self._acceptance = None
        if self._wish is None:
            super().never_acknowledged(now)
        elif self.state is InviteState.ENDING:
            self._say_bye(self.dialog_of_call, self._wish, now)

    # Proxies on the way give up after three minutes without a sign of life (§16.6).

    def _remind_at(self, deadline: float, action: Callable[[float], None]) -> None:
        if self._reminder is not None:
            self._reminder.cancel()
        self._reminder = self.stack.timers.at(deadline, action)

    def _ring_again(self, status: int, data: bytes, now: float) -> None:
        """§13.3.1.1: "the UAS MUST send a non-100 provisional response at every minute"."""
        self._transaction.send(status, data, now)
        self._remind_at(now + _REMINDER_S, lambda at: self._ring_again(status, data, at))

    # Reliable provisionals.

    def _ring_reliably(self, reliable: _Reliable, now: float) -> None:
        negotiation = self.dialog_of_call.negotiation
        body = reliable.body
        if body is not None:
            if self._has_described:
                reliable.body = None
            elif negotiation.state is OfferState.REMOTE_OFFER:
                negotiation.answer_locally(body)
            else:
                negotiation.offer_locally(body)
            self._has_described = True
        if self._reliables is None:
            self._reliables = deque()
        self._reliables.append(reliable)
        if len(self._reliables) == 1:
            self._send_reliable(reliable, now)

    def _send_reliable(self, reliable: _Reliable, now: float) -> None:
        # RFC 3262 §3: the first RSeq is 1 to 2**31 - 1 at random, then one more each.
        self._rseq = self._rseq + 1 if self._rseq else 1 + self.stack.random_below(2**31 - 1)
        reliable.rseq = self._rseq
        stack, transaction = self.stack, self._transaction
        fields = (("Require", "100rel"), ("RSeq", str(self._rseq)), *reliable.fields)
        status = reliable.status
        data = stack.respond(
            transaction, status, now, reason=reliable.reason, fields=fields, body=reliable.body
        )
        reliable.repetition = Repetition(
            stack.timers,
            self.timers,
            lambda at: transaction.send(status, data, at),
            self._never_pracked,
            now,
            longest=inf,
        )

    def _never_pracked(self, now: float) -> None:
        """RFC 3262 §3: after 64·T1 the request SHOULD be rejected with a 5xx."""
        if not self._is_over and self.state is InviteState.PROCEEDING:
            self._refuse(FailureKind.REJECTED, 504, "", now)

    def _on_prack(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        rack = request.rack
        if rack is None:
            raise ParseError("missing", field="rack")
        reliables = self._reliables
        invite = self.request.cseq.number
        if (rack.cseq, rack.method) == (invite, "INVITE") and rack.rseq == self._overtaken:
            self._overtaken = None
            self.stack.respond(transaction, 200, now)
            return
        if not reliables or (rack.rseq, rack.cseq, rack.method) != (reliables[0].rseq, invite, "INVITE"):
            self.stack.respond(transaction, 481, now)
            return
        self._was_pracked = True
        acknowledged = reliables.popleft()
        if acknowledged.repetition is not None:
            acknowledged.repetition.stop()
        body = description_of(request)
        negotiation = dialog.negotiation
        if body is not None and negotiation.is_complete and not self.has_pending_offer:
            PendingOffer.by_request(self, dialog, request, transaction, body, now)
        else:
            self.stack.respond(transaction, 200, now)
            if negotiation.state is OfferState.LOCAL_OFFER and acknowledged.body is not None:
                if body is not None:
                    negotiation.answer_remotely(body)
                    self.stack.emit(AnswerReceived(self, body, now))
                else:
                    negotiation.withdraw()
        if reliables:
            self._send_reliable(reliables[0], now)
        held = self._held_answer
        if held is not None and not any(reliable.body is not None for reliable in reliables):
            self._held_answer = None
            self._answer(*held, now)

    def _expire(self, now: float) -> None:
        if self.state is InviteState.PROCEEDING and not self._is_over:
            self._refuse(FailureKind.CALLER_GONE, 487, "", now)

    def _stop_ringing(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._reminder is not None:
            self._reminder.cancel()
            self._reminder = None
        reliables, self._reliables = self._reliables, None
        for reliable in reliables or ():
            if reliable.repetition is not None:
                reliable.repetition.stop()
                # RFC 3262 §3: its PRACK is still to be answered with a 2xx. A 481 would end the call at peers
                # who take it for the loss of the dialog.
                self._overtaken = reliable.rseq

    # The final response.

    def _answer(self, body: Body | None, headers: Fields, now: float) -> None:
        dialog, stack = self.dialog_of_call, self.stack
        negotiation = dialog.negotiation
        if self._has_described:
            body = None
        elif negotiation.state is OfferState.REMOTE_OFFER:
            if body is None:
                raise ValueError("the INVITE carried an offer: the 200 needs an answer")
            negotiation.answer_locally(body)
        elif body is None:
            raise ValueError("the INVITE carried no offer: the 200 needs one")
        else:
            negotiation.offer_locally(body)
        self._stop_ringing()
        self.state = InviteState.ESTABLISHED
        fields = (
            stack.contact_for(self._transaction, dialog.contact_user),
            *stack.answer_fields,
            *self.session_timer.accept(self.request, now),
            *headers,
        )
        data = stack.respond(self._transaction, 200, now, fields=fields, body=body)
        dialog.is_early = False
        self._acceptance = Acceptance(self, dialog, self._transaction, data, now, self._acknowledged)

    def _acknowledged(self, now: float) -> None:
        if self._wish is not None:
            self._say_bye(self.dialog_of_call, self._wish, now)
        elif not self._is_over:
            self.stack.emit(Confirmed(self, now))

    def _refuse(
        self,
        kind: FailureKind,
        status: int,
        reason: str,
        now: float,
        headers: Fields = (),
        *,
        request: Request | None = None,
    ) -> None:
        self._stop_ringing()
        self._held_answer = None
        self.stack.respond(self._transaction, status, now, reason=reason, fields=headers)
        self._fail(kind, status, reason or self.stack.phrase(status), now, request=request)
        self._finish(now)

    # The goodbye.

    def _on_bye(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        if self.state is InviteState.PROCEEDING and not self._is_over:
            # §15: the caller may end an early dialog with BYE; the INVITE still needs its final response.
            self.stack.respond(transaction, 200, now)
            self._refuse(FailureKind.CALLER_GONE, 487, "", now, request=request)
            return
        acceptance, self._acceptance = self._acceptance, None
        if acceptance is not None:
            acceptance.stop()
        was_over = self._is_over
        super()._on_bye(dialog, request, transaction, now)
        if was_over and acceptance is not None:
            self._finish(now)  # We were waiting for the ACK to say BYE ourselves.

    def _end_without_bye(self, now: float) -> None:
        """Over for our owner, while the 2xx goes on being repeated until BYE is allowed."""
        acceptance, self._acceptance = self._acceptance, None
        self._end(Party.LOCAL, EndCause.HANG_UP, now)
        self._acceptance = acceptance

    def _let_go(self, now: float) -> None:
        if self._acceptance is not None:
            self._acceptance.stop()
            self._acceptance = None
        super()._let_go(now)

    def _finish(self, now: float) -> None:
        if self._wish is not None and self.state is InviteState.ESTABLISHED:
            self.state = InviteState.ENDING  # `_end_without_bye`: the BYE is still to come.
            return
        super()._finish(now)
        self._transaction.release()

    # What the shared parts ask.

    @property
    def is_known_to_peer(self) -> bool:
        """A response with our tag has been acknowledged, by PRACK or ACK."""
        return self._was_pracked or self.is_confirmed

    @property
    def is_confirmed(self) -> bool:
        """Established and acknowledged."""
        return self._acceptance is None and super().is_confirmed

    @property
    def wanted_session_s(self) -> int | None:
        """The session timer we ask for."""
        return self.stack.config.session_expires_s

    def glare_delay_s(self) -> float:
        """§14.1: who does not own the Call-ID waits 0 to 2 s, in units of 10 ms."""
        return self.stack.random_below(201) / 100
