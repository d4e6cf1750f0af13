"""A web server with sound files, and the sound files themselves."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import av
import numpy as np
from aiohttp import web
from aiohttp.test_utils import TestServer

from media.audio import Pcm, to_bytes

__all__ = ["mp3_bytes", "serving", "tone", "wav_bytes"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def tone(frequency_hz: float, duration_s: float, sample_rate_hz: int = 8000) -> Pcm:
    """A sine at a quarter of full scale."""
    at = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    pcm: Pcm = (8000 * np.sin(2 * np.pi * frequency_hz * at)).astype(np.int16)
    return pcm


def wav_bytes(pcm: Pcm, sample_rate_hz: int = 8000, *, channels: int = 1) -> bytes:
    """A WAV file; with two channels both say the same."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate_hz)
        writer.writeframes(to_bytes(np.repeat(pcm, channels)))
    return file.getvalue()


def mp3_bytes(pcm: Pcm, sample_rate_hz: int) -> bytes:
    """An MP3 file."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as writer:
        stream = writer.add_stream("libmp3lame", rate=sample_rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16p", layout="mono")
        frame.sample_rate = sample_rate_hz
        writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return file.getvalue()


@asynccontextmanager
async def serving(**handlers: Handler) -> AsyncIterator[str]:
    """A server with one path per handler (`welcome_wav` is /welcome.wav); gives its base URL."""
    app = web.Application()
    for name, handler in handlers.items():
        app.router.add_get("/" + name.replace("_", "."), handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()
