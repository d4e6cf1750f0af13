"""Phones of bridged calls under load, in a process of their own on the other core: real SIP, real RTP.

    python -m tests.bench.rtp_phones '{"calls": 300, "seconds": 5.0}'

Prints the port where it takes calls, reads the engine's port from a line of standard input, calls it `calls`
times, takes what the engine dials for that, and when all are up speaks on every leg: 50 packets a second, the
sending time in the payload. Prints what was heard. SIP is spoken by an endpoint of our own: SIPp gives all
calls one media port, and these packets have to find their call.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.logs import configure_logging
from engine.sip.events import Answered, CallEvent, Ended, Failed, IncomingCall
from engine.sip.session import Call
from engine.sip.types import Body, InviteParams, Transport
from engine.transport import EndpointConfig, ListenOn, SipEndpoint

__all__ = ["Heard", "PhonesOrder", "offer", "phone_socket", "speak"]

_HEADER = struct.Struct(">BBHII")
_STAMP = struct.Struct(">d")
_SLOTS = 20
_SETTLE_S = 1.0


class PhonesOrder(Struct, frozen=True, kw_only=True):
    """What the phones are to do."""

    calls: int
    seconds: float
    rate: float = 100.0
    """Calls set up per second."""
    core: int = 1


class Heard(Struct, frozen=True):
    """What the phones saw."""

    sent: int
    received: int
    delays_ms: tuple[float, float, float]
    """Median, 99th percentile, worst."""


def offer(port: int) -> bytes:
    """A description that wants µ-law at this port of the loopback."""
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    ).encode()


def phone_socket() -> socket.socket:
    """A phone's RTP socket."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind(("127.0.0.1", 0))
    return made


def speak(sockets: Sequence[socket.socket], remotes: Sequence[tuple[str, int]], seconds: float) -> Heard:
    """50 packets a second from every socket to its remote, paced in slots of a millisecond. Blocks."""
    poller = select.epoll()
    for each in sockets:
        poller.register(each.fileno(), select.EPOLLIN)
    by_fd = {each.fileno(): each for each in sockets}
    count = len(sockets)
    began_at = time.monotonic()
    packet = bytearray(172)
    buffer = bytearray(2048)
    delays: list[float] = []

    def drain(timeout_s: float) -> None:
        for fd, _ in poller.poll(timeout_s):
            try:
                by_fd[fd].recv_into(buffer)
            except BlockingIOError:
                continue
            (stamp,) = _STAMP.unpack_from(buffer, 12)
            now = time.monotonic()
            if began_at < stamp <= now:  # the engine's own keep-alives bear no stamp
                delays.append(now - stamp)

    sent = 0
    start = time.monotonic() + 0.05
    for frame in range(int(seconds * 50)):
        for slot in range(_SLOTS):
            due = start + frame * 0.02 + slot * 0.02 / _SLOTS
            while (left := due - time.monotonic()) > 0:
                drain(left)
            for number in range(slot, count, _SLOTS):
                _HEADER.pack_into(packet, 0, 0x80, 0, frame & 0xFFFF, frame * 160, number)
                _STAMP.pack_into(packet, 12, time.monotonic())
                sockets[number].sendto(packet, remotes[number])
                sent += 1
            drain(0)
    quiet_since, arrived = time.monotonic(), 0
    while len(delays) < sent and time.monotonic() - quiet_since < 1.0:
        drain(0.1)
        if len(delays) > arrived:
            quiet_since, arrived = time.monotonic(), len(delays)
    poller.close()
    received = len(delays)
    delays.sort()
    if not delays:
        delays = [float("inf")]
    median, p99 = (delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99))
    return Heard(sent, received, (median, p99, delays[-1] * 1000))


class _Phones:
    """Owner of every call, on both sides of the engine."""

    def __init__(self, legs: int) -> None:
        self._legs = legs
        self._sockets: dict[Call, socket.socket] = {}
        self._remotes: dict[Call, tuple[str, int]] = {}
        self._ended = 0
        self.are_up = asyncio.Event()
        self.are_down = asyncio.Event()

    def call(self, endpoint: SipEndpoint, engine_port: int) -> None:
        made = phone_socket()
        body = Body("application/sdp", offer(made.getsockname()[1]))
        params = InviteParams(
            target=f"sip:5550100@127.0.0.1:{engine_port}", from_="<sip:alice@example.com>", body=body
        )
        self._sockets[endpoint.invite(params, self)] = made

    def take(self, incoming: IncomingCall) -> None:
        call = incoming.call
        made = self._sockets[call] = phone_socket()
        call.owner = self
        call.answer(Body("application/sdp", offer(made.getsockname()[1])), incoming.at)
        self._speaks_at(call, incoming.body)

    def on_sip_event(self, event: CallEvent) -> None:
        match event:
            case Answered():
                self._speaks_at(event.call, event.body)
            case Failed():
                raise RuntimeError(f"a call failed: {event.failure}")
            case Ended():
                self._ended += 1
                if self._ended == self._legs:
                    self.are_down.set()

    def _speaks_at(self, call: Call, body: Body | None) -> None:
        assert body is not None
        line = next(each for each in body.data.split(b"\r\n") if each.startswith(b"m=audio "))
        self._remotes[call] = ("127.0.0.1", int(line.split()[1]))
        if len(self._remotes) == self._legs:
            self.are_up.set()

    def speak(self, seconds: float) -> Heard:
        calls = list(self._remotes)
        return speak(
            [self._sockets[call] for call in calls], [self._remotes[call] for call in calls], seconds
        )

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()


async def _run(order: PhonesOrder) -> None:
    configure_logging(level="warning")
    os.sched_setaffinity(0, {order.core})
    loop = asyncio.get_running_loop()
    phones = _Phones(2 * order.calls)
    listen = ListenOn(host="127.0.0.1", transports=(Transport.UDP,))
    endpoint = SipEndpoint(EndpointConfig(listen=(listen,)), on_call=phones.take)
    await endpoint.start()
    print(endpoint.listeners[0].bound.port, flush=True)
    engine_port = int(await loop.run_in_executor(None, sys.stdin.readline))
    begin = loop.time()
    for number in range(order.calls):
        await asyncio.sleep(max(0.0, begin + number / order.rate - loop.time()))
        phones.call(endpoint, engine_port)
    async with asyncio.timeout(60):
        await phones.are_up.wait()
    await asyncio.sleep(_SETTLE_S)
    heard = phones.speak(order.seconds)
    print(msgspec.json.encode(heard).decode(), flush=True)
    async with asyncio.timeout(60):
        await phones.are_down.wait()
    await endpoint.stop(grace_s=1.0)
    phones.close()


def main() -> None:
    """Read the order and carry it out."""
    asyncio.run(_run(msgspec.json.decode(sys.argv[1], type=PhonesOrder)))


if __name__ == "__main__":
    main()
