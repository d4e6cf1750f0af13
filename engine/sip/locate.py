"""Where a request goes, as far as that needs no DNS, and what we say about ourselves (RFC 3261 §18.1, RFC
3263 §4).

For a URI whose host is an IP literal the hop is computed here; names are the shell's work (`ResolveNeeded`).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from engine.sip.errors import ParseError
from engine.sip.syntax import format_host, remember
from engine.sip.types import Address, Flow, Hop, Listener, Transport
from engine.sip.values import SipUri

__all__ = ["Destination", "Listeners", "LocalPoint", "destination_of", "is_ip_literal"]

_TRANSPORTS = {transport.value.lower(): transport for transport in Transport}
_SECURED = {Transport.TCP: Transport.TLS, Transport.WS: Transport.WSS, Transport.UDP: Transport.TLS}
DEFAULT_PORTS = {
    Transport.UDP: 5060,
    Transport.TCP: 5060,
    Transport.TLS: 5061,
    Transport.WS: 80,
    Transport.WSS: 443,
}


class LocalPoint:
    """A listener with the texts made from it, so that they are made once."""

    __slots__ = ("bound", "listener", "sent_by", "transport", "via")

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.transport = listener.transport
        self.bound = listener.bound
        host, port = listener.advertised
        self.sent_by = f"{format_host(host)}:{port}"
        self.via = f"SIP/2.0/{listener.transport} {self.sent_by};rport;branch="

    def contact(self, user: str, secure: bool) -> str:
        """Our Contact value on this listener."""
        at = f"{user}@" if user else ""
        scheme = "sips" if secure else "sip"
        transport = self.transport
        parameter = "" if transport is Transport.UDP or secure else f";transport={transport.value.lower()}"
        return f"<{scheme}:{at}{self.sent_by}{parameter}>"


class Listeners:
    """Our listeners, found by transport and address family."""

    __slots__ = ("_by_bound", "_by_family")

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._by_family: dict[tuple[Transport, bool], LocalPoint] = {}
        self._by_bound: dict[tuple[Transport, Address], LocalPoint] = {}
        for listener in listeners:
            point = LocalPoint(listener)
            self._by_family.setdefault((listener.transport, ":" in listener.bound.host), point)
            self._by_bound.setdefault((listener.transport, listener.bound), point)

    def for_hop(self, hop: Hop, preferred: Address | None = None) -> LocalPoint | None:
        """The listener to reach `hop` from; None if we have none of its transport and address family."""
        if preferred is not None:
            point = self._by_bound.get((hop.transport, preferred))
            if point is not None:
                return point
        return self._by_family.get((hop.transport, ":" in hop.remote.host))

    def for_flow(self, flow: Flow) -> LocalPoint | None:
        """The listener a flow belongs to."""
        point = self._by_bound.get((flow.transport, flow.local))
        return point or self._by_family.get((flow.transport, ":" in flow.remote.host))


class Destination(Struct, frozen=True):
    """What a URI says about where to send (RFC 3263 §4.1, §4.2)."""

    host: str
    port: int | None
    transport: Transport | None
    secure: bool
    hop: Hop | None
    """The hop itself, if the host is an IP literal; else the name has to be resolved."""


@remember
def destination_of(text: str) -> Destination:
    """Raises ParseError for what is no SIP URI, or a transport we do not know."""
    uri = SipUri.parse(text)
    transport = None
    name = uri.transport
    if name is not None:
        transport = _TRANSPORTS.get(name)
        if transport is None:
            raise ParseError(f"unknown transport {name[:20]!r}", field="URI")
    if uri.is_secure and transport is not None:
        transport = _SECURED.get(transport, transport)
    host = uri.params.get("maddr") or uri.host
    hop = None
    if is_ip_literal(host):
        default = Transport.TLS if uri.is_secure else Transport.UDP
        hop = Hop(transport or default, Address(host, uri.port or DEFAULT_PORTS[transport or default]))
    return Destination(host, uri.port, transport, uri.is_secure, hop)


def is_ip_literal(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    if host[-1:].isdigit():
        parts = host.split(".")
        return len(parts) == 4 and all(
            p.isascii() and p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts
        )
    return False
