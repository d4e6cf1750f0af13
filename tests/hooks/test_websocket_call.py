"""A real call under an application over WebSocket (hooks contract, section 7): SIPp, engine, `websockets`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from tests.hooks.test_client import closed_port
from tests.hooks.ws_application import Application, Message, ack
from tests.support.running_application import application_config
from tests.support.running_engine import running, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


async def test_ws_a_call_gets_its_document_and_tells_its_end_over_one_socket(tmp_path: Path) -> None:
    application = Application()
    await application.start()
    async with SippBench(tmp_path) as sipp:
        callee = await sipp.callee("load_callee")
        document = [
            {
                "verb": "dial",
                "target": [{"type": "sip", "sipUri": callee.uri}],
                "answerOnBridge": True,
                "actionHook": "/dial",
            }
        ]
        application.answers["session:new"] = lambda _, message: [ack(message, document)]
        config = application_config(tmp_path, call_hook=application.url(), status_hook="")
        async with running(config) as engine:
            caller = await sipp.caller("load_caller", sip_address(engine), hold_ms=100)
            (await caller.finished()).assert_passed()
            (await callee.finished()).assert_passed()
            await application.until(lambda: "verb:hook" in application.types())
            assert await engine.drain(5.0)
    await application.stop()
    first, ended = application.seen[0], application.seen[-1]
    assert application.types() == ["session:new", "verb:hook"]
    data = cast("Message", first["data"])
    assert data["direction"] == "inbound"
    assert cast("Message", data["sip"])["method"] == "INVITE"
    assert ended["hook"] == "/dial"
    result = cast("Message", ended["data"])
    assert (result["dial_status"], result["call_sid"]) == ("completed", first["call_sid"])
    assert len(application.connections) == 1
    assert application.connections[0].close_code == 1000


async def test_ws_a_call_whose_application_is_not_there_is_refused_with_480(tmp_path: Path) -> None:
    config = application_config(tmp_path, call_hook=f"ws://127.0.0.1:{closed_port()}/", status_hook="")
    async with SippBench(tmp_path) as sipp, running(config) as engine:
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    assert len(calling.received("480 INVITE")) == 1
