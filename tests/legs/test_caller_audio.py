"""engine.legs.caller_audio: what a caller hears while a dial rings (DV-43), with music over real HTTP."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from engine.dial.bridge import Joint, MediaAudio
from engine.legs.caller_audio import LoadMusic, caller_audio, music_from, music_from_files
from engine.sounds import SoundLibrary, SoundLimits
from media import MediaConfig, MediaPlane, MediaStream
from media.audio import Pcm, to_bytes
from media.player import PcmPlayer
from media.tones import RINGBACK_EU
from tests.legs.support import Inbox
from tests.media.signals import amplitude_at, tone

_HZ = 1400.0
_RINGBACK_HZ = 425.0


def _wav(path: Path, *, rate_hz: int = 8000, seconds: float = 0.5) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(to_bytes(tone(_HZ, seconds=seconds, rate_hz=rate_hz)))
    return path


class _Caller:
    """A caller's leg as far as the dial's audio is concerned, and the far end of it, which listens."""

    def __init__(self, plane: MediaPlane) -> None:
        self.media: MediaStream = plane.stream()
        self.far: MediaStream = plane.stream()
        self.far.receive_answer(self.media.receive_offer(self.far.create_offer()))
        self.heard: list[tuple[float, Pcm]] = []
        self.far.add_tap(lambda pcm: self.heard.append((time.monotonic(), pcm)))

    def level(self, hz: float, last_s: float = 0.15) -> float:
        since = time.monotonic() - last_s
        recent = [pcm for at, pcm in self.heard if at >= since]
        return max((amplitude_at(pcm, hz) for pcm in recent), default=0.0)

    async def hears(self, hz: float) -> None:
        async with asyncio.timeout(5.0):
            while self.level(hz) < 1000.0:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0.005)

    def close(self) -> None:
        self.media.close()
        self.far.close()


class _Dial:
    """What `CallerSide` does with sounds: one at a time, ringback where the music fails."""

    def __init__(self, caller: _Caller, audio: MediaAudio) -> None:
        self.caller = caller
        self.audio = audio
        self.failures = Inbox()
        self.joint: Joint | None = None

    def play(self, url: str) -> None:
        self.joint = self.audio.music(self.caller, url, self._failed)  # type: ignore[arg-type]

    def _failed(self, reason: str) -> None:
        self.failures.put(reason)
        self.joint = self.audio.ringback(self.caller)  # type: ignore[arg-type]


@asynccontextmanager
async def _dial(load: LoadMusic) -> AsyncIterator[_Dial]:
    plane = MediaPlane(MediaConfig())
    caller = _Caller(plane)
    dial = _Dial(caller, caller_audio(RINGBACK_EU, load))
    yield dial
    if dial.joint is not None:
        dial.joint.close()
    caller.close()
    await plane.close()


class _Server:
    """Serves one file; `delay_s` late."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.status = 200
        self.delay = asyncio.Event()
        self.delay.set()
        self.requests = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        await self.delay.wait()
        return web.Response(status=self.status, body=self.body, content_type="audio/wav")


