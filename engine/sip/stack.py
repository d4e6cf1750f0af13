"""SipStack: the RFC 3261 user-agent core behind six verbs.

Bytes and the time go in; datagrams, events and the next deadline come out. This file routes: a message to its
transaction, a request to its dialog, a new request to what it may begin. What happens then is in the other
files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from engine.sip import build
from engine.sip.dialog import NOBODY, Dialog, DialogKey
from engine.sip.errors import ParseError
from engine.sip.events import IncomingCall, RequestReceived, ResolveNeeded, SipEvent
from engine.sip.locate import Listeners, destination_of
from engine.sip.message import Request, Response, parse_message
from engine.sip.reading import description_of
from engine.sip.sender import Fields
from engine.sip.session import Call
from engine.sip.syntax import is_token
from engine.sip.timers import TimerQueue
from engine.sip.transactions import ServerTransaction, TransactionLayer
from engine.sip.types import Address, Body, Flow, Hop, InviteParams, StackConfig, Transmit, WrongState
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite

__all__ = ["PendingRequest", "SipStack"]

_METHODS = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY")
_ONLY_IN_DIALOG = frozenset(("BYE", "PRACK", "UPDATE", "INFO", "NOTIFY"))

_UseHops = Callable[[Sequence[Hop], float], None]


class PendingRequest:
    """A request outside any dialog that waits for the shell's response."""

    __slots__ = ("_stack", "_transaction")

    def __init__(self, stack: SipStack, transaction: ServerTransaction) -> None:
        self._stack = stack
        self._transaction = transaction

    def respond(
        self,
        now: float,
        status: int,
        reason: str = "",
        headers: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
    ) -> None:
        """Send a response; a final one once. Raises WrongState after a final response."""
        if self._transaction.is_answered:
            raise WrongState(f"{status} to a request that was answered already: {self._transaction!r}")
        self._stack.respond(self._transaction, status, now, reason=reason, fields=tuple(headers), body=body)


