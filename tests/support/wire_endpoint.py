"""Real `SipEndpoint`s without sockets: their messages travel over a `LoopWire`, in virtual time.

    wire = LoopWire(lossy)
    ours = await wire.endpoint("192.0.2.1", on_call=inbound.take)
    bob = await wire.endpoint("192.0.2.2", on_call=phone.on_call)

`Wire` joins bare cores and owns their clock; here the event loop owns it, so that whatever is built upon an
endpoint (legs, dials, their timers) lives through the same loss, delay, duplication and reordering.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from engine.agenda import Agenda
from engine.sip.events import IncomingCall
from engine.sip.stack import SipStack
from engine.sip.types import Address, Flow, Listener, StackConfig, Transport
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.dns import Answer
from engine.transport.endpoint import SipEndpoint
from engine.transport.hosts import HostsFile
from engine.transport.resolver import Resolver

__all__ = ["Carried", "LoopFate", "LoopWire", "WireDns", "WireEndpoint", "lossy"]

_PORT = 5060
_ROUNDING = 1e-6


class Carried:
    """One message as it was put onto the wire; `delays_s` are those of its copies, none: it was lost."""

    __slots__ = ("at", "data", "delays_s", "receiver", "sender")

    def __init__(self, at: float, sender: str, receiver: str, data: bytes, delays_s: Sequence[float]) -> None:
        self.at = at
        self.sender = sender
        self.receiver = receiver
        self.data = data
        self.delays_s = delays_s

    @property
    def title(self) -> str:
        """`INVITE 1 INVITE` or `200 1 INVITE`: method or status, then CSeq."""
        first = self.data.removeprefix(b"SIP/2.0 ").partition(b" ")[0]
        cseq = self.data.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
        return f"{first.decode('ascii', 'replace')} {cseq.decode('ascii', 'replace')}"

    def __str__(self) -> str:
        arrivals = ", ".join(f"{self.at + delay:.3f}" for delay in self.delays_s) or "lost"
        return f"{self.at:9.3f}  {self.sender} -> {self.receiver}  {self.title}  {arrivals}"


LoopFate = Callable[[float], Sequence[float]]
"""At a moment: the delays (s) after which copies of a message arrive; none: it is lost."""


def lossy(seed: int, *, loss: float, doubled: float, jitter_s: float, until_s: float) -> LoopFate:
    """A network that is bad until `until_s` and good ever after. `loss` and `doubled` are probabilities."""
    dice = random.Random(seed)

    def fate(now: float) -> Sequence[float]:
        if now >= until_s:
            return (0.001,)
        copies = 2 if dice.random() < doubled else 1
        return [0.001 + dice.random() * jitter_s for _ in range(copies) if dice.random() >= loss]

    return fate


def _perfect(now: float) -> Sequence[float]:
    return (0.001,)


class LoopWire:
    """The network between endpoints of one running loop. What it does to messages is up to its fate."""

    def __init__(self, fate: LoopFate = _perfect, *, batch_s: float = 0.001, seed: int = 1) -> None:
        """What reaches an endpoint within `batch_s` it reads in one batch, in the order of sending."""
        self.log: list[Carried] = []
        self.refuses: set[str] = set()
        """Hosts from which ICMP says that nobody listens there; any other unknown host is silent."""
        self.forks: dict[str, tuple[str, ...]] = {}
        """Hosts that are no endpoint: what is sent to them reaches all of these (a forking proxy without a
        mind)."""
        self.endpoints: dict[str, WireEndpoint] = {}
        self._is_cut: set[str] = set()
        self._fate = fate
        self._seed = seed
        self._batch_s = batch_s
        self._batches: dict[tuple[str, int], list[tuple[bytes, Flow]]] = {}
        self._loop = asyncio.get_running_loop()

    async def endpoint(
        self,
        host: str,
        *,
        on_call: Callable[[IncomingCall], None] | None = None,
        dns: WireDns | None = None,
        stack: StackConfig | None = None,
        agenda: Agenda | None = None,
    ) -> WireEndpoint:
        """A started endpoint at UDP `host`:5060. `stack` without listeners."""
        self._seed += 1
        made = WireEndpoint(self, host, self._seed, on_call=on_call, dns=dns, stack=stack, agenda=agenda)
        await made.start()
        self.endpoints[host] = made
        return made

    def cut(self, host: str) -> None:
        """From now on nothing gets there, and nothing from there gets anywhere."""
        self._is_cut.add(host)

    def carry(self, sender: WireEndpoint, data: bytes, flow: Flow) -> None:
        """Put one message of `sender` onto the wire."""
        host, now = flow.remote.host, self._loop.time()
        if host in self.refuses:
            self.log.append(Carried(now, sender.host, host, data, ()))
            sender.flow_failed(flow, ConnectionRefusedError("refused"))
            return
        for receiver in self.forks.get(host, (host,)):
            delays = () if {sender.host, receiver} & self._is_cut else self._fate(now)
            self.log.append(Carried(now, sender.host, receiver, data, delays))
            arrived_over = Flow(flow.transport, Address(receiver, _PORT), flow.local)
            for delay in delays:
                self._put(receiver, now + delay, data, arrived_over)

    def _put(self, host: str, at: float, data: bytes, flow: Flow) -> None:
        key = (host, math.ceil(at / self._batch_s - _ROUNDING))
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = []
            self._loop.call_at(key[1] * self._batch_s, self._arrive, key)
        batch.append((data, flow))

    def _arrive(self, key: tuple[str, int]) -> None:
        batch = self._batches.pop(key)
        receiver = self.endpoints.get(key[0])
        if receiver is not None:
            for data, flow in batch:
                receiver.message_received(data, flow)
            receiver.batch_ended()

    def ladder(self) -> str:
        """All messages, one per line, for a person who has to understand a failure."""
        return "\n".join(map(str, self.log))

    def assert_silent(self) -> None:
        """Nothing is left in any endpoint, and none of them found a bug of ours."""
        for endpoint in self.endpoints.values():
            if endpoint.host in self._is_cut:
                continue  # It may think that it is still in a call.
            assert endpoint.describe() == "", f"{endpoint.host}: {endpoint.describe()}"
            assert endpoint.stack.timeout() is None, endpoint.host
            assert endpoint.counters.bugs == 0, endpoint.host

    async def close(self) -> None:
        """Close every endpoint without a goodbye."""
        for endpoint in self.endpoints.values():
            await endpoint.stop()


class WireEndpoint(SipEndpoint):
    """The real pump, timer and delivery of a `SipEndpoint` over one link that leads onto a wire."""

    def __init__(
        self,
        wire: LoopWire,
        host: str,
        seed: int,
        *,
        on_call: Callable[[IncomingCall], None] | None = None,
        dns: WireDns | None = None,
        stack: StackConfig | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        config = EndpointConfig(
            listen=(ListenOn(host=host, port=_PORT, transports=(Transport.UDP,)),),
            stack=stack or StackConfig(listeners=()),
        )
        resolver = Resolver(
            dns=dns or WireDns({}),
            hosts=HostsFile("/dev/null"),
            transports=(Transport.UDP,),
            families=("A",),
            rng=random.Random(seed),
        )
        super().__init__(config, on_call=on_call, resolver=resolver, agenda=agenda)
        self.host = host
        self._wire = wire
        self._entropy = random.Random(seed).randbytes

    @property
    def stack(self) -> SipStack:
        """The core, to look at."""
        return self._stack

    async def start(self) -> None:
        """In place of opening sockets."""
        self._loop = asyncio.get_running_loop()
        self._agenda = self._shared_agenda or Agenda(self._loop)
        link = _WireLink(self._wire, self, Address(self.host, _PORT))
        self._links = {(link.transport, link.bound): link}
        self._listeners = (Listener(link.transport, link.bound, link.bound),)
        self._stack = SipStack(structs.replace(self.config.stack, listeners=self._listeners), self._entropy)
        assert self._shared_resolver is not None
        self._resolver = self._shared_resolver

    async def stop(self, grace_s: float = 0.0) -> None:
        await super().stop(grace_s)
        await self._resolver.close()


class _WireLink:
    """A `Link` without a socket."""

    __slots__ = ("_bound", "_endpoint", "_is_closed", "_wire")

    def __init__(self, wire: LoopWire, endpoint: WireEndpoint, bound: Address) -> None:
        self._wire = wire
        self._endpoint = endpoint
        self._bound = bound
        self._is_closed = False

    @property
    def transport(self) -> Transport:
        return Transport.UDP

    @property
    def bound(self) -> Address:
        return self._bound

    def send(self, data: bytes, flow: Flow) -> None:
        if not self._is_closed:
            self._wire.carry(self._endpoint, data, flow)

    def close(self) -> None:
        self._is_closed = True

    async def wait_closed(self) -> None:
        """Nothing is open."""

    def describe(self) -> str:
        return ""


class WireDns:
    """A `DnsClient` that knows the addresses of a few names, and takes its time to say them."""

    def __init__(self, names: Mapping[str, Sequence[str]], *, delay_s: float = 0.0) -> None:
        self._names = names
        self._delay_s = delay_s

    async def query(self, name: str, kind: str) -> Answer:
        """A records only. For any other name or kind: there is none."""
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        hosts = self._names.get(name.rstrip("."), ()) if kind == "A" else ()
        return Answer(tuple(hosts), 60.0)
