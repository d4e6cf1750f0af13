"""Pollers and the UDP transport; both pollers keep the same promises."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest

from media.ports import PortRange
from media.transports import BUFFER_SIZE, EpollPoller, LoopPoller, Poller, SocketAddress, UdpTransport
from tests.media.far_side import until

BOTH = pytest.mark.parametrize("make", [EpollPoller, LoopPoller])
Make = Callable[[asyncio.AbstractEventLoop], Poller]


@pytest.fixture
def outside() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(5)
        yield made


class Inbox:
    """A transport with what it received."""

    def __init__(self, make: Make) -> None:
        self.poller = make(asyncio.get_running_loop())
        self.ports = PortRange("127.0.0.1")
        self.transport = UdpTransport(self.ports, self.poller)
        self.rtp: list[tuple[bytes, SocketAddress]] = []
        self.rtcp: list[bytes] = []
        self.transport.open(
            lambda buffer, size, source: self.rtp.append((bytes(buffer[:size]), source)),
            lambda buffer, size, source: self.rtcp.append(bytes(buffer[:size])),
        )

    def close(self) -> None:
        self.transport.close()
        self.poller.close()


@BOTH
async def test_both_ports_are_heard_apart_with_their_sender(make: Make, outside: socket.socket) -> None:
    inbox = Inbox(make)
    outside.sendto(b"one", ("127.0.0.1", inbox.transport.port))
    outside.sendto(b"two", ("127.0.0.1", inbox.transport.port + 1))
    await until(lambda: inbox.rtp != [] and inbox.rtcp != [])
    assert inbox.rtp == [(b"one", outside.getsockname())]
    assert inbox.rtcp == [b"two"]
    inbox.close()


@BOTH
async def test_a_burst_arrives_whole_and_in_order(make: Make, outside: socket.socket) -> None:
    inbox = Inbox(make)
    for number in range(50):
        outside.sendto(bytes([number]), ("127.0.0.1", inbox.transport.port))
    await until(lambda: len(inbox.rtp) == 50)
    assert [data[0] for data, _ in inbox.rtp] == list(range(50))
    inbox.close()


@BOTH
async def test_a_datagram_that_fills_the_buffer_is_dropped(make: Make, outside: socket.socket) -> None:
    inbox = Inbox(make)
    outside.sendto(bytes(BUFFER_SIZE + 10), ("127.0.0.1", inbox.transport.port))
    outside.sendto(b"after", ("127.0.0.1", inbox.transport.port))
    await until(lambda: inbox.rtp != [])
    assert [data for data, _ in inbox.rtp] == [b"after"]
    inbox.close()


@BOTH
async def test_sending_reaches_the_remote_and_refusal_is_counted(make: Make, outside: socket.socket) -> None:
    inbox = Inbox(make)
    remote: tuple[str, int] = outside.getsockname()
    assert inbox.transport.send_rtp(b"rtp", remote)
    assert outside.recvfrom(100) == (b"rtp", ("127.0.0.1", inbox.transport.port))
    assert inbox.transport.send_rtcp(b"rtcp", remote)
    assert outside.recvfrom(100) == (b"rtcp", ("127.0.0.1", inbox.transport.port + 1))
    assert not inbox.transport.send_rtp(bytes(70000), remote)
    assert inbox.transport.refused == 1
    inbox.close()


@BOTH
async def test_close_is_idempotent_and_nothing_is_heard_after(make: Make, outside: socket.socket) -> None:
    inbox = Inbox(make)
    outside.sendto(b"late", ("127.0.0.1", inbox.transport.port))
    inbox.transport.close()
    inbox.transport.close()
    assert inbox.ports.in_use == 0
    inbox.poller.close()
    inbox.poller.close()
    assert inbox.rtp == []


async def test_a_handler_that_fails_costs_the_others_nothing(outside: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    failures: list[str] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["message"]))
    good = Inbox(EpollPoller)
    bad = UdpTransport(good.ports, good.poller)

    def fail(buffer: bytearray, size: int, source: SocketAddress) -> None:
        raise LookupError("a bug")

    bad.open(fail, fail)
    for _ in range(3):
        outside.sendto(b"x", ("127.0.0.1", bad.port))
        outside.sendto(b"y", ("127.0.0.1", good.transport.port))
    await until(lambda: len(good.rtp) == 3 and len(failures) == 3)
    assert set(failures) == {"the handler of a media packet failed"}
    bad.close()
    good.close()


async def test_a_socket_closed_by_an_earlier_packet_of_the_batch_is_not_read(outside: socket.socket) -> None:
    poller = EpollPoller(asyncio.get_running_loop())
    ports = PortRange("127.0.0.1")
    pair = [UdpTransport(ports, poller), UdpTransport(ports, poller)]
    heard: list[int] = []

    def close_the_other(number: int) -> Callable[[bytearray, int, SocketAddress], None]:
        def handle(buffer: bytearray, size: int, source: SocketAddress) -> None:
            heard.append(number)
            pair[1 - number].close()

        return handle

    for number, transport in enumerate(pair):
        transport.open(close_the_other(number), close_the_other(number))
        outside.sendto(b"x", ("127.0.0.1", transport.port))
    await until(lambda: heard != [])
    assert len(heard) == 1
    for transport in pair:
        transport.close()
    poller.close()


async def hurry(inbox: Inbox, outside: socket.socket) -> EpollPoller:
    """Send packets one behind the other until the poller stops waiting for each."""
    poller = inbox.poller
    assert isinstance(poller, EpollPoller)
    for number in range(200):
        outside.sendto(bytes([number]), ("127.0.0.1", inbox.transport.port))
        await until(lambda: len(inbox.rtp) > number)  # noqa: B023 - awaited at once
        if poller.looks_at_intervals:
            return poller
    raise AssertionError("200 packets in a row and each of them woke the poller")


async def test_packets_that_come_fast_are_looked_for_at_intervals_and_none_is_missed(
    outside: socket.socket,
) -> None:
    inbox = Inbox(EpollPoller)
    poller = await hurry(inbox, outside)
    fast = len(inbox.rtp)
    for number in range(20):
        outside.sendto(bytes([fast + number]), ("127.0.0.1", inbox.transport.port))
    await until(lambda: len(inbox.rtp) == fast + 20)
    await until(lambda: not poller.looks_at_intervals)
    outside.sendto(bytes([fast + 20]), ("127.0.0.1", inbox.transport.port))
    await until(lambda: len(inbox.rtp) == fast + 21)
    assert [data[0] for data, _ in inbox.rtp] == list(range(fast + 21))
    inbox.close()


async def test_a_poller_closed_between_two_looks_leaves_no_timer_and_no_reader(
    outside: socket.socket,
) -> None:
    inbox = Inbox(EpollPoller)
    poller = await hurry(inbox, outside)
    inbox.close()
    inbox.close()
    assert not poller.looks_at_intervals
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert [handle for handle in scheduled if not handle.cancelled() and "EpollPoller" in repr(handle)] == []