class SipStack:
    """RFC 3261 user-agent core. Performs no I/O, reads no clock, never logs, never raises for received bytes.

    `entropy(n)` returns n random bytes (`os.urandom`, or a seeded generator in tests).
    """

    __slots__ = (
        "_calls",
        "_dialogs",
        "_events",
        "_last_ticket",
        "_supported",
        "_tickets",
        "_transmits",
        "allow",
        "answer_fields",
        "capabilities",
        "config",
        "entropy",
        "housekeeping",
        "invite_fields",
        "layer",
        "listeners",
        "timers",
        "unreadable",
    )

    def __init__(self, config: StackConfig, entropy: Callable[[int], bytes]) -> None:
        self.config = config
        self.entropy = entropy
        self.timers = TimerQueue()
        self.housekeeping = TimerQueue()
        self.layer = TransactionLayer(self.timers, self.housekeeping, self.transmit)
        self.listeners = Listeners(config.listeners)
        self._transmits: deque[Transmit] = deque()
        self._events: deque[SipEvent] = deque()
        self._dialogs: dict[DialogKey, Dialog] = {}
        self._calls: dict[Call, None] = {}
        self._tickets: dict[int, _UseHops] = {}
        self._last_ticket = 0
        self.unreadable = 0
        """Messages that were no SIP, or too broken to be served; a request among them was refused if it could
        be."""
        self._supported = frozenset(
            ("100rel", "timer", "norefersub") if config.reliable_provisionals else ("timer", "norefersub")
        )
        methods = [m for m in _METHODS if m != "PRACK" or config.reliable_provisionals]
        self.allow = ", ".join((*methods, *sorted(config.passed_up.difference(methods))))
        self.capabilities: Fields = (("Allow", self.allow), ("Supported", ", ".join(sorted(self._supported))))
        """Fields of INVITE, UPDATE and their 2xx."""
        agent: Fields = (("User-Agent", config.user_agent),) if config.user_agent else ()
        self.invite_fields: Fields = (*self.capabilities, *agent)
        self.answer_fields: Fields = (*self.capabilities, *(("Server", value) for _, value in agent))

    # The six verbs, and what belongs to them.

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """One whole message (a datagram, or framed from a stream) that came over `flow`."""
        try:
            message = parse_message(data)
        except ParseError as error:
            self.unreadable += 1
            refusal = build.error_response(error, (flow.remote.host, flow.remote.port), self.new_tag())
            if refusal is not None and error.request is not None:
                self.transmit(refusal.to_bytes(), _reply_flow(error.request, flow))
            return
        if isinstance(message, Response):
            transaction = self.layer.find_client(message)
            if transaction is not None:
                transaction.receive(message, now)
        else:
            self._receive_request(message, flow, now)

    def transport_failed(self, flow: Flow, error: OSError, now: float) -> None:
        """Sending to `flow.remote` failed (ICMP error, refused or broken connection)."""
        self.layer.transport_failed(flow, error, now)

    def timeout(self, patience_s: float = 0.0) -> float | None:
        """When `handle_timeout` wants to be called next; None: not before other input.

        `patience_s`: how much longer what nobody sees may be kept: transactions that only absorb what is
        repeated. Every end by itself would be a wake-up of its own; with patience many share one.
        """
        deadline, patient = self.timers.next_deadline(), self.housekeeping.next_deadline()
        if patient is None:
            return deadline
        return patient + patience_s if deadline is None else min(deadline, patient + patience_s)

    def handle_timeout(self, now: float) -> None:
        """Fire every timer due at `now`."""
        self.timers.run(now)
        self.housekeeping.run(now)

    @property
    def has_output(self) -> bool:
        """Whether `transmits` or `events` would yield anything."""
        return bool(self._transmits or self._events)

    def transmits(self) -> Iterator[Transmit]:
        """Drain what is to be sent, in order."""
        pending = self._transmits
        while pending:
            yield pending.popleft()

    def events(self) -> Iterator[SipEvent]:
        """Drain what happened, in order."""
        pending = self._events
        while pending:
            yield pending.popleft()

    def resolved(self, ticket: int, hops: Sequence[Hop], now: float) -> None:
        """Answer to `ResolveNeeded`: hops in order of preference; empty: the name cannot be resolved.

        A ticket that is not waited for any more is ignored.
        """
        use = self._tickets.pop(ticket, None)
        if use is not None:
            use(hops, now)

    def invite(self, params: InviteParams, now: float, owner: object | None = None) -> OutgoingInvite:
        """Start a call. Raises ValueError for parameters that cannot be put into a message."""
        call = OutgoingInvite(self, params)
        call.owner = owner
        self._calls[call] = None
        try:
            call.start(now)
        except ValueError:
            del self._calls[call]
            raise
        return call

    def describe(self) -> str:
        """Every live transaction, dialog, call and ticket, one per line; empty if there is none."""
        lines = [repr(call) for call in self._calls]
        lines += [repr(dialog) for dialog in self._dialogs.values()]
        lines += self.layer.describe()
        lines += [f"<ticket {ticket}>" for ticket in self._tickets]
        return "\n".join(lines)

    # For the parts of the core.

    def transmit(self, data: bytes, flow: Flow) -> None:
        """Queue a message."""
        self._transmits.append(Transmit(data, flow))

    def emit(self, event: SipEvent) -> None:
        """Queue an event."""
        self._events.append(event)

    def new_branch(self) -> str:
        """A branch nobody used before (§8.1.1.7)."""
        return "z9hG4bK" + self.entropy(9).hex()

    def new_tag(self) -> str:
        """A tag with more than the 32 random bits of §19.3."""
        return self.entropy(6).hex()

    def new_call_id(self) -> str:
        """A random Call-ID; a host part would only tell where we are (§8.1.1.4 does not ask for one)."""
        return self.entropy(12).hex()

    def random_below(self, limit: int) -> int:
        """A random number 0 ... limit - 1, near enough to even."""
        return int.from_bytes(self.entropy(6), "big") % limit

    def find_hops(self, uri: str, use: _UseHops, now: float) -> int | None:
        """Give `use` the hops for a URI: at once if it needs no DNS, else later; then the ticket is
        returned."""
        try:
            destination = destination_of(uri)
        except ParseError:
            use((), now)
            return None
        if destination.hop is not None:
            use((destination.hop,), now)
            return None
        self._last_ticket += 1
        ticket = self._last_ticket
        self._tickets[ticket] = use
        self.emit(
            ResolveNeeded(
                ticket,
                uri,
                destination.host,
                destination.port,
                destination.transport,
                destination.secure,
            )
        )
        return ticket

    def forget_ticket(self, ticket: int) -> None:
        """Whoever waited for it does not any more."""
        self._tickets.pop(ticket, None)

    def add_dialog(self, dialog: Dialog) -> None:
        """Its requests are given to `dialog.user` from now on."""
        self._dialogs[dialog.key] = dialog

    def remove_dialog(self, dialog: Dialog) -> None:
        """Its requests get 481 from now on."""
        if self._dialogs.get(dialog.key) is dialog:
            del self._dialogs[dialog.key]
        dialog.user = NOBODY

    def forget_call(self, call: Call) -> None:
        """The call has ended."""
        self._calls.pop(call, None)

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        *,
        reason: str = "",
        fields: Fields = (),
        body: Body | None = None,
    ) -> bytes:
        """Send a response in its transaction; the bytes, for those who repeat it."""
        if status > 100 and not transaction.to_tag:
            transaction.to_tag = self.new_tag()
        response = build.response(
            transaction.request,
            status,
            reason,
            to_tag=transaction.to_tag,
            fields=fields,
            body=body.data if body is not None else b"",
            content_type=body.content_type if body is not None else "",
            source=transaction.source,
        )
        data = response.to_bytes()
        transaction.send(status, data, now)
        return data

    def contact_for(self, transaction: ServerTransaction, user: str) -> tuple[str, str]:
        """The Contact field of a response: where the request reached us."""
        point = self.listeners.for_flow(transaction.flow)
        secure = transaction.request.uri.startswith("sips:")
        return ("Contact", point.contact(user, secure) if point is not None else "<sip:invalid.invalid>")

    def retry_later(self) -> Fields:
        """§14.2: "a Retry-After header field with a randomly chosen value of between 0 and 10 seconds"."""
        return (("Retry-After", str(self.random_below(11))),)

    def phrase(self, status: int) -> str:
        """The usual reason phrase."""
        return build.REASON_PHRASES.get(status, "Unknown")

    def is_acceptable(self, request: Request, transaction: ServerTransaction, now: float) -> bool:
        """§8.2.2.3 and §8.2.3: required extensions and the body; if not, the refusal is sent.

        ParseError for fields that matter and cannot be read.
        """
        unsupported = request.require - self._supported
        if unsupported:
            named = ", ".join(sorted(filter(is_token, unsupported)))
            fields: Fields = (("Unsupported", named),) if named else ()
            self.respond(transaction, 420, now, fields=fields)
            return False
        if request.body and request.method in ("INVITE", "UPDATE", "PRACK"):
            headers = request.headers
            encoding = (headers.get("content-encoding") or "identity").strip().lower()
            kind = request.content_type
            if encoding != "identity" or (kind and kind not in self.config.accept):
                if "handling=optional" in (headers.get("content-disposition") or "").lower().replace(" ", ""):
                    return True
                accept: Fields = (("Accept", ", ".join(self.config.accept)), ("Accept-Encoding", "identity"))
                self.respond(transaction, 415, now, fields=accept)
                return False
        return True

    # Requests.

    def _receive_request(self, request: Request, flow: Flow, now: float) -> None:
        layer = self.layer
        known = layer.find_server(request)
        method = request.method
        if method == "ACK":
            self._receive_ack(request, known, now)
            return
        if known is not None:
            known.retransmitted(now)
            return
        is_merged = layer.is_merged(request)
        transaction = layer.serve(request, flow, _reply_flow(request, flow), self.config.timers)
        try:
            if method == "CANCEL":
                self._receive_cancel(request, transaction, now)
            elif request.to_tag:
                dialog = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
                if dialog is None:
                    self.respond(transaction, 481, now)
                else:
                    dialog.user.on_request(dialog, request, transaction, now)
            elif is_merged:
                self.respond(transaction, 482, now)
            else:
                self._begin(request, transaction, flow, now)
        except ParseError as error:
            phrase = self.phrase(error.status)
            reason = f"{phrase} ({_plain(str(error))})" if error.status == 400 else ""
            self.respond(transaction, error.status, now, reason=reason)

    def _receive_ack(self, ack: Request, transaction: ServerTransaction | None, now: float) -> None:
        if transaction is not None:
            transaction.ack(ack, now)
            return
        dialog = self._dialogs.get((ack.call_id, ack.to_tag, ack.from_tag))
        if dialog is not None:
            dialog.user.on_ack(dialog, ack, now)

    def _receive_cancel(self, cancel: Request, transaction: ServerTransaction, now: float) -> None:
        """§9.2: 200 whenever there is something to cancel, whatever comes of it."""
        cancelled = self.layer.find_cancelled(cancel)
        if cancelled is None:
            self.respond(transaction, 481, now)
            return
        transaction.to_tag = cancelled.to_tag
        self.respond(transaction, 200, now)
        if cancelled.user is not None:
            cancelled.user.on_cancel(cancelled, cancel, now)

    def _begin(self, request: Request, transaction: ServerTransaction, flow: Flow, now: float) -> None:
        """A request outside any dialog (§8.2)."""
        method = request.method
        config = self.config
        if method in config.passed_up:
            self.emit(RequestReceived(PendingRequest(self, transaction), request, flow, now))
            return
        if method in _ONLY_IN_DIALOG:
            self.respond(transaction, 481, now)
            return
        if method not in ("INVITE", "OPTIONS"):
            self.respond(transaction, 405, now, fields=(("Allow", self.allow),))
            return
        request.request_uri  # noqa: B018 - ParseError with status 416 for a scheme we do not serve
        if not self.is_acceptable(request, transaction, now):
            return
        if method == "OPTIONS":
            accept: Fields = (("Accept", ", ".join(config.accept)), ("Accept-Encoding", "identity"))
            contact = self.contact_for(transaction, "")
            self.respond(transaction, 200, now, fields=(contact, *self.answer_fields, *accept))
            return
        if request.max_forwards == 0:
            # We stand between two parties, so a loop through us has to end somewhere (RFC 7332 §4).
            self.respond(transaction, 483, now)
            return
        missing = [tag for tag in config.demanded if tag not in request.supported | request.require]
        if missing:
            self.respond(transaction, 421, now, fields=(("Require", ", ".join(missing)),))
            return
        call = IncomingInvite(self, request, transaction, flow)
        if "session-expires" in request.headers and call.session_timer.refuses(request, transaction, now):
            return
        self.respond(transaction, 100, now)
        self._calls[call] = None
        self.add_dialog(call.dialog_of_call)
        if "expires" in request.headers:
            call.limit_ringing(now)
        self.emit(IncomingCall(call, request, description_of(request), flow, now))


def _reply_flow(request: Request, flow: Flow) -> Flow:
    """Where responses go (§18.2.2, RFC 3581 §4): back over a connection; over UDP to the source address,
    and to the port it came from if the peer asked for that."""
    if flow.transport.is_reliable:
        return flow
    try:
        via = request.top_via
    except ParseError:
        return flow
    if via.wants_rport:
        return flow
    return Flow(flow.transport, flow.local, Address(flow.remote.host, via.port or 5060))


def _plain(text: str) -> str:
    """Text about a peer's mistake, fit for a reason phrase."""
    return "".join([c if c.isascii() and c.isprintable() else "?" for c in text])[:120]
