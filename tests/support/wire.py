"""Wire: SIP stacks joined without a network, in virtual time, with loss, delay, duplication and reordering.

    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)

A 32-second timer takes no time and fires at exactly 32.0. Messages are delivered in order after `delay_s`;
what a `Fate` function makes of them is up to the test. Everything is deterministic: the random numbers
come from a seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar

import msgspec.structs

from engine.sip.events import IncomingCall, ResolveNeeded, SipEvent
from engine.sip.message import Request, Response, parse_message
from engine.sip.session import Call
from engine.sip.stack import SipStack
from engine.sip.types import (
    Address,
    Body,
    Flow,
    Hop,
    InviteParams,
    InviteState,
    Listener,
    StackConfig,
    Transmit,
    Transport,
)
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite

__all__ = [
    "ANSWER",
    "OFFER",
    "SDP",
    "Fate",
    "Party",
    "Request",
    "ResolveNeeded",
    "Response",
    "Sent",
    "Wire",
    "sdp",
    "state_of",
]

SDP = "application/sdp"


def sdp(name: str) -> Body:
    """A body that is only looked at as bytes here."""
    return Body(SDP, f"v=0\r\ns={name}\r\n".encode())


def state_of(call: Call) -> InviteState:
    """`call.state`, without the type checker believing that it cannot change between two assertions."""
    return call.state


OFFER = sdp("offer")
ANSWER = sdp("answer")

E = TypeVar("E")


class Sent(msgspec.Struct, frozen=True):
    """One message as it went onto the wire."""

    at: float
    by: str
    message: Request | Response
    flow: Flow

    @property
    def title(self) -> str:
        """`INVITE`, or `200 INVITE` for a response."""
        if isinstance(self.message, Request):
            return self.message.method
        return f"{self.message.status} {self.message.cseq.method}"


Fate = Callable[[Sent], Sequence[float]]
"""The delays after which copies of a message arrive; none: it is lost."""


class Party:
    """One stack on the wire, with what happened to it."""

    def __init__(self, wire: Wire, host: str, config: StackConfig, seed: int) -> None:
        self.wire = wire
        self.host = host
        generator = random.Random(seed)
        self.stack = SipStack(config, generator.randbytes)
        self.happened: list[SipEvent] = []
        self.on_event: Callable[[SipEvent], None] | None = None
        """Called for each event as it happens, like a shell would."""
        self.names: dict[str, Sequence[Hop]] = {}
        """What this party's DNS knows; a name that is absent is never answered."""

    def invite(self, target: str, **params: Any) -> OutgoingInvite:
        """Call somebody, by default with an offer."""
        params.setdefault("from_", "<sip:alice@example.com>")
        params.setdefault("body", OFFER)
        call = self.stack.invite(InviteParams(target=target, **params), self.wire.now)
        self.wire.pump()
        return call

    def of(self, kind: type[E]) -> list[E]:
        """The events of one kind so far."""
        return [event for event in self.happened if isinstance(event, kind)]

    def one(self, kind: type[E]) -> E:
        """The only event of that kind."""
        events = self.of(kind)
        assert len(events) == 1, (kind, self.happened)
        return events[0]

    def incoming(self) -> IncomingInvite:
        """The last call that came in."""
        return self.of(IncomingCall)[-1].call

    @property
    def sent(self) -> list[str]:
        """Titles of everything this party has put onto the wire, lost messages included."""
        return [sent.title for sent in self.wire.log if sent.by == self.host]

    def sent_messages(self, title: str) -> list[Sent]:
        """Those with one title."""
        return [sent for sent in self.wire.log if sent.by == self.host and sent.title == title]

    def requests(self, method: str) -> list[Request]:
        """The requests of one method this party has sent."""
        return [sent.message for sent in self.sent_messages(method) if isinstance(sent.message, Request)]

    def responses(self, status: int, method: str = "INVITE") -> list[Response]:
        """The responses of one kind this party has sent."""
        found = self.sent_messages(f"{status} {method}")
        return [sent.message for sent in found if isinstance(sent.message, Response)]


