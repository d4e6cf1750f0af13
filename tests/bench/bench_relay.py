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
import os
import socket
import time

from media import Bridge, MediaConfig, MediaPlane, MediaStream
from tests.bench.rtp_phones import Heard, offer, phone_socket, speak


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
    cores = os.sched_getaffinity(0)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    phones = context.Process(target=_phones, args=(theirs, 2 * calls, seconds))
    phones.start()
    os.sched_setaffinity(0, {min(cores)})
    theirs.close()  # so that phones that die end the wait
    loop = asyncio.get_running_loop()
    ports: list[int] = await loop.run_in_executor(None, ours.recv)
    plane = MediaPlane(MediaConfig())
    streams: list[MediaStream] = []
    bridges = []
    for port in ports:
        stream = plane.stream()
        stream.receive_offer(offer(port))
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
    os.sched_setaffinity(0, cores)
    return cpu_s, heard


def _phones(pipe: multiprocessing.connection.Connection, count: int, seconds: float) -> None:
    """The far sides: all in one process on the other core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sockets = [phone_socket() for _ in range(count)]
    pipe.send([made.getsockname()[1] for made in sockets])
    pipe.send(speak(sockets, [("127.0.0.1", port) for port in pipe.recv()], seconds))
    for made in sockets:
        made.close()


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
