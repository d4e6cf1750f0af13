"""The tests' own web application does what it says."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.application import Answer, WebApplication


async def test_a_document_is_answered_and_the_request_is_remembered() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        app.on("/call", [{"verb": "hangup"}])
        async with client.post(app.url("/call"), json={"call_sid": "a", "to": "Jürgen"}) as reply:
            assert reply.status == 200
            assert await reply.json(content_type=None) == [{"verb": "hangup"}]
        asked = await app.request("/call")
        assert asked.payload == {"call_sid": "a", "to": "Jürgen"}
        assert asked.headers["content-type"] == "application/json"
        assert app.unscripted == []


async def test_answers_come_one_after_the_other_and_the_last_stays() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        app.on("/a", Answer(status=500), [], Answer(text="<html>", status=202))
        seen = []
        for _ in range(4):
            async with client.post(app.url("/a"), json={}) as reply:
                seen.append((reply.status, await reply.text()))
        assert seen == [(500, ""), (200, "[]"), (202, "<html>"), (202, "<html>")]


async def test_a_get_tells_the_same_in_its_query() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        app.on("/dtmf")
        async with client.get(app.url("/dtmf"), params={"dtmf": "*2", "customerData": '{"a":[1]}'}) as reply:
            assert (reply.status, await reply.read()) == (200, b"")
        assert app.payloads("/dtmf") == [{"dtmf": "*2", "customerData": {"a": [1]}}]


async def test_a_redirect_leads_elsewhere_and_an_unknown_path_is_404() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        app.on("/old", Answer.redirect("/new"))
        async with client.get(app.url("/old")) as reply:
            assert reply.status == 404
        assert app.paths == ["/old", "/new"]
        assert app.unscripted == ["/new"]


async def test_a_gate_holds_the_answer_back() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        gate = asyncio.Event()
        app.on("/slow", Answer(document=[], gate=gate))
        asking = asyncio.ensure_future(client.post(app.url("/slow"), json={}))
        await app.request("/slow")
        assert not asking.done()
        gate.set()
        async with await asking as reply:
            assert reply.status == 200


async def test_a_cut_connection_and_a_stopped_application_answer_nothing() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        app.on("/cut", Answer(cut=True))
        app.on("/never", Answer(gate=asyncio.Event()))
        with pytest.raises(aiohttp.ClientError):
            await client.post(app.url("/cut"), json={})
        asking = asyncio.ensure_future(client.post(app.url("/never"), json={}))
        await app.request("/never")
        await app.stop()
        with pytest.raises(aiohttp.ClientError):
            await asking
        with pytest.raises(aiohttp.ClientError):
            await client.post(app.url("/cut"), json={})


async def test_what_does_not_come_is_said_with_what_came() -> None:
    async with WebApplication() as app, aiohttp.ClientSession() as client:
        async with client.post(app.url("/other"), json={"a": 1}):
            pass
        with pytest.raises(AssertionError, match="request 1 for /dial; what came:\n  POST /other"):
            await app.request("/dial", timeout_s=0.01)
        assert (await app.told("/other", a=1)).payload == {"a": 1}
