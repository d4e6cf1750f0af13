"""Sender: one request with everything RFC 3261 does before a TU sees the outcome.

Finds the next hop (asking the shell for DNS), goes through the hops on 503, silence or a transport error
with a new branch each (RFC 3263 §4.3), moves large requests from UDP to TCP and back (§18.1.1), answers
401 and 407 (§22). What the response means is the user's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from engine.sip import build
from engine.sip.headers import Headers
from engine.sip.locate import LocalPoint
from engine.sip.message import Request, Response
from engine.sip.transactions import ClientTransaction
from engine.sip.types import Address, Body, FailureKind, Flow, Hop, Timers, Transport

if TYPE_CHECKING:
    from engine.sip.auth import Authenticator
    from engine.sip.stack import SipStack

__all__ = ["IGNORE_OUTCOME", "Fields", "Sender", "SenderUser", "check_fields"]

Fields = Sequence[tuple[str, str]]


def check_fields(fields: Fields, body: Body | None = None) -> None:
    """ValueError if what our owner gave cannot be sent: before anything has changed, not in the middle."""
    if fields:
        Headers(fields)
    if body is not None and body.content_type != "application/sdp":
        Headers((("Content-Type", body.content_type),))


class SenderUser(Protocol):
    """Who learns the outcome: one final response (several 2xx to an INVITE may come) or one failure."""

    def on_response(self, sender: Sender, response: Response, now: float) -> None: ...
    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None: ...
    def on_end(self, sender: Sender, now: float) -> None: ...


class _IgnoreOutcome:
    """For requests that are sent for form: CANCEL, the BYE of a stray fork."""

    __slots__ = ()

    def on_response(self, source: object, response: Response, now: float) -> None: ...
    def on_timeout(self, transaction: ClientTransaction, now: float) -> None: ...
    def on_transport_error(self, transaction: ClientTransaction, error: OSError, now: float) -> None: ...
    def on_failure(self, sender: Sender, kind: FailureKind, detail: str, now: float) -> None: ...
    def on_end(self, source: object, now: float) -> None: ...


IGNORE_OUTCOME = _IgnoreOutcome()


class Sender:
    """One request on its way. Attributes may be changed between attempts, e.g. before `send_again`."""

    __slots__ = (
        "_hop",
        "_hops",
        "_next_hop",
        "_point",
        "_shrunk_from",
        "_ticket",
        "_was_challenged",
        "auth",
        "body",
        "contact_user",
        "cseq",
        "fields",
        "flow",
        "had_response",
        "ids",
        "is_stopped",
        "local",
        "max_forwards",
        "method",
        "next_hop_uri",
        "on_resolved",
        "on_sent",
        "renew_cseq",
        "routes",
        "stack",
        "timers",
        "transaction",
        "uri",
        "user",
        "with_contact",
    )

    def __init__(
        self,
        stack: SipStack,
        user: SenderUser,
        method: str,
        uri: str,
        ids: Fields,
        cseq: int,
        timers: Timers,
        *,
        routes: Sequence[str] = (),
        next_hop_uri: str = "",
        fields: Fields = (),
        body: Body | None = None,
        with_contact: bool = False,
        contact_user: str = "",
        renew_cseq: Callable[[], int] | None = None,
    ) -> None:
        self.stack = stack
        self.user = user
        self.method = method
        self.uri = uri
        self.ids = ids
        """From, To and Call-ID."""
        self.cseq = cseq
        self.timers = timers
        self.routes = routes
        self.next_hop_uri = next_hop_uri or uri
        self.fields = fields
        self.body = body
        self.with_contact = with_contact
        self.contact_user = contact_user
        self.renew_cseq = renew_cseq
        """Gives the CSeq number of a retry with credentials; None: it is not retried."""
        self.auth: Authenticator | None = None
        self.flow: Flow | None = None
        """Send here and nowhere else."""
        self.local: Address | None = None
        self.max_forwards = stack.config.max_forwards
        self.on_resolved: Callable[[Sequence[Hop]], None] | None = None
        self.on_sent: Callable[[float], None] | None = None
        """Told when the request leaves after a name lookup."""
        self.transaction: ClientTransaction | None = None
        self.had_response = False
        self.is_stopped = False
        """No further attempts: whatever comes next is final."""
        self._hops: Sequence[Hop] = ()
        self._next_hop = 0
        self._hop: Hop | None = None
        self._point: LocalPoint | None = None
        self._shrunk_from: Hop | None = None
        self._ticket: int | None = None
        self._was_challenged = False

    def start(self, now: float, hops: Sequence[Hop] = ()) -> None:
        """Begin. The outcome may be reported before this returns (nothing to send from, bad URI)."""
        flow = self.flow
        if flow is not None:
            hops = (Hop(flow.transport, flow.remote),)
            self.local = flow.local
        if hops:
            self._hops = hops
            self._next_hop = 0
            self._try_next(now)
        else:
            self._ticket = self.stack.find_hops(self.next_hop_uri, self._use_hops, now)

    def send_again(self, now: float) -> None:
        """The same request with a new branch and CSeq to the hop that answered (credentials, Min-SE)."""
        if self.renew_cseq is not None:
            self.cseq = self.renew_cseq()
        assert self._hop is not None
        assert self._point is not None
        self._send(self._hop, self._point, now)

    def cancel(self, fields: Fields, now: float) -> None:
        """CANCEL the INVITE in progress and give it 64·T1 for its final response (§9.1)."""
        transaction = self.transaction
        assert transaction is not None
        self.is_stopped = True
        cancel = build.cancel(transaction.request, fields)
        layer = self.stack.layer
        branch = transaction.key[0]
        layer.request(cancel, cancel.to_bytes(), transaction.flow, self.timers, IGNORE_OUTCOME, now, branch)
        transaction.give_up_at(now + self.timers.after_cancel)

    def stop(self) -> None:
        """Try nothing further; forget a name lookup in progress."""
        self.is_stopped = True
        if self._ticket is not None:
            self.stack.forget_ticket(self._ticket)
            self._ticket = None

    def check(self) -> None:
        """ValueError if the request cannot be built, for a caller who wants to know before the name is
        resolved."""
        fields = [*self.ids, *(("Route", route) for route in self.routes), *self.fields]
        content_type = self.body.content_type if self.body is not None else ""
        build.request(self.method, self.uri, fields, b"?", content_type)

    @property
    def credentials(self) -> Fields:
        """The credentials the request went out with, if any."""
        if self.auth is None or self.transaction is None:
            return ()
        headers = self.transaction.request.headers
        names = ("Authorization", "Proxy-Authorization")
        return [(name, value) for name in names for value in headers.get_all(name)]

    @property
    def is_resolving(self) -> bool:
        """Nothing was sent yet: the name of the next hop is being looked up."""
        return self._ticket is not None

    # Attempts.

    def _use_hops(self, hops: Sequence[Hop], now: float) -> None:
        self._ticket = None
        if self.on_resolved is not None:
            self.on_resolved(hops)
        self._hops = hops
        self._next_hop = 0
        if not hops:
            self.user.on_failure(self, FailureKind.UNRESOLVED, f"no address for {self.next_hop_uri}", now)
            return
        self._try_next(now)
        if self.on_sent is not None and self.transaction is not None:
            self.on_sent(now)

    def _try_next(self, now: float, kind: FailureKind = FailureKind.TRANSPORT, detail: str = "") -> None:
        while self._next_hop < len(self._hops) and not self.is_stopped:
            hop = self._hops[self._next_hop]
            self._next_hop += 1
            point = self.stack.listeners.for_hop(hop, self.local)
            if point is None:
                kind, detail = FailureKind.TRANSPORT, f"no listener for {hop.transport} to {hop.remote.host}"
                continue
            self._shrunk_from = None
            self._send(hop, point, now)
            return
        self.user.on_failure(self, kind, detail, now)

    def _has_more_hops(self) -> bool:
        return self._next_hop < len(self._hops) and not self.is_stopped

    def _send(self, hop: Hop, point: LocalPoint, now: float) -> None:
        branch, request = self._compose(point)
        data = request.to_bytes()
        limit = self.stack.config.udp_limit_bytes
        if hop.transport is Transport.UDP and 0 < limit < len(data) and self._shrunk_from is None:
            over_tcp = Hop(Transport.TCP, hop.remote)
            tcp_point = self.stack.listeners.for_hop(over_tcp) if self.flow is None else None
            if tcp_point is not None:
                self._shrunk_from = hop
                hop, point = over_tcp, tcp_point
                branch, request = self._compose(point)
                data = request.to_bytes()
        self._hop, self._point = hop, point
        flow = Flow(hop.transport, point.bound, hop.remote)
        self.transaction = self.stack.layer.request(request, data, flow, self.timers, self, now, branch)

    def _compose(self, point: LocalPoint) -> tuple[str, Request]:
        branch = self.stack.new_branch()
        fields = [("Via", point.via + branch), ("Max-Forwards", str(self.max_forwards))]
        fields += [("Route", route) for route in self.routes]
        fields += self.ids
        fields.append(("CSeq", f"{self.cseq} {self.method}"))
        if self.with_contact:
            fields.append(("Contact", point.contact(self.contact_user, self.uri.startswith("sips:"))))
        fields += self.fields
        body = self.body
        data = body.data if body is not None else b""
        if self.auth is not None:
            fields += self.auth.fields(self.method, self.uri, data)
        return branch, build.request(self.method, self.uri, fields, data, body.content_type if body else "")

    # ClientUser: what the transaction reports.

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if transaction is not self.transaction:
            return
        self.had_response = True
        status = response.status
        if status >= 300 and not self.is_stopped:
            if status == 503 and self._has_more_hops():
                self._try_next(now)
                return
            if status in (401, 407) and self.auth is not None and self.renew_cseq is not None:
                is_first, self._was_challenged = not self._was_challenged, True
                if self.auth.answer(response, is_first=is_first):
                    self.send_again(now)
                    return
        elif status >= 200 and self.auth is not None:
            self.auth.learn(response)
        self.user.on_response(self, response, now)

    def on_timeout(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is not self.transaction:
            return
        self._try_next(now, FailureKind.NO_RESPONSE, "no response in time")

    def on_transport_error(self, transaction: ClientTransaction, error: OSError, now: float) -> None:
        if transaction is not self.transaction:
            return
        shrunk_from = self._shrunk_from
        if shrunk_from is not None and not self.is_stopped and transaction.flow.transport is Transport.TCP:
            # §18.1.1: "If an element sends a request over TCP because of these message size constraints,
            # and that request would have otherwise been sent over UDP, if the attempt to establish the
            # connection generates either an ICMP Protocol Not Supported, or results in a TCP reset, SHOULD
            # retry the request, using UDP."
            point = self.stack.listeners.for_hop(shrunk_from, self.local)
            if point is not None:
                self._send(shrunk_from, point, now)
                return
        self._try_next(now, FailureKind.TRANSPORT, str(error))

    def on_end(self, transaction: ClientTransaction, now: float) -> None:
        if transaction is self.transaction:
            self.user.on_end(self, now)
