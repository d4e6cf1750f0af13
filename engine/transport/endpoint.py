"""SipEndpoint: the asyncio shell around the SIP core. The only place with sockets and a timer for SIP.

Sockets are read in batches; after each batch the core is pumped once: send what is pending, hand out what
happened, re-arm the one timer. Whoever calls a method of a call object says `touch()` afterwards: any number
of touches in one turn of the loop cost one pump.
"""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Callable
from enum import StrEnum
from typing import ParamSpec, Protocol, TypeAlias, cast

import structlog
from msgspec import structs

from engine.agenda import Agenda
from engine.ids import random_bytes
from engine.sip.events import CallEvent, Ended, Failed, IncomingCall, RequestReceived, ResolveNeeded, SipEvent
from engine.sip.session import Call
from engine.sip.stack import SipStack
from engine.sip.types import Address, Flow, Hop, InviteParams, InviteState, Listener, Transport
from engine.sip.uac import OutgoingInvite
from engine.transport.config import EndpointConfig
from engine.transport.link import Counters, Link, describe_flow
from engine.transport.listening import advertise, open_links
from engine.transport.resolver import Resolver

__all__ = ["CallOwner", "Direction", "SipEndpoint", "Tracer"]

P = ParamSpec("P")

_log = structlog.get_logger(__name__)

_PRUNE_LEAVING_ABOVE = 8


class Direction(StrEnum):
    """Of a traced message, as this endpoint sees it."""

    IN = "in"
    OUT = "out"


