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
from tests.support.virtual_time import in_virtual_time


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
async def test_what_is_interrupted_goes_on_where_it_was() -> None:
    async with talking() as (stream, _):
        loop = asyncio.get_running_loop()
        low, high = Playlist(8000, [tone(440, 3.0)]), Playlist(8000, [tone(880, 1.0)])
        first = asyncio.create_task(play_through(stream, low))
        await asyncio.sleep(1.0)
        assert await play_through(stream, high)
        assert low.played_samples == pytest.approx(8000, abs=200)
        assert await first
        assert low.played_samples == 24000
        assert loop.time() == pytest.approx(4.0, abs=0.1)


@in_virtual_time
async def test_interruptions_are_interrupted_and_cancelled_in_any_order() -> None:
    async with talking() as (stream, _):
        sources = [Playlist(8000, [tone(440, 2.0)]) for _ in range(4)]
        tasks = []
        for source in sources:
            tasks.append(asyncio.create_task(play_through(stream, source)))
            await asyncio.sleep(0.5)
        tasks[1].cancel()  # while it is interrupted
        tasks[3].cancel()  # while it is heard
        await asyncio.sleep(1.7)
        assert tasks[2].done()
        assert not tasks[0].done()
        assert await tasks[0]
        assert [source.played_samples for source in sources] == [
            16000,
            pytest.approx(4000, abs=200),
            16000,
            pytest.approx(4000, abs=200),
        ]
        assert not stream.sender.is_playing


@in_virtual_time
async def test_a_stranger_on_the_stream_interrupts_as_well() -> None:
    async with talking() as (stream, _):
        playing = asyncio.create_task(play_through(stream, Playlist(8000, [tone(440, 1.0)])))
        await asyncio.sleep(0.5)
        stream.play(Playlist(8000, [tone(880, 2.0)]))
        await asyncio.sleep(1.0)
        assert not playing.done()
        assert await playing
        assert asyncio.get_running_loop().time() == pytest.approx(3.0, abs=0.1)


@in_virtual_time
async def test_who_is_stopped_or_whose_stream_closes_is_told() -> None:
    async with talking() as (stream, _):
        stopped = asyncio.create_task(play_through(stream, Playlist(8000, [tone(440, 10.0)])))
        await asyncio.sleep(0.1)
        stream.stop_playing()
        assert await stopped is False
        one, two = (
            asyncio.create_task(play_through(stream, Playlist(8000, [tone(440, 10.0)]))) for _ in range(2)
        )
        await asyncio.sleep(0.1)
        stream.close()
        assert await one is await two is False
        assert await play_through(stream, Playlist(8000, [tone(440, 10.0)])) is False


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
