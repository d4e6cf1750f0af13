"""OutgoingInvite: one INVITE we sent and every dialog it forked into, until nothing of it is left.

RFC 3261 §13.2 with forks, reliable provisionals (RFC 3262), redirects, session timers and the goodbye:

    hang_up when      at once              later 1xx   later 2xx   later 3xx-6xx   nothing comes
    no 1xx yet        remember it (§9.1)   CANCEL      ACK, BYE    ended           Timer B ends it
    1xx seen          CANCEL               nothing     ACK, BYE    ended           64·T1 after CANCEL
    ESTABLISHED       BYE                  -           ACK again   -               Timer F ends it

A second fork that answers gets ACK and BYE for its dialog only (§13.2.2.4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from engine.sip.auth import Authenticator
from engine.sip.dialog import Ack, Dialog, request_path, reversed_routes
from engine.sip.events import Answered, InviteSent, OfferReceived, Provisional
from engine.sip.message import Request, Response
from engine.sip.modify import PendingOffer
from engine.sip.negotiation import OfferState
from engine.sip.reading import description_of, min_se_of, retry_after_of, rseq_of, session_expires_of
from engine.sip.sender import IGNORE_OUTCOME, Fields, Sender
from engine.sip.session import Call, goodbye_fields
from engine.sip.tables import State
from engine.sip.targets import Targets
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Body, EndCause, FailureKind, InviteParams, InviteState, Party
from engine.sip.uri import as_address, as_request_uri

if TYPE_CHECKING:
    from engine.sip.stack import SipStack

__all__ = ["OutgoingInvite"]

_MOST_422 = 3
_MOST_EARLY_DIALOGS = 32
"""Provisionals of further forks are reported, but remembered no more."""


class OutgoingInvite(Call):
    """The caller's side. Created by `SipStack.invite`."""

    __slots__ = (
        "_acks",
        "_auth",
        "_cseq",
        "_dialogs",
        "_early_bodies",
        "_had_provisional",
        "_ids",
        "_is_cancelling",
        "_refusals_422",
        "_sender",
        "_tag",
        "_targets",
        "_winner",
        "_wish",
        "params",
    )

    def __init__(self, stack: SipStack, params: InviteParams) -> None:
        call_id = params.call_id or stack.new_call_id()
        super().__init__(stack, call_id, params.timers or stack.config.timers, InviteState.CALLING)
        self.params = params
        target = as_request_uri(params.target)
        to = params.to or f"<{as_address(target)}>"
        self._tag = stack.new_tag()
        self._ids: Fields = (
            ("From", f"{params.from_};tag={self._tag}"),
            ("To", to),
            ("Call-ID", call_id),
        )
        self._auth = Authenticator(params.credentials, stack.entropy) if params.credentials else None
        self._cseq = 0
        self._sender: Sender | None = None
        self._dialogs: dict[str, Dialog] = {}
        self._acks: dict[str, Ack] = {}
        self._early_bodies: dict[str, Body] = {}
        self._winner: str | None = None
        self._wish: Fields | None = None
        """The header fields our owner wants to go with; None: it has not hung up."""
        self._is_cancelling = False
        self._had_provisional = False
        self._targets: Targets | None = None
        self._refusals_422 = 0

    def start(self, now: float) -> None:
        """Send the INVITE. ValueError if the parameters do not make a message."""
        sender = self._call(as_request_uri(self.params.target), now)
        if sender.is_resolving:
            sender.on_sent = self._on_first_sent
            try:
                sender.check()
            except ValueError:
                sender.stop()
                raise

    @property
    def is_resolving(self) -> bool:
        """Nothing was sent yet: the next hop's name is being looked up; `InviteSent` follows, or `Failed`."""
        return self._sender is not None and self._sender.is_resolving

    # What the owner may do.

    def hang_up(
        self,
        now: float,
        reason_header: str = "",
        *,
        status: int = 480,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """End the call from any state, any number of times. `status` is of no use here."""
        if self._is_over or self._wish is not None:
            return
        fields = goodbye_fields(reason_header, headers)
        if self.state is InviteState.ESTABLISHED:
            self._end(Party.LOCAL, EndCause.HANG_UP, now, say_bye=True, fields=fields)
            return
        self._wish = fields
        self._stop_calling(now)

    def _on_first_sent(self, now: float) -> None:
        self.stack.emit(InviteSent(self, now))

    # SenderUser: what becomes of the INVITE.

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        status = response.status
        if status < 200:
            self._on_provisional(sender, response, now)
        elif status < 300:
            self._on_success(sender, response, now)
        elif not self._is_over:
            self._on_refusal(sender, response, now)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        if self._is_over:
            return
        self._drop_early_dialogs(now)
        if self._is_cancelling or self._wish is not None:
            self._fail_and_finish(FailureKind.CANCELLED, 487, "Request Terminated", now)
        elif not self._try_next_target(now):
            status, reason = (408, "Request Timeout") if kind is FailureKind.NO_RESPONSE else (503, detail)
            self._fail_and_finish(kind, status, reason, now)

    def on_end(self, sender: Sender, now: float) -> None:
        """Timer M: no further 2xx can come; §13.2.2.4 ends the early dialogs here."""
        self._drop_early_dialogs(now)
        self._acks.clear()

    # Provisional responses.

    def _on_provisional(self, sender: Sender, response: Response, now: float) -> None:
        if self._is_over or self._winner is not None:
            return
        self._had_provisional = True
        if self._wish is not None:
            if not self._is_cancelling:
                self._cancel(sender, now)
            return
        if self._is_cancelling:
            return
        self.state = InviteState.PROCEEDING
        tag = response.to_tag
        status = response.status
        is_known = tag in self._dialogs or len(self._dialogs) < _MOST_EARLY_DIALOGS
        dialog = self._early_dialog(sender, response) if tag and status > 100 and is_known else None
        rseq = rseq_of(response) if dialog is not None else None
        body = description_of(response)
        offer: PendingOffer | None = None
        if dialog is not None and rseq is not None:
            if dialog.last_rseq is not None and rseq != dialog.last_rseq + 1:
                return  # A retransmission, or one has been lost: it will come again (RFC 3262 §4).
            dialog.last_rseq = rseq
            offer = self._on_reliable(dialog, sender, rseq, body, now)
        elif body is not None and dialog is not None:
            self._early_bodies[tag] = body
        emit = self.stack.emit
        emit(Provisional(self, status, response.reason, body, response, tag, rseq is not None, now))
        if offer is not None:
            self.wait_for_answer(offer)
            emit(OfferReceived(self, offer.body, "PRACK", now))

    def _early_dialog(self, sender: Sender, response: Response) -> Dialog:
        dialog = self._dialogs.get(response.to_tag)
        if dialog is None:
            dialog = self._new_dialog(sender, response)
        else:
            dialog.learn(response)
        self.dialog = dialog
        return dialog

    def _on_reliable(
        self, dialog: Dialog, sender: Sender, rseq: int, body: Body | None, now: float
    ) -> PendingOffer | None:
        """PRACK (RFC 3262 §4); an offer in the response is answered in the PRACK, by our owner, first."""
        negotiation = dialog.negotiation
        rack = ("RAck", f"{rseq} {sender.cseq} INVITE")

        def acknowledge(answer: Body | None, at: float) -> None:
            dialog.start(dialog.request("PRACK", IGNORE_OUTCOME, fields=(rack,), body=answer), at)

        is_first = negotiation.local is None
        if body is not None and is_first and negotiation.state is OfferState.LOCAL_OFFER:
            negotiation.answer_remotely(body)
        elif body is not None and negotiation.state is OfferState.STABLE and not self.has_pending_offer:
            negotiation.offer_remotely(body)
            return PendingOffer(self, dialog, body, deliver=acknowledge)
        acknowledge(None, now)
        return None

    # 2xx.

    def _on_success(self, sender: Sender, response: Response, now: float) -> None:
        tag = response.to_tag
        ack = self._acks.get(tag)
        if ack is not None:
            ack.send_again()
            return
        if tag == self._winner:
            return  # Retransmitted while our owner thinks about the offer in it.
        dialog = self._dialogs.get(tag) or self._new_dialog(sender, response)
        dialog.is_early = False
        # §13.2.2.4: the 2xx is what counts for target and route set, whatever the provisionals said.
        dialog.set_route_set(reversed_routes(response))
        dialog.refresh_target(response)
        if self._is_over or self._winner is not None:
            self._dismiss(dialog, sender, now)
        elif self._wish is not None or self._is_cancelling:
            self._winner = tag
            self.dialog = dialog
            self.state = InviteState.ENDING
            self._fail_now(
                FailureKind.CANCELLED, 487, "Request Terminated", now, response, answered_late=True
            )
            self._dismiss(dialog, sender, now)
        else:
            self._establish(dialog, sender, response, now)

    def _establish(self, dialog: Dialog, sender: Sender, response: Response, now: float) -> None:
        tag = dialog.remote_tag
        self._winner = tag
        self.dialog = dialog
        self.state = InviteState.ESTABLISHED
        self._had_provisional = True
        self._drop_changes(lambda each: each is not dialog, now)
        if self._session_timer is not None or session_expires_of(response) is not None:
            self.session_timer.on_success(response, now)
        negotiation = dialog.negotiation
        body = description_of(response)
        was_early = False
        offer: PendingOffer | None = None
        if negotiation.local is not None or negotiation.state is OfferState.REMOTE_OFFER:
            # A reliable provisional said it; SDP here would be ignored (§13.2.1).
            body, was_early = negotiation.remote, True
        elif negotiation.state is OfferState.LOCAL_OFFER:
            body = body or self._early_bodies.get(tag)
            if body is not None:
                negotiation.answer_remotely(body)
            else:
                negotiation.withdraw()
        elif body is not None:
            negotiation.offer_remotely(body)
            offer = PendingOffer(
                self, dialog, body, deliver=lambda answer, at: self._acknowledge(dialog, sender, answer, at)
            )
            body = None
        self._early_bodies.clear()
        if offer is None:
            self._acknowledge(dialog, sender, None, now)
        self.stack.emit(Answered(self, response, body, tag, was_early, now))
        if offer is not None:
            self.wait_for_answer(offer)
            self.stack.emit(OfferReceived(self, offer.body, "ACK", now))

    def _acknowledge(self, dialog: Dialog, sender: Sender, body: Body | None, now: float) -> None:
        self._acks[dialog.remote_tag] = dialog.acknowledge(sender, body, now)

    def _dismiss(self, dialog: Dialog, sender: Sender, now: float) -> None:
        """A 2xx nobody wants: ACK, then BYE for that dialog only."""
        self._acknowledge(dialog, sender, None, now)
        self._say_bye(dialog, self._wish or (), now)

    def _new_dialog(self, sender: Sender, response: Response) -> Dialog:
        assert sender.transaction is not None
        dialog = Dialog.of_uac(
            self.stack, self, self.call_id, self._ids[0][1], self._tag, sender.uri, response, self.timers
        )
        dialog.local_cseq = self._cseq
        dialog.auth = self._auth
        dialog.contact_user = self.params.contact_user
        dialog.flow = sender.transaction.flow
        dialog.local_address = sender.transaction.flow.local
        if self.params.body is not None:
            dialog.negotiation.offer_locally(self.params.body)
        self._dialogs[dialog.remote_tag] = dialog
        self.stack.add_dialog(dialog)
        return dialog

    # 300-699.

    def _on_refusal(self, sender: Sender, response: Response, now: float) -> None:
        self._drop_early_dialogs(now)
        status = response.status
        if self._wish is None and not self._is_cancelling:
            if status < 400 and self._follow(response, now):
                return
            if status == 422 and self._retry_longer(sender, response, now):
                return
            if 400 <= status < 600 and self._try_next_target(now):
                return
            kind = FailureKind.REFUSED
        elif status < 400 or status in (401, 407, 422, 487, 503):
            # Not an outcome: without our wish to end, the call would have gone on elsewhere or with
            # credentials.
            kind = FailureKind.CANCELLED if self._wish is not None else FailureKind.REFUSED
            if kind is FailureKind.CANCELLED and status != 487:
                self._fail_and_finish(kind, 487, "Request Terminated", now, response)
                return
        else:
            kind = FailureKind.REFUSED
        self._fail_and_finish(kind, status, response.reason, now, response)

    def _follow(self, response: Response, now: float) -> bool:
        """3xx: go on with the best new contact, if there is one."""
        if self._targets is None:
            self._targets = Targets(as_request_uri(self.params.target), self.params.max_redirects)
        target = self._targets.redirect(response)
        if target is None:
            return False
        self._call(target, now, is_redirect=True)
        return True

    def _try_next_target(self, now: float) -> bool:
        """A contact of a redirect has failed: the next one, if there is one."""
        target = self._targets.take() if self._targets is not None else None
        if target is None:
            return False
        self._call(target, now, is_redirect=True)
        return True

    def _retry_longer(self, sender: Sender, response: Response, now: float) -> bool:
        """422 (RFC 4028 §7.3): the same INVITE with the interval the peer can live with."""
        min_se = min_se_of(response)
        if min_se is None or self._refusals_422 >= _MOST_422 or not self.session_timer.raise_to(min_se):
            return False
        self._refusals_422 += 1
        sender.fields = self._fields()
        sender.send_again(now)
        return True

    # The INVITE itself.

    def _call(self, target: str, now: float, *, is_redirect: bool = False) -> Sender:
        params = self.params
        uri, routes, next_hop_uri = request_path(target, params.route)
        sender = Sender(
            self.stack,
            self,
            "INVITE",
            uri,
            self._ids,
            self._next_cseq(),
            self.timers,
            routes=routes,
            next_hop_uri=next_hop_uri,
            fields=self._fields(),
            body=params.body,
            with_contact=True,
            contact_user=params.contact_user,
            renew_cseq=self._next_cseq,
        )
        sender.auth = self._auth
        sender.local = params.local
        if params.max_forwards is not None:
            sender.max_forwards = params.max_forwards
        self._sender = sender
        if is_redirect and not params.route:
            # The contact says where to go; the addresses we were given were those of somebody else.
            sender.start(now)
        else:
            sender.flow = params.flow
            sender.start(now, params.hops)
        return sender

    def _fields(self) -> Fields:
        params = self.params
        timer = self.session_timer.request_fields() if self.wanted_session_s else ()
        require = (("Require", "100rel"),) if params.require_100rel else ()
        fields = (*self.stack.invite_fields, *require, *timer)
        if params.privacy or any(name.lower() == "user-agent" for name, _ in params.headers):
            fields = tuple(field for field in fields if field[0] != "User-Agent")
        return (*fields, *params.headers)

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    # The goodbye.

    def _stop_calling(self, now: float) -> None:
        """Before an answer: CANCEL if a 1xx permits it, else when one does (§9.1)."""
        sender = self._sender
        assert sender is not None
        transaction = sender.transaction
        self.state = InviteState.ENDING
        if self._is_cancelling:
            return  # The peer's BYE in the early dialog has made us cancel already.
        if sender.is_resolving or transaction is None or not transaction.is_waiting:
            sender.stop()
            self._fail_and_finish(FailureKind.CANCELLED, 487, "Request Terminated", now)
        elif transaction.state is State.PROCEEDING:
            self._cancel(sender, now)
        else:
            sender.is_stopped = True

    def _cancel(self, sender: Sender, now: float) -> None:
        self._is_cancelling = True
        self.state = InviteState.ENDING
        sender.cancel(self._wish or (), now)

    def _on_bye(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        if dialog is self.dialog and not dialog.is_early:
            super()._on_bye(dialog, request, transaction, now)
            return
        # The callee's UA must not send BYE in an early dialog (§15), but some do; and stray forks may.
        self.stack.respond(transaction, 200, now)
        if not dialog.is_early:
            return
        self._drop_dialog(dialog, now)
        if self._dialogs or self._is_over or self._is_cancelling or self._sender is None:
            return
        invite = self._sender.transaction
        if invite is not None and invite.state is State.PROCEEDING:
            self._cancel(self._sender, now)  # Else it was a dialog of an attempt that others have followed.

    def _fail_now(
        self,
        kind: FailureKind,
        status: int,
        reason: str,
        now: float,
        response: Response | None = None,
        *,
        answered_late: bool = False,
    ) -> None:
        self._fail(
            kind,
            status,
            reason,
            now,
            response=response,
            had_provisional=self._had_provisional,
            after_hang_up=self._wish is not None,
            answered_late=answered_late,
            retry_after_s=retry_after_of(response) if response is not None else None,
        )

    def _fail_and_finish(
        self, kind: FailureKind, status: int, reason: str, now: float, response: Response | None = None
    ) -> None:
        self._fail_now(kind, status, reason, now, response)
        self._drop_early_dialogs(now)
        self._finish(now)

    def _drop_early_dialogs(self, now: float) -> None:
        for dialog in [dialog for dialog in self._dialogs.values() if dialog.is_early]:
            self._drop_dialog(dialog, now)

    def _drop_dialog(self, dialog: Dialog, now: float) -> None:
        del self._dialogs[dialog.remote_tag]
        # A 2xx of this fork may still come: the BYE it gets must count on from what the fork has seen.
        self._cseq = max(self._cseq, dialog.local_cseq)
        self.stack.remove_dialog(dialog)
        if self.dialog is dialog:
            self.dialog = next(iter(self._dialogs.values()), None)
        self._drop_changes(lambda each: each is dialog, now)

    def _drop_changes(self, is_lost: Callable[[Dialog], bool], now: float) -> None:
        """Changes of the session under way in dialogs that will not be it; no other could begin before."""
        modification, pending = self._modification, self._pending_offer
        if modification is not None and is_lost(modification.dialog):
            self._modification = None
            modification.abandon(now)
        if pending is not None and is_lost(pending.dialog):
            self._pending_offer = None
            self._was_withdrawn = True
            pending.abandon(now)

    def _finish(self, now: float) -> None:
        super()._finish(now)
        self._drop_early_dialogs(now)
        # The transaction lives on for up to 64·T1 and keeps us: to acknowledge again, we need only `_acks`.
        self._dialogs.clear()
        self._sender = self.dialog = None

    def _is_current(self, dialog: Dialog) -> bool:
        return dialog is self.dialog or dialog.is_early

    # What the shared parts ask.

    @property
    def wanted_session_s(self) -> int | None:
        """The session timer we ask for."""
        return self.params.session_expires_s or self.stack.config.session_expires_s

    def glare_delay_s(self) -> float:
        """§14.1: the owner of the Call-ID waits 2.1 to 4 s, in units of 10 ms."""
        return 2.1 + self.stack.random_below(191) / 100
