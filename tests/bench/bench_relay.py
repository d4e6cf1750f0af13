"""What a relayed call costs: CPU time of the engine process per packet and per call, loss and added delay.

    python -m tests.bench.bench_relay [--calls 1,100,300] [--seconds 5]

Phones are one socket each in another process: 50 packets a second each way, the sending time in the
payload. The calibration line (one datagram sent to oneself and read back) makes figures of different
machines comparable.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import select
import socket
import struct
import time
from typing import NamedTuple

from media import Bridge, MediaConfig, MediaPlane, MediaStream

_HEADER = struct.Struct(">BBHII")
_STAMP = struct.Struct(">d")
_SLOTS = 20


class Heard(NamedTuple):
    """What the phones saw."""

    sent: int
    received: int
    delays_ms: tuple[float, float, float]
    """Median, 99th percentile, worst."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--calls", default="1,10,100,300")
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    print(f"calibration: one datagram out and in {_calibration_us():.2f} µs")
    print(" calls  µs/packet  % core/call   lost  median ms    p99  worst")
    for calls in (int(number) for number in options.calls.split(",")):
        cpu_s, heard = asyncio.run(_measure(calls, options.seconds))
        median, p99, worst = heard.delays_ms
        per_packet_us, share = cpu_s * 1e6 / heard.sent, cpu_s * 100 / options.seconds / calls
        lost = heard.sent - heard.received
        print(f"{calls:>6} {per_packet_us:>10.2f} {share:>12.3f} {lost:>6}", end=" ")
        print(f"{median:>10.2f} {p99:>6.2f} {worst:>6.2f}")


async def _measure(calls: int, seconds: float) -> tuple[float, Heard]:
    """(CPU seconds of this process, what the phones saw)."""
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    phones = context.Process(target=_phones, args=(theirs, 2 * calls, seconds))
    phones.start()
    theirs.close()  # so that phones that die end the wait
    loop = asyncio.get_running_loop()
    ports: list[int] = await loop.run_in_executor(None, ours.recv)
    plane = MediaPlane(MediaConfig())
    streams: list[MediaStream] = []
    bridges = []
    for port in ports:
        stream = plane.stream()
        stream.receive_offer(_offer(port))
        streams.append(stream)
    for a, b in zip(streams[::2], streams[1::2], strict=True):
        bridges.append(Bridge(a, b))
        bridges[-1].open()
    ours.send([stream.port for stream in streams])
    before = time.process_time()
    heard: Heard = await loop.run_in_executor(None, ours.recv)
    cpu_s = time.process_time() - before
    await plane.close()
    phones.join()
    return cpu_s, heard


def _offer(port: int) -> bytes:
    return (
        f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    ).encode()


def _phones(pipe: multiprocessing.connection.Connection, count: int, seconds: float) -> None:
    """The far sides: all in one process, paced in slots of a millisecond."""
    sockets = []
    poller = select.epoll()
    for _ in range(count):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        made.bind(("127.0.0.1", 0))
        poller.register(made.fileno(), select.EPOLLIN)
        sockets.append(made)
    by_fd = {made.fileno(): made for made in sockets}
    pipe.send([made.getsockname()[1] for made in sockets])
    remotes = [("127.0.0.1", port) for port in pipe.recv()]
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
    delays.sort()
    if not delays:
        delays = [float("nan")]
    at = [delays[int(len(delays) * share)] * 1000 for share in (0.5, 0.99)]
    pipe.send(Heard(sent, len(delays), (at[0], at[1], delays[-1] * 1000)))
    for made in sockets:
        made.close()
    poller.close()


def _calibration_us() -> float:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        address, buffer = one.getsockname(), bytearray(2048)
        packet = bytes(172)
        rounds = 20000
        before = time.process_time()
        for _ in range(rounds):
            one.sendto(packet, address)
            one.recvfrom_into(buffer)
        return (time.process_time() - before) / rounds * 1e6


if __name__ == "__main__":
    main()
