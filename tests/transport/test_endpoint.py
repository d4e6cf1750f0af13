"""Two endpoints with the real core over real sockets."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import socket

import pytest

from engine.sip.events import Answered, Confirmed, Ended, Failed, Provisional
from engine.sip.types import (
    Address,
    Body,
    FailureKind,
    Flow,
    Hop,
    Party,
    StackConfig,
    Timers,
    Transport,
)
from engine.transport import Direction, EndpointConfig, ListenOn, SipEndpoint, StreamLimits
from engine.transport.dns import DnsPython
from engine.transport.hosts import HostsFile
from engine.transport.resolver import Resolver
from tests.transport.dns_servers import dnsmasq
from tests.transport.parties import QUICK, SDP, Callee, Owner, invitation, phone
from tests.transport.recording import dead_port, eventually

UDP, TCP = Transport.UDP, Transport.TCP
V4, V6 = "127.0.0.1", "::1"


@pytest.mark.parametrize("host", [V4, V6])
@pytest.mark.parametrize("transport", [UDP, TCP])
async def test_a_call_is_answered_and_hung_up(host: str, transport: Transport) -> None:
    async with phone(host) as alice, phone(host) as bob:
        owner = Owner()
        call = alice.endpoint.invite(invitation(bob.hop(transport)), owner)
        assert owner.events == []
        answered = await owner.hears(Answered)
        assert answered.body == SDP
        callee = bob.calls[0]
        assert callee.incoming.flow.transport is transport
        assert callee.incoming.body == SDP
        await callee.hears(Confirmed)
        alice.hang_up(call)
        assert (await callee.hears(Ended)).by is Party.REMOTE
        assert (await owner.hears(Ended)).by is Party.LOCAL
        assert alice.endpoint.counters.messages_out == len(alice.sent("")) >= 3
        assert alice.endpoint.counters.messages_in == len(alice.received("")) >= 2


async def test_what_is_touched_in_one_turn_of_the_loop_leaves_together_and_is_told_afterwards() -> None:
    async with phone(V4) as alice, phone(V4) as bob:
        answered, unsendable = Owner(), Owner()
        call = alice.endpoint.invite(invitation(bob.hop(UDP)), answered)
        alice.endpoint.touch()
        alice.endpoint.invite(invitation(Hop(UDP, Address("::1", 5999))), unsendable)
        assert alice.endpoint.counters.messages_out == 0
        assert unsendable.events == []
        await unsendable.hears(Failed)
        assert alice.endpoint.counters.messages_out == 1
        await answered.hears(Answered)
        sent = alice.endpoint.counters.messages_out
        alice.hang_up(call)
        assert alice.endpoint.counters.messages_out == sent
        assert not any(isinstance(event, Ended) for event in answered.events)
        await answered.hears(Ended)
        assert alice.endpoint.counters.messages_out == sent + 1


@pytest.mark.parametrize(("wildcard", "loopback"), [("0.0.0.0", V4), ("::", V6)])
@pytest.mark.parametrize("transport", [UDP, TCP])
async def test_an_endpoint_on_every_interface_calls_and_is_called(
    wildcard: str, loopback: str, transport: Transport
) -> None:
    async with (
        phone(wildcard, advertised_host=loopback) as alice,
        phone(wildcard, advertised_host=loopback) as bob,
    ):
        owner = Owner()
        bob_at = Hop(transport, Address(loopback, bob.address(transport).port))
        alice.endpoint.invite(invitation(bob_at), owner)
        await owner.hears(Answered)
        callee = bob.calls[0]
        await callee.hears(Confirmed)
        bob.hang_up(callee.call)
        assert (await owner.hears(Ended)).by is Party.REMOTE


async def test_when_all_timers_have_run_the_core_is_empty_and_no_timer_is_armed() -> None:
    async with phone(transports=(UDP,)) as alice, phone(transports=(UDP,)) as bob:
        owner = Owner()
        call = alice.endpoint.invite(invitation(bob.hop()), owner)
        await owner.hears(Answered)
        alice.hang_up(call)
        await owner.hears(Ended)
        assert armed_timers() != []
        await eventually(lambda: alice.endpoint.describe() == bob.endpoint.describe() == "", within_s=10)
        await eventually(lambda: armed_timers() == [])


async def test_finished_calls_leave_nothing_in_memory() -> None:
    soon = Timers(t1=0.02, t2=0.1, t4=0.05, timer_d=0.1)
    async with phone(timers=soon) as alice, phone(timers=soon) as bob:
        for each in (alice, bob):
            each.endpoint.remove_tracer(each.tracer)

        async def round_of_calls(transport: Transport) -> int:
            for _ in range(5):
                owners = [Owner() for _ in range(20)]
                calls = [alice.endpoint.invite(invitation(bob.hop(transport)), owner) for owner in owners]
                for owner in owners:
                    await owner.hears(Answered)
                for call in calls:
                    alice.hang_up(call)
                for owner in owners:
                    await owner.hears(Ended)
            bob.calls.clear()
            owners, calls = [], []
            await eventually(
                lambda: "INVITE" not in alice.endpoint.describe() + bob.endpoint.describe(), within_s=10
            )
            gc.collect()
            return len(gc.get_objects())

        await round_of_calls(TCP)
        before = await round_of_calls(UDP)
        after = await round_of_calls(UDP)
        assert after - before < 500, f"a hundred calls left {after - before} objects"


async def test_two_hundred_calls_at_once() -> None:
    async with phone(transports=(UDP,)) as alice, phone(transports=(UDP,)) as bob:
        owners = [Owner() for _ in range(200)]
        calls = [alice.endpoint.invite(invitation(bob.hop()), owner) for owner in owners]
        for owner in owners:
            await owner.hears(Answered)
        for call in calls:
            alice.hang_up(call)
        for owner in owners:
            assert (await owner.hears(Ended)).by is Party.LOCAL
        assert len(bob.calls) == 200


async def test_a_request_too_long_for_udp_goes_over_tcp() -> None:
    long = Body("application/sdp", SDP.data + b"a=x-filler:" + b"x" * 2000 + b"\r\n")
    async with phone() as alice, phone() as bob:
        owner = Owner()
        call = alice.endpoint.invite(invitation(bob.hop(), body=long), owner)
        await owner.hears(Answered)
        assert bob.calls[0].incoming.flow.transport is TCP
        assert bob.calls[0].incoming.body == long
        alice.hang_up(call)
        await owner.hears(Ended)


async def test_a_request_too_long_for_udp_falls_back_to_udp_when_tcp_is_refused() -> None:
    long = Body("application/sdp", SDP.data + b"a=x-filler:" + b"x" * 2000 + b"\r\n")
    async with phone() as alice, phone(transports=(UDP,)) as bob:
        owner = Owner()
        started = alice.endpoint.now()
        alice.endpoint.invite(invitation(bob.hop(), body=long), owner)
        answered = await owner.hears(Answered)
        assert bob.calls[0].incoming.flow.transport is UDP
        assert answered.at - started < QUICK.b / 3


@pytest.mark.parametrize(("transport", "kind"), [(UDP, socket.SOCK_DGRAM), (TCP, socket.SOCK_STREAM)])
async def test_a_refused_port_fails_the_call_with_503_within_milliseconds(
    transport: Transport, kind: socket.SocketKind
) -> None:
    async with phone() as alice:
        owner = Owner()
        started = alice.endpoint.now()
        alice.endpoint.invite(invitation(Hop(transport, dead_port(V4, kind))), owner)
        failed = await owner.hears(Failed)
        assert (failed.failure.kind, failed.failure.status) == (FailureKind.TRANSPORT, 503)
        assert failed.at - started < QUICK.b / 3
        assert alice.endpoint.counters.transport_errors >= 1


@pytest.mark.parametrize(("transport", "kind"), [(UDP, socket.SOCK_DGRAM), (TCP, socket.SOCK_STREAM)])
async def test_the_next_hop_is_tried_at_once_when_one_refuses(
    transport: Transport, kind: socket.SocketKind
) -> None:
    async with phone() as alice, phone() as bob:
        owner = Owner()
        started = alice.endpoint.now()
        hops = (Hop(transport, dead_port(V4, kind)), Hop(transport, dead_port(V4, kind)), bob.hop(transport))
        alice.endpoint.invite(invitation(*hops), owner)
        assert (await owner.hears(Answered)).at - started < QUICK.b / 3


async def test_the_next_hop_is_tried_after_503() -> None:
    async with phone() as alice, phone() as busy, phone() as bob:
        busy.on_call = lambda callee: callee.call.reject(busy.endpoint.now(), 503)
        owner = Owner()
        alice.endpoint.invite(invitation(busy.hop(), bob.hop()), owner)
        await owner.hears(Answered)
        assert len(busy.calls) == len(bob.calls) == 1


async def test_the_next_hop_is_tried_when_one_stays_silent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((V4, 0))
        async with phone() as alice, phone() as bob:
            owner = Owner()
            alice.endpoint.invite(invitation(Hop(UDP, Address(*silent.getsockname())), bob.hop()), owner)
            await owner.hears(Answered, within_s=10)
            assert len(alice.sent("INVITE")) >= 3


async def test_the_next_hop_is_tried_when_a_connection_is_reset() -> None:
    def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(reset, V4, 0)
    async with server, phone() as alice, phone() as bob:
        owner = Owner()
        started = alice.endpoint.now()
        broken = Hop(TCP, Address(*server.sockets[0].getsockname()))
        alice.endpoint.invite(invitation(broken, bob.hop(TCP)), owner)
        assert (await owner.hears(Answered)).at - started < QUICK.b / 3


async def test_a_ringing_call_outlives_its_connection() -> None:
    """RFC 3261 §18.2.2: the answer comes over a new connection to the port in the caller's Via."""
    async with phone(stream=StreamLimits(idle_timeout_s=0.1)) as alice, phone() as bob:
        bob.on_call = lambda callee: callee.call.ring(bob.endpoint.now())
        owner = Owner()
        call = alice.endpoint.invite(invitation(bob.hop(TCP)), owner)
        await eventually(lambda: bool(bob.calls) and "connection" not in bob.endpoint.describe())
        assert alice.endpoint.counters.connections_accepted == 0
        bob.calls[0].call.answer(SDP, bob.endpoint.now())
        bob.endpoint.touch()
        await owner.hears(Answered)
        assert alice.endpoint.counters.connections_accepted == 1
        await bob.calls[0].hears(Confirmed)
        alice.hang_up(call)
        assert (await owner.hears(Ended)).by is Party.LOCAL


