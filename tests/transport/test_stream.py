from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from engine.sip.types import Address, Flow, Transport
from engine.transport.config import StreamLimits
from engine.transport.link import Counters
from engine.transport.stream import StreamLink
from tests.transport.recording import Recording, dead_port, eventually

V4 = "127.0.0.1"
V6 = "::1"


def message(text: str, *, body: bytes = b"") -> bytes:
    return b"%s\r\nContent-Length: %d\r\n\r\n%s" % (text.encode(), len(body), body)


REQUEST = message("OPTIONS sip:bob@example.com SIP/2.0")
RESPONSE = message("SIP/2.0 200 OK")


def tcp_flow(local: Address, remote: Address) -> Flow:
    return Flow(Transport.TCP, local, remote)


class Opened:
    def __init__(self, link: StreamLink, user: Recording, counters: Counters) -> None:
        self.link, self.hears, self.counters = link, user, counters

    def flow_to(self, remote: Address) -> Flow:
        return tcp_flow(self.link.bound, remote)


@asynccontextmanager
async def opened(host: str = V4, limits: StreamLimits | None = None) -> AsyncIterator[Opened]:
    """A link; afterwards nothing of it may be left."""
    user, counters = Recording(), Counters()
    link = await StreamLink.open(Address(host, 0), user, counters, limits)
    try:
        yield Opened(link, user, counters)
    finally:
        link.close()
        await link.wait_closed()
        assert link.connection_count == 0
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("sip connect")] == []


