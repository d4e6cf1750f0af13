"""SipEndpoint: the asyncio shell around the SIP core. The only place with sockets and a timer for SIP.

Sockets are read in batches; after each batch the core is pumped once: send what is pending, hand out what
happened, re-arm the one timer. Whoever calls a method of a call object says `touch()` afterwards; any number
of touches in one turn of the loop cost one pump.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, TypeAlias

from engine.sip.events import CallEvent, IncomingCall, RequestReceived
from engine.sip.types import Flow, InviteParams, Listener
from engine.sip.uac import OutgoingInvite
from engine.transport.config import EndpointConfig
from engine.transport.link import Counters
from engine.transport.resolver import Resolver

__all__ = ["CallOwner", "Direction", "SipEndpoint", "Tracer"]


class Direction(StrEnum):
    """Of a traced message, as this endpoint sees it."""

    IN = "in"
    OUT = "out"


Tracer: TypeAlias = Callable[[float, Direction, Flow, bytes], None]
"""Called with (at, direction, flow, message) for every message; must not raise and must be quick."""


class CallOwner(Protocol):
    """Who owns a call and hears of it."""

    def on_sip_event(self, event: CallEvent) -> None:
        """In the order things happened; exactly one `Failed` or `Ended`, as the last one."""


class SipEndpoint:
    """Listeners, connections, name resolution and the SIP core of one process.

    endpoint = SipEndpoint(EndpointConfig(listen=(ListenOn(host="127.0.0.1"),)))
    await endpoint.start()
    call = endpoint.invite(InviteParams(target="sip:bob@192.0.2.7", from_="<sip:alice@example.com>"), leg)
    call.hang_up(endpoint.now()); endpoint.touch()
    await endpoint.stop(grace_s=2.0)
    """

    def __init__(
        self,
        config: EndpointConfig,
        *,
        on_call: Callable[[IncomingCall], None] | None = None,
        on_request: Callable[[RequestReceived], None] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """`on_call` sets the call's owner and rings, answers or rejects it; without it calls get 480.

        `on_request` answers requests outside dialogs of the methods in `config.stack.passed_up`.
        A resolver that is passed in is shared: its maker closes it.
        """
        self.config = config
        self.counters = Counters()
        self._on_call = on_call
        self._on_request = on_request
        self._shared_resolver = resolver
        self._tracers: tuple[Tracer, ...] = ()

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What is bound, in the order of the configuration. Empty before `start`."""
        raise NotImplementedError

    def now(self) -> float:
        """The clock of every SIP method and event: the loop's monotonic seconds."""
        raise NotImplementedError

    async def start(self) -> None:
        """Bind every listener. Raises OSError, naming the address, with nothing left open."""
        raise NotImplementedError

    async def stop(self, grace_s: float = 0.0) -> None:
        """Refuse new calls, end those left, give the goodbyes `grace_s` to finish, then close everything."""
        raise NotImplementedError

    def invite(self, params: InviteParams, owner: CallOwner) -> OutgoingInvite:
        """Start a call; its events go to `owner`, never before this returns. ValueError for unusable text."""
        raise NotImplementedError

    def touch(self) -> None:
        """After methods of call objects: what they put into the core leaves in this turn of the loop."""
        raise NotImplementedError

    def add_tracer(self, tracer: Tracer) -> None:
        """Let `tracer` see every message from now on (SIP ladders, captures)."""
        raise NotImplementedError

    def remove_tracer(self, tracer: Tracer) -> None:
        """Stop tracing; a tracer that is not there is no error."""
        raise NotImplementedError

    def describe(self) -> str:
        """Every live transaction, dialog, call, connection; empty when nothing is left."""
        raise NotImplementedError
