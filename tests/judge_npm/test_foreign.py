"""A customer's application and REST client, written with the family's own libraries, drive real calls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from tests.judge_npm.node import Foreign, foreign
from tests.support.running_application import ACCOUNT_SID, APPLICATION_SID, KEY, application_config
from tests.support.running_engine import running, sip_address
from tests.support.sipp import SippBench

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("library", ["sdk", "node-client"])]

SECRET = "wh-secret"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[SippBench]:
    async with SippBench(tmp_path) as bench:
        yield bench


@asynccontextmanager
async def served(
    library: str, folder: Path, documents: dict[str, Any]
) -> AsyncIterator[tuple[Foreign, Engine]]:
    """A foreign application, and an engine with its REST API that asks it."""
    async with foreign(library, documents, secret=SECRET) as app:
        config = application_config(
            folder,
            call_hook=app.url("/call"),
            status_hook=app.url("/status"),
            secrets=("old-secret", SECRET),
            api=True,
        )
        async with running(config) as engine:
            yield app, engine


def dial(uri: str, **properties: Any) -> tuple[str, dict[str, Any]]:
    return "dial", {
        "target": [{"type": "sip", "sipUri": uri}],
        "answerOnBridge": True,
        "actionHook": "/dialled",
        **properties,
    }


async def test_wh07_an_application_runs_an_inbound_call_and_verifies_every_signature(
    sipp: SippBench, tmp_path: Path, library: str
) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=200)
    documents = {
        "/call": [
            ("tag", {"data": {"name": "Jürgen", "share": 0.5, "list": [1, {"a": None}]}}),
            dial(callee.uri),
        ],
        "/dialled": [("hangup", {"headers": {"X-Why": "done"}})],
    }
    async with served(library, tmp_path, documents) as (app, engine):
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        ended = await app.hook("/status", direction="inbound", call_status="completed")
        dialled = await app.hook("/dialled")
    calling.assert_passed()
    called.assert_passed()
    assert calling.received("BYE")[0].header("X-Why") == "done"
    assert dialled["body"]["dial_status"] == "completed"
    assert ended["body"]["customerData"]["name"] == "Jürgen"
    assert {told["path"] for told in app.told} == {"/call", "/status", "/dialled"}
    assert [(told["path"], told["verified"]) for told in app.told if told["verified"] is not None] == []


async def test_section_5_every_verb_the_library_builds_is_understood(
    sipp: SippBench, tmp_path: Path, library: str
) -> None:
    documents = {
        "/call": [
            ("config", {"synthesizer": {"vendor": "default", "language": "en-US", "voice": "default"}}),
            ("answer", {}),
            ("pause", {"length": 0.1}),
            ("dtmf", {"dtmf": "1", "duration": 100}),
            ("gather", {"input": ["digits"], "numDigits": 1, "timeout": 0.2, "actionHook": "/gathered"}),
        ],
        "/gathered": [("redirect", {"actionHook": "/last"})],
        "/last": [("hangup", {})],
    }
    async with served(library, tmp_path, documents) as (app, engine):
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        gathered = await app.hook("/gathered")
        await app.hook("/last")
    assert gathered["body"]["reason"] == "timeout"


async def test_section_8_a_rest_client_creates_reads_lists_changes_and_ends_calls(
    sipp: SippBench, tmp_path: Path, library: str
) -> None:
    callee = await sipp.callee("callee_answers")
    documents = {"/answered": [("pause", {"length": 30})], "/other": [("pause", {"length": 30})]}
    async with served(library, tmp_path, documents) as (app, engine):
        base = engine.http_url

        async def rest(what: str, *arguments: object) -> Any:
            return await app.rest(what, *arguments, base=base, account=ACCOUNT_SID, key=KEY)

        sid = await rest(
            "create",
            {
                "from": "+15550199",
                "to": {"type": "sip", "sipUri": callee.uri},
                "call_hook": app.url("/answered"),
                "call_status_hook": app.url("/outbound"),
                "tag": {"order": 7},
            },
        )
        assert UUID.fullmatch(sid)
        answered = await app.hook("/answered")
        assert answered["body"]["call_sid"] == sid
        assert answered["body"]["direction"] == "outbound"
        assert answered["body"]["customerData"] == {"order": 7}
        read = await rest("retrieve", sid)
        assert (read["call_sid"], read["call_status"]) == (sid, "in-progress")
        listed = await rest("list")
        assert [call["call_sid"] for call in listed] == [sid]
        await rest("update", sid, {"call_hook": app.url("/other")})
        redirected = await app.hook("/other")
        assert redirected["body"]["call_sid"] == sid
        await rest("delete", sid)
        (await callee.finished()).assert_passed()
        ended = await app.hook("/outbound", call_status="completed")
        assert await rest("list") == []
    statuses = [told["body"]["call_status"] for told in app.told if told["path"] == "/outbound"]
    assert statuses == ["trying", "ringing", "in-progress", "completed"]
    assert ended["body"]["call_sid"] == sid
    assert [told for told in app.told if told["verified"] is not None] == []


async def test_section_8_a_rest_client_runs_an_application_by_its_sid(
    sipp: SippBench, tmp_path: Path, library: str
) -> None:
    callee = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 486 Busy Here"})
    async with served(library, tmp_path, {"/call": []}) as (app, engine):
        sid = await app.rest(
            "create",
            {
                "from": "+15550199",
                "to": {"type": "sip", "sipUri": callee.uri},
                "application_sid": APPLICATION_SID,
            },
            base=engine.http_url,
            account=ACCOUNT_SID,
            key=KEY,
        )
        ended = await app.hook("/status", call_status="busy")
        (await callee.finished()).assert_passed()
    assert (ended["body"]["call_sid"], ended["body"]["sip_status"]) == (sid, 486)
    assert "/call" not in [told["path"] for told in app.told], "nobody answered"
