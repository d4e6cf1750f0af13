"""Calls created, changed and ended over REST, by the whole engine: applications, hooks, store, HTTP, SIP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from engine.config import LimitsConfig
from tests.api.phones import Phones, phones
from tests.api.serving import Api, until
from tests.support.application import WebApplication
from tests.support.running_application import ACCOUNT_SID, APPLICATION_SID, KEY, application_engine
from tests.support.running_engine import lab_config

CALLS = f"/v1/Accounts/{ACCOUNT_SID}/Calls"


class Rest(Api):
    """A client with the key of the lab's account."""

    async def __call__(self, method: str, path: str, json: Any = None, **options: Any) -> Any:
        options.setdefault("key", KEY)
        return await super().__call__(method, path, json, **options)


@asynccontextmanager
async def _lab(**options: Any) -> AsyncIterator[tuple[WebApplication, Phones, Rest]]:
    async with (
        WebApplication() as app,
        phones() as far,
        application_engine(app, api=True, **options) as engine,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        assert engine.server.http is not None
        yield app, far, Rest(engine.server.http, engine, session)


def _body(app: WebApplication, far: Phones, user: str, **changes: Any) -> dict[str, Any]:
    hooks = {"call_hook": app.url("/call"), "call_status_hook": app.url("/status")}
    return {"from": "+15550100", "to": {"type": "sip", "sipUri": far.uri(user)}, **hooks, **changes}


@pytest.mark.parametrize("depth", [70, 900])
async def test_section9_5_a_body_that_is_nested_too_deeply_is_refused(depth: int) -> None:
    async with _lab() as (app, far, rest):
        tag: dict[str, Any] = {}
        for _ in range(depth):
            tag = {"a": tag}
        refused = await rest("POST", CALLS, _body(app, far, "answers", tag=tag))
        assert (refused.status, refused.json) == (400, {"msg": "the body is nested too deeply"})
        assert far.invited == {}


async def test_a_created_call_is_answered_runs_its_document_and_is_told_step_by_step() -> None:
    async with _lab() as (app, far, rest):
        app.on("/call", [{"verb": "pause", "length": 0.2}, {"verb": "hangup"}])
        created = await rest("POST", CALLS, _body(app, far, "answers", tag={"order": 7}))
        assert created.status == 201
        sid = created.json["sid"]
        assert created.json["callId"]
        assert far.invited == {"answers": 1}
        asked = await app.request("/call")
        assert asked.payload["call_sid"] == sid
        assert asked.payload["call_id"] == created.json["callId"]
        assert asked.payload["customerData"] == {"order": 7}
        ended = await app.told("/status", call_status="completed")
        assert ended.payload["call_sid"] == sid
        statuses = [each.payload["call_status"] for each in app.requests if each.path == "/status"]
        assert statuses[0] == "trying"
        assert statuses[-2:] == ["in-progress", "completed"]
        remembered = await rest("GET", f"{CALLS}/{sid}")
        assert (remembered.status, remembered.json["call_status"]) == (200, "completed")
        gone = await rest("PUT", f"{CALLS}/{sid}", {"call_status": "completed"})
        assert (gone.status, gone.json) == (422, {"msg": "call session is gone"})


@pytest.mark.parametrize(
    ("user", "status", "sip_status"),
    [("busy", "busy", 486), ("nobody@127.0.0.1:9", "failed", 503)],
)
async def test_dv50_the_outcome_of_a_created_call_comes_from_the_dial_s_table(
    user: str, status: str, sip_status: int
) -> None:
    async with _lab() as (app, far, rest):
        uri = far.uri(user) if "@" not in user else f"sip:{user}"
        created = await rest("POST", CALLS, _body(app, far, user, to={"type": "sip", "sipUri": uri}))
        assert created.status == 201
        told = await app.told("/status", call_status=status)
        assert (told.payload["call_sid"], told.payload["sip_status"]) == (created.json["sid"], sip_status)


async def test_dv85_a_ringing_call_is_listed_counted_and_cancelled_by_put_and_by_delete() -> None:
    async with _lab() as (app, far, rest):
        sids = [(await rest("POST", CALLS, _body(app, far, user))).json["sid"] for user in ("alice", "bob")]
        assert (await rest("GET", f"/v1/Accounts/{ACCOUNT_SID}/CallCount")).json == {
            "inbound": 0,
            "outbound": 2,
        }
        assert [each["call_sid"] for each in (await rest("GET", CALLS)).json] == sids
        assert (await rest("GET", f"{CALLS}/{sids[0]}")).json["direction"] == "outbound"
        assert (await rest("PUT", f"{CALLS}/{sids[0]}", {"call_status": "no-answer"})).status == 202
        assert (await rest("DELETE", f"{CALLS}/{sids[1]}")).status == 204
        for sid in sids:
            told = await app.told("/status", call_sid=sid, call_status="no-answer")
            assert told.payload["sip_status"] == 487
        await until(lambda: not far.live)
        assert (await rest("GET", CALLS)).json == []


async def test_a_running_call_is_redirected_and_hung_up() -> None:
    async with _lab() as (app, far, rest):
        app.on("/call", [{"verb": "pause", "length": 60}])
        app.on("/other", [{"verb": "pause", "length": 60}])
        sid = (await rest("POST", CALLS, _body(app, far, "answers"))).json["sid"]
        await app.request("/call")
        assert (await rest("PUT", f"{CALLS}/{sid}", {"call_hook": app.url("/other")})).status == 202
        assert (await app.request("/other")).payload["call_sid"] == sid
        bad = await rest("PUT", f"{CALLS}/{sid}", {"call_status_hook": app.url("/x")})
        assert bad.status == 400
        assert (await rest("PUT", f"{CALLS}/{sid}", {"call_status": "completed"})).status == 202
        await app.told("/status", call_status="completed")
        await until(lambda: not far.live)


async def test_an_application_and_a_document_in_the_request_need_no_hook() -> None:
    async with _lab(document='[{"verb":"hangup"}]') as (app, far, rest):
        to = {"type": "sip", "sipUri": far.uri("answers")}
        body = {"from": "+15550100", "to": to, "application_sid": APPLICATION_SID}
        assert (await rest("POST", CALLS, body)).status == 201
        await app.told("/status", call_status="completed")
        unknown = APPLICATION_SID.replace("3", "4")
        refused = await rest("POST", CALLS, {**body, "application_sid": unknown})
        assert (refused.status, refused.json["errors"][0]["field"]) == (400, "application_sid")
        own = {"from": "+15550100", "to": to, "app_json": '[{"verb":"hangup"}]'}
        assert (await rest("POST", CALLS, own)).status == 201
        await until(lambda: far.invited["answers"] == 2 and not far.live)


async def test_one_call_too_many_is_a_503_and_a_draining_engine_a_480() -> None:
    base = replace(lab_config(), limits=LimitsConfig(max_dials=1))
    async with _lab(base=base) as (app, far, rest):
        sid = (await rest("POST", CALLS, _body(app, far, "alice"))).json["sid"]
        full = await rest("POST", CALLS, _body(app, far, "bob"))
        assert full.status == 503
        assert int(full.headers["retry-after"]) >= 1
        draining = asyncio.create_task(rest.engine.drain())
        await asyncio.sleep(0)
        closed = await rest("POST", CALLS, _body(app, far, "bob"))
        assert closed.status == 480
        native = await rest("POST", "/v1/dials", {"targets": [far.uri("bob")]})
        assert native.status == 503
        ready = await rest("GET", "/readyz", key=None)
        assert ready.status == 503
        assert ready.json["checks"]["store"] == "ok"
        await rest("DELETE", f"{CALLS}/{sid}")
        assert await draining
        assert "bob" not in far.invited
