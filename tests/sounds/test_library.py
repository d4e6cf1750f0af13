from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web

from engine.sounds import Sound, SoundError, SoundLibrary, SoundLimits, open_session
from tests.media.far_side import until
from tests.sounds.server import mp3_bytes, serving, tone, wav_bytes
from tests.support.spectrum import hear

Libraries = Callable[..., SoundLibrary]


@pytest_asyncio.fixture
async def new_library() -> AsyncIterator[Libraries]:
    made: list[SoundLibrary] = []
    async with aiohttp.ClientSession() as session:

        def make(**options: object) -> SoundLibrary:
            folder = options.pop("folder", None)
            assert folder is None or isinstance(folder, Path)
            made.append(SoundLibrary(session, folder=folder, limits=SoundLimits(**options)))  # type: ignore[arg-type]
            return made[-1]

        yield make
        for library in made:
            await library.close()
    assert {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("fetch")} == set()


async def test_a_host_that_does_not_answer_does_not_hold_up_the_sounds_of_others() -> None:
    never, site = asyncio.Event(), Site(wav_bytes(tone(440, 0.2)))
    held = 0

    async def hang(_: web.Request) -> web.StreamResponse:
        nonlocal held
        held += 1
        await never.wait()
        return web.Response(status=404)

    async with serving(slow_wav=hang) as silent, serving(well_wav=site.handle) as well:
        async with open_session("test") as session:
            library = SoundLibrary(session)
            fetching = [asyncio.create_task(library.get(f"{silent}/slow.wav?{n}")) for n in range(250)]
            await until(lambda: held == 20)
            async with asyncio.timeout(5):
                sound = await library.get(well + "/well.wav")
            assert len(sound.pcm) == 1600
            assert held == 20
            await library.close()
            await asyncio.gather(*fetching, return_exceptions=True)
        never.set()


class Site:
    """A server's one file: counts the requests, remembers what they asked, fails on demand."""

    def __init__(self, body: bytes, **headers: str) -> None:
        self.body = body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked: list[str] = []
        self.status = 200
        self.gate = asyncio.Event()
        self.gate.set()
        self.abandoned = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.headers.get("If-None-Match", ""))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.abandoned += 1
            raise
        if self.status == 200 and self.asked[-1] and self.asked[-1] == self.headers.get("ETag"):
            return web.Response(status=304, headers=self.headers)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


async def test_a_wav_is_fetched_once_and_then_played_from_memory(new_library: Libraries) -> None:
    pcm = tone(440, 0.5)
    site, library = Site(wav_bytes(pcm)), new_library()
    async with serving(a_wav=site.handle) as base:
        first = await library.get(f"{base}/a.wav")
        second = await library.get(f"{base}/a.wav")
    assert np.array_equal(first.pcm, pcm)
    assert second is first
    assert (first.sample_rate_hz, first.duration_s) == (8000, 0.5)
    assert site.asked == [""]


async def test_every_rate_is_decoded_once_from_one_fetch(new_library: Libraries) -> None:
    site, library = Site(mp3_bytes(tone(1000, 1.0, 44100), 44100)), new_library()
    async with serving(a_mp3=site.handle) as base:
        narrow = await library.get(f"{base}/a.mp3")
        wide = await library.get(f"{base}/a.mp3", sample_rate_hz=16000)
        assert await library.get(f"{base}/a.mp3", sample_rate_hz=16000) is wide
    assert hear(narrow.pcm, 8000).is_tone(1000)
    assert hear(wide.pcm, 16000).is_tone(1000)
    assert len(site.asked) == 1
    assert library.cached_bytes == len(site.body) + narrow.pcm.nbytes + wide.pcm.nbytes


async def test_many_who_want_the_same_wait_for_one_fetch_and_one_decoding(new_library: Libraries) -> None:
    site, library = Site(wav_bytes(tone(440, 0.5))), new_library()
    site.gate.clear()
    async with serving(a_wav=site.handle) as base:
        waiting = [asyncio.create_task(library.get(f"{base}/a.wav")) for _ in range(20)]
        await until(lambda: bool(site.asked))
        site.gate.set()
        sounds = await asyncio.gather(*waiting)
    assert len({id(sound) for sound in sounds}) == 1
    assert len(site.asked) == 1


async def test_an_old_copy_is_asked_about_and_kept_if_it_is_still_right(new_library: Libraries) -> None:
    site, library = Site(wav_bytes(tone(440, 0.5)), ETag='"1"', Cache_Control="no-cache"), new_library()
    async with serving(a_wav=site.handle) as base:
        first = await library.get(f"{base}/a.wav")
        assert await library.get(f"{base}/a.wav") is first
        assert site.asked == ["", '"1"']
        site.body, site.headers["ETag"] = wav_bytes(tone(880, 0.5)), '"2"'
        changed = await library.get(f"{base}/a.wav")
    assert hear(changed.pcm, 8000).is_tone(880)


async def test_what_must_not_be_stored_is_fetched_every_time(new_library: Libraries) -> None:
    site, library = Site(wav_bytes(tone(440, 0.5)), Cache_Control="no-store"), new_library()
    async with serving(a_wav=site.handle) as base:
        for _ in range(2):
            assert hear((await library.get(f"{base}/a.wav")).pcm, 8000).is_tone(440)
    assert site.asked == ["", ""]
    assert library.cached_bytes == 0


