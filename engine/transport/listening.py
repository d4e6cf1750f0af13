"""Opening the listeners of an endpoint, and what is written about them in Via and Contact."""

from __future__ import annotations

import errno
import socket

from engine.sip.types import Address, Transport
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.link import Counters, Link, LinkUser
from engine.transport.stream import StreamLink
from engine.transport.udp import UdpLink

__all__ = ["advertise", "open_links", "reachable_host"]

_SUPPORTED = (Transport.UDP, Transport.TCP)
_PORT_TRIES = 64  # for a kernel-chosen port that is free for every transport


async def open_links(
    config: EndpointConfig, user: LinkUser, counters: Counters
) -> list[tuple[Link, ListenOn]]:
    """Open everything in `config.listen`, in order. Raises OSError, naming the address, with nothing open."""
    for spec in config.listen:
        for transport in spec.transports:
            if transport not in _SUPPORTED:
                raise ValueError(f"listening on {transport.value} is not supported")
    opened: list[tuple[Link, ListenOn]] = []
    try:
        for spec in config.listen:
            opened += [(link, spec) for link in await _open_together(spec, config, user, counters)]
    except BaseException:
        for link, _ in opened:
            link.close()
        raise
    return opened


async def _open_together(
    spec: ListenOn, config: EndpointConfig, user: LinkUser, counters: Counters
) -> list[Link]:
    """All transports of one `ListenOn` on one port; a kernel-chosen port that is half taken is given back."""
    for attempt in range(1, _PORT_TRIES + 1):
        links: list[Link] = []
        port = spec.port
        try:
            for transport in spec.transports:
                links.append(await _open(transport, Address(spec.host, port), config, user, counters))
                port = links[0].bound.port
        except OSError as error:
            for link in links:
                link.close()
            if spec.port == 0 and error.errno == errno.EADDRINUSE and attempt < _PORT_TRIES:
                continue
            names = "/".join(spec.transports)
            raise OSError(
                error.errno, f"cannot listen on {names} {spec.host} port {spec.port}: {error}"
            ) from error
        return links
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _open(
    transport: Transport, address: Address, config: EndpointConfig, user: LinkUser, counters: Counters
) -> Link:
    if transport is Transport.UDP:
        return UdpLink.open(address, user, counters)
    return await StreamLink.open(address, user, counters, config.stream)


def advertise(bound: Address, spec: ListenOn) -> Address:
    """What others should send to, with the port."""
    host = spec.advertised_host or reachable_host(bound.host)
    return Address(host, spec.advertised_port or bound.port)


def reachable_host(bound: str) -> str:
    """The address others can use for a socket bound to `bound`; for a wildcard the default route's."""
    return _default_route_address(bound) if bound in ("0.0.0.0", "::") else bound


def _default_route_address(wildcard: str) -> str:
    """Our address towards the world; loopback on a machine without a route. Connecting UDP sends nothing."""
    family, far, loopback = (
        (socket.AF_INET, "192.0.2.1", "127.0.0.1")
        if wildcard == "0.0.0.0"
        else (socket.AF_INET6, "2001:db8::1", "::1")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 5060))
            return str(probe.getsockname()[0])
        except OSError:
            return loopback
