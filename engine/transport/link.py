"""The seam between the endpoint and its sockets.

A `Link` is one bound listener: a UDP socket, or a TCP listener with all its connections. TLS and WebSocket
are further links: a different handshake and a different framing, the same four methods. What a link hears
goes to its `LinkUser` (the endpoint), in the loop's thread, and never raises there for what a peer did.
"""

from __future__ import annotations

from typing import Protocol

from engine.sip.types import Address, Flow, Transport

__all__ = ["Counters", "Link", "LinkUser", "describe_flow"]


class LinkUser(Protocol):
    """Who listens to a link."""

    def message_received(self, data: bytes, flow: Flow) -> None:
        """One datagram, or one whole framed message of a stream."""

    def batch_ended(self) -> None:
        """No more input in this turn of the loop: time to pump."""

    def flow_failed(self, flow: Flow, error: OSError) -> None:
        """What was sent to this flow did not arrive, or the connection that carried it is gone."""


class Link(Protocol):
    """One bound listener."""

    @property
    def transport(self) -> Transport: ...

    @property
    def bound(self) -> Address:
        """The address really bound, with the port the kernel chose when 0 was asked for."""

    def send(self, data: bytes, flow: Flow) -> None:
        """Send now, or queue within bounds. Never blocks; failures come back as `flow_failed`."""

    def close(self) -> None:
        """Take no more input, and close. Idempotent."""

    async def wait_closed(self) -> None:
        """After `close`: return when no socket, task or timer is left; takes at most half a second."""

    def describe(self) -> str:
        """Live connections, one per line; empty when there is none."""


class Counters:
    """What passed through an endpoint, in messages; counts only grow."""

    __slots__ = (
        "bugs",
        "connections_accepted",
        "connections_opened",
        "connections_refused",
        "dropped",
        "keep_alives",
        "malformed",
        "messages_in",
        "messages_out",
        "transport_errors",
        "unreadable",
    )

    def __init__(self) -> None:
        self.messages_in = 0
        self.messages_out = 0
        self.malformed = 0
        """Stream bytes that could not be framed; each costs its connection."""
        self.dropped = 0
        """Messages we could not send because a bounded queue was full, or for want of a fitting listener."""
        self.keep_alives = 0
        """Pings answered and pongs received (RFC 5626 §3.5.1)."""
        self.transport_errors = 0
        self.unreadable = 0
        """Whole messages that the core could not read: scanners, strays, broken peers."""
        self.bugs = 0
        """Exceptions of our own code while it handled one message or event. Each is in the log."""
        self.connections_accepted = 0
        self.connections_opened = 0
        self.connections_refused = 0
        """Inbound connections turned away by a limit."""

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


def describe_flow(flow: Flow) -> str:
    """`UDP 192.0.2.1:5060 - 192.0.2.9:5060`, for logs and ladders."""
    return f"{flow.transport.value} {_join(flow.local)} - {_join(flow.remote)}"


def _join(address: Address) -> str:
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"
