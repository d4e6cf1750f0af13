"""Dialogs: identity, CSeq spaces, route set and remote target, and the requests built from them (RFC 3261
§12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engine.sip import build
from engine.sip.errors import ParseError
from engine.sip.message import Request, Response
from engine.sip.negotiation import Negotiation
from engine.sip.sender import Fields, Sender, SenderUser
from engine.sip.syntax import remember
from engine.sip.transactions import ServerTransaction
from engine.sip.types import Address, Body, Flow, Hop, Timers, Transport
from engine.sip.values import NameAddr, SipUri, split_name_addrs

if TYPE_CHECKING:
    from engine.sip.auth import Authenticator
    from engine.sip.stack import SipStack

__all__ = [
    "DIALOG_ENDING",
    "NOBODY",
    "Ack",
    "Dialog",
    "DialogKey",
    "DialogUser",
    "request_path",
    "reversed_routes",
    "target_of",
]

DIALOG_ENDING = frozenset((404, 408, 410, 416, 481, 482, 483, 484, 485, 502, 604))
"""Responses to a request in a dialog after which the dialog is gone: RFC 5057 §5.1, with 408 and 481 of
RFC 3261 §12.2.1.2."""

DialogKey: TypeAlias = tuple[str, str, str]
"""Call-ID, local tag, remote tag."""


class DialogUser(Protocol):
    """Whoever is responsible for the requests that arrive in a dialog."""

    def on_request(
        self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None: ...
    def on_ack(self, dialog: Dialog, ack: Request, now: float) -> None: ...


class _Nobody:
    """The user of a dialog that is over: holding the call any longer would keep both alive in a circle."""

    __slots__ = ()

    def on_request(
        self, dialog: Dialog, request: Request, transaction: ServerTransaction, now: float
    ) -> None:
        dialog.stack.respond(transaction, 481, now)

    def on_ack(self, dialog: Dialog, ack: Request, now: float) -> None: ...


NOBODY = _Nobody()


class Dialog:
    """One dialog, early or confirmed."""

    __slots__ = (
        "_allow",
        "_hops",
        "_hops_uri",
        "_path",
        "auth",
        "call_id",
        "contact_user",
        "flow",
        "is_early",
        "last_rseq",
        "local",
        "local_address",
        "local_cseq",
        "local_tag",
        "negotiation",
        "remote",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "route_set",
        "stack",
        "timers",
        "user",
    )

    def __init__(
        self,
        stack: SipStack,
        user: DialogUser,
        call_id: str,
        local: str,
        local_tag: str,
        remote: str,
        remote_tag: str,
        timers: Timers,
    ) -> None:
        self.stack = stack
        self.user = user
        self.call_id = call_id
        self.local = local
        """From of our requests, tag included."""
        self.local_tag = local_tag
        self.remote = remote
        """To of our requests, tag included."""
        self.remote_tag = remote_tag
        self.timers = timers
        self.remote_target = ""
        self.route_set: tuple[str, ...] = ()
        self.local_cseq = 0
        self.remote_cseq: int | None = None
        self.is_early = True
        self.flow: Flow | None = None
        """The flow it was set up over; used for requests only if the remote target cannot be reached
        otherwise."""
        self.local_address: Address | None = None
        self.contact_user = ""
        self.auth: Authenticator | None = None
        self._allow = ""
        self.negotiation = Negotiation()
        self.last_rseq: int | None = None
        self._path: tuple[str, tuple[str, ...], str] | None = None
        self._hops: Sequence[Hop] = ()
        self._hops_uri = ""

    @classmethod
    def of_uac(
        cls,
        stack: SipStack,
        user: DialogUser,
        call_id: str,
        local: str,
        local_tag: str,
        uri: str,
        response: Response,
        timers: Timers,
    ) -> Dialog:
        """§12.1.2: the dialog that a response with a To tag (or a 2xx without) makes for its INVITE.

        Call-ID, From, its tag and Request-URI are those of the INVITE.
        """
        dialog = cls(
            stack,
            user,
            call_id,
            local,
            local_tag,
            _cleaned(response.headers.get("to") or ""),
            response.to_tag,
            timers,
        )
        dialog.remote_target = target_of(response) or uri
        dialog.set_route_set(reversed_routes(response))
        dialog.learn(response)
        return dialog

    @classmethod
    def of_uas(
        cls, stack: SipStack, user: DialogUser, request: Request, tag: str, flow: Flow, timers: Timers
    ) -> Dialog:
        """§12.1.1: the dialog of an INVITE we are about to answer with `tag`. ParseError if it has no
        usable Contact."""
        if not (_is_clean(request.call_id) and _is_clean(request.from_tag)):
            raise ParseError("control characters in what identifies the dialog", field="call-id")
        to = _cleaned(request.headers.get("to") or "")
        dialog = cls(
            stack,
            user,
            request.call_id,
            f"{to};tag={tag}",
            tag,
            _cleaned(request.headers.get("from") or ""),
            request.from_tag,
            timers,
        )
        dialog.remote_cseq = request.cseq.number
        target = target_of(request) or _target_of_old_peer(request)
        if target is None:
            raise ParseError("missing or unusable", field="contact")
        dialog.remote_target = target
        dialog.set_route_set(tuple([_cleaned(str(route)) for route in request.record_routes]))
        dialog.flow = flow
        dialog.local_address = flow.local
        dialog.learn(request)
        return dialog

    @property
    def key(self) -> DialogKey:
        return (self.call_id, self.local_tag, self.remote_tag)

    def set_route_set(self, routes: tuple[str, ...]) -> None:
        """The Route of our requests, first hop first. ParseError if the first one cannot be sent to."""
        if routes:
            request_path(self.remote_target, routes)
        self.route_set = routes
        self._path = None

    def learn(self, message: Request | Response) -> None:
        """What the peer says it can do."""
        if "allow" in message.headers:
            self._allow = ",".join(message.headers.get_all("allow"))

    def peer_allows(self, method: str) -> bool:
        """Whether the last Allow of the peer had `method`. Read when asked: few calls ever need to know."""
        return method in [word.strip().upper() for word in self._allow.split(",")]

    def refresh_target(self, message: Request | Response) -> None:
        """§12.2: the Contact of a re-INVITE, UPDATE or 2xx to them replaces the remote target."""
        target = target_of(message)
        if target is not None and target != self.remote_target:
            self.remote_target = target
            self._path = None
        self.learn(message)

    def next_cseq(self) -> int:
        """§12.2.1.1: one more for each request but ACK and CANCEL."""
        self.local_cseq += 1
        return self.local_cseq

    def accepts_cseq(self, request: Request) -> bool:
        """§12.2.2: False (answer 500) if the number is not higher than every one before."""
        number = request.cseq.number
        if self.remote_cseq is not None and number <= self.remote_cseq:
            return False
        self.remote_cseq = number
        return True

    @property
    def ids(self) -> Fields:
        """From, To, Call-ID."""
        return (("From", self.local), ("To", self.remote), ("Call-ID", self.call_id))

    def path(self) -> tuple[str, tuple[str, ...], str]:
        """Request-URI, Route values and the URI to send to (§12.2.1.1, strict routers included)."""
        if self._path is None:
            self._path = request_path(self.remote_target, self.route_set)
        return self._path

    def request(
        self,
        method: str,
        user: SenderUser,
        *,
        fields: Fields = (),
        body: Body | None = None,
        with_contact: bool = False,
    ) -> Sender:
        """A new request in this dialog; `start` it with `self.start(sender, now)`."""
        uri, routes, next_hop_uri = self.path()
        sender = Sender(
            self.stack,
            user,
            method,
            uri,
            self.ids,
            self.next_cseq(),
            self.timers,
            routes=routes,
            next_hop_uri=next_hop_uri,
            fields=fields,
            body=body,
            with_contact=with_contact,
            contact_user=self.contact_user,
            renew_cseq=self.next_cseq,
        )
        sender.auth = self.auth
        sender.local = self.local_address
        return sender

    def start(self, sender: Sender, now: float) -> None:
        """Send it the way this dialog's requests go."""
        if self.reuses_flow:
            sender.flow = self.flow
            sender.start(now)
        elif self._hops_uri == sender.next_hop_uri and self._hops:
            sender.start(now, self._hops)
        else:
            sender.on_resolved = self._remember_hops
            sender.start(now)

    @property
    def reuses_flow(self) -> bool:
        """WebSocket peers cannot be connected to (RFC 7118 §5); neither can anybody at `.invalid`, or at the
        tel URI that a callee without usable Contact has left us with."""
        flow = self.flow
        if flow is None or self.route_set:
            return False
        if flow.transport is Transport.WS or flow.transport is Transport.WSS:
            return True
        target = self.remote_target
        return ".invalid" in target or target[:3].lower() != "sip"

    def _remember_hops(self, hops: Sequence[Hop]) -> None:
        self._hops, self._hops_uri = hops, self.path()[2]

    def acknowledge(self, invite: Sender, body: Body | None, now: float) -> Ack:
        """ACK a 2xx (§13.2.2.4): CSeq number and credentials of the INVITE, no transaction."""
        return Ack(self, invite, body, now)

    def __repr__(self) -> str:
        phase = "early" if self.is_early else "confirmed"
        return f"<dialog {self.call_id} {self.local_tag}/{self.remote_tag} {phase} → {self.remote_target}>"


