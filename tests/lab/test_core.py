"""The SIP core by itself against pjsua2: what no dial does yet, and what needs both sides to act at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from engine.sip.events import (
    Answered,
    AnswerReceived,
    CallEvent,
    Ended,
    Failed,
    IncomingCall,
    OfferReceived,
    OfferRejected,
    Provisional,
    ReferProgress,
    ReferReceived,
)
from engine.sip.message import Request, Response, parse_message
from engine.sip.types import Body, EndCause, Flow, InviteParams, Party, StackConfig, Transport
from engine.sip.uac import OutgoingInvite
from engine.softphone import Answer, CallState, EarlyMedia, MediaDirection
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.endpoint import Direction, SipEndpoint
from tests.support.judge import assert_well_formed
from tests.support.phones import PhoneRack
from tests.support.ports import free_port

pytestmark = pytest.mark.lab

E = TypeVar("E")


def description(version: int = 1, direction: str = "sendrecv") -> Body:
    """SDP of ours; nobody listens at the port, SIP is what counts here."""
    lines = (
        "v=0",
        f"o=core 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        f"m=audio {PORT} RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000",
        f"a={direction}",
    )
    return Body("application/sdp", ("\r\n".join(lines) + "\r\n").encode())


PORT = free_port(consecutive=2)


class Core:
    """An endpoint and the owner of its calls: what happens is in `events`, offers are accepted."""

    def __init__(self, **stack: Any) -> None:
        listen = (ListenOn(host="127.0.0.1"),)
        config = EndpointConfig(listen=listen, stack=StackConfig(listeners=(), **stack))
        self.endpoint = SipEndpoint(config, on_call=self._on_call)
        self.endpoint.add_tracer(self._trace)
        self.events: list[CallEvent] = []
        self.sent: list[Request | Response] = []
        self.received: list[Request | Response] = []
        self._changed = asyncio.Event()

    @property
    def uri(self) -> str:
        bound = self.endpoint.listeners[0].bound
        return f"sip:5550100@{bound.host}:{bound.port}"

    def call(self, target: str, **params: Any) -> OutgoingInvite:
        params.setdefault("body", description())
        return self.endpoint.invite(
            InviteParams(target=target, from_="<sip:alice@example.com>", **params), self
        )

    def do(self, act: Callable[[float], None]) -> None:
        act(self.endpoint.now())
        self.endpoint.touch()

    async def until(self, kind: type[E], is_it: Callable[[E], bool] = lambda event: True) -> E:
        async with asyncio.timeout(15.0):
            while True:
                for event in self.events:
                    if isinstance(event, kind) and is_it(event):
                        return event
                self._changed.clear()
                await self._changed.wait()

    def requests(self, method: str) -> list[Request]:
        return [one for one in self.sent if isinstance(one, Request) and one.method == method]

    def statuses(self, messages: list[Request | Response], method: str) -> list[int]:
        return [one.status for one in messages if isinstance(one, Response) and one.cseq.method == method]

    def on_sip_event(self, event: CallEvent) -> None:
        self.events.append(event)
        self._changed.set()
        if isinstance(event, OfferReceived):
            event.call.answer_offer(description(2, "recvonly"), event.at)
            self.endpoint.touch()

    def _on_call(self, event: IncomingCall) -> None:
        event.call.owner = self
        self.events.append(event)
        self._changed.set()

    def _trace(self, at: float, direction: Direction, flow: Flow, data: bytes) -> None:
        if direction is Direction.OUT:
            assert_well_formed(data.decode())
            self.sent.append(parse_message(data))
        else:
            self.received.append(parse_message(data))


@asynccontextmanager
async def core(**stack: Any) -> AsyncIterator[Core]:
    one = Core(**stack)
    await one.endpoint.start()
    try:
        yield one
        assert one.endpoint.counters.bugs == 0
    finally:
        await one.endpoint.stop(grace_s=2.0)


async def established(one: Core, target: str, **params: Any) -> OutgoingInvite:
    call = one.call(target, **params)
    await one.until(Answered)
    return call


async def hung_up(one: Core, call: OutgoingInvite) -> None:
    one.do(call.hang_up)
    assert (await one.until(Ended)).by is Party.LOCAL


async def test_dv44_reliable_provisionals_of_a_callee_that_demands_them(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", EarlyMedia(answer_after_s=0.2), requires_100rel=True)
    async with core() as one:
        call = await established(one, bob.uri)
        early = await one.until(Provisional, lambda event: event.status == 183)
        answered = await one.until(Answered)
        assert early.is_reliable
        assert answered.was_early
        (prack,) = one.requests("PRACK")
        assert str(prack.rack) == f"{early.response.rseq} 1 INVITE"
        assert one.statuses(one.received, "PRACK") == [200]
        await hung_up(one, call)


async def test_a_prack_that_our_200_has_overtaken_does_not_end_the_call(rack: PhoneRack) -> None:
    alice = await rack.phone("alice", requires_100rel=True)
    async with core() as one:
        theirs = await alice.call(one.uri)
        incoming = (await one.until(IncomingCall)).call
        one.do(incoming.ring)
        one.do(lambda now: incoming.answer(description(), now))
        await theirs.until(CallState.CONFIRMED)
        await alice.until(lambda: one.statuses(one.sent, "PRACK") or None)
        assert one.statuses(one.sent, "PRACK") == [200]
        await theirs.hang_up()
        assert (await one.until(Ended)).cause is EndCause.HANG_UP


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
async def test_a_phone_answers_our_hold(rack: PhoneRack, method: str) -> None:
    bob = await rack.phone("bob", Answer())
    async with core() as one:
        call = await established(one, bob.uri)
        change = call.offer if method == "INVITE" else call.update
        one.do(lambda now: change(description(2, "sendonly"), now))
        answer = await one.until(AnswerReceived)
        assert b"a=recvonly" in answer.body.data
        theirs = await bob.next_call()
        await bob.until(lambda: theirs.direction is not MediaDirection.ACTIVE or None)
        await hung_up(one, call)


async def test_two_reinvites_that_cross_are_both_refused_and_both_succeed_later(rack: PhoneRack) -> None:
    """RFC 3261 §14.1, §14.2: the core does not read while both are on their way."""
    bob = await rack.phone("bob", Answer())
    async with core() as one:
        call = await established(one, bob.uri)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        link = one.endpoint._links[Transport.UDP, one.endpoint.listeners[0].bound]
        loop, socket = asyncio.get_running_loop(), link._socket  # type: ignore[attr-defined]
        loop.remove_reader(socket)
        await theirs.hold()
        one.do(lambda now: call.offer(description(2), now))
        await asyncio.sleep(0)  # the pump runs
        assert len(one.requests("INVITE")) == 2
        loop.add_reader(socket, link._read)  # type: ignore[attr-defined]
        await one.until(AnswerReceived)
        assert 491 in one.statuses(one.sent, "INVITE")
        assert 491 in one.statuses(one.received, "INVITE")
        assert not [event for event in one.events if isinstance(event, OfferRejected | Ended)]
        await hung_up(one, call)


async def test_a_phone_transfers_us_and_hears_how_it_goes(rack: PhoneRack) -> None:
    alice = await rack.phone("alice")
    async with core() as one:
        theirs = await alice.call(one.uri)
        incoming = (await one.until(IncomingCall)).call
        one.do(lambda now: incoming.answer(description(), now))
        await theirs.until(CallState.CONFIRMED)
        await theirs.transfer_to("sip:carol@example.com")
        refer = (await one.until(ReferReceived)).refer
        assert "sip:carol@example.com" in refer.refer_to
        one.do(refer.accept)
        one.do(lambda now: refer.progress(now, 180))
        one.do(lambda now: refer.progress(now, 200))
        await alice.until(lambda: next((step for step in theirs.transfer if step.is_final), None))
        assert [step.status for step in theirs.transfer][-1] == 200
        states = [request.headers.get("Subscription-State") for request in one.requests("NOTIFY")]
        assert [str(state).partition(";")[0] for state in states] == ["active", "active", "terminated"]
        assert one.statuses(one.received, "NOTIFY") == [200, 200, 200]


async def test_a_phone_we_transfer_calls_the_other_and_tells_us(rack: PhoneRack) -> None:
    bob, carol = await rack.phones("bob", "carol", behaviour=Answer())
    async with core() as one:
        call = await established(one, bob.uri)
        one.do(lambda now: call.refer(f"<{carol.uri}>", now))
        final = await one.until(ReferProgress, lambda event: event.is_final)
        assert final.status == 200
        await (await carol.next_call()).until(CallState.CONFIRMED)
        assert set(one.statuses(one.sent, "NOTIFY")) == {200}
        if not call.is_over:
            await hung_up(one, call)


@pytest.mark.parametrize("insists", ["we", "the phone"])
async def test_a_session_timer_is_agreed_with_its_refresher(rack: PhoneRack, insists: str) -> None:
    bob = await rack.phone("bob", Answer(), session_expires_s=90 if insists == "the phone" else 0)
    async with core(session_expires_s=90 if insists == "we" else None) as one:
        call = await established(one, bob.uri)
        agreed = (await one.until(Answered)).response.session_expires
        assert agreed is not None
        assert agreed.delta_s >= 90
        assert agreed.refresher in ("uac", "uas")
        assert call.session_timer.interval_s == agreed.delta_s
        assert call.session_timer.is_refresher is (agreed.refresher == "uac")
        await hung_up(one, call)


async def test_a_phone_that_refuses_ends_the_call_with_its_status(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer(), codecs=("G722",))
    async with core() as one:
        one.call(bob.uri)
        assert (await one.until(Failed)).failure.status == 488
