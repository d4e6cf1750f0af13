"""Endpoints on loopback, and the owners of their calls, for tests from end to end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from engine.sip.events import Answered, CallEvent, Ended, IncomingCall
from engine.sip.session import Call
from engine.sip.types import Address, Body, Flow, Hop, InviteParams, StackConfig, Timers, Transport
from engine.transport import Direction, EndpointConfig, ListenOn, Resolver, SipEndpoint, StreamLimits, Tracer

__all__ = ["QUICK", "SDP", "Callee", "Owner", "Phone", "invitation", "phone"]

SDP = Body("application/sdp", b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n")
QUICK = Timers(t1=0.05, t2=0.2, t4=0.1, timer_d=0.2)
"""Timer B after 3.2 s, everything forgotten soon after."""

E = TypeVar("E", bound=CallEvent)


class Owner:
    """Owns one call and remembers what it hears."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        self._changed = asyncio.Event()

    def on_sip_event(self, event: CallEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def hears(self, kind: type[E], *, within_s: float = 5.0) -> E:
        """The first event of this kind."""
        async with asyncio.timeout(within_s):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        return event
                self._changed.clear()
                await self._changed.wait()

    async def is_answered(self) -> Answered:
        return await self.hears(Answered)

    async def is_over(self) -> Ended:
        return await self.hears(Ended)


class Callee(Owner):
    """Owns an incoming call."""

    def __init__(self, incoming: IncomingCall) -> None:
        super().__init__()
        self.incoming = incoming
        self.call = incoming.call
        self.call.owner = self


class Phone:
    """An endpoint whose calls are taken by `on_call`, by default answered at once."""

    def __init__(self, config: EndpointConfig, resolver: Resolver | None) -> None:
        self.endpoint = SipEndpoint(config, on_call=self._take, resolver=resolver)
        self.calls: list[Callee] = []
        self.on_call: Callable[[Callee], None] = self.answer
        self.trace: list[tuple[Direction, Flow, bytes]] = []
        self.tracer: Tracer = lambda at, direction, flow, data: self.trace.append((direction, flow, data))
        self.endpoint.add_tracer(self.tracer)
        self._called = asyncio.Event()

    def address(self, transport: Transport = Transport.UDP) -> Address:
        return next(each.bound for each in self.endpoint.listeners if each.transport is transport)

    def hop(self, transport: Transport = Transport.UDP) -> Hop:
        return Hop(transport, self.address(transport))

    def answer(self, callee: Callee) -> None:
        callee.call.answer(SDP, self.endpoint.now())

    def sent(self, start: str) -> list[bytes]:
        """The messages sent whose start line begins so."""
        return [
            data
            for direction, _, data in self.trace
            if direction is Direction.OUT and data.startswith(start.encode())
        ]

    def received(self, start: str) -> list[bytes]:
        return [
            data
            for direction, _, data in self.trace
            if direction is Direction.IN and data.startswith(start.encode())
        ]

    def hang_up(self, call: Call) -> None:
        call.hang_up(self.endpoint.now())
        self.endpoint.touch()

    async def is_called(self) -> Callee:
        async with asyncio.timeout(5):
            await self._called.wait()
        return self.calls[-1]

    def _take(self, incoming: IncomingCall) -> None:
        callee = Callee(incoming)
        self.calls.append(callee)
        self._called.set()
        self.on_call(callee)


@asynccontextmanager
async def phone(
    host: str = "127.0.0.1",
    *,
    transports: tuple[Transport, ...] = (Transport.UDP, Transport.TCP),
    advertised_host: str = "",
    advertised_port: int = 0,
    timers: Timers = QUICK,
    resolver: Resolver | None = None,
    stream: StreamLimits | None = None,
) -> AsyncIterator[Phone]:
    """A started phone on a port of the kernel's choice."""
    listen = ListenOn(
        host=host, transports=transports, advertised_host=advertised_host, advertised_port=advertised_port
    )
    config = EndpointConfig(
        listen=(listen,),
        stack=StackConfig(listeners=(), timers=timers),
        stream=stream or StreamLimits(),
    )
    made = Phone(config, resolver)
    await made.endpoint.start()
    try:
        yield made
    finally:
        await made.endpoint.stop()


def invitation(*hops: Hop, body: Body | None = SDP, target: str = "sip:bob@example.com") -> InviteParams:
    return InviteParams(target=target, from_="<sip:alice@example.com>", body=body, hops=hops)
