"""CPU time of the transport per message: `python -m tests.transport.bench`. Prints, asserts nothing.

The far side's work is outside the measured stretches: its datagrams are in the kernel's buffer before the
clock starts. The calibration loop makes runs on different machines comparable.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable

import structlog

from engine.sip.types import Address, Flow, Hop, Transport
from engine.transport.link import Counters
from engine.transport.udp import UdpLink
from tests.transport.parties import Owner, invitation, phone
from tests.transport.recording import Recording

CHUNK = 100
ROUNDS = 100
_MESSAGE = b"OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\n" + b"X: y\r\n" * 80 + b"\r\n"


class _Counting(Recording):
    """Counts and forgets."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.reached = asyncio.Event()

    def message_received(self, data: bytes, flow: Flow) -> None:
        self.count += 1
        if self.count % CHUNK == 0:
            self.reached.set()


def _calibration_us() -> float:
    started = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number & 7
    return (time.process_time() - started) * 1e6 / 1000


async def _udp_in() -> float:
    user = _Counting()
    link = UdpLink.open(Address("127.0.0.1", 0), user, Counters())
    spent = 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        for _ in range(ROUNDS):
            for _ in range(CHUNK):
                far.sendto(_MESSAGE, link.bound)
            user.reached.clear()
            started = time.process_time()
            await user.reached.wait()
            spent += time.process_time() - started
    link.close()
    return spent / (ROUNDS * CHUNK)


async def _udp_out() -> float:
    link = UdpLink.open(Address("127.0.0.1", 0), Recording(), Counters())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        flow = Flow(Transport.UDP, link.bound, Address(*far.getsockname()))
        started = time.process_time()
        for _ in range(ROUNDS * CHUNK):
            link.send(_MESSAGE, flow)
        spent = time.process_time() - started
    link.close()
    return spent / (ROUNDS * CHUNK)


def _options(number: int, port: int) -> bytes:
    return (
        b"OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%d;rport;branch=z9hG4bK%d\r\n"
        b"Max-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=%d\r\nTo: <sip:bob@example.com>\r\n"
        b"Call-ID: %d@example.com\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ) % (port, number, number, number)


async def _options_in_200_out() -> float:
    """Both messages through the endpoint and the real core; per message."""
    spent = 0.0
    async with phone(transports=(Transport.UDP,)) as bob:
        bob.endpoint.remove_tracer(bob.tracer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind(("127.0.0.1", 0))
            far.setblocking(False)
            number = 0
            for _ in range(ROUNDS // 4):
                for _ in range(CHUNK):
                    number += 1
                    far.sendto(_options(number, far.getsockname()[1]), bob.address())
                started = time.process_time()
                while bob.endpoint.counters.messages_out < number:  # noqa: ASYNC110 - nothing may be added to what is measured
                    await asyncio.sleep(0)
                spent += time.process_time() - started
                for _ in range(CHUNK):
                    far.recv(65536)
    return spent / (2 * number)


async def _whole_calls() -> float:
    """INVITE 200 ACK BYE 200 between two endpoints of this process; per call, both sides together."""
    calls = 400
    async with phone(transports=(Transport.UDP,)) as alice, phone(transports=(Transport.UDP,)) as bob:
        for each in (alice, bob):
            each.endpoint.remove_tracer(each.tracer)
        hop: Hop = bob.hop()
        started = time.process_time()
        for _ in range(calls // 20):
            owners = [Owner() for _ in range(20)]
            placed = [alice.endpoint.invite(invitation(hop), owner) for owner in owners]
            for owner in owners:
                await owner.is_answered()
            for call in placed:
                alice.hang_up(call)
            for owner in owners:
                await owner.is_over()
        return (time.process_time() - started) / calls


async def _main() -> None:
    rows: tuple[tuple[str, Callable[[], Awaitable[float]]], ...] = (
        ("UDP link, datagram in", _udp_in),
        ("UDP link, datagram out", _udp_out),
        ("endpoint + core, OPTIONS in and 200 out, per message", _options_in_200_out),
        ("endpoints + cores, whole call, both sides", _whole_calls),
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    print(f"{'calibration: 1000 loop steps':60}{_calibration_us():8.1f} µs")
    for name, measure in rows:
        figures = sorted([await measure() for _ in range(3)])
        print(f"{name:60}{figures[1] * 1e6:8.1f} µs")


if __name__ == "__main__":
    asyncio.run(_main())