class Ack:
    """The ACK of a 2xx: sent once now, and again for every retransmission of the 2xx."""

    __slots__ = ("_body", "_data", "_dialog", "_flow", "_invite", "_stack")

    def __init__(self, dialog: Dialog, invite: Sender, body: Body | None, now: float) -> None:
        self._stack = dialog.stack
        self._dialog: Dialog | None = dialog
        """Until it is built: an ACK is kept for 64·T1, the dialog need not be."""
        self._invite: Sender | None = invite
        self._body = body
        self._data = b""
        self._flow: Flow | None = None
        if dialog.reuses_flow and dialog.flow is not None:
            self._use_hops((Hop(dialog.flow.transport, dialog.flow.remote),), now)
        elif dialog._hops and dialog._hops_uri == dialog.path()[2]:
            self._use_hops(dialog._hops, now)
        else:
            dialog.stack.find_hops(dialog.path()[2], self._use_hops, now)

    def send_again(self) -> None:
        """The 2xx came again. Nothing while the address is still being looked up."""
        if self._flow is not None:
            self._stack.transmit(self._data, self._flow)

    def _use_hops(self, hops: Sequence[Hop], now: float) -> None:
        dialog, invite = self._dialog, self._invite
        assert dialog is not None
        assert invite is not None
        stack = self._stack
        for hop in hops:
            point = stack.listeners.for_hop(hop, dialog.local_address)
            if point is not None:
                break
        else:
            return  # Nowhere to send: the peer ends the dialog after 64·T1 without ACK (§13.3.1.4).
        uri, routes, _ = dialog.path()
        fields = [("Via", point.via + stack.new_branch()), ("Max-Forwards", str(stack.config.max_forwards))]
        fields += [("Route", route) for route in routes]
        fields += dialog.ids
        fields.append(("CSeq", f"{invite.cseq} ACK"))
        fields += invite.credentials
        body = self._body
        request = build.request(
            "ACK", uri, fields, body.data if body else b"", body.content_type if body else ""
        )
        self._data = request.to_bytes()
        self._flow = Flow(hop.transport, point.bound, hop.remote)
        self._dialog = self._invite = self._body = None
        stack.transmit(self._data, self._flow)


