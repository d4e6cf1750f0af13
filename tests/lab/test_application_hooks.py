"""The edge cases of hooks (hooks contract, section 9, DV-03, DV-04), each in a real call."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from engine import Engine
from engine.config import HookConfig
from engine.store.rows import AlertRow
from tests.support.application import Answer, HookRequest, Script, WebApplication
from tests.support.ports import free_port
from tests.support.running_application import ACCOUNT_SID, application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import SippBench
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab


async def alerts(engine: Engine) -> list[AlertRow]:
    """What the store has of the lab's account."""
    store = engine.server.store
    await store.settled()
    return await store.alerts(ACCOUNT_SID)


def dial(*uris: str, **properties: Any) -> dict[str, Any]:
    """A verb that rings these."""
    targets = [{"type": "sip", "sipUri": uri} for uri in uris]
    return {"verb": "dial", "target": targets, "answerOnBridge": True, **properties}


FAILURES: dict[str, Script] = {
    "404": Answer(status=404),
    "500": Answer(status=500),
    "a broken connection": Answer(cut=True),
    "no answer in time": Answer(gate=asyncio.Event()),
    "a redirect of a POST": Answer.redirect("/elsewhere"),
    "HTML": Answer(text="<html>"),
    "half a document": Answer(text='[{"verb":"say"'),
    "not a document": Answer(text='"hangup"'),
    "an unknown verb": [{"verb": "sing"}],
    "an unknown property": [{"verb": "answer", "loud": True}],
    "a missing property": [{"verb": "answer"}, {"verb": "dial"}],
    "a wrong type": [{"verb": "dial", "target": [{"type": "sip", "sipUri": 7}]}],
    "a megabyte": Answer(text=json.dumps([{"verb": "say", "text": "a" * 1_000_000}])),
    "10 000 levels": Answer(text='[{"tag":{"data":{"a":' + "[" * 10_000 + "]" * 10_000 + "}}}]"),
}


@pytest.mark.parametrize("how", FAILURES)
async def test_dv03_dv04_a_first_document_that_cannot_be_had_is_480_and_one_alert(
    sipp: SippBench, how: str
) -> None:
    """Also case 5."""
    async with WebApplication() as app, application_engine(app, hook_timeout_s=0.5) as engine:
        app.on("/call", FAILURES[how])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        ended = await app.told("/status", sip_status=480)
        recorded = await alerts(engine)
    calling.assert_passed()
    assert len(calling.received("480 INVITE")) == 1
    assert not calling.received("180 INVITE"), "DV-05"
    assert ended.payload["call_status"] == "no-answer"
    assert len(recorded) == 1, recorded
    (alert,) = recorded
    assert alert.call_sid == ended.payload["call_sid"]
    path = {
        "an unknown verb": "$[0].verb",
        "an unknown property": "$[0].loud",
        "a missing property": "$[1]",
        "a wrong type": "$[0].target[0].sipUri",
    }.get(how)
    if path is not None:
        assert alert.path == path


EMPTY: dict[str, Answer] = {
    "no body": Answer(),
    "[]": Answer(text="[]"),
    "{}": Answer(text="{}"),
    "null": Answer(text="null"),
    "blanks": Answer(text=" \r\n"),
    "202": Answer(status=202),
    "204": Answer(status=204),
}


@pytest.mark.parametrize("how", EMPTY)
async def test_case1_an_empty_answer_of_an_action_hook_lets_the_document_go_on(
    sipp: SippBench, how: str
) -> None:
    callee = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 404 Not Found"})
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [dial(callee.uri), {"verb": "sip:decline", "status": 486}])
        app.on("/dial", EMPTY[how])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        assert await alerts(engine) == []
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1


@pytest.mark.parametrize("how", EMPTY)
async def test_case1_an_empty_answer_of_the_call_hook_is_a_call_nobody_wants(
    sipp: SippBench, how: str
) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", EMPTY[how])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    assert len(calling.received("603 INVITE")) == 1, "no dial was executed"


