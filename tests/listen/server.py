"""The far ends of a stream: a server of another family (the `websockets` library), and a phone that talks."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from media import MediaPlane, MediaStream
from media.audio import Pcm, from_bytes
from media.codecs import PCMU, open_codec
from media.negotiate import AudioCapabilities
from tests.media.far_side import FarSide, sdp
from tests.media.signals import amplitude_at, tone

__all__ = ["ListenServer", "Talker", "listen_server", "talker", "until", "usual_amplitude"]


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Look every few milliseconds until something has come true; TimeoutError if it does not."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what another party has received has no event
            await asyncio.sleep(0.004)


def usual_amplitude(pcm: Pcm, frequency_hz: float, rate_hz: int = 8000) -> float:
    """Of one frequency, in most of the piece: the median over windows of 100 ms. A packet that came late,
    because the machine was busy, is no fault of what is tested."""
    size = rate_hz // 10
    windows = [pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size)]
    assert windows, f"only {len(pcm)} samples"
    return float(np.median([amplitude_at(window, frequency_hz, rate_hz) for window in windows]))


class ListenServer:
    """Keeps what it is sent. `url` names it; `connections` counts how often it was called."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.port: int = next(iter(server.sockets)).getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/calls"
        self.connections: list[ServerConnection] = []
        self.requests: list[Request] = []
        self.texts: list[dict[str, Any]] = []
        """All text frames, as JSON; the first of each connection is its hello."""
        self.frames: list[bytes] = []
        """All binary frames."""
        self.is_reading = True

    async def connected(self, count: int = 1) -> ServerConnection:
        """Wait for a hello of the `count`-th connection."""
        await until(lambda: sum("sampleRate" in text for text in self.texts) >= count)
        return self.connections[-1]

    async def heard(self, frames: int, timeout_s: float = 10.0) -> None:
        await until(lambda: len(self.frames) >= frames, timeout_s)

    async def say(self, message: object) -> None:
        await self.connections[-1].send(json.dumps(message))

    async def told(self, message: dict[str, Any], timeout_s: float = 5.0) -> None:
        """Wait for a text frame that is exactly this."""
        await until(lambda: message in self.texts, timeout_s)

    def pcm(self, channels: int = 1) -> Pcm:
        """All audio so far; shape (n,), or (n, channels)."""
        samples = from_bytes(b"".join(self.frames))
        return samples if channels == 1 else samples.reshape(-1, channels)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with suppress(ConnectionClosed):
            async for message in connection:
                if isinstance(message, bytes):
                    self.frames.append(message)
                else:
                    self.texts.append(json.loads(message))


@asynccontextmanager
async def listen_server(
    *,
    subprotocols: Sequence[str] = ("audio.jambonz.org",),
    status: int | None = None,
    max_queue: int = 16,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[ListenServer]:
    """status: refuse the handshake with it. tls: serve wss://localhost."""
    made: list[ListenServer] = []

    def look(connection: ServerConnection, request: Request) -> Response | None:
        made[0].requests.append(request)
        return None if status is None else connection.respond(status, "no\n")

    async with serve(
        lambda connection: made[0]._serve(connection),
        "127.0.0.1",
        0,
        ssl=tls,
        subprotocols=[Subprotocol(name) for name in subprotocols],
        select_subprotocol=None if subprotocols else lambda _, __: None,
        process_request=look,
        max_queue=max_queue,
    ) as server:
        made.append(ListenServer(server))
        if tls is not None:
            made[0].url = f"wss://localhost:{made[0].port}/calls"
        yield made[0]


class Talker:
    """A phone that is heard: a tone in PCMU, 50 packets a second, and everything it is sent."""

    def __init__(self, stream: MediaStream, far: FarSide) -> None:
        self.stream = stream
        self.far = far
        self.hz = 0.0
        self.is_sending = True
        """False: it falls silent and sends nothing."""
        self.is_lossy = False
        """True: it sends, and nothing arrives."""
        self._encoder = open_codec(PCMU)
        self._decoder = open_codec(PCMU)
        self._heard: list[bytes] = []
        self._at = 0
        self._sending = asyncio.create_task(self._send(), name="talker")
        self._receiving = asyncio.create_task(self._receive(), name="talker's ear")

    @property
    def heard(self) -> Pcm:
        """What was sent to the phone so far, packet after packet."""
        return self._decoder.decode(b"".join(self._heard))

    def clear(self) -> None:
        self._heard.clear()

    async def stop(self) -> None:
        tasks = (self._sending, self._receiving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        wave = tone(self.hz, seconds=1.0) if self.hz else np.zeros(8000, np.int16)
        hz = self.hz
        while True:
            if hz != self.hz:
                hz, wave = self.hz, tone(self.hz, seconds=1.0) if self.hz else np.zeros(8000, np.int16)
            piece = wave[self._at : self._at + 160]
            self._at = (self._at + 160) % 8000
            if self.is_lossy:
                self.far.sequence = self.far.sequence + 1 & 0xFFFF
                self.far.timestamp = self.far.timestamp + 160 & 0xFFFFFFFF
            elif self.is_sending:
                self.far.send(self.stream.port, self._encoder.encode(piece))
            else:
                # Nothing is sent, time passes: numbers do not jump, timestamps do (RFC 3551 §4.1).
                self.far.timestamp = self.far.timestamp + 160 & 0xFFFFFFFF
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _receive(self) -> None:
        while True:
            packet = await self.far.receive(timeout_s=3600)
            if packet.payload_type == 0:
                self._heard.append(packet.payload)


@asynccontextmanager
async def talker(
    plane: MediaPlane,
    *,
    hz: float = 0.0,
    ssrc: int = 0x1001,
    codecs: tuple[str, ...] = ("0 PCMU/8000", "101 telephone-event/8000"),
    capabilities: AudioCapabilities | None = None,
) -> AsyncIterator[Talker]:
    """A stream of the plane with somebody at its other end; whole tones per second (`hz` an integer)."""
    far = FarSide(ssrc=ssrc)
    stream = plane.stream(capabilities)
    stream.receive_offer(sdp(far.port, codecs=codecs))
    made = Talker(stream, far)
    made.hz = hz
    try:
        yield made
    finally:
        await made.stop()
        stream.close()
        far.close()
