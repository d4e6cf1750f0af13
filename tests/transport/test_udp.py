from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.sip.types import Address, Transport
from engine.transport.link import Counters
from engine.transport.udp import UdpLink
from tests.transport.recording import Recording, dead_port, udp_flow

V4 = "127.0.0.1"
V6 = "::1"


@asynccontextmanager
async def opened(host: str = V4) -> AsyncIterator[tuple[UdpLink, Recording, Counters]]:
    user, counters = Recording(), Counters()
    link = UdpLink.open(Address(host, 0), user, counters)
    try:
        yield link, user, counters
    finally:
        link.close()
        await link.wait_closed()


@pytest.mark.parametrize("host", [V4, V6])
async def test_a_datagram_arrives_with_the_flow_to_answer_it(host: str) -> None:
    async with opened(host) as (alice, alice_hears, _), opened(host) as (bob, bob_hears, _):
        alice.send(b"OPTIONS request", udp_flow(alice.bound, bob.bound))
        await bob_hears.until(lambda: bool(bob_hears.messages))
        data, flow = bob_hears.messages[0]
        assert data == b"OPTIONS request"
        assert flow == udp_flow(bob.bound, alice.bound)
        bob.send(b"200 response", flow)
        await alice_hears.until(lambda: bool(alice_hears.messages))
        assert alice_hears.messages == [(b"200 response", udp_flow(alice.bound, bob.bound))]


async def test_port_0_is_reported_as_the_port_the_kernel_chose() -> None:
    async with opened() as (link, _, _):
        assert link.transport is Transport.UDP
        assert link.bound.host == V4
        assert link.bound.port > 0


@pytest.mark.parametrize("host", [V4, V6])
async def test_port_unreachable_is_reported_for_the_flow_it_is_about(host: str) -> None:
    async with opened(host) as (link, user, counters):
        dead = dead_port(host)
        started = asyncio.get_running_loop().time()
        link.send(b"INVITE to nobody", udp_flow(link.bound, dead))
        await user.until(lambda: bool(user.failures))
        took_s = asyncio.get_running_loop().time() - started
        flow, error = user.failures[0]
        assert flow == udp_flow(link.bound, dead)
        assert error.errno == errno.ECONNREFUSED
        assert took_s < 1.0
        assert counters.transport_errors == 1


async def test_an_error_about_one_peer_does_not_eat_the_message_to_another() -> None:
    async with opened() as (link, user, _), opened() as (bob, bob_hears, _):
        dead = [dead_port() for _ in range(5)]
        for remote in dead:
            link.send(b"INVITE to nobody", udp_flow(link.bound, remote))
            # The ICMP error of the line above is pending on the socket and fails its next send.
            link.send(b"INVITE to bob", udp_flow(link.bound, bob.bound))
        await bob_hears.until(lambda: len(bob_hears.messages) == 5)
        await user.until(lambda: len(user.failures) == 5)
        assert [flow.remote for flow, _ in user.failures] == dead


async def test_input_after_an_error_is_still_read() -> None:
    async with opened() as (link, user, _), opened() as (bob, _, _):
        link.send(b"INVITE to nobody", udp_flow(link.bound, dead_port()))
        bob.send(b"INVITE from bob", udp_flow(bob.bound, link.bound))
        await user.until(lambda: bool(user.messages) and bool(user.failures))
        assert user.texts == [b"INVITE from bob"]


async def test_many_datagrams_are_read_in_few_batches() -> None:
    async with opened() as (alice, _, _), opened() as (bob, bob_hears, _):
        for number in range(200):
            alice.send(b"message %d" % number, udp_flow(alice.bound, bob.bound))
        await bob_hears.until(lambda: len(bob_hears.messages) == 200)
        await bob_hears.until(lambda: bob_hears.batches >= 4)
        assert bob_hears.texts == [b"message %d" % number for number in range(200)]
        assert bob_hears.batches <= 5


async def test_the_largest_datagram_arrives_whole() -> None:
    async with opened() as (alice, _, _), opened() as (bob, bob_hears, _):
        data = b"x" * 65507
        alice.send(data, udp_flow(alice.bound, bob.bound))
        await bob_hears.until(lambda: bool(bob_hears.messages))
        assert bob_hears.texts == [data]


async def test_a_datagram_beyond_the_limit_of_udp_is_a_failure_of_its_flow() -> None:
    async with opened() as (alice, user, _), opened() as (bob, _, _):
        alice.send(b"x" * 65508, udp_flow(alice.bound, bob.bound))
        assert [(flow.remote, error.errno) for flow, error in user.failures] == [(bob.bound, errno.EMSGSIZE)]


async def test_keep_alives_are_counted_and_go_no_further() -> None:
    async with opened() as (alice, _, _), opened() as (bob, bob_hears, counters):
        for data in (b"\r\n\r\n", b"\0", b"", b"a real message"):
            alice.send(data, udp_flow(alice.bound, bob.bound))
        await bob_hears.until(lambda: bool(bob_hears.messages))
        assert bob_hears.texts == [b"a real message"]
        assert counters.keep_alives == 3


class _FullSocket(socket.socket):
    """A UDP socket whose buffer is full until told otherwise (loopback never fills one)."""

    is_full = True

    def sendto(self, *args: object) -> int:
        if self.is_full:
            raise BlockingIOError(errno.EAGAIN, "buffer full")
        return super().sendto(*args)  # type: ignore[call-overload, no-any-return]


async def test_what_does_not_fit_the_socket_waits_in_order_and_the_queue_is_bounded() -> None:
    sock = _FullSocket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((V4, 0))
    user, counters = Recording(), Counters()
    link = UdpLink(sock, user, counters, asyncio.get_running_loop())
    async with opened() as (bob, bob_hears, _):
        flow = udp_flow(link.bound, bob.bound)
        for number in range(1030):
            link.send(b"message %d" % number, flow)
        assert counters.dropped == 6
        assert "1024 datagrams wait" in link.describe()
        sock.is_full = False
        await bob_hears.until(lambda: len(bob_hears.messages) == 1024)
        assert bob_hears.texts == [b"message %d" % number for number in range(1024)]
        assert link.describe() == ""
        link.send(b"afterwards", flow)
        await bob_hears.until(lambda: bob_hears.texts[-1] == b"afterwards")
    link.close()


async def test_close_is_idempotent_and_frees_the_port() -> None:
    async with opened() as (link, _, _):
        bound = link.bound
        link.close()
        link.close()
        again = UdpLink.open(bound, Recording(), Counters())
        assert again.bound == bound
        again.close()