async def test_names_are_resolved_and_srv_targets_tried_in_order() -> None:
    async with (
        phone() as bob,
        dnsmasq(
            f"--srv-host=_sip._udp.example.com,dead.example.com,{dead_port().port},1,1",
            f"--srv-host=_sip._udp.example.com,live.example.com,{bob.address().port},2,1",
            "--host-record=dead.example.com,127.0.0.1",
            "--host-record=live.example.com,127.0.0.1",
        ) as server,
    ):
        resolver = Resolver(dns=DnsPython([server.address]), hosts=HostsFile("/nonexistent"))
        async with phone(resolver=resolver) as alice:
            owner, stranger = Owner(), Owner()
            alice.endpoint.invite(invitation(target="sip:bob@example.com"), owner)
            await owner.hears(Answered)
            alice.endpoint.invite(invitation(target="sip:bob@nobody.example.com"), stranger)
            failed = await stranger.hears(Failed)
            assert (failed.failure.kind, failed.failure.status) == (FailureKind.UNRESOLVED, 503)
        await resolver.close()


async def test_responses_find_their_way_back_through_a_nat() -> None:
    """RFC 3581: the advertised address leads nowhere, the answer comes to where the request came from."""
    async with (
        phone(transports=(UDP,), advertised_host="192.0.2.55", advertised_port=5099) as alice,
        phone(transports=(UDP,)) as bob,
    ):
        owner = Owner()
        alice.endpoint.invite(invitation(bob.hop()), owner)
        await owner.hears(Answered)
        invite = alice.sent("INVITE")[0]
        assert b"Via: SIP/2.0/UDP 192.0.2.55:5099;" in invite
        assert b"@192.0.2.55:5099" in invite or b"<sip:192.0.2.55:5099" in invite
        via = next(
            line for line in alice.received("SIP/2.0 200")[0].split(b"\r\n") if line.startswith(b"Via")
        )
        assert b";received=127.0.0.1" in via
        assert b";rport=%d" % alice.address().port in via