async def test_wh04_a_malformed_answer_of_an_action_hook_is_an_alert_and_no_instruction(
    sipp: SippBench,
) -> None:
    callee = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 404 Not Found"})
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [dial(callee.uri), {"verb": "sip:decline", "status": 486}])
        app.on("/dial", [{"verb": "sip:decline", "status": 600}, {"verb": "sing"}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        recorded = await alerts(engine)
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1
    assert [alert.path for alert in recorded] == ["$[1].verb"]


async def test_wh04_a_single_verb_is_a_document(sipp: SippBench) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", Answer(document={"verb": "sip:decline", "status": 410}))
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    assert len(calling.received("410 INVITE")) == 1


async def test_case2_a_caller_that_leaves_before_the_document_comes_reaches_nobody(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers")
    gate = asyncio.Event()
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", Answer(document=[dial(callee.uri)], gate=gate))
        caller = await sipp.caller("caller_gives_up", sip_address(engine), hold_ms=300)
        (await caller.finished()).assert_passed()
        await app.told("/status", call_status="no-answer")
        gate.set()
    called = await callee.stop()
    assert called.messages == (), "no INVITE"
    assert app.unscripted == []


async def test_case2_verbs_returned_after_the_caller_has_left_are_not_run(sipp: SippBench) -> None:
    """Also DV-36 and WH-11."""
    callee, never = await sipp.callee("callee_answers"), await sipp.callee("callee_answers")
    gate = asyncio.Event()
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [dial(callee.uri)])
        app.on("/dial", Answer(document=[dial(never.uri)], gate=gate))
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=300)
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        told = (await app.request("/dial")).payload
        gate.set()
        ended = (await app.told("/status", direction="inbound", call_status="completed")).payload
    assert (await never.stop()).messages == ()
    assert told["dial_status"] == "completed"
    assert ended["call_termination_by"] == "caller"


async def test_case2_a_callee_that_leaves_before_a_slow_status_hook_answers_delays_nothing(
    sipp: SippBench,
) -> None:
    """WH-09: a slow call status hook is nobody's business but its own."""
    callee = await sipp.callee("callee_hangs_up", hold_ms=200)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/status", Answer(delay_s=0.7))
        app.on("/call", [dial(callee.uri)])
        app.on("/dial")
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        await app.told("/status", direction="inbound", call_status="completed")
    calling.assert_passed()
    called.assert_passed()
    answered, bridged = calling.received("200 INVITE")[0], called.sent("200 INVITE")[0]
    assert is_on_time(answered.at_utc - bridged.at_utc, 0.0, late_s=0.6)
    for sid in {told["call_sid"] for told in app.payloads("/status")}:
        mine = [
            (each.at, each.payload["call_status"])
            for each in app.asked("/status")
            if each.payload["call_sid"] == sid
        ]
        assert [status for _, status in mine][-2:] == ["in-progress", "completed"]
    for earlier, later in pairwise(app.asked("/status")):
        assert later.at - earlier.at >= 0.6, "one at a time"


async def test_case4_without_its_hook_host_a_call_is_signalled_cleanly(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=200)
    nowhere = f"http://127.0.0.1:{free_port()}"
    document = json.dumps([dial(callee.uri, actionHook=f"{nowhere}/dial", confirmHook="")]).replace(
        ', "confirmHook": ""', ""
    )
    async with (
        WebApplication() as app,
        application_engine(app, document=document, status_hook=f"{nowhere}/status") as engine,
    ):
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        recorded = await alerts(engine)
    calling.assert_passed()
    called.assert_passed()
    assert app.requests == []
    assert recorded, "nobody was told, which is told"


async def test_case6_text_beyond_ascii_is_utf8_in_a_post(sipp: SippBench) -> None:
    keys = {
        "from": '"Jürgen 日本" <sip:5550199@example.com>',
        "privacy": "Privacy: none",
        "identity": "X-Nothing: 1",
    }
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "answer"}, {"verb": "pause", "length": 2}])
        caller = await sipp.caller("caller_with_identity", sip_address(engine), keys=keys, hold_ms=200)
        (await caller.finished()).assert_passed()
        asked = await app.request("/call")
    assert asked.payload["caller_name"] == "Jürgen 日本"
    assert "Jürgen 日本".encode() in asked.body
    assert asked.payload["sip"]["method"] == "INVITE"
    assert "v=0" in asked.payload["sip"]["body"]


async def test_case6_text_beyond_ascii_is_percent_encoded_in_a_get(sipp: SippBench) -> None:
    keys = {
        "from": '"Jürgen 日本" <sip:5550199@example.com>',
        "privacy": "Privacy: none",
        "identity": "X-Nothing: 1",
    }
    async with WebApplication() as app:
        hook = HookConfig(url=app.url("/call"), method="GET", username="alice", password="secret")
        async with application_engine(app, call_hook=hook) as engine:
            app.on("/call", [{"verb": "answer"}, {"verb": "pause", "length": 2}])
            caller = await sipp.caller("caller_with_identity", sip_address(engine), keys=keys, hold_ms=200)
            (await caller.finished()).assert_passed()
            asked = await app.request("/call")
    assert asked.method == "GET"
    assert asked.body == b""
    assert asked.query["caller_name"] == "Jürgen 日本"
    assert asked.query["from"] == "5550199"
    assert "sip" not in asked.query, "POST only"
    assert asked.headers["authorization"].startswith("Basic "), "WH-06"


async def test_case7_two_hooks_that_redirect_to_each_other_stop_after_20_documents(sipp: SippBench) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "redirect", "actionHook": "/other"}])
        app.on("/other", [{"verb": "redirect", "actionHook": "/call"}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        recorded = await alerts(engine)
    calling.assert_passed()
    documents = [path for path in app.paths if path in ("/call", "/other")]
    assert 20 <= len(documents) <= 21
    assert len(recorded) == 1
    assert not calling.received("200 INVITE")


async def test_wh02_a_relative_url_starts_from_the_hook_that_gave_the_document(sipp: SippBench) -> None:
    def document(request: HookRequest) -> Answer:
        assert request.path in ("/a/call", "/a/b/next", "/c/last")
        return Answer(
            document={
                "/a/call": [{"verb": "redirect", "actionHook": "b/next"}],
                "/a/b/next": [{"verb": "redirect", "actionHook": "/c/last"}],
                "/c/last": [{"verb": "sip:decline", "status": 486}],
            }[request.path]
        )

    async with WebApplication() as app:
        for path in ("/a/call", "/a/b/next", "/c/last"):
            app.on(path, document)
        async with application_engine(app, call_hook=app.url("/a/call")) as engine:
            caller = await sipp.caller("caller_is_refused", sip_address(engine))
            calling = await caller.finished()
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1
    assert [path for path in app.paths if path != "/status"] == ["/a/call", "/a/b/next", "/c/last"]


async def test_wh08_a_hook_is_asked_again_as_its_fragment_says(sipp: SippBench) -> None:
    async with WebApplication() as app:
        app.on("/call", Answer(status=503), Answer(status=500), [{"verb": "sip:decline", "status": 486}])
        async with application_engine(app, call_hook=app.url("/call#rc=2&rp=ct,5xx")) as engine:
            caller = await sipp.caller("caller_is_refused", sip_address(engine))
            calling = await caller.finished()
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1
    first, second, third = app.asked("/call")
    assert first.body == second.body == third.body
    assert is_on_time(second.at - first.at, 0.5)
    assert is_on_time(third.at - second.at, 1.0)
