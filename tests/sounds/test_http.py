from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from engine.sounds.errors import SoundError
from engine.sounds.http import Fetched, Validators, fetch, freshness_s, shown
from tests.sounds.server import serving

NOTHING = Validators()
DATE = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(
    http: aiohttp.ClientSession, url: str, known: Validators = NOTHING, *, timeout_s: float = 5.0
) -> Fetched:
    return await fetch(http, url, known, max_bytes=100_000, timeout_s=timeout_s, default_fresh_s=60)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 60.0),
        ({"Cache-Control": "max-age=10"}, 10.0),
        ({"Cache-Control": 'public, MAX-AGE="10"'}, 10.0),
        ({"Cache-Control": "max-age=10", "Age": "4"}, 6.0),
        ({"Cache-Control": "max-age=10", "Age": "40"}, 0.0),
        ({"Cache-Control": "max-age=31536000"}, 86400.0),
        ({"Cache-Control": "max-age=" + "9" * 400}, 86400.0),
        ({"Cache-Control": "max-age=-1"}, 60.0),
        ({"Cache-Control": "no-cache, max-age=10"}, 0.0),
        ({"Cache-Control": "no-store"}, -1.0),
        ({"Date": DATE, "Expires": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Date": DATE, "Expires": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"Date": DATE, "Expires": "0"}, 0.0),
        ({"Expires": "Fri, 20 Nov 2026 12:00:30 GMT"}, 0.0),
    ],
)
def test_how_long_a_response_is_fresh(headers: dict[str, str], seconds: float) -> None:
    assert freshness_s(headers, 60.0) == seconds


def test_a_url_is_shown_without_its_secrets() -> None:
    assert shown("https://alice:secret@app.example.com:8443/a.wav?key=1#x") == (
        "https://app.example.com:8443/a.wav"
    )
    assert shown("https://app.example.com?key=1") == "https://app.example.com"
    assert shown("welcome.wav") == "welcome.wav"


async def test_a_file_comes_with_its_validators(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert "If-None-Match" not in request.headers
        return web.Response(body=b"sound", headers={"ETag": '"1"', "Last-Modified": DATE})

    async with serving(a_wav=handler) as base:
        fetched = await get(http, f"{base}/a.wav")
    assert (fetched.body, fetched.validators, fetched.fresh_s) == (b"sound", Validators('"1"', DATE), 60.0)


async def test_a_known_file_is_asked_for_conditionally(http: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.headers["If-None-Match"] == '"1"'
        assert request.headers["If-Modified-Since"] == DATE
        return web.Response(status=304, headers={"Cache-Control": "max-age=7"})

    async with serving(a_wav=handler) as base:
        fetched = await get(http, f"{base}/a.wav", Validators('"1"', DATE))
    assert fetched == Fetched(None, "", Validators('"1"', DATE), 7.0)


async def test_redirects_are_followed_but_not_for_ever(http: aiohttp.ClientSession) -> None:
    async def first(request: web.Request) -> web.Response:
        raise web.HTTPFound("/b.wav")

    async def second(request: web.Request) -> web.Response:
        return web.Response(body=b"sound")

    async def circle(request: web.Request) -> web.Response:
        raise web.HTTPFound("/circle")

    async def local(request: web.Request) -> web.Response:
        raise web.HTTPFound("file:///etc/passwd")

    async with serving(a_wav=first, b_wav=second, circle=circle, local=local) as base:
        assert (await get(http, f"{base}/a.wav")).body == b"sound"
        with pytest.raises(SoundError, match="more than 5 redirects"):
            await get(http, f"{base}/circle")
        with pytest.raises(SoundError, match="redirected to what is no HTTP URL"):
            await get(http, f"{base}/local")


async def test_a_file_that_is_too_large_is_given_up_as_soon_as_that_is_known(
    http: aiohttp.ClientSession,
) -> None:
    sent = 0

    async def announced(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 100_001)

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
                sent += 10_000
        except (ConnectionError, asyncio.CancelledError):
            return response

    async with serving(a_wav=announced, b_wav=endless) as base:
        for name in ("a.wav", "b.wav"):
            with pytest.raises(SoundError, match="larger than 100000 bytes"):
                await get(http, f"{base}/{name}")
    assert sent < 50_000_000


async def test_a_body_that_would_grow_in_memory_is_not_unpacked(http: aiohttp.ClientSession) -> None:
    async def bomb(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})

    async with serving(a_wav=bomb) as base:
        with pytest.raises(SoundError, match="compressed, which nobody asked for"):
            await get(http, f"{base}/a.wav")


async def test_statuses_silence_and_nobody_there_are_named(http: aiohttp.ClientSession) -> None:
    forgotten = asyncio.Event()

    async def missing(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=503)

    async def unasked(request: web.Request) -> web.Response:
        return web.Response(status=304)

    async def silent(request: web.Request) -> web.Response:
        try:
            await asyncio.Event().wait()
        finally:
            forgotten.set()
        return web.Response()

    async with serving(missing=missing, broken=broken, unasked=unasked, silent=silent) as base:
        with pytest.raises(SoundError, match="the server answered 404") as missed:
            await get(http, f"{base}/missing")
        with pytest.raises(SoundError, match="the server answered 503") as failed:
            await get(http, f"{base}/broken")
        with pytest.raises(SoundError, match="the server answered 304"):
            await get(http, f"{base}/unasked")
        with pytest.raises(SoundError, match=r"not there within 0\.2 s") as late:
            await get(http, f"{base}/silent", timeout_s=0.2)
    assert (missed.value.is_passing, failed.value.is_passing, late.value.is_passing) == (False, True, True)
    with pytest.raises(SoundError, match=r"cannot play http://127.0.0.1:\d+/a.wav: ") as refused:
        await get(http, base.replace("http://", "http://alice:secret@") + "/a.wav?key=1")
    assert "secret" not in str(refused.value)
    assert refused.value.is_passing
    with pytest.raises(SoundError, match="not a usable URL"):
        await get(http, "http://")