async def test_timers_of_a_busy_endpoint_share_wake_ups_and_are_never_early() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((V4, 0))
        async with phone(transports=(UDP,), timers=Timers(t1=0.3)) as alice:
            times: dict[bytes, list[float]] = {}
            asked_at = 0.0

            def note(at: float, direction: Direction, flow: Flow, data: bytes) -> None:
                # On a busy machine a message leaves later than the moment its timer counts from.
                times.setdefault(data, [asked_at]).append(at)

            alice.endpoint.add_tracer(note)
            for _ in range(50):
                asked_at = alice.endpoint.now()
                alice.endpoint.invite(invitation(Hop(UDP, Address(*silent.getsockname()))), Owner())
                await asyncio.sleep(0.001)  # spreads the deadlines; how well does not matter
            await eventually(lambda: sum(len(each) >= 3 for each in times.values()) == 50)
            assert all(again - asked >= 0.3 for asked, _, again, *_ in times.values())
            again = sorted(second for _, _, second, *_ in times.values())
            wake_ups = 1 + sum(later - earlier > 0.010 for earlier, later in itertools.pairwise(again))
            assert wake_ups <= 2 + (again[-1] - again[0]) / 0.025


async def test_without_a_handler_calls_get_480() -> None:
    quiet = SipEndpoint(EndpointConfig(listen=(ListenOn(host=V4),)))
    await quiet.start()
    async with phone() as alice:
        owner = Owner()
        alice.endpoint.invite(invitation(Hop(UDP, quiet.listeners[0].bound)), owner)
        assert (await owner.hears(Failed)).failure.status == 480
    await quiet.stop()


