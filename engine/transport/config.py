"""What an endpoint is told at its birth: where to listen, what to say about it, and its limits."""

from __future__ import annotations

from msgspec import Struct

from engine.sip.types import StackConfig, Transport

__all__ = ["EndpointConfig", "ListenOn", "StreamLimits"]


class ListenOn(Struct, frozen=True, kw_only=True):
    """One local address with all transports offered there, on one port."""

    host: str
    """Numeric; `0.0.0.0` and `::` mean every interface of that family."""
    port: int = 0
    """0: one that the kernel chooses, the same for all transports."""
    transports: tuple[Transport, ...] = (Transport.UDP, Transport.TCP)
    """UDP or TCP, each at most once; the order is our preference."""
    advertised_host: str = ""
    """What goes into Via and Contact when others see another address (NAT). Empty: `host`, or for a wildcard
    the address of the default route."""
    advertised_port: int = 0
    """0: the port that is bound."""


class StreamLimits(Struct, frozen=True, kw_only=True):
    """What a stream peer may cost us."""

    connect_timeout_s: float = 5.0
    idle_timeout_s: float = 600.0
    """A connection without traffic is closed. Above 64·T1, so that no transaction loses its way back."""
    partial_timeout_s: float = 32.0
    """How long a message may stay incomplete."""
    stall_timeout_s: float = 10.0
    """How long a peer may refuse to read what we write."""
    max_connections: int = 4096
    max_inbound_per_peer: int = 128
    """Inbound connections from one IP address."""
    max_pending_bytes: int = 1024 * 1024
    """Unsent bytes per connection, while connecting as well."""
    keep_alive_s: float = 0.0
    """Send a CRLF CRLF ping when nothing was sent for so long; 0: never (RFC 5626 §4.4.1)."""
    pong_timeout_s: float = 10.0
    """A peer that has answered a ping before and does not now is gone. One that never did is tolerated."""


class EndpointConfig(Struct, frozen=True, kw_only=True):
    """A `SipEndpoint`'s configuration."""

    listen: tuple[ListenOn, ...]
    """At least one. Earlier ones are preferred for what we send."""
    stack: StackConfig = StackConfig(listeners=())
    """For the core; its `listeners` are filled in from `listen` when the ports are known."""
    stream: StreamLimits = StreamLimits()
    timer_spacing_s: float = 0.025
    """The core's timers fire at most this often: a lone one is exact, those of a busy engine may come this
    late and share a wake-up."""
    timer_patience_s: float = 0.25
    """How much later than its time a transaction may be forgotten that only absorbs what is repeated."""
