"""The asyncio shell around the SIP core: sockets, connections, name resolution, one timer."""

from __future__ import annotations

from engine.transport.config import EndpointConfig, ListenOn, StreamLimits
from engine.transport.endpoint import CallOwner, Direction, SipEndpoint, Tracer
from engine.transport.resolver import Resolver

__all__ = [
    "CallOwner",
    "Direction",
    "EndpointConfig",
    "ListenOn",
    "Resolver",
    "SipEndpoint",
    "StreamLimits",
    "Tracer",
]
