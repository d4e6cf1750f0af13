"""On a real stream whose packets go to a socket; only the time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.sounds.playing import play_through
from engine.sounds.playlist import Playlist
from media import MediaConfig, MediaPlane, MediaStream
from media.audio import silence
from tests.media.far_side import FarSide, sdp
from tests.sounds.server import tone
from tests.support.virtual_time import in_virtual_time, settle


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[MediaStream, FarSide]]:
    plane, far = MediaPlane(MediaConfig(rtcp=False)), FarSide()
    try:
        stream = plane.stream()
        stream.receive_offer(sdp(far.port))
        yield stream, far
    finally:
        await plane.close()
        far.close()


@in_virtual_time
async def test_it_takes_as_long_as_the_audio_lasts() -> None:
    async with talking() as (stream, far):
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await play_through(stream, Playlist(8000, [tone(440, 1.0)]))
        assert loop.time() - before == pytest.approx(1.0, abs=0.05)
        assert len(far.waiting()) == 50


@in_virtual_time
async def test_cancelled_it_falls_silent_within_a_packet() -> None:
    async with talking() as (stream, far):
        playing = asyncio.create_task(play_through(stream, Playlist(8000, [tone(440, 10.0)])))
        await asyncio.sleep(0.5)
        playing.cancel()
        await asyncio.wait([playing])
        sent = len(far.waiting())
        assert sent == pytest.approx(25, abs=1)
        await asyncio.sleep(1.0)
        assert len(far.waiting()) <= 1  # the stream's keep-alive, which goes by the real clock


@in_virtual_time
async def test_who_is_replaced_is_told_and_stops_nothing() -> None:
    async with talking() as (stream, _):
        first = asyncio.create_task(play_through(stream, Playlist(8000, [tone(440, 10.0)])))
        await asyncio.sleep(0.1)
        second = asyncio.create_task(play_through(stream, Playlist(8000, [tone(880, 1.0)])))
        await settle()
        assert first.done()
        assert first.result() is False
        assert await second
        stream.play(Playlist(8000, [silence(80000)]))
        third = asyncio.create_task(play_through(stream, Playlist(8000, [silence(8000)])))
        await asyncio.sleep(0.1)
        stream.close()
        assert await third is False


@in_virtual_time
async def test_a_source_that_fails_ends_it() -> None:
    class Broken:
        sample_rate_hz = 8000

        def read(self, samples: int) -> None:
            raise ValueError("broken")

    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["message"]))
    async with talking() as (stream, _):
        assert await play_through(stream, Broken()) is False
    assert len(problems) == 1


@in_virtual_time
async def test_playing_often_leaves_nothing_behind_on_the_stream() -> None:
    async with talking() as (stream, _):
        for _ in range(5):
            await play_through(stream, Playlist(8000, [silence(160)]))
        assert len(stream._handlers) == 1
