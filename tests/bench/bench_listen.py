"""What listening costs: CPU of the engine's process per listen stream and per transcription, by kind.

    python -m tests.bench.bench_listen [--streams 20] [--seconds 5]

Callers and the WebSocket server are another process: everybody speaks (a sentence and a pause, PCMU), the
server reads and forgets. The first line is the price of receiving RTP that nobody listens to; it is in all
others. Workers' time is that of the recogniser's own processes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import multiprocessing.connection
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable

import numpy as np
from websockets.asyncio.server import ServerConnection, serve

from engine.listen import ListenClient, ListenOptions, Mix
from engine.logs import configure_logging
from engine.speech.recognition import Recogniser, RecognitionOptions, RecognitionSession
from engine.speech.recognition_pocketsphinx import PocketsphinxRecogniser
from engine.speech.recognition_websocket import WebSocketRecogniser
from media import MediaConfig, MediaPlane, MediaStream
from media.codecs import PCMU, open_codec
from tests.bench.rtp_phones import offer, phone_socket
from tests.speech.voice import spoken

_HEADER = struct.Struct(">BBHII")
_WARM_UP_S = 2.0

_Work = Callable[[list[MediaStream], str], Awaitable[float]]
"""Listens to these streams until cancelled; the URL is the server's. Gives the workers' CPU time so far."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--streams", type=int, default=20)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    configure_logging(level="warning")
    kinds: dict[str, tuple[int, _Work]] = {
        "RTP received, nobody listens": (1, _nobody),
        "listen mono 8 kHz": (1, _listening(Mix.MONO, 8000)),
        "listen mono 16 kHz": (1, _listening(Mix.MONO, 16000)),
        "listen stereo 8 kHz, two legs": (2, _listening(Mix.STEREO, 8000)),
        "listen mixed 8 kHz, two legs": (2, _listening(Mix.MIXED, 8000)),
        "listen stereo 64 kHz, two legs": (2, _listening(Mix.STEREO, 64000)),
        "transcribe, pocketsphinx": (1, _transcribing(lambda _: PocketsphinxRecogniser())),
        "transcribe, WebSocket 8 kHz": (1, _transcribing(lambda url: WebSocketRecogniser("bench", url))),
    }
    print(f"{options.streams} streams, {options.seconds:g} s")
    print(f"{'':32} % core/stream   % core of workers/stream")
    for name, (legs, work) in kinds.items():
        ours, workers = asyncio.run(_measure(work, options.streams, legs, options.seconds))
        print(f"{name:32} {ours * 100:>13.3f} {workers * 100:>26.3f}")


async def _nobody(streams: list[MediaStream], url: str) -> float:
    return 0.0


def _listening(mix: Mix, rate_hz: int) -> _Work:
    async def work(streams: list[MediaStream], url: str) -> float:
        client = ListenClient()
        _open.append(client)
        options = ListenOptions(url=url, mix=mix, sample_rate_hz=rate_hz)
        legs = 1 if mix is Mix.MONO else 2
        for at in range(0, len(streams), legs):
            callee = streams[at + 1] if legs == 2 else None
            stream = client.stream(options, caller=streams[at], callee=callee, report=_complain)
            _keep(stream.run())
        return 0.0

    return work


def _transcribing(make: Callable[[str], Recogniser]) -> _Work:
    async def work(streams: list[MediaStream], url: str) -> float:
        recogniser = make(url)
        _open.append(recogniser)
        for stream in streams:
            session = await recogniser.open(RecognitionOptions())
            stream.add_tap(session.push, sample_rate_hz=session.sample_rate_hz)
            _keep(_read(session))
        if isinstance(recogniser, PocketsphinxRecogniser):
            _pools.append(recogniser)
        return 0.0

    return work


_tasks: set[asyncio.Task[object]] = set()
_pools: list[PocketsphinxRecogniser] = []
_open: list[ListenClient | Recogniser] = []


def _keep(work: Awaitable[object]) -> None:
    _tasks.add(asyncio.ensure_future(work))


async def _read(session: RecognitionSession) -> None:
    async for _ in session.events():
        pass


def _complain(kind: str, text: str) -> None:
    raise RuntimeError(f"{kind}: {text}")


async def _measure(work: _Work, streams: int, legs: int, seconds: float) -> tuple[float, float]:
    """CPU seconds per second and stream: of this process, of the recogniser's workers."""
    cores = os.sched_getaffinity(0)
    ours, theirs = multiprocessing.Pipe()
    far = multiprocessing.get_context("spawn").Process(
        target=_far_side, args=(theirs, streams * legs, seconds + _WARM_UP_S + 1.0)
    )
    far.start()
    os.sched_setaffinity(0, {min(cores)})
    theirs.close()
    loop = asyncio.get_running_loop()
    ports, url = await loop.run_in_executor(None, ours.recv)
    plane = MediaPlane(MediaConfig())
    heard = []
    for port in ports:
        stream = plane.stream()
        stream.receive_offer(offer(port))
        heard.append(stream)
    await work(heard, url)
    ours.send([stream.port for stream in heard])
    await asyncio.sleep(_WARM_UP_S)
    before, before_workers = time.process_time(), _worker_s()
    began = loop.time()
    await asyncio.sleep(seconds)
    passed = loop.time() - began
    cpu_s, worker_s = time.process_time() - before, _worker_s() - before_workers
    for task in _tasks:
        task.cancel()
    await asyncio.gather(*_tasks, return_exceptions=True)
    _tasks.clear()
    _pools.clear()
    while _open:
        await _open.pop().close()
    await plane.close()
    await loop.run_in_executor(None, far.join)
    os.sched_setaffinity(0, cores)
    return cpu_s / passed / streams, worker_s / passed / streams


def _worker_s() -> float:
    return sum(pool.pool.cpu_s for pool in _pools)


def _far_side(pipe: multiprocessing.connection.Connection, count: int, seconds: float) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    asyncio.run(_speak(pipe, count, seconds))


async def _speak(pipe: multiprocessing.connection.Connection, count: int, seconds: float) -> None:
    async def swallow(connection: ServerConnection) -> None:
        async for _ in connection:
            pass

    sockets = [phone_socket() for _ in range(count)]
    loop = asyncio.get_running_loop()
    async with serve(swallow, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
        pipe.send(([made.getsockname()[1] for made in sockets], url))
        ports = await loop.run_in_executor(None, pipe.recv)
        sentence = np.concatenate([spoken("my name is susan", 8000), np.zeros(8000, np.int16)])
        payload = open_codec(PCMU).encode(sentence[: len(sentence) // 160 * 160])
        frames = len(payload) // 160
        begin = loop.time()
        for frame in range(int(seconds * 50)):
            for number, (made, port) in enumerate(zip(sockets, ports, strict=True)):
                at = (frame + 7 * number) % frames * 160
                _send(made, port, frame, number, payload[at : at + 160])
            await asyncio.sleep(max(0.0, begin + (frame + 1) * 0.02 - loop.time()))
    for made in sockets:
        made.close()


def _send(made: socket.socket, port: int, frame: int, ssrc: int, payload: bytes) -> None:
    header = _HEADER.pack(0x80, 0, frame & 0xFFFF, frame * 160 & 0xFFFFFFFF, ssrc)
    made.sendto(header + payload, ("127.0.0.1", port))


if __name__ == "__main__":
    main()