Tracer: TypeAlias = Callable[[float, Direction, Flow, bytes], None]
"""Called with (at, direction, flow, message) for every message; must be quick. One that raises is removed."""


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

    An endpoint is started once and stopped once.
    """

    def __init__(
        self,
        config: EndpointConfig,
        *,
        on_call: Callable[[IncomingCall], None] | None = None,
        on_request: Callable[[RequestReceived], None] | None = None,
        resolver: Resolver | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        """`on_call` sets the call's owner and rings, answers or rejects it; without it calls get 480.

        `on_request` answers requests outside dialogs of the methods in `config.stack.passed_up`.
        A resolver that is passed in is shared: its maker closes it.
        `agenda`: shared with the owners of calls: what they do about an event leaves in the same turn.
        """
        self.config = config
        self.counters = Counters()
        self._on_call = on_call
        self._on_request = on_request
        self._shared_resolver = resolver
        self._shared_agenda = agenda
        self._tracers: tuple[Tracer, ...] = ()
        self._listeners: tuple[Listener, ...] = ()
        self._links: dict[tuple[Transport, Address], Link] = {}
        self._calls: set[Call] = set()
        self._leaving: set[Call] = set()  # their last event is out, their goodbye may not be
        self._prune_leaving_at = _PRUNE_LEAVING_ABOVE
        self._resolving: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._fired_at = -math.inf
        self._is_touched = False
        self._is_pumping = False
        self._failures: list[tuple[Flow, OSError]] = []
        self._quiet: asyncio.Event | None = None  # set once stopping
        # Made by `start`, when there is a loop and the ports are known.
        self._loop: asyncio.AbstractEventLoop
        self._agenda: Agenda
        self._stack: SipStack
        self._resolver: Resolver

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What is bound, in the order of the configuration. Empty before `start`."""
        return self._listeners

    def now(self) -> float:
        """The clock of every SIP method and event: the loop's monotonic seconds."""
        return self._loop.time()

    # --- life ---

    async def start(self) -> None:
        """Bind every listener. Raises OSError, naming the address, with nothing left open."""
        self._loop = asyncio.get_running_loop()
        self._agenda = self._shared_agenda or Agenda(self._loop)
        opened = await open_links(self.config, self, self.counters)
        self._links = {(link.transport, link.bound): link for link, _ in opened}
        self._listeners = tuple(
            Listener(link.transport, link.bound, advertise(link.bound, spec)) for link, spec in opened
        )
        self._stack = SipStack(structs.replace(self.config.stack, listeners=self._listeners), random_bytes)
        self._resolver = self._shared_resolver or Resolver(
            transports=tuple(dict.fromkeys(listener.transport for listener in self._listeners)),
            families=tuple(
                dict.fromkeys("AAAA" if ":" in each.bound.host else "A" for each in self._listeners)
            ),
        )
        for listener in self._listeners:
            _log.info(
                "sip listening",
                transport=listener.transport,
                bound=listener.bound,
                advertised=listener.advertised,
            )

    async def stop(self, grace_s: float = 0.0) -> None:
        """Refuse new calls, end those left, give the goodbyes `grace_s` to finish, then close everything."""
        if self._quiet is not None or not self._listeners:
            return
        self._quiet = asyncio.Event()
        now = self.now()
        for call in tuple(self._calls):
            call.hang_up(now)
        self._pump()
        if grace_s > 0 and not self._quiet.is_set():
            try:
                async with asyncio.timeout(grace_s):
                    await self._quiet.wait()
            except TimeoutError:
                _log.warning("sip stopped before every goodbye was said", calls=self._count_goodbyes())
        await self._close()
        _log.info("sip stopped", **self.counters.as_dict())

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_pumping = True  # nothing that still happens reaches the core
        tasks = tuple(self._resolving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._shared_resolver is None:
            await self._resolver.close()
        links = tuple(self._links.values())
        for link in links:
            link.close()
        for link in links:
            await link.wait_closed()
        self._links.clear()

    # --- for legs ---

    def invite(self, params: InviteParams, owner: CallOwner) -> OutgoingInvite:
        """Start a call; its events go to `owner`, never before this returns. ValueError for unusable text."""
        call = self._stack.invite(params, self._loop.time(), owner)
        self._calls.add(call)
        self.touch()
        return call

    def touch(self) -> None:
        """After methods of call objects: what they put into the core leaves before the loop waits again."""
        if not self._is_touched and not self._is_pumping:
            self._is_touched = True
            self._agenda.add(self._pump)

    def add_tracer(self, tracer: Tracer) -> None:
        """Let `tracer` see every message from now on (SIP ladders, captures)."""
        self._tracers = (*self._tracers, tracer)

    def remove_tracer(self, tracer: Tracer) -> None:
        """Stop tracing; a tracer that is not there is no error."""
        self._tracers = tuple(each for each in self._tracers if each != tracer)

    def describe(self) -> str:
        """Every live transaction, dialog, call and connection, one per line; empty when nothing is left."""
        lines = [self._stack.describe()]
        lines += [text for link in self._links.values() if (text := link.describe())]
        return "\n".join(line for line in lines if line)

    # --- LinkUser: what the sockets say ---

    def message_received(self, data: bytes, flow: Flow) -> None:
        self.counters.messages_in += 1
        if self._tracers:
            self._trace(Direction.IN, flow, data)
        try:
            self._stack.receive(data, flow, self._loop.time())
        except Exception as error:  # noqa: BLE001 - see `_report_bug`
            self._report_bug(f"the SIP core failed on a message of {describe_flow(flow)}", error)

    def batch_ended(self) -> None:
        self._agenda.run(self._pump)

    def flow_failed(self, flow: Flow, error: OSError) -> None:
        # Kept for the pump: a failure may come from a send in the middle of draining the core.
        self._failures.append((flow, error))
        self.touch()

    # --- the pump ---

    def _pump(self) -> None:
        """Send what is pending, hand out what happened, until the core is at rest; re-arm the timer."""
        if self._is_pumping:
            return
        self._is_pumping = True
        self._is_touched = False
        stack = self._stack
        try:
            while stack.has_output or self._failures:
                for data, flow in stack.transmits():
                    self._send(data, flow)
                if self._failures:
                    failures, self._failures = self._failures, []
                    now = self._loop.time()
                    for flow, error in failures:
                        self._tell_core(stack.transport_failed, flow, error, now)
                for event in stack.events():
                    self._deliver(event)
        finally:
            self._is_pumping = False
            self._arm(stack.timeout(self.config.timer_patience_s))
        self.counters.unreadable = stack.unreadable
        if self._quiet is not None and not self._count_goodbyes():
            self._quiet.set()

    def _send(self, data: bytes, flow: Flow) -> None:
        link = self._links.get((flow.transport, flow.local))
        if link is None:
            self.counters.dropped += 1
            self._failures.append(
                (flow, OSError(errno.EADDRNOTAVAIL, f"no listener for {describe_flow(flow)}"))
            )
            return
        self.counters.messages_out += 1
        if self._tracers:
            self._trace(Direction.OUT, flow, data)
        link.send(data, flow)

    def _trace(self, direction: Direction, flow: Flow, data: bytes) -> None:
        now = self._loop.time()
        for tracer in self._tracers:
            try:
                tracer(now, direction, flow, data)
            except Exception as error:  # noqa: BLE001 - who only watches must not stop what he watches
                self.remove_tracer(tracer)
                self._report_bug("a tracer failed and was removed", error)

    def _arm(self, deadline: float | None) -> None:
        """One handle, moved only towards earlier: one that fires too early finds nothing due and re-arms."""
        if deadline is None:
            return
        at = max(deadline, self._fired_at + self.config.timer_spacing_s)
        if at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_at = None, math.inf
        self._fired_at = now = self._loop.time()
        self._tell_core(self._stack.handle_timeout, now)
        self._agenda.run(self._pump)

    def _tell_core(self, verb: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            verb(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - see `_report_bug`
            self._report_bug(f"the SIP core failed in {verb.__name__}", error)

    def _report_bug(self, what: str, error: Exception) -> None:
        """A mistake of ours in one call or message: told to the loop's handler; the others go on."""
        self.counters.bugs += 1
        self._loop.call_exception_handler({"message": what, "exception": error})

    # --- events ---

    def _deliver(self, event: SipEvent) -> None:
        try:
            match event:
                case ResolveNeeded():
                    self._resolve(event)
                case RequestReceived():
                    self._take_request(event)
                case IncomingCall():
                    self._take_call(event)
                case Failed() | Ended():
                    call, owner = event.call, event.call.owner
                    self._release(call)
                    call.owner = None  # what the core keeps for 64·T1 must not keep the leg and its dial
                    if owner is not None:
                        cast(CallOwner, owner).on_sip_event(event)
                case _:
                    if event.call.owner is not None:
                        cast(CallOwner, event.call.owner).on_sip_event(event)
        except Exception as error:  # noqa: BLE001 - see `_report_bug`
            self._report_bug(f"the owner of a call failed on {type(event).__name__}", error)
            if isinstance(event, IncomingCall):  # or the caller would hear it ring until it gives up
                event.call.hang_up(event.at, status=500)

    def _take_call(self, event: IncomingCall) -> None:
        if self._quiet is not None:
            event.call.reject(event.at, 503, headers=(("Retry-After", "10"),))
        elif self._on_call is None:
            event.call.reject(event.at, 480)
        else:
            self._calls.add(event.call)
            self._on_call(event)

    def _take_request(self, event: RequestReceived) -> None:
        if self._on_request is None:
            event.pending.respond(event.at, 501)
        else:
            self._on_request(event)

    def _release(self, call: Call) -> None:
        self._calls.discard(call)
        if call.state is not InviteState.ENDED:
            self._leaving.add(call)
            if len(self._leaving) >= self._prune_leaving_at:
                self._prune_leaving()
                self._prune_leaving_at = max(_PRUNE_LEAVING_ABOVE, 2 * len(self._leaving))

    def _prune_leaving(self) -> None:
        self._leaving = {call for call in self._leaving if call.state is not InviteState.ENDED}

    def _count_goodbyes(self) -> int:
        self._prune_leaving()
        return len(self._calls) + len(self._leaving)

    # --- names ---

    def _resolve(self, event: ResolveNeeded) -> None:
        task = self._loop.create_task(self._answer_ticket(event), name=f"sip resolve {event.ticket}")
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _answer_ticket(self, event: ResolveNeeded) -> None:
        hops: list[Hop] = []
        try:
            hops = await self._resolver.resolve(
                event.host, port=event.port, transport=event.transport, secure=event.secure
            )
        except Exception as error:  # noqa: BLE001 - without an answer the call would wait for ever
            self._report_bug("the resolver failed", error)
        self._tell_core(self._stack.resolved, event.ticket, hops, self._loop.time())
        self._pump()