async def test_an_old_copy_is_played_while_its_server_fails_but_not_when_the_file_is_gone(
    new_library: Libraries,
) -> None:
    site, library = Site(wav_bytes(tone(440, 0.5)), ETag='"1"', Cache_Control="no-cache"), new_library()
    async with serving(a_wav=site.handle) as base:
        first = await library.get(f"{base}/a.wav")
        site.status = 503
        assert await library.get(f"{base}/a.wav") is first
        assert await library.get(f"{base}/a.wav") is first  # for some seconds nobody asks again
    assert len(site.asked) == 2

    site = Site(wav_bytes(tone(440, 0.5)), Cache_Control="no-cache")
    async with serving(a_wav=site.handle) as base:
        await library.get(f"{base}/a.wav")
        site.status = 404
        with pytest.raises(SoundError, match="answered 404"):
            await library.get(f"{base}/a.wav")
    assert library.cached_bytes == first.pcm.nbytes + len(site.body)


async def test_the_least_recently_used_makes_room(new_library: Libraries) -> None:
    body = wav_bytes(tone(440, 0.5))
    a, b, c = Site(body), Site(body), Site(body)
    library = new_library(cache_bytes=2 * 2 * len(body))
    async with serving(a_wav=a.handle, b_wav=b.handle, c_wav=c.handle) as base:
        for name in ("a", "b", "a", "c", "a", "b"):
            await library.get(f"{base}/{name}.wav")
    assert (len(a.asked), len(b.asked), len(c.asked)) == (1, 2, 1)
    assert library.cached_bytes <= 4 * len(body)


async def test_cancelling_the_last_who_waits_closes_the_connection(new_library: Libraries) -> None:
    site, library = Site(wav_bytes(tone(440, 0.5))), new_library()
    site.gate.clear()
    async with serving(a_wav=site.handle) as base:
        first, second = (asyncio.create_task(library.get(f"{base}/a.wav")) for _ in range(2))
        await until(lambda: bool(site.asked))
        first.cancel()
        await asyncio.wait([first])
        assert not second.done()
        second.cancel()
        await until(lambda: not [t for t in asyncio.all_tasks() if t.get_name().startswith("fetch")])
        site.gate.set()
        assert (await library.get(f"{base}/a.wav")).duration_s == 0.5


async def test_whoever_gives_up_whenever_nothing_is_left_over(new_library: Libraries) -> None:
    dice = random.Random(20261120)
    async with aiohttp.ClientSession() as session:
        library = SoundLibrary(session)
        sites = [Site(wav_bytes(tone(440, 0.2)), Cache_Control="no-cache") for _ in range(3)]
        async with serving(a_wav=sites[0].handle, b_wav=sites[1].handle, c_wav=sites[2].handle) as base:
            for _ in range(30):
                wanted = [
                    asyncio.create_task(library.get(f"{base}/{dice.choice('abc')}.wav", sample_rate_hz=rate))
                    for rate in dice.choices((8000, 16000), k=10)
                ]
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                hasty = dice.sample(wanted, dice.randrange(11))
                for each in hasty:
                    each.cancel()
                results = await asyncio.gather(*wanted, return_exceptions=True)
                for each, result in zip(wanted, results, strict=True):
                    assert isinstance(result, Sound) or each in hasty, repr(result)
            await until(lambda: not [t for t in asyncio.all_tasks() if t.get_name() in ("fetch", "decode")])
            sounds = [await library.get(f"{base}/{name}.wav") for name in "abc"]
            assert [sound.duration_s for sound in sounds] == [0.2] * 3
        assert session.connector is not None
        await until(lambda: not session.connector._acquired)  # type: ignore[union-attr]
        await library.close()


async def test_what_is_no_sound_is_refused_by_name(new_library: Libraries) -> None:
    page, library = Site(b"<html>", Content_Type="text/html"), new_library(max_bytes=1000)
    async with serving(page_html=page.handle, long_wav=Site(wav_bytes(tone(440, 1))).handle) as base:
        with pytest.raises(SoundError, match=r"cannot play http://.*/page.html: neither WAV nor MP3"):
            await library.get(f"{base}/page.html")
        with pytest.raises(SoundError, match="larger than 1000 bytes"):
            await library.get(f"{base}/long.wav")
    with pytest.raises(SoundError, match="ftp: is not http, https or file"):
        await library.get("ftp://app.example.com/a.wav")
    with pytest.raises(SoundError, match="there is no folder"):
        await library.get("a.wav")
    with pytest.raises(SoundError, match="there is no folder"):
        await library.get("file:///etc/passwd")


async def test_a_file_of_the_folder_is_read_again_when_it_changes(
    new_library: Libraries, tmp_path: Path
) -> None:
    library = new_library(folder=tmp_path)
    (tmp_path / "a.wav").write_bytes(wav_bytes(tone(440, 0.5)))
    first = await library.get("a.wav")
    assert await library.get("a.wav") is first
    (tmp_path / "a.wav").write_bytes(wav_bytes(tone(880, 1.0)))
    assert hear((await library.get("file:a.wav")).pcm, 8000).is_tone(880)
    assert hear((await library.get("a.wav")).pcm, 8000).is_tone(880)
    with pytest.raises(SoundError, match="outside of the folder"):
        await library.get("../a.wav")


async def test_the_loop_goes_on_turning_while_a_long_file_is_decoded(
    new_library: Libraries, tmp_path: Path
) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(tone(440, 100.0, 44100), 44100))
    getting = asyncio.create_task(new_library(folder=tmp_path).get("a.wav"))
    turns = 0
    while not getting.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await getting).duration_s == pytest.approx(100.0, abs=0.01)
    assert turns > 100
    assert any(thread.name.startswith("sounds") for thread in threading.enumerate())