class Wire:
    """The network between the parties and the clock of all of them."""

    def __init__(self, *, delay_s: float = 0.001, fate: Fate | None = None, seed: int = 1) -> None:
        self.now = 0.0
        self.delay_s = delay_s
        self.fate = fate
        self.log: list[Sent] = []
        self.parties: dict[str, Party] = {}
        self.raw: dict[str, list[Sent]] = {}
        """What was sent to addresses nobody has."""
        self._in_flight: list[tuple[float, int, Party, bytes, Flow]] = []
        self._serial = count()
        self._seed = seed
        self.refuses: set[tuple[Transport, str]] = set()
        """(transport, host) pairs where sending fails at once."""

    def add(self, host: str, *, transports: Sequence[Transport] = (Transport.UDP,), **config: Any) -> Party:
        """A stack with listeners on port 5060 of `host`."""
        address = Address(host, 5060)
        listeners = tuple(Listener(transport, address, address) for transport in transports)
        self._seed += 1
        party = Party(self, host, StackConfig(listeners=listeners, **config), self._seed)
        self.parties[host] = party
        return party

    def pump(self) -> None:
        """Take what the stacks want to send and to tell; repeat until they are silent."""
        busy = True
        while busy:
            busy = False
            for party in list(self.parties.values()):
                for transmit in party.stack.transmits():
                    busy = True
                    self.carry(party, transmit)
                for event in party.stack.events():
                    busy = True
                    party.happened.append(event)
                    if isinstance(event, ResolveNeeded) and event.host in party.names:
                        party.stack.resolved(event.ticket, party.names[event.host], self.now)
                    if party.on_event is not None:
                        party.on_event(event)

    def run(self, until: float | None = None, steps: int = 1_000_000) -> None:
        """Let time pass until `until`, or until nothing is going to happen any more."""
        self.pump()
        for _ in range(steps):
            at = self._next()
            if at is None or (until is not None and at > until):
                break
            self.now = max(self.now, at)
            self._step()
            self.pump()
        else:
            raise AssertionError(f"still busy after {steps} steps")
        if until is not None:
            self.now = max(self.now, until)

    def deliver(self, to: Party, data: bytes, source: Address, transport: Transport = Transport.UDP) -> None:
        """Bytes from somebody who is no stack."""
        local = Address(to.host, 5060)
        to.stack.receive(data, Flow(transport, local, source), self.now)
        self.pump()

    def assert_silent(self) -> None:
        """Nothing is left in any stack: no call, dialog, transaction, ticket or timer."""
        for party in self.parties.values():
            assert party.stack.describe() == "", party.stack.describe()
            assert party.stack.timeout() is None

    def _next(self) -> float | None:
        times = [party.stack.timeout() for party in self.parties.values()]
        if self._in_flight:
            times.append(self._in_flight[0][0])
        return min((time for time in times if time is not None), default=None)

    def _step(self) -> None:
        while self._in_flight and self._in_flight[0][0] <= self.now:
            _, _, party, data, flow = heapq.heappop(self._in_flight)
            party.stack.receive(data, flow, self.now)
            self.pump()
        for party in self.parties.values():
            deadline = party.stack.timeout()
            if deadline is not None and deadline <= self.now:
                party.stack.handle_timeout(self.now)

    def carry(self, sender: Party, transmit: Transmit) -> None:
        """Put one message of `sender` onto the wire."""
        flow = transmit.flow
        sent = Sent(self.now, sender.host, parse_message(transmit.data), flow)
        self.log.append(sent)
        if (flow.transport, flow.remote.host) in self.refuses:
            sender.stack.transport_failed(flow, ConnectionRefusedError("refused"), self.now)
            return
        receiver = self.parties.get(flow.remote.host)
        if receiver is None or flow.remote.port != 5060:
            self.raw.setdefault(flow.remote.host, []).append(sent)
            return
        arrived_over = Flow(flow.transport, flow.remote, flow.local)
        delays = (self.delay_s,) if self.fate is None else self.fate(sent)
        for delay in delays:
            item = (self.now + delay, next(self._serial), receiver, transmit.data, arrived_over)
            heapq.heappush(self._in_flight, item)