@asynccontextmanager
async def _served(
    body: bytes, limits: SoundLimits | None = None
) -> AsyncIterator[tuple[_Server, SoundLibrary]]:
    server, app = _Server(body), web.Application()
    app.router.add_get("/{name}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/music.wav"
    async with aiohttp.ClientSession() as session:
        library = SoundLibrary(session, limits=limits)
        yield server, library
        await library.close()
    server.delay.set()
    await runner.cleanup()


async def test_dv43_music_over_http_is_looped_to_the_caller(tmp_path: Path) -> None:
    async with _served(_wav(tmp_path / "m.wav", rate_hz=16000).read_bytes()) as (server, library):
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.caller.hears(_HZ)
            await asyncio.sleep(0.8)
            assert dial.caller.level(_HZ) > 1000.0, "the file lasts half a second, the music does not end"
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.caller.hears(_HZ)
        assert server.requests == 1, "fetched once for all callers"


async def test_dv43_music_stops_within_one_packet_time(tmp_path: Path) -> None:
    body = _wav(tmp_path / "m.wav").read_bytes()
    async with _served(body) as (server, library), _dial(music_from(library)) as dial:
        dial.play(server.url)
        await dial.caller.hears(_HZ)
        assert dial.joint is not None
        dial.joint.close()
        sent = dial.caller.media.statistics().packets_sent
        await asyncio.sleep(0.1)
        assert dial.caller.media.statistics().packets_sent - sent <= 1


async def test_dv43_while_music_is_on_its_way_the_caller_hears_ringback(tmp_path: Path) -> None:
    async with _served(_wav(tmp_path / "m.wav").read_bytes()) as (server, library):
        server.delay.clear()
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.caller.hears(_RINGBACK_HZ)
            server.delay.set()
            await dial.caller.hears(_HZ)
            await asyncio.sleep(0.3)
            assert dial.caller.level(_RINGBACK_HZ) < 100.0, "one sound at a time"
            assert dial.failures.events == []


async def test_dv43_ringback_in_place_of_music_stops_within_one_packet_time(tmp_path: Path) -> None:
    async with _served(_wav(tmp_path / "m.wav").read_bytes()) as (server, library):
        server.delay.clear()
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.caller.hears(_RINGBACK_HZ)
            assert dial.joint is not None
            dial.joint.close()
            sent = dial.caller.media.statistics().packets_sent
            server.delay.set()
            await asyncio.sleep(0.1)
            assert dial.caller.media.statistics().packets_sent - sent <= 1


async def test_dv43_music_that_comes_at_once_is_not_preceded_by_a_tone(tmp_path: Path) -> None:
    async with _dial(music_from_files) as dial:
        dial.play(str(_wav(tmp_path / "m.wav")))
        await dial.caller.hears(_HZ)
        assert max(amplitude_at(pcm, _RINGBACK_HZ) for _, pcm in dial.caller.heard) < 300.0


@pytest.mark.parametrize("status", [404, 500])
async def test_dv43_what_cannot_be_fetched_is_ringback_and_told(status: int) -> None:
    async with _served(b"") as (server, library):
        server.status = status
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            assert str(status) in await dial.failures.until(str)
            await dial.caller.hears(_RINGBACK_HZ)


async def test_dv43_what_is_no_sound_or_too_large_is_ringback_and_told(tmp_path: Path) -> None:
    for body, limits in (
        (b"not a sound", None),
        (_wav(tmp_path / "m.wav").read_bytes(), SoundLimits(max_bytes=99)),
    ):
        async with _served(body, limits) as (server, library), _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.failures.until(str)
            await dial.caller.hears(_RINGBACK_HZ)


async def test_dv43_a_host_that_is_not_there_is_ringback_and_told() -> None:
    async with _served(b"") as (_, library), _dial(music_from(library)) as dial:
        dial.play("http://127.0.0.1:9/music.wav")
        await dial.failures.until(str)
        await dial.caller.hears(_RINGBACK_HZ)


async def test_a_dial_that_is_over_before_the_music_came_hears_nothing_of_it(tmp_path: Path) -> None:
    async with _served(_wav(tmp_path / "m.wav").read_bytes()) as (server, library):
        server.delay.clear()
        async with _dial(music_from(library)) as dial:
            dial.play(server.url)
            await dial.failures.settled_elsewhere(lambda: server.requests == 1)
            assert dial.joint is not None
            dial.joint.close()
            server.delay.set()
            await asyncio.sleep(0.1)
            assert dial.caller.media.statistics().packets_sent == 0
            assert dial.failures.events == []


async def test_a_loader_with_a_bug_is_ringback_as_well() -> None:
    async def load(url: str, sample_rate_hz: int) -> PcmPlayer:
        raise ZeroDivisionError

    async with _dial(load) as dial:
        dial.play("http://app.example.com/music.wav")
        assert await dial.failures.until(str) == "ZeroDivisionError"
        await dial.caller.hears(_RINGBACK_HZ)


async def test_applications_get_no_file_of_this_machine_but_what_the_operator_named_is_played(
    tmp_path: Path,
) -> None:
    path = str(_wav(tmp_path / "m.wav"))
    async with _served(b"") as (_, library):
        async with _dial(music_from(library)) as dial:
            dial.play(path)
            await dial.failures.until(str)
        async with _dial(music_from(library, trusted=(path,))) as dial:
            dial.play(path)
            await dial.caller.hears(_HZ)
    async with _dial(music_from_files) as dial:
        dial.play(f"file://{path}")
        await dial.caller.hears(_HZ)
