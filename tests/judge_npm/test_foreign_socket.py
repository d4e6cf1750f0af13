"""A customer's application over WebSocket, written with the family's library (hooks contract, section 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.judge_npm.node import foreign_socket
from tests.support.running_application import ACCOUNT_SID, application_config
from tests.support.running_engine import running, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab

Documents = dict[str, list[tuple[str, object]]]


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[SippBench]:
    async with SippBench(tmp_path) as bench:
        yield bench


def dial(uri: str, **properties: Any) -> tuple[str, object]:
    return "dial", {"target": [{"type": "sip", "sipUri": uri}], "actionHook": "/dialled", **properties}


async def test_section_7_the_library_runs_a_call_and_replies_to_its_hooks(
    sipp: SippBench, tmp_path: Path
) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=200)
    documents: Documents = {
        "session:new": [("tag", {"data": {"a": 1}}), dial(callee.uri, answerOnBridge=True)],
        "/dialled": [("hangup", {"headers": {"X-Why": "done"}})],
    }
    async with foreign_socket(documents) as app:
        config = application_config(tmp_path, call_hook=app.url)
        async with running(config) as engine:
            caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
            calling = await caller.finished()
            (await callee.finished()).assert_passed()
            new = await app.event("session:new")
            dialled = await app.event("/dialled")
            await app.event("close")
    calling.assert_passed()
    assert calling.received("BYE")[0].header("X-Why") == "done"
    assert new["body"]["direction"] == "inbound"
    assert (dialled["body"]["dial_status"], dialled["body"]["dial_sip_status"]) == ("completed", 200)
    assert [told for told in app.told if told["event"] in ("log", "jambonz:error")] == []


async def test_section_7_a_confirm_hook_is_asked_over_the_same_socket(
    sipp: SippBench, tmp_path: Path
) -> None:
    callee = await sipp.callee("callee_answers")
    documents: Documents = {
        "session:new": [dial(callee.uri, answerOnBridge=True, confirmHook="/screen")],
        "/screen": [("hangup", {})],
        "/dialled": [("sip:decline", {"status": 486})],
    }
    async with (
        foreign_socket(documents) as app,
        running(application_config(tmp_path, call_hook=app.url)) as engine,
    ):
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
        asked = await app.event("/screen")
        dialled = await app.event("/dialled")
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1
    assert asked["body"]["direction"] == "outbound"
    assert dialled["body"]["dial_termination_reason"] == "screening-declined"


async def test_section_7_commands_of_the_library_change_a_running_call(
    sipp: SippBench, tmp_path: Path
) -> None:
    documents: Documents = {
        "session:new": [("answer", {}), ("pause", {"length": 30})],
        "/next": [("hangup", {"headers": {"X-Why": "told to"}})],
    }
    async with (
        foreign_socket(documents) as app,
        running(application_config(tmp_path, call_hook=app.url)) as engine,
    ):
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        await app.event("session:new")
        app.inject("injectTag", {"order": 7})
        app.inject("injectMute", "mute")
        app.inject("injectDtmf", "5", 100)
        app.inject("sendCommand", "redirect", [{"verb": "redirect", "actionHook": "/next"}])
        told = await app.event("/next")
        calling = await caller.finished()
        await engine.server.store.settled()
        alerts = await engine.server.store.alerts(ACCOUNT_SID)
    calling.assert_passed()
    assert calling.received("BYE")[0].header("X-Why") == "told to"
    assert told["body"]["customerData"] == {"order": 7}
    assert alerts == []


async def test_section_7_the_library_redirects_a_running_call_to_a_hook(
    sipp: SippBench, tmp_path: Path
) -> None:
    documents: Documents = {
        "session:new": [("answer", {}), ("pause", {"length": 1})],
        "/instead": [("hangup", {"headers": {"X-Why": "redirected"}})],
    }
    async with (
        foreign_socket(documents) as app,
        running(application_config(tmp_path, call_hook=app.url)) as engine,
    ):
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        await app.event("session:new")
        app.inject("injectRedirect", "/instead")
        calling = await caller.finished()
    calling.assert_passed()
    assert calling.received("BYE")[0].header("X-Why") == "redirected"
