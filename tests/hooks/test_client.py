"""`HookClient` against a real web server: WH-01 to WH-08 and WH-10, and section 9."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.hooks import (
    CallFacts,
    Hook,
    HookClient,
    HookFailed,
    HookFailure,
    HookReply,
    MalformedReply,
    first_hook,
)
from tests.hooks.host import HookHost, Reply, raw_host

FACTS = CallFacts(
    call_sid="e35d4edf-efd2-424c-8667-c6c5f53b1e1b",
    direction="inbound",
    from_="+15550100",
    to="+15550101",
    call_status="trying",
)


class Pauses:
    """In place of sleeping: notes how long."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seen.append(seconds)


@asynccontextmanager
async def talking(
    timeout_s: float = 5.0, max_connections: int = 100, *, has_tracing: bool = False
) -> AsyncIterator[tuple[HookHost, HookClient, Pauses]]:
    pauses = Pauses()
    client = HookClient(
        user_agent="dial-engine/0.1",
        timeout_s=timeout_s,
        max_connections=max_connections,
        has_tracing=has_tracing,
        sleep=pauses,
        clock=lambda: 1700000000.0,
    )
    async with HookHost() as host, client:
        yield host, client, pauses


def closed_port() -> int:
    """A port of 127.0.0.1 where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_wh01_post_sends_json() -> None:
    async with talking() as (host, client, _):
        await client.send(Hook(host.url("/call")), FACTS.to_dict())
    [seen] = host.seen
    assert (seen.method, seen.path, seen.raw_query) == ("POST", "/call", "")
    assert seen.headers["content-type"] == "application/json"
    assert seen.json == FACTS.to_dict()


async def test_wh01_get_sends_the_same_as_a_query_nested_values_as_json() -> None:
    payload = {
        **FACTS.to_dict(),
        "customerData": {"order": 7, "tags": ["a b"]},
        "duration": 3,
        "is_final": True,
        "nothing": None,
    }
    async with talking() as (host, client, _):
        await client.send(Hook(host.url("/dtmf?tenant=a%20b"), "GET"), payload)
    [seen] = host.seen
    assert (seen.method, seen.body) == ("GET", b"")
    assert "content-type" not in seen.headers
    assert seen.query == {
        "tenant": "a b",
        "call_sid": FACTS.call_sid,
        "direction": "inbound",
        "from": "+15550100",
        "to": "+15550101",
        "call_status": "trying",
        "customerData": '{"order":7,"tags":["a b"]}',
        "duration": "3",
        "is_final": "true",
    }
    assert "from=%2B15550100" in seen.raw_query


async def test_wh_section_3_the_invite_itself_travels_by_post_only() -> None:
    payload = first_hook(
        FACTS, sip={"method": "INVITE", "headers": {}, "body": "", "uri": "sip:a@example.com"}
    )
    async with talking() as (host, client, _):
        await client.send(Hook(host.url("/call"), "GET"), payload)
        await client.send(Hook(host.url("/call")), payload)
    assert "sip" not in host.seen[0].query
    assert host.seen[0].query["defaults"] == "{}"
    assert host.seen[1].json["sip"] == payload["sip"]


@pytest.mark.parametrize("name", ["Żółć", "花子", "o'Neil & söhne; =?#%"])
async def test_edge_6_text_outside_ascii_is_utf8_and_percent_encoded_in_get(name: str) -> None:
    async with talking() as (host, client, _):
        await client.send(Hook(host.url("/a")), {"caller_name": name})
        await client.send(Hook(host.url("/a"), "GET"), {"caller_name": name})
    assert host.seen[0].body == b'{"caller_name":"' + name.encode() + b'"}'
    assert host.seen[1].query == {"caller_name": name}
    assert host.seen[1].raw_query.isascii()


async def test_edge_6_bytes_of_sip_that_are_not_utf8_do_not_break_a_hook() -> None:
    garbled = b"J\xfcrgen".decode("utf-8", "surrogateescape")
    async with talking() as (host, client, _):
        await client.send(
            Hook(host.url("/a")), {"caller_name": garbled, "sip": {"headers": {garbled: [garbled]}}}
        )
        await client.send(Hook(host.url("/a"), "GET"), {"caller_name": garbled})
    assert host.seen[0].json == {
        "caller_name": "J\ufffdrgen",
        "sip": {"headers": {"J\ufffdrgen": ["J\ufffdrgen"]}},
    }
    assert host.seen[1].query == {"caller_name": "J\ufffdrgen"}


async def test_wh02_a_relative_url_goes_to_the_host_of_the_document() -> None:
    async with talking() as (host, client, _):
        await client.send(Hook("dial"), {}, base=host.url("/ivr/call"))
        await client.send(Hook("/dtmf", "GET"), {}, base=Hook(host.url("/ivr/call")))
    assert [seen.path for seen in host.seen] == ["/ivr/dial", "/dtmf"]


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_wh03_200_202_and_204_are_successes(status: int) -> None:
    async with talking() as (host, client, _):
        host.answers("/", Reply(status))
        assert await client.send(Hook(host.url()), {}) == HookReply(status)


@pytest.mark.parametrize(
    "status", [201, 203, 206, 301, 302, 307, 308, 304, 400, 401, 403, 404, 429, 500, 503]
)
async def test_wh03_every_other_answer_to_a_post_is_an_error_also_a_redirect(status: int) -> None:
    async with talking() as (host, client, _):
        host.answers("/", Reply(status, b"" if status == 304 else b"[]", {"Location": "/other"}))
        with pytest.raises(HookFailed) as caught:
            await client.send(Hook(host.url()), {})
    assert (caught.value.status, caught.value.failure) == (status, HookFailure.STATUS)
    assert len(host.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_wh03_get_follows_three_redirects(status: int) -> None:
    async with talking() as (host, client, _):
        host.answers("/1", Reply(status, headers={"Location": "/2"}))
        host.answers("/2", Reply(status, headers={"Location": "sub/3"}))
        host.answers("/sub/3", Reply(status, headers={"Location": host.url("/4?x=1")}))
        host.answers("/4", [{"verb": "hangup"}])
        reply = await client.send(Hook(host.url("/1"), "GET"), {"a": "b"})
    assert reply.verbs == [{"verb": "hangup"}]
    assert [seen.path for seen in host.seen] == ["/1", "/2", "/sub/3", "/4"]
    assert host.seen[0].query == {"a": "b"}


async def test_wh03_a_fourth_redirect_is_an_error_and_so_is_a_loop() -> None:
    async with talking() as (host, client, _):
        host.answers("/loop", Reply(302, headers={"Location": "/loop"}))
        with pytest.raises(HookFailed, match="more than 3 redirects") as caught:
            await client.send(Hook(host.url("/loop"), "GET"), {})
    assert (caught.value.failure, len(host.seen)) == (HookFailure.REDIRECT, 4)


@pytest.mark.parametrize("location", ["ftp://app.example.com/", "http://", "file:///etc/passwd", "http://[/"])
async def test_wh03_a_redirect_to_nowhere_is_an_error(location: str) -> None:
    async with talking() as (host, client, _):
        host.answers("/", Reply(302, headers={"Location": location}))
        with pytest.raises(HookFailed) as caught:
            await client.send(Hook(host.url(), "GET"), {})
    assert caught.value.failure is HookFailure.REDIRECT


async def test_wh03_a_redirect_that_brings_its_own_credentials_is_followed_with_them() -> None:
    async with talking() as (host, client, _):
        there = host.url("/2").replace("//", "//bob:his%40own@", 1)
        host.answers("/1", Reply(302, headers={"Location": there}))
        await client.send(Hook(host.url("/1"), "GET", "alice", "secret"), {})
    sent = [base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")) for seen in host.seen]
    assert sent == [b"alice:secret", b"bob:his@own"]


@pytest.mark.parametrize("host_name", ["a" * 64 + ".example.com", "app..example.com"])
async def test_a_host_name_that_no_resolver_takes_is_a_hook_that_failed(host_name: str) -> None:
    async with talking() as (_, client, _):
        with pytest.raises(HookFailed) as caught:
            await client.send(Hook(f"http://{host_name}/call"), {})
    assert caught.value.failure is HookFailure.REQUEST


async def test_wh03_credentials_and_signature_do_not_follow_a_redirect_to_another_host() -> None:
    async with talking() as (host, client, _), HookHost() as other:
        host.answers("/1", Reply(302, headers={"Location": "/2"}))
        host.answers("/2", Reply(302, headers={"Location": other.url("/3")}))
        await client.send(Hook(host.url("/1"), "GET", "alice", "secret"), {}, secrets=["s"])
    assert all("authorization" in seen.headers for seen in host.seen)
    assert not {"authorization", "jambonz-signature"} & set(other.seen[0].headers)


async def test_wh04_the_document_is_returned_and_the_content_type_not_looked_at() -> None:
    async with talking() as (host, client, _):
        host.answers("/", Reply(200, b'[{"verb":"hangup"}]', {"Content-Type": "text/html"}))
        assert (await client.send(Hook(host.url()), {})).verbs == [{"verb": "hangup"}]


async def test_wh04_what_is_no_json_is_malformed() -> None:
    async with talking() as (host, client, _):
        host.answers("/", Reply(200, b"<html>hello</html>"))
        with pytest.raises(MalformedReply):
            await client.send(Hook(host.url()), {})


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_edge_5_reading_stops_at_a_megabyte(*, is_chunked: bool) -> None:
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        how = b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: 50000000"
        writer.write(b"HTTP/1.1 200 OK\r\n" + how + b"\r\n\r\n")
        piece = b"a" * 50_000
        for _ in range(1000):
            writer.write(b"c350\r\n" + piece + b"\r\n" if is_chunked else piece)
            await writer.drain()
            sent += len(piece)

    async with raw_host(serve) as url, talking() as (_, client, _):
        with pytest.raises(MalformedReply, match="bytes or more"):
            await client.send(Hook(url), {})
    assert sent < 20_000_000  # what the sockets of both sides hold, not all of it


async def test_wh05_an_attempt_ends_when_its_time_is_over() -> None:
    never = asyncio.Event()
    async with talking(timeout_s=0.2) as (host, client, _):
        host.answers("/", Reply(after=never))
        begun = asyncio.get_running_loop().time()
        with pytest.raises(HookFailed, match=r"no answer within 0.2 s") as caught:
            await client.send(Hook(host.url()), {})
        assert 0.19 < asyncio.get_running_loop().time() - begun < 2
        never.set()
    assert (caught.value.failure, caught.value.status) == (HookFailure.TIMEOUT, None)


async def test_wh05_the_default_is_ten_seconds() -> None:
    assert HookClient()._timeout_s == 10.0


async def test_wh05_an_answer_that_trickles_does_not_extend_the_time() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        client_is_gone = asyncio.create_task(reader.read())
        while not client_is_gone.done():
            writer.write(b" ")
            await asyncio.wait([client_is_gone], timeout=0.05)

    async with raw_host(serve) as url, talking(timeout_s=0.2) as (_, client, _):
        with pytest.raises(HookFailed) as caught:
            await client.send(Hook(url), {})
    assert caught.value.failure is HookFailure.TIMEOUT


async def test_wh05_a_host_that_never_accepts_is_a_connection_time_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # the backlog is full: the kernel answers no further SYN
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        async with talking(timeout_s=0.3) as (_, client, _):
            with pytest.raises(HookFailed, match="no connection within") as caught:
                await client.send(Hook(f"http://127.0.0.1:{port}/#rc=1&rp=rt"), {})
            assert client.attempts == 1
        for filler in fillers:
            filler.close()
    assert caught.value.failure is HookFailure.CONNECT


def basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


async def test_wh06_basic_authentication_from_the_hook_and_from_the_url() -> None:
    async with talking() as (host, client, _):
        at = f"127.0.0.1:{host.port}"
        await client.send(Hook(host.url(), "POST", "alice", "pässword"), {})
        await client.send(Hook(f"http://bob:p%40ss@{at}/"), {})
        await client.send(Hook(f"http://bob:p%40ss@{at}/", "GET", "alice", "wins"), {})
        await client.send(Hook(host.url()), {})
    values = [seen.headers.get("authorization") for seen in host.seen]
    assert values == [basic("alice", "pässword"), basic("bob", "p@ss"), basic("alice", "wins"), None]


async def test_wh07_the_signature_covers_exactly_the_bytes_sent() -> None:
    async with talking() as (host, client, _):
        await client.send(Hook(host.url()), {"caller_name": "Żółć", "n": 1.5}, secrets=["old", "new"])
        await client.send(Hook(host.url()), {})
    seen, unsigned = host.seen
    time, *values = seen.headers["jambonz-signature"].split(",")
    assert time == "t=1700000000"
    assert values == [
        "v1=" + hmac.new(secret, b"1700000000." + seen.body, hashlib.sha256).hexdigest()
        for secret in (b"old", b"new")
    ]
    assert "jambonz-signature" not in unsigned.headers


async def test_wh08_the_fragment_is_not_sent_and_says_how_often_to_try() -> None:
    async with talking() as (host, client, pauses):
        host.answers("/x", Reply(503), Reply(500), Reply(200, b"[]"))
        reply = await client.send(Hook(host.url("/x#rc=5&rp=5xx")), {"a": 1})
    assert reply.verbs == []
    assert [(seen.path, seen.raw_query, seen.body) for seen in host.seen] == [("/x", "", b'{"a":1}')] * 3
    assert pauses.seen == [0.5, 1.0]


async def test_wh08_a_get_keeps_its_query_over_retries() -> None:
    async with talking() as (host, client, _):
        host.answers("/x", Reply(404), Reply(204))
        await client.send(Hook(host.url("/x?y=1#rc=1&rp=4xx"), "GET"), {"a": 1})
    assert [seen.raw_query for seen in host.seen] == ["y=1&a=1"] * 2


async def test_wh08_without_a_fragment_one_attempt_is_all() -> None:
    async with talking() as (host, client, pauses):
        host.answers("/x", Reply(503))
        with pytest.raises(HookFailed):
            await client.send(Hook(host.url("/x")), {})
        with pytest.raises(HookFailed):
            await client.send(Hook(host.url("/x#rc=3&rp=ct,rt,4xx")), {})
    assert (len(host.seen), pauses.seen) == (2, [])


async def test_wh08_a_refused_connection_is_tried_again_all_five_times() -> None:
    async with talking() as (_, client, pauses):
        with pytest.raises(HookFailed, match="refused") as caught:
            await client.send(Hook(f"http://127.0.0.1:{closed_port()}/#rc=5"), {})
        assert client.attempts == 6
    assert pauses.seen == [0.5, 1.0, 2.0, 4.0, 6.0]
    assert (caught.value.failure, caught.value.status) == (HookFailure.CONNECT, None)


async def test_wh08_a_read_time_out_is_tried_again_when_asked_for() -> None:
    never = asyncio.Event()
    async with talking(timeout_s=0.1) as (host, client, pauses):
        host.answers("/x", Reply(after=never), Reply(200, b"[]"))
        assert (await client.send(Hook(host.url("/x#rc=1&rp=rt")), {})).verbs == []
        never.set()
    assert pauses.seen == [0.5]


async def test_wh08_an_answer_cut_off_is_a_connection_error() -> None:
    async with talking() as (host, client, _):
        host.answers("/x", Reply(is_cut=True), Reply(200, b"[]"))
        assert (await client.send(Hook(host.url("/x#rc=1&rp=ct")), {})).verbs == []


async def test_a_kept_connection_the_host_has_closed_costs_nothing_but_a_new_one() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
        await writer.drain()
        with_request = await reader.read(10)  # the next request on this connection: hang up on it
        assert with_request
        writer.transport.abort()

    async with raw_host(serve) as url, talking() as (_, client, _):
        hook = Hook(url)
        assert (await client.send(hook, {"n": 1})).verbs == []
        assert (await client.send(hook, {"n": 2})).verbs == []
        assert client.failures == 0
    assert connections == 2


async def test_wh10_the_user_agent_names_the_product_and_b3_is_passed_when_tracing_is_on() -> None:
    traced = {"trace_id": "0af7651916cd43dd8448eb211c80319c"}
    async with talking(has_tracing=True) as (host, client, _):
        await client.send(Hook(host.url()), traced)
        await client.send(Hook(host.url()), {})
    async with talking() as (other, client, _):
        await client.send(Hook(other.url()), traced)
    assert {seen.headers["user-agent"] for seen in host.seen} == {"dial-engine/0.1"}
    trace, span, sampled = host.seen[0].headers["b3"].split("-")
    assert (trace, len(span), sampled) == (traced["trace_id"], 16, "1")
    assert "b3" not in host.seen[1].headers
    assert "b3" not in other.seen[0].headers


async def test_one_connection_carries_many_hooks_and_nothing_is_sent_that_was_not_asked_for() -> None:
    async with talking() as (host, client, _):
        for n in range(20):
            await client.send(Hook(host.url()), {"n": n}, idempotency_key=f"key-{n}")
    assert len({seen.peer for seen in host.seen}) == 1
    assert [json.loads(seen.body)["n"] for seen in host.seen] == list(range(20))
    assert host.seen[3].headers["idempotency-key"] == "key-3"
    assert set(host.seen[0].headers) == {
        "host",
        "user-agent",
        "content-type",
        "content-length",
        "idempotency-key",
    }


async def test_no_more_connections_than_configured_and_one_host_never_has_all_of_them() -> None:
    gate = asyncio.Event()
    async with talking(max_connections=8) as (host, client, _), HookHost() as other:
        host.answers("/", Reply(after=gate))
        hanging = [asyncio.create_task(client.send(Hook(host.url()), {})) for _ in range(50)]
        await host.until(lambda: host.active == 6)
        assert (await client.send(Hook(other.url()), {})).status == 204
        gate.set()
        assert {(await task).status for task in hanging} == {200}
    assert host.most_active == 6


async def test_a_host_that_does_not_answer_gets_few_places_until_it_does() -> None:
    never = asyncio.Event()
    async with talking(timeout_s=0.2, max_connections=20) as (host, client, _):
        host.answers("/dead", Reply(after=never))

        async def fails() -> None:
            with pytest.raises(HookFailed):
                await client.send(Hook(host.url("/dead")), {})

        await asyncio.gather(*(fails() for _ in range(15)))
        assert host.most_active == 15
        await host.until(lambda: host.active == 0)
        host.most_active = 0
        await asyncio.gather(*(fails() for _ in range(40)))
        assert host.most_active == 2
        await host.until(lambda: host.active == 0)
        assert (await client.send(Hook(host.url("/well")), {})).status == 204
        await asyncio.gather(*(fails() for _ in range(15)))
        assert host.most_active == 15
        never.set()


async def test_cancelling_a_hook_gives_its_place_back() -> None:
    gate = asyncio.Event()
    async with talking(max_connections=4) as (host, client, _):
        host.answers("/hang", Reply(after=gate))
        hanging = [asyncio.create_task(client.send(Hook(host.url("/hang")), {})) for _ in range(9)]
        await host.until(lambda: host.active == 3)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert all(task.cancelled() for task in hanging)
        assert (await client.send(Hook(host.url("/well")), {})).status == 204
        assert len(client._gates) == 0
        gate.set()