async def test_an_owner_that_raises_disturbs_no_other_call() -> None:
    class Broken(Owner):
        def on_sip_event(self, event: object) -> None:
            raise RuntimeError("a bug in a leg")

    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with phone() as alice, phone() as bob:
        owner = Owner()
        alice.endpoint.invite(invitation(bob.hop()), Broken())
        alice.endpoint.invite(invitation(bob.hop()), owner)
        await owner.hears(Answered)
        assert any("Answered" in str(context["message"]) for context in reported)
        assert alice.endpoint.counters.bugs == len(reported) >= 1


async def test_a_call_that_nobody_could_take_gets_500() -> None:
    def broken(callee: Callee) -> None:
        raise RuntimeError("a bug in the dial plan")

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with phone() as alice, phone() as bob:
        bob.on_call = broken
        owner = Owner()
        alice.endpoint.invite(invitation(bob.hop()), owner)
        assert (await owner.hears(Failed)).failure.status == 500
        assert bob.endpoint.counters.bugs == 1


async def test_a_tracer_that_raises_is_removed_and_the_call_goes_on() -> None:
    def broken(at: float, direction: Direction, flow: Flow, data: bytes) -> None:
        raise RuntimeError("disk full")

    reported = reported_faults()
    async with phone() as alice, phone() as bob:
        bob.endpoint.add_tracer(broken)
        owner = Owner()
        alice.endpoint.invite(invitation(bob.hop()), owner)
        await owner.hears(Answered)
        assert bob.endpoint.counters.bugs == 1
        assert bob.sent("SIP/2.0 200") != []
    assert reported == ["a tracer failed and was removed"]


