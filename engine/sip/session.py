"""What both kinds of call share once there is a dialog: RFC 3261 §14, §15, RFC 3311, 3515, 4028, 6086.

`Call` dispatches the requests of its dialog and ends it; changing the session is in `modify.py`, keeping
it alive in `sessiontimer.py`, REFER in `refer.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.sip.dialog import DIALOG_ENDING, Dialog
from engine.sip.events import Ended, Failed, InfoReceived, Replied, TurnToOffer
from engine.sip.message import Request, Response
from engine.sip.modify import Acceptance, Modification, PendingOffer
from engine.sip.negotiation import OfferState
from engine.sip.reading import body_of
from engine.sip.refer import Refers
from engine.sip.sender import Fields, Sender, check_fields
from engine.sip.sessiontimer import SessionTimer
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Body, EndCause, Failure, FailureKind, InviteState, Party, Timers, WrongState

if TYPE_CHECKING:
    from engine.sip.stack import SipStack

__all__ = ["Call", "Goodbye", "goodbye_fields"]

_OWN_METHODS = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "REFER"})
"""Methods that change the state of a dialog: they have verbs of their own."""


class Call:
    """One INVITE usage (RFC 5057). Methods return at once; what comes of them arrives as events.

    A call may be over, and an offer withdrawn, before its owner has heard of it: then methods do nothing.
    After a batch of calls the shell drains `stack.transmits()` and `stack.events()`.
    """

    __slots__ = (
        "_acceptances",
        "_is_over",
        "_modification",
        "_pending_offer",
        "_refers",
        "_session_timer",
        "_was_withdrawn",
        "call_id",
        "dialog",
        "owner",
        "stack",
        "state",
        "timers",
        "wants_turn",
    )

    def __init__(self, stack: SipStack, call_id: str, timers: Timers, state: InviteState) -> None:
        self.stack = stack
        self.call_id = call_id
        self.timers = timers
        self.owner: object | None = None
        """Whoever the shell wants this call's events delivered to; never touched by the core."""
        self.state = state
        self.dialog: Dialog | None = None
        """The dialog of the session; for an outgoing call that rings, the latest early one."""
        self._is_over = False
        self._modification: Modification | None = None
        self._pending_offer: PendingOffer | None = None
        self._was_withdrawn = False
        """The last offer of the peer was, and its owner may not know yet."""
        self.wants_turn = False
        """Tell once, by `TurnToOffer`, when our re-INVITE or UPDATE under way is over."""
        self._acceptances: dict[int, Acceptance] | None = None
        self._session_timer: SessionTimer | None = None
        self._refers: Refers | None = None

    # What the owner may do.

    def hang_up(
        self,
        now: float,
        reason_header: str = "",
        *,
        status: int = 480,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """End the call from any state, any number of times (CANCEL, BYE or `status` as fits).

        `reason_header` is a Reason value (RFC 3326), e.g. `SIP;cause=200;text="Call completed elsewhere"`;
        `headers` go with whichever message it is. ValueError for what cannot be sent.
        """
        raise NotImplementedError

    def offer(self, body: Body, now: float) -> None:
        """Change the session by re-INVITE: → `AnswerReceived` or `OfferRejected`. Glare is retried for you.

        Raises WrongState unless established with no offer pending in either direction (`can_offer`).
        """
        if self._is_over:
            return
        if not self.can_offer:
            raise self._wrong("offer")
        check_fields((), body)
        self._modification = Modification(self, self._the_dialog("offer"), "INVITE", body)
        self._modification.start(now)

    def update(self, body: Body, now: float) -> None:
        """Change the session by UPDATE (RFC 3311), also in an early dialog: → events as for `offer`.

        Raises WrongState as `offer`, and if the peer does not allow UPDATE.
        """
        if self._is_over:
            return
        dialog = self._the_dialog("update")
        has_agreed = dialog.negotiation.local is not None
        if not (has_agreed and self._may_change(dialog) and dialog.peer_allows("UPDATE")):
            raise self._wrong("update")
        check_fields((), body)
        self._modification = Modification(self, dialog, "UPDATE", body)
        self._modification.start(now)

    def answer_offer(self, body: Body, now: float) -> None:
        """Reply to `OfferReceived`. Nothing if the peer has withdrawn it; WrongState if there was none."""
        check_fields((), body)
        pending = self._take_offer("answer_offer")
        if pending is not None:
            pending.answer(body, now)

    def reject_offer(self, now: float, status: int = 488) -> None:
        """Refuse an `OfferReceived`; the session stays as it was. Otherwise as `answer_offer`."""
        pending = self._take_offer("reject_offer")
        if pending is not None:
            pending.reject(status, now)

    def send_info(self, body: Body, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """INFO (RFC 6086 or legacy DTMF). Raises WrongState unless there is a dialog."""
        if self._is_over:
            return
        check_fields(tuple(headers), body)
        self._send_in_dialog("INFO", self._the_dialog("send_info"), now, headers, body)

    def send_request(
        self,
        method: str,
        now: float,
        *,
        headers: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
    ) -> int:
        """Any other request in the dialog (INFO, MESSAGE, ...): → `Replied` with the number returned.

        Nothing is sent, and 0 returned, if the call is over. ValueError for a method that has a verb of its
        own or is none; WrongState unless there is a dialog.
        """
        if self._is_over:
            return 0
        if method in _OWN_METHODS or not (method.isascii() and method.isalpha() and method.isupper()):
            raise ValueError(f"{method!r} is not sent this way")
        check_fields(tuple(headers), body)
        dialog = self._the_dialog("send_request")
        user = _Asked(self)
        has_target = method in ("SUBSCRIBE", "NOTIFY")  # RFC 6665: they refresh it
        sender = dialog.request(method, user, fields=tuple(headers), body=body, with_contact=has_target)
        user.serial = sender.cseq
        dialog.start(sender, now)
        return user.serial

    def send_options(self, now: float) -> None:
        """OPTIONS: whether the peer still knows the dialog; if not, the call ends with DIALOG_LOST."""
        if self._is_over:
            return
        self._send_in_dialog(
            "OPTIONS", self._the_dialog("send_options"), now, (("Accept", "application/sdp"),)
        )

    def refer(self, refer_to: str, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the peer to contact `refer_to` (RFC 3515): → `ReferProgress`. WrongState unless established.

        With the header `Refer-Sub: false` in `headers` no NOTIFY is asked for (RFC 4488).
        """
        if self._is_over:
            return
        dialog = self._the_dialog("refer")
        if not self.is_confirmed:
            raise self._wrong("refer")
        check_fields((("Refer-To", refer_to), *headers))
        self.refers.send(dialog, refer_to, headers, now)

    @property
    def can_offer(self) -> bool:
        """Whether `offer` is allowed now."""
        dialog = self.dialog
        return dialog is not None and self.is_confirmed and self._may_change(dialog)

    @property
    def is_confirmed(self) -> bool:
        """Established, and both sides know it."""
        return self.state is InviteState.ESTABLISHED and not self._is_over

    @property
    def is_known_to_peer(self) -> bool:
        """The peer is sure to have the dialog, so that a request in it can be understood."""
        return self.dialog is not None

    @property
    def is_over(self) -> bool:
        """`Failed` or `Ended` has been reported."""
        return self._is_over

    # What the parts of a call use.

    @property
    def refers(self) -> Refers:
        if self._refers is None:
            self._refers = Refers(self)
        return self._refers

    @property
    def session_timer(self) -> SessionTimer:
        if self._session_timer is None:
            self._session_timer = SessionTimer(self)
        return self._session_timer

    @property
    def has_pending_offer(self) -> bool:
        return self._pending_offer is not None

    @property
    def modification(self) -> Modification | None:
        """Our re-INVITE or UPDATE under way."""
        return self._modification

    def modify(self, method: str, body: Body | None, now: float) -> None:
        """A session refresh (RFC 4028 §7.4): `body` None for an UPDATE without offer."""
        assert self.dialog is not None
        self._modification = Modification(self, self.dialog, method, body, is_refresh=True)
        self._modification.start(now)

    def modified(self, modification: Modification, now: float) -> None:
        """For the modification itself, at its end."""
        if self._modification is modification:
            self._modification = None
            if self.wants_turn and not self._is_over:
                self.wants_turn = False
                self.stack.emit(TurnToOffer(self, now))

    def wait_for_answer(self, pending: PendingOffer) -> None:
        """An offer that the owner has to answer."""
        self._pending_offer = pending
        self._was_withdrawn = False

    def accept(self, acceptance: Acceptance) -> None:
        """A 2xx to an INVITE of the peer that waits for its ACK."""
        if self._acceptances is None:
            self._acceptances = {}
        self._acceptances[acceptance.cseq] = acceptance

    def lose_dialog(self, status: int, now: float, *, say_bye: bool = False) -> None:
        """RFC 5057: a response (or silence: 408) has told that the dialog is gone.

        Before the dialog is confirmed that proves nothing: what made it may have been lost on the way.
        """
        if self.is_confirmed:
            self._end(Party.NOBODY, EndCause.DIALOG_LOST, now, status=status, say_bye=say_bye)

    def session_expired(self, now: float) -> None:
        """RFC 4028 §10: nobody refreshed."""
        if not self._is_over:
            self._end(Party.NOBODY, EndCause.SESSION_EXPIRED, now, say_bye=True)

    @property
    def wanted_session_s(self) -> int | None:
        """The session timer we ask for (RFC 4028), None for none."""
        raise NotImplementedError

    def glare_delay_s(self) -> float:
        """How long to wait after a 491 (§14.1)."""
        raise NotImplementedError

    def never_acknowledged(self, now: float) -> None:
        """§13.3.1.4: "If the server retransmits the 2xx for 64*T1 without an ACK, the dialog is confirmed,
        but the session SHOULD be terminated. This is accomplished with a BYE"."""
        if not self._is_over:
            self._end(Party.NOBODY, EndCause.NO_ACK, now, say_bye=True)

    # DialogUser.

    def on_request(
        self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None:
        """A request in one of our dialogs. Anything unreadable in it raises ParseError before a state
        changes."""
        stack = self.stack
        if not dialog.accepts_cseq(request):
            stack.respond(transaction, 500, now, fields=stack.retry_later())
            return
        if request.method == "BYE":
            self._on_bye(dialog, request, transaction, now)
            return
        if not stack.is_acceptable(request, transaction, now):
            return
        if self._is_over or not self._is_current(dialog):
            stack.respond(transaction, 481, now)
            return
        match request.method:
            case "INVITE":
                self._on_reinvite(dialog, request, transaction, now)
            case "UPDATE":
                PendingOffer.by_update(self, dialog, request, transaction, now)
            case "PRACK":
                self._on_prack(dialog, request, transaction, now)
            case "INFO" if "info-package" in request.headers:
                # RFC 6086 §4.2.2: we have not offered to receive any. INFO without one is the older usage.
                stack.respond(transaction, 469, now, fields=(("Recv-Info", ""),))
            case "INFO":
                stack.respond(transaction, 200, now)
                stack.emit(InfoReceived(self, body_of(request), request, now))
            case "OPTIONS":
                stack.respond(transaction, 200, now, fields=stack.capabilities)
            case "REFER":
                self.refers.on_refer(dialog, request, transaction, now)
            case "NOTIFY":
                self.refers.on_notify(request, transaction, now)
            case _:
                stack.respond(transaction, 405, now, fields=(("Allow", stack.allow),))

    def on_ack(self, dialog: Dialog, ack: Request, now: float) -> None:
        """The ACK of a 2xx of ours."""
        if self._acceptances is not None:
            acceptance = self._acceptances.pop(ack.cseq.number, None)
            if acceptance is not None:
                acceptance.acknowledged(ack, now)

    def on_cancel(self, transaction: ServerTransaction, cancel: Request, now: float) -> None:
        """CANCEL of an INVITE of the peer: here a re-INVITE (§9.2)."""
        pending = self._pending_offer
        if pending is not None and pending.transaction is transaction:
            self._pending_offer = None
            self._was_withdrawn = True
            pending.withdrawn(now)

    # For the subclasses.

    def _on_prack(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        self.stack.respond(transaction, 481, now)

    def _is_current(self, dialog: Dialog) -> bool:
        """Whether requests in `dialog` concern this call at all (a stray fork's do not)."""
        return True

    def _on_reinvite(
        self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None:
        if self.state is not InviteState.ESTABLISHED:
            # §14.2: the first INVITE has no final response yet.
            self.stack.respond(transaction, 500, now, fields=self.stack.retry_later())
            return
        PendingOffer.by_reinvite(self, dialog, request, transaction, now)

    def _on_bye(self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float) -> None:
        self.stack.respond(transaction, 200, now)
        if not self._is_over:
            reason = request.headers.get("reason") or ""
            self._end(Party.REMOTE, EndCause.HANG_UP, now, reason_header=reason, request=request)

    def _end(
        self,
        by: Party,
        cause: EndCause,
        now: float,
        *,
        reason_header: str = "",
        status: int | None = None,
        say_bye: bool = False,
        request: Request | None = None,
        fields: Fields = (),
    ) -> None:
        """The established call is over: report it, let go of everything, say BYE if it is for us to say.

        `reason_header` and `request` are the peer's BYE, `fields` go with ours.
        """
        self._is_over = True
        self.stack.emit(Ended(self, by, cause, reason_header, status, now, request))
        self._let_go(now)
        if say_bye and self.dialog is not None:
            self.state = InviteState.ENDING
            self._say_bye(self.dialog, fields, now)
        else:
            self._finish(now)

    def _fail(
        self,
        kind: FailureKind,
        status: int,
        reason: str,
        now: float,
        *,
        response: Response | None = None,
        had_provisional: bool = False,
        after_hang_up: bool = False,
        answered_late: bool = False,
        retry_after_s: int | None = None,
        request: Request | None = None,
    ) -> None:
        """The call was never established: report it."""
        self._is_over = True
        failure = Failure(
            kind=kind,
            status=status,
            reason=reason,
            response=response,
            had_provisional=had_provisional,
            after_hang_up=after_hang_up,
            answered_late=answered_late,
            retry_after_s=retry_after_s,
            request=request,
        )
        self.stack.emit(Failed(self, failure, now))
        self._let_go(now)

    def _let_go(self, now: float) -> None:
        """End what only made sense while the session lived."""
        if self._session_timer is not None:
            self._session_timer.stop()
            self._session_timer = None
        modification, self._modification = self._modification, None
        if modification is not None:
            modification.abandon(now)
        pending, self._pending_offer = self._pending_offer, None
        if pending is not None:
            pending.abandon(now)
        acceptances, self._acceptances = self._acceptances, None
        if acceptances is not None:
            for acceptance in acceptances.values():
                acceptance.stop()
        if self._refers is not None:
            self._refers.stop(now)
            self._refers = None

    def _say_bye(self, dialog: Dialog, fields: Fields, now: float) -> None:
        dialog.start(dialog.request("BYE", Goodbye(self, dialog), fields=fields), now)

    def said_bye(self, dialog: Dialog, now: float) -> None:
        """Our BYE has its final response, or will never have one."""
        self.stack.remove_dialog(dialog)
        if dialog is self.dialog:
            self._finish(now)

    def _finish(self, now: float) -> None:
        """Nothing is left to do."""
        self.state = InviteState.ENDED
        if self.dialog is not None:
            self.stack.remove_dialog(self.dialog)
        self.stack.forget_call(self)

    def _may_change(self, dialog: Dialog) -> bool:
        return (
            not self._is_over
            and self._modification is None
            and self._pending_offer is None
            and dialog.negotiation.state is OfferState.STABLE
        )

    def _the_dialog(self, action: str) -> Dialog:
        if self.dialog is None or not self.is_known_to_peer:
            raise self._wrong(action)
        return self.dialog

    def _take_offer(self, action: str) -> PendingOffer | None:
        pending, self._pending_offer = self._pending_offer, None
        if pending is None and not self._is_over and not self._was_withdrawn:
            raise self._wrong(action)
        return pending

    def _send_in_dialog(
        self,
        method: str,
        dialog: Dialog,
        now: float,
        headers: Sequence[tuple[str, str]],
        body: Body | None = None,
    ) -> None:
        dialog.start(dialog.request(method, _Plain(self), fields=tuple(headers), body=body), now)

    def _wrong(self, action: str) -> WrongState:
        offer = self.dialog.negotiation.state if self.dialog is not None else "no dialog"
        return WrongState(f"{action} in state {self.state!r}, offer/answer {offer}, over: {self._is_over}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.call_id} {self.state}>"


class _Plain:
    """User of a request whose success needs no report: only the loss of the dialog matters."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        if response.status in DIALOG_ENDING:
            self._call.lose_dialog(response.status, now, say_bye=response.status == 408)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        if kind is FailureKind.NO_RESPONSE:
            self._call.lose_dialog(408, now, say_bye=True)

    def on_end(self, sender: Sender, now: float) -> None: ...


class _Asked(_Plain):
    """User of a request whose outcome the owner wants to know."""

    __slots__ = ("serial",)

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.serial = 0

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        if response.status >= 200:
            self._tell(response.status, response.reason, response, now)
        super().on_response(sender, response, now)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        is_silence = kind is FailureKind.NO_RESPONSE
        self._tell(408 if is_silence else 503, "Request Timeout" if is_silence else detail, None, now)
        super().on_failure(sender, kind, detail, now)

    def _tell(self, status: int, reason: str, response: Response | None, now: float) -> None:
        if not self._call.is_over:
            self._call.stack.emit(Replied(self._call, self.serial, status, reason, response, now))


def goodbye_fields(reason_header: str, headers: Sequence[tuple[str, str]]) -> Fields:
    """What our owner wants a goodbye to carry. ValueError for what cannot be sent."""
    if not reason_header and not headers:
        return ()
    fields = ((("Reason", reason_header),) if reason_header else ()) + tuple(headers)
    check_fields(fields)
    return fields


class Goodbye:
    """User of a BYE: any outcome ends the dialog (§15.1.1)."""

    __slots__ = ("_call", "_dialog")

    def __init__(self, call: Call, dialog: Dialog) -> None:
        self._call = call
        self._dialog = dialog

    def on_response(self, sender: Sender, response: Response, now: float) -> None:
        if response.status >= 200:
            self._call.said_bye(self._dialog, now)

    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None:
        self._call.said_bye(self._dialog, now)

    def on_end(self, sender: Sender, now: float) -> None: ...