class Peer:
    """The far end of one connection, a plain socket that does only what the test says."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @property
    def address(self) -> Address:
        return Address(*self.writer.get_extra_info("sockname")[:2])

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def read_to_end(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()

    async def ended(self) -> None:
        """Wait until the other side is gone, however it went."""
        with suppress(ConnectionError):
            await self.read_to_end()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):  # the other side was faster
            await self.writer.wait_closed()


@asynccontextmanager
async def connected_to(link: StreamLink) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection(*link.bound)
    peer = Peer(reader, writer)
    try:
        yield peer
    finally:
        await peer.close()


class Server:
    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Peer] = asyncio.Queue()
        self.address: Address

    async def peer(self) -> Peer:
        async with asyncio.timeout(5):
            return await self.accepted.get()


@asynccontextmanager
async def listening() -> AsyncIterator[Server]:
    """A plain TCP server for the link to connect to."""
    server, peers = Server(), list[Peer]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(Peer(reader, writer))
        server.accepted.put_nowait(peers[-1])

    tcp = await asyncio.start_server(accept, V4, 0)
    server.address = Address(*tcp.sockets[0].getsockname()[:2])
    try:
        yield server
    finally:
        tcp.close()
        for peer in peers:
            await peer.close()


@pytest.mark.parametrize("host", [V4, V6])
async def test_a_request_connects_on_demand_and_the_response_comes_back_over_the_same_connection(
    host: str,
) -> None:
    async with opened(host) as alice, opened(host) as bob:
        alice.link.send(REQUEST, alice.flow_to(bob.link.bound))
        await bob.hears.until(lambda: bool(bob.hears.messages))
        data, flow = bob.hears.messages[0]
        assert data == REQUEST
        assert flow.local == bob.link.bound
        bob.link.send(RESPONSE, flow)
        await alice.hears.until(lambda: bool(alice.hears.messages))
        assert alice.hears.messages == [(RESPONSE, alice.flow_to(bob.link.bound))]
        assert (alice.counters.connections_opened, alice.counters.connections_accepted) == (1, 0)
        assert (bob.counters.connections_opened, bob.counters.connections_accepted) == (0, 1)


async def test_many_requests_share_one_connection_also_those_that_wait_for_it() -> None:
    async with opened() as alice, opened() as bob:
        expected = [message(f"MESSAGE {number}", body=b"x" * number) for number in range(50)]
        for data in expected[:25]:
            alice.link.send(data, alice.flow_to(bob.link.bound))
        await bob.hears.until(lambda: len(bob.hears.messages) == 25)
        for data in expected[25:]:
            alice.link.send(data, alice.flow_to(bob.link.bound))
        await bob.hears.until(lambda: len(bob.hears.messages) == 50)
        assert bob.hears.texts == expected
        assert bob.counters.connections_accepted == 1


async def test_messages_in_pieces_and_several_in_one_piece() -> None:
    async with opened() as bob, connected_to(bob.link) as peer:
        for byte in REQUEST:
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
        await bob.hears.until(lambda: len(bob.hears.messages) == 1)
        batches = bob.hears.batches
        peer.writer.write(REQUEST * 3)
        await bob.hears.until(lambda: len(bob.hears.messages) == 4 and bob.hears.batches == batches + 1)
        assert bob.hears.messages == [(REQUEST, tcp_flow(bob.link.bound, peer.address))] * 4


async def test_a_refused_connection_is_reported_at_once_and_once() -> None:
    dead = dead_port(V4, socket.SOCK_STREAM)
    async with opened() as alice:
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(3):
            alice.link.send(REQUEST, alice.flow_to(dead))
        await alice.hears.until(lambda: bool(alice.hears.failures))
        assert loop.time() - started < 1.0
        assert [(flow, error.errno) for flow, error in alice.hears.failures] == [
            (alice.flow_to(dead), errno.ECONNREFUSED)
        ]
        assert alice.link.connection_count == 0
        alice.link.send(REQUEST, alice.flow_to(dead))  # the next message tries again
        await alice.hears.until(lambda: len(alice.hears.failures) == 2)


async def test_a_connect_that_nobody_answers_times_out() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        # A full accept queue: Linux drops further SYNs, as a dead host would.
        full.bind((V4, 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with opened(limits=StreamLimits(connect_timeout_s=0.1)) as alice:
            alice.link.send(REQUEST, alice.flow_to(Address(*full.getsockname())))
            await alice.hears.until(lambda: bool(alice.hears.failures))
            assert alice.hears.failures[0][1].errno == errno.ETIMEDOUT


async def test_too_much_waiting_for_a_connect_fails_the_flow() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((V4, 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with opened(limits=StreamLimits(max_pending_bytes=1000)) as alice:
            for _ in range(20):
                alice.link.send(REQUEST, alice.flow_to(Address(*full.getsockname())))
            assert len(alice.hears.failures) == 1


async def test_closing_while_connecting_leaves_nothing() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((V4, 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with opened() as alice:
            alice.link.send(REQUEST, alice.flow_to(Address(*full.getsockname())))
            assert "connection TCP" in alice.link.describe()
        assert alice.link.describe() == ""
        assert alice.hears.failures == []


async def test_a_ping_is_answered_between_messages() -> None:
    async with opened() as bob, connected_to(bob.link) as peer:
        peer.writer.write(b"\r\n\r\n" + REQUEST + b"\r\n\r\n")
        assert await peer.read(4) == b"\r\n\r\n"
        assert bob.hears.texts == [REQUEST]
        assert bob.counters.keep_alives == 2


async def test_a_ping_that_comes_in_two_reads_is_answered() -> None:
    async with opened() as bob, connected_to(bob.link) as peer:
        peer.writer.write(b"\r\n")
        await bob.hears.until(lambda: bob.counters.keep_alives == 1)
        peer.writer.write(b"\r\n")
        assert await peer.read(2) == b"\r\n"


async def test_pongs_of_a_peer_without_messages_between_keep_the_connection() -> None:
    limits = StreamLimits(keep_alive_s=0.02, pong_timeout_s=0.1)
    async with opened(limits=limits) as alice, listening() as server:
        alice.link.send(message("SIP/2.0 100 Trying"), alice.flow_to(server.address))
        peer = await server.peer()
        await peer.read(len(message("SIP/2.0 100 Trying")))
        for _ in range(8):
            assert await peer.read(4) == b"\r\n\r\n"
            peer.writer.write(b"\r\n")
        assert alice.hears.failures == []


async def test_pings_are_sent_and_a_peer_that_stops_answering_them_is_gone() -> None:
    limits = StreamLimits(keep_alive_s=0.05, pong_timeout_s=0.1)
    async with opened(limits=limits) as alice, listening() as server:
        alice.link.send(message("SIP/2.0 100 Trying"), alice.flow_to(server.address))
        peer = await server.peer()
        await peer.read(len(message("SIP/2.0 100 Trying")))
        for _ in range(3):  # longer than the pong time-out, but no pong was ever seen
            assert await peer.read(4) == b"\r\n\r\n"
        peer.writer.write(b"\r\n")
        await alice.hears.until(lambda: bool(alice.hears.failures))
        assert "keep-alive" in str(alice.hears.failures[0][1])
        assert alice.counters.keep_alives == 1


async def test_an_idle_connection_is_closed_silently_and_opened_again_when_needed() -> None:
    async with opened(limits=StreamLimits(idle_timeout_s=0.1)) as alice, listening() as server:
        alice.link.send(REQUEST, alice.flow_to(server.address))
        peer = await server.peer()
        peer.writer.write(RESPONSE)
        assert await peer.read_to_end() == REQUEST
        await peer.close()
        await alice.hears.until(lambda: alice.hears.texts == [RESPONSE])
        alice.link.send(REQUEST, alice.flow_to(server.address))
        second = await server.peer()
        assert await second.read(len(REQUEST)) == REQUEST
        assert alice.hears.failures == []


async def test_a_message_that_stays_incomplete_costs_its_connection() -> None:
    async with opened(limits=StreamLimits(partial_timeout_s=0.1)) as bob, connected_to(bob.link) as peer:
        peer.writer.write(REQUEST + REQUEST[:20])
        await peer.ended()
        assert bob.hears.texts == [REQUEST]


@pytest.mark.parametrize(
    "rubbish", [b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"\x16\x03\x01" * 30000, b"a" * 70000]
)
async def test_bytes_that_are_not_sip_cost_their_connection(rubbish: bytes) -> None:
    async with opened() as bob, connected_to(bob.link) as peer:
        peer.writer.write(REQUEST + rubbish)
        await peer.ended()
        await bob.hears.until(lambda: bool(bob.hears.failures))
        assert bob.counters.malformed == 1
        assert bob.hears.texts == [REQUEST]
        assert bob.hears.failures[0][1].errno == errno.EBADMSG


async def test_connections_of_one_peer_are_limited_and_the_others_live_on() -> None:
    async with opened(limits=StreamLimits(max_inbound_per_peer=2)) as bob:
        async with connected_to(bob.link) as first, connected_to(bob.link) as second:
            first.writer.write(REQUEST)
            second.writer.write(REQUEST)
            await bob.hears.until(lambda: len(bob.hears.messages) == 2)
            async with connected_to(bob.link) as third:
                await third.ended()
            assert bob.counters.connections_refused == 1
            first.writer.write(REQUEST)
            await bob.hears.until(lambda: len(bob.hears.messages) == 3)
        await eventually(lambda: bob.link.connection_count == 0)
        async with connected_to(bob.link) as again:
            again.writer.write(REQUEST)
            await bob.hears.until(lambda: len(bob.hears.messages) == 4)


async def test_all_connections_together_are_limited() -> None:
    async with opened(limits=StreamLimits(max_connections=1)) as bob, connected_to(bob.link) as first:
        first.writer.write(REQUEST)
        await bob.hears.until(lambda: bool(bob.hears.messages))
        async with connected_to(bob.link) as second:
            await second.ended()


async def test_a_peer_that_does_not_read_is_dropped_and_delays_nobody() -> None:
    limits = StreamLimits(max_pending_bytes=200_000)
    big = message("MESSAGE sip:bob@example.com SIP/2.0", body=b"x" * 50_000)
    async with opened(limits=limits) as alice, listening() as server, opened() as bob:
        stalled = alice.flow_to(server.address)
        alice.link.send(big, stalled)
        peer = await server.peer()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while not alice.hears.failures and sent < 2000:
            alice.link.send(big, stalled)
            alice.link.send(REQUEST, alice.flow_to(bob.link.bound))
            sent += 1
            await bob.hears.until(lambda: len(bob.hears.messages) >= sent)  # noqa: B023
        assert [flow for flow, _ in alice.hears.failures] == [stalled]
        assert len(bob.hears.messages) == sent


async def test_a_peer_that_stops_reading_a_little_is_dropped_after_the_stall_time() -> None:
    limits = StreamLimits(max_pending_bytes=20_000_000, stall_timeout_s=0.1)
    big = message("MESSAGE sip:bob@example.com SIP/2.0", body=b"x" * 60_000)
    async with opened(limits=limits) as alice, listening() as server:
        alice.link.send(big, alice.flow_to(server.address))
        peer = await server.peer()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(250):
            alice.link.send(big, alice.flow_to(server.address))
        await alice.hears.until(lambda: bool(alice.hears.failures))
        assert "does not read" in str(alice.hears.failures[0][1])


async def test_a_reset_is_a_failure_of_the_flow() -> None:
    async with opened() as alice, listening() as server:
        alice.link.send(REQUEST, alice.flow_to(server.address))
        peer = await server.peer()
        await peer.read(len(REQUEST))
        peer.reset()
        await alice.hears.until(lambda: bool(alice.hears.failures))
        assert alice.hears.failures[0][1].errno == errno.ECONNRESET
        assert alice.hears.failures[0][0] == alice.flow_to(server.address)


async def test_a_clean_close_without_any_reaction_to_a_request_is_a_failure() -> None:
    async with opened() as alice, listening() as server:
        alice.link.send(REQUEST, alice.flow_to(server.address))
        peer = await server.peer()
        await peer.read(len(REQUEST))
        await peer.close()
        await alice.hears.until(lambda: bool(alice.hears.failures))
        assert alice.hears.failures[0][1].errno == errno.ECONNABORTED


async def test_a_clean_close_after_a_reaction_is_none() -> None:
    async with opened() as alice, listening() as server:
        alice.link.send(REQUEST, alice.flow_to(server.address))
        peer = await server.peer()
        peer.writer.write(message("SIP/2.0 180 Ringing"))
        await alice.hears.until(lambda: bool(alice.hears.messages))
        ack = message("ACK sip:bob@example.com SIP/2.0")
        alice.link.send(ack, alice.flow_to(server.address))
        assert await peer.read(len(REQUEST + ack)) == REQUEST + ack
        await peer.close()
        await eventually(lambda: alice.link.connection_count == 0)
        alice.link.send(REQUEST, alice.flow_to(server.address))
        assert await (await server.peer()).read(len(REQUEST)) == REQUEST
        assert alice.hears.failures == []


async def test_close_lets_the_last_response_leave() -> None:
    async with opened() as bob, connected_to(bob.link) as peer:
        peer.writer.write(REQUEST)
        await bob.hears.until(lambda: bool(bob.hears.messages))
        bob.link.send(RESPONSE, bob.hears.messages[0][1])
        bob.link.close()
        bob.link.close()
        bob.link.send(RESPONSE, bob.hears.messages[0][1])
        assert await peer.read_to_end() == RESPONSE
        assert bob.counters.dropped == 1