async def test_a_resolver_that_raises_fails_the_call_instead_of_letting_it_wait() -> None:
    class Broken(Resolver):
        async def resolve(self, *_: object, **__: object) -> list[Hop]:
            raise RuntimeError("a bug")

    reported = reported_faults()
    resolver = Broken()
    async with phone(resolver=resolver) as alice:
        owner = Owner()
        alice.endpoint.invite(invitation(target="sip:bob@trunk.example.com"), owner)
        assert (await owner.hears(Failed)).failure.kind is FailureKind.UNRESOLVED
    await resolver.close()
    assert reported == ["the resolver failed"]


def reported_faults() -> list[str]:
    """The messages of what will be reported to this loop's exception handler."""
    messages: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: messages.append(context["message"]))
    return messages


async def test_stop_says_goodbye_to_live_calls_and_cancels_ringing_ones() -> None:
    async with phone() as bob, phone() as carol:
        carol.on_call = lambda callee: callee.call.ring(carol.endpoint.now())
        async with phone() as alice:
            talking, ringing = Owner(), Owner()
            alice.endpoint.invite(invitation(bob.hop()), talking)
            alice.endpoint.invite(invitation(carol.hop(TCP)), ringing)
            await talking.hears(Answered)
            await eventually(
                lambda: any(isinstance(e, Provisional) and e.status == 180 for e in ringing.events)
            )
            started = alice.endpoint.now()
            await alice.endpoint.stop(grace_s=5.0)
            assert alice.endpoint.now() - started < 2.0, "it waits for goodbyes, not for timers"
            assert (await talking.hears(Ended)).by is Party.LOCAL
            assert (await ringing.hears(Failed)).failure.kind is FailureKind.CANCELLED
        assert (await bob.calls[0].hears(Ended)).by is Party.REMOTE
        assert (await carol.calls[0].hears(Failed)).failure.kind is FailureKind.CALLER_GONE


async def test_new_calls_are_refused_while_stopping() -> None:
    def keep_ringing(callee: Callee) -> None:
        callee.call.ring(silent.endpoint.now())

    async with phone() as alice, phone() as bob, phone() as silent:
        silent.on_call = keep_ringing
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind((V4, 0))
            bob.endpoint.invite(invitation(Hop(UDP, Address(*nobody.getsockname()))), Owner())
            stopping = asyncio.create_task(bob.endpoint.stop(grace_s=1.0))
            await eventually(lambda: len(bob.sent("INVITE")) > 0)
            owner = Owner()
            alice.endpoint.invite(invitation(bob.hop()), owner)
            failed = await owner.hears(Failed)
            assert failed.failure.status == 503
            assert failed.failure.retry_after_s == 10
            await stopping


async def test_stop_leaves_no_socket_task_or_timer() -> None:
    gc.collect()
    sockets_before, tasks_before = open_sockets(), asyncio.all_tasks()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((V4, 0))
        async with phone() as alice, phone() as bob:
            owner = Owner()
            alice.endpoint.invite(invitation(bob.hop(TCP)), owner)
            alice.endpoint.invite(invitation(Hop(UDP, Address(*silent.getsockname()))), Owner())
            alice.endpoint.invite(invitation(target="sip:bob@nobody.invalid"), Owner())
            await owner.hears(Answered)
            assert armed_timers() != []
    assert asyncio.all_tasks() == tasks_before
    assert open_sockets() == sockets_before
    assert armed_timers() == []


def armed_timers() -> list[str]:
    """The loop's timers that belong to an endpoint or its links."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    texts = [repr(handle) for handle in scheduled if not handle.cancelled()]
    return [text for text in texts if "SipEndpoint" in text or "StreamLink" in text]


def open_sockets() -> int:
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except FileNotFoundError:
            continue  # the directory's own descriptor
    return count


async def test_a_port_in_use_is_named_and_nothing_stays_open() -> None:
    gc.collect()
    before = open_sockets()
    with socket.socket() as taken:
        taken.bind((V4, 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = (ListenOn(host=V4), ListenOn(host=V4, port=port))
        endpoint = SipEndpoint(EndpointConfig(listen=listen, stack=StackConfig(listeners=())))
        with pytest.raises(OSError, match=f"UDP/TCP 127.0.0.1 port {port}"):
            await endpoint.start()
    await eventually(lambda: open_sockets() == before)