def request_path(target: str, route_set: tuple[str, ...]) -> tuple[str, tuple[str, ...], str]:
    """Request-URI, Route values and the URI to send to, for a remote target and route set (§12.2.1.1).

    ParseError if the first route is no SIP URI.
    """
    if not route_set:
        return target, (), target
    first = NameAddr.parse(route_set[0], field="route")
    uri = first.sip_uri
    if uri.is_loose_router:
        return target, route_set, first.uri
    strict = str(uri.without_headers())
    return strict, (*route_set[1:], f"<{target}>"), strict


def target_of(message: Request | Response) -> str | None:
    """The URI of the first usable Contact, without what a Request-URI must not have; None if there is
    none."""
    lines = message.headers.get_all("contact")
    return _target_in(lines[0]) if len(lines) == 1 else _target_among(lines)


@remember
def _target_in(line: str) -> str | None:
    return _target_among([line])


def _target_among(lines: list[str]) -> str | None:
    try:
        contacts = split_name_addrs(lines, "contact")
        if not contacts:
            return None
        uri = contacts[0].uri
        parsed = SipUri.parse(uri)
    except ParseError:
        return None
    if not uri.isprintable():
        return None
    return str(parsed.without_headers()) if parsed.headers or "method" in parsed.params else uri


def _target_of_old_peer(request: Request) -> str | None:
    """RFC 2543 had no Contact in every INVITE: requests go to the From then."""
    if "contact" in request.headers or request.top_via.has_magic_cookie:
        return None
    uri = request.from_.uri
    return _target_in(f"<{uri}>")


def reversed_routes(response: Response) -> tuple[str, ...]:
    """The route set of a UAC (§12.1.2). An unreadable Record-Route counts as none: the call matters more."""
    try:
        routes = tuple([_cleaned(str(route)) for route in reversed(response.record_routes)])
        request_path("", routes)
    except ParseError:
        return ()
    return routes


def _is_clean(value: str) -> bool:
    return value.isprintable() or not any(c < " " or c == "\x7f" for c in value)


def _cleaned(value: str) -> str:
    """A received value fit to be sent by us: without control characters (they are legal in quoted
    strings)."""
    if _is_clean(value):
        return value
    return "".join([c for c in value if (c >= " " and c != "\x7f") or c == "\t"])
