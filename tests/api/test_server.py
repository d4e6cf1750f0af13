"""The HTTP server itself: starting, stopping, and clients who behave badly."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from engine.api import serve_http
from engine.api.services import ApiLimits
from engine.config import HttpConfig
from engine.errors import ConfigError
from media.audio import Pcm
from tests.api.phones import phones
from tests.api.serving import ALICE, KEY, Api, api, services, until, waiting_for
from tests.support.running_engine import running


async def _exchange(http: Api, data: bytes, *, within_s: float = 10.0) -> bytes:
    """Everything the server says to these bytes until it closes."""
    reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
    writer.write(data)
    try:
        async with asyncio.timeout(within_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


# --- starting and stopping


async def test_port_0_is_chosen_by_the_kernel_and_known() -> None:
    async with api() as http:
        assert http.server.port > 0
        assert http.server.url == f"http://127.0.0.1:{http.server.port}"
        assert (await http("GET", "/healthz", key=None)).body == b"ok\n"


async def test_it_listens_on_ipv6() -> None:
    async with api(services(http=HttpConfig(listen="[::1]:0"))) as http:
        assert http.server.url == f"http://[::1]:{http.server.port}"
        assert (await http("GET", "/healthz", key=None)).status == 200


async def test_an_address_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        async with running() as engine:
            with pytest.raises(ConfigError, match=r"http\.listen: .*in use") as caught:
                async with serve_http(engine, services(http=HttpConfig(listen=listen))):
                    pytest.fail("must not start")
            assert caught.value.key == "http.listen"


async def test_it_starts_again_on_the_same_port() -> None:
    async with running() as engine:
        async with serve_http(engine, services()) as server:
            listen = f"127.0.0.1:{server.port}"
            async with aiohttp.ClientSession() as session, session.get(f"{server.url}/healthz") as response:
                assert response.status == 200
        async with (
            serve_http(engine, services(http=HttpConfig(listen=listen))) as server,
            aiohttp.ClientSession() as session,
            session.get(f"{server.url}/healthz") as response,
        ):
            assert response.status == 200


async def test_signals_stay_with_the_program() -> None:
    caught: list[int] = []
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, caught.append, signal.SIGTERM)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    try:
        async with api() as http:
            assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
            os.kill(os.getpid(), signal.SIGTERM)
            await until(lambda: bool(caught))
            assert (await http("GET", "/healthz")).status == 200
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_stopping_with_requests_open_answers_them_and_leaves_nothing() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with phones() as far, running() as engine, aiohttp.ClientSession(headers=headers) as session:
        async with AsyncExitStack() as serving:
            server = await serving.enter_async_context(serve_http(engine, services()))
            url = f"{server.url}/v1/dials"
            waiting = asyncio.create_task(_post(session, f"{url}?wait=true", {"targets": [far.uri("alice")]}))
            await until(lambda: len(waiting_for()) == 1)
            (dial_id,) = waiting_for()
            stream = await session.get(f"{url}/{dial_id}/events")
            idle, idle_writer = await asyncio.open_connection(server.host, server.port)
            await until(lambda: len(waiting_for()) == 2)
            async with asyncio.timeout(3):
                await serving.aclose()
        status, location, body = await waiting
        assert status == 503
        assert location == f"/v1/dials/{dial_id}"
        assert "before the dial has its result" in body["detail"]
        assert (await stream.read()).count(b"event: status") == 2
        assert await idle.read() == b""
        idle_writer.close()
        assert not waiting_for()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)
        assert len(engine.dials) == 1
        assert len(far.live) == 1
        for dial in engine.dials:
            dial.hang_up()


async def test_draining_lets_those_who_wait_have_their_result() -> None:
    async with phones() as far, api() as http:
        waiting = asyncio.create_task(http("POST", "/v1/dials?wait=true", {"targets": [far.uri("answers")]}))
        await until(lambda: bool(far.live))
        draining = asyncio.create_task(http.engine.drain())
        await asyncio.sleep(0)
        ready = await http("GET", "/readyz", key=None)
        assert (ready.status, ready.json["checks"]["dials"]) == (503, "the engine takes no new dials")
        refused = await http("POST", "/v1/dials", {"targets": [far.uri("bob")]})
        assert refused.status == 503
        far.hang_up()
        assert (await waiting).json["dial_status"] == "completed"
        assert await draining


async def test_a_request_that_takes_too_long_is_cancelled_when_the_server_stops() -> None:
    asked = asyncio.Event()

    async def sounds(name: str) -> Pcm:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with running() as engine, AsyncExitStack() as serving:
        limits = ApiLimits(grace_s=0.2)
        server = await serving.enter_async_context(serve_http(engine, services(sounds=sounds, limits=limits)))
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            body = {"targets": ["sip:alice@127.0.0.1:9"], "play": "slow.wav"}
            open_request = asyncio.create_task(_post(session, f"{server.url}/v1/dials", body))
            await asked.wait()
            async with asyncio.timeout(3):
                await serving.aclose()
            with pytest.raises((aiohttp.ClientError, json.JSONDecodeError)):
                await open_request
        assert len(engine.dials) == 0


async def _post(session: aiohttp.ClientSession, url: str, body: object) -> tuple[int, str, dict[str, str]]:
    """Status, Location, JSON."""
    async with session.post(url, json=body) as response:
        return response.status, response.headers.get("location", ""), await response.json(content_type=None)


# --- bodies


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a JSON body is needed"),
        (b"{", "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"targets": ["\xff"]}', "not JSON"),
        (b'{"targets": ["\\ud800"]}', "not JSON"),
        (b"\x00" * 100, "not JSON"),
        (b'"targets"', "expected object"),
        (b"[]", "expected object"),
        (b"null", "expected object"),
        (b'{"targets": ' + b"[" * 100_000, ""),
        (b'{"targets": [' + b'{"type":' * 50_000, ""),
        (b'{"timeout_s": 1' + b"0" * 400 + b"}", ""),
    ],
)
async def test_a_malformed_body_is_a_400(data: bytes, says: str) -> None:
    async with api() as http:
        reply = await http("POST", "/v1/dials", data=data, **{"Content-Type": "application/json"})
        assert reply.status == 400
        assert says in reply.json["detail"]
        family = await http(
            "POST", f"/v1/Accounts/{ALICE.sid}/Calls", data=data, **{"Content-Type": "application/json"}
        )
        assert family.status == 404  # no calls behind this server: not served
        assert family.kind.startswith("application/json")


async def test_a_body_of_another_type_is_a_415() -> None:
    async with api() as http:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert (await http("POST", "/v1/dials", data=b"{}", **{"Content-Type": kind})).status == 415
        for kind in ("application/json; charset=utf-8", "application/vnd.example+json", "Application/JSON"):
            assert (await http("POST", "/v1/dials", data=b"{}", **{"Content-Type": kind})).status == 400


async def test_a_huge_body_is_a_413_whether_its_size_is_announced_or_not() -> None:
    async with api() as http:
        body = b" " * 1_048_577
        kind = {"Content-Type": "application/json"}
        announced = await http("POST", "/v1/dials", data=io.BytesIO(body), **kind)
        assert announced.status == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(64):
                yield b" " * 32_768

        streamed = await http("POST", "/v1/dials", data=chunks(), **kind)
        assert streamed.status == 413
        assert streamed.kind.startswith("application/problem+json")
        assert (await http("GET", "/healthz", key=None)).status == 200


async def test_an_announced_size_beyond_reason_is_refused_before_anything_is_sent() -> None:
    async with api() as http:
        head = (
            f"POST /v1/dials HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Type: application/json\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n"
        )
        assert (await _exchange(http, head.encode())).startswith(b"HTTP/1.1 413 ")


# --- connections


async def test_one_connection_carries_many_requests_and_none_waits_for_a_delayed_ack() -> None:
    async with api() as http:
        started_at = time.monotonic()
        reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
        for _ in range(50):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(3) == b"ok\n"
        assert time.monotonic() - started_at < 50 * 0.03  # with Nagle's algorithm each of them takes 0.04 s
        writer.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with api() as http:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        said = await _exchange(http, request * 9 + last)
        assert said.count(b"HTTP/1.1 200 ") == 10


async def test_a_response_is_one_packet() -> None:
    async with api() as http:
        reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
        for _ in range(5):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            said = await reader.read(65_536)
            assert said.startswith(b"HTTP/1.1 200 ")
            assert said.endswith(b"\r\n\r\nok\n")
        writer.close()


async def test_who_asks_before_sending_a_body_is_told_to_go_on() -> None:
    async with api() as http:
        reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
        body = b'{"targets": []}'
        writer.write(
            f"POST /v1/dials HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nExpect: 100-continue\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(body)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        writer.close()


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\nHost",
    ],
)
async def test_a_head_that_never_ends_is_cut_off(start: bytes) -> None:
    async with api(services(limits=ApiLimits(head_timeout_s=0.3))) as http:
        said = await _exchange(http, start)
        assert b"HTTP/1.1 408 " in said


async def test_a_body_that_never_comes_is_cut_off() -> None:
    async with api(services(limits=ApiLimits(body_timeout_s=0.3))) as http:
        head = (
            f"POST /v1/dials HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"targets"'
        )
        said = await _exchange(http, head.encode())
        assert said.startswith(b"HTTP/1.1 408 ")
        assert (await http("GET", "/metrics")).body.count(b'status="500"') == 0


async def test_a_head_without_end_is_a_431() -> None:
    async with api() as http:
        lines = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 4000) for number in range(9))
        said = await _exchange(http, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + lines)
        assert said.startswith(b"HTTP/1.1 431 ")
        one_line = await _exchange(http, b"GET /healthz HTTP/1.1\r\nX-Long: " + b"a" * 40_000)
        assert one_line.startswith(b"HTTP/1.1 431 ")


async def test_a_client_that_sends_its_request_byte_by_byte_is_served() -> None:
    async with api() as http:
        reader, writer = await asyncio.open_connection(http.server.host, http.server.port)
        for byte in b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%00%ff%zz HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"\r\n" * 1000 + b"x\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_harms_nobody(data: bytes) -> None:
    async with api() as http:
        said = await _exchange(http, data)
        assert said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 302", b""))
        assert b"HTTP/1.1 5" not in said
        assert (await http("GET", "/healthz", key=None)).status == 200


async def test_hundreds_of_idle_connections_do_not_keep_others_waiting() -> None:
    async with api() as http:
        idle = [await asyncio.open_connection(http.server.host, http.server.port) for _ in range(300)]
        async with asyncio.timeout(5):
            assert (await http("GET", "/v1/dials")).status == 200
        for _, writer in idle:
            writer.close()


async def test_no_connection_above_the_limit_is_served() -> None:
    async with api(services(limits=ApiLimits(max_connections=3))) as http:
        idle = [await asyncio.open_connection(http.server.host, http.server.port) for _ in range(3)]
        assert (await http("GET", "/healthz", key=None)).status == 503
        for _, writer in idle:
            writer.close()
        for _ in range(200):
            if (await http("GET", "/healthz", key=None)).status == 200:
                break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("the places were not given back")
