"""Matrix 3 of the dial contract under a document: the races of DV-34; nobody is told twice or too late.

The SIP side of each race is shown by `test_dial_races.py` and `test_moments.py`; here it is what the
application is told about it, and that exactly one `actionHook` follows (DV-30).
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from engine import Engine
from tests.support.application import Answer, HookRequest, WebApplication
from tests.support.running_application import ACCOUNT_SID, KEY, application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import SippBench, SippResult
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab

TERMINAL = {"completed", "failed", "busy", "no-answer"}


def document(*uris: str, **properties: Any) -> list[dict[str, Any]]:
    targets = [{"type": "sip", "sipUri": uri} for uri in uris]
    return [{"verb": "dial", "answerOnBridge": True, "target": targets, **properties}]


async def assert_told_once(app: WebApplication) -> dict[str, Any]:
    """One actionHook (DV-30), one terminal status per leg, as its last (DV-31). What it was told."""
    await app.request("/dial")
    await app.until(
        lambda: any(
            told["direction"] == "inbound" and told["call_status"] in TERMINAL
            for told in app.payloads("/status")
        ),
        "the end of the caller",
    )
    (told,) = app.payloads("/dial")
    legs: dict[str, list[str]] = {}
    for status in app.payloads("/status"):
        legs.setdefault(status["call_sid"], []).append(status["call_status"])
    assert len(legs) == 1 + len(told["dial_legs"])
    for statuses in legs.values():
        assert [status in TERMINAL for status in statuses] == [False] * (len(statuses) - 1) + [True], legs
    return told


def assert_gone(called: SippResult) -> None:
    """ACK, and BYE at once."""
    called.assert_passed()
    ack, bye = called.received("ACK")[0], called.received("BYE")[0]
    assert is_on_time(bye.at_utc - ack.at_utc, 0.0)


async def test_dv34_a_200_after_our_cancel_is_never_bridged(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_late_200_after_cancel")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(callee.uri, timeout=0.6))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        told = await assert_told_once(app)
    calling.assert_passed()
    assert_gone(called)
    assert (told["dial_status"], told["dial_termination_reason"]) == ("no-answer", "ring-timeout")
    (leg,) = told["dial_legs"]
    assert leg["status"] == "no-answer"


async def test_dv34_a_callee_that_never_says_anything_is_abandoned(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_slow_to_try", hold_ms=1500)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(callee.uri, timeout=0.5))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        told = await assert_told_once(app)
    assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)


@pytest.mark.parametrize("scenario", ["callee_200_twice", "callee_loses_first_ack", "callee_forks"])
async def test_dv34_repeated_and_forked_answers_are_one_answer(sipp: SippBench, scenario: str) -> None:
    callee = await sipp.callee(scenario)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(callee.uri, timeLimit=2))
        app.on("/dial", [{"verb": "hangup"}])
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        told = await assert_told_once(app)
    assert told["dial_status"] == "completed"
    answered = [each for each in app.payloads("/status") if each["call_status"] == "in-progress"]
    assert [each["direction"] for each in answered].count("outbound") == 1


async def test_dv34_two_answers_at_once_are_one_bridge_and_one_goodbye(sipp: SippBench) -> None:
    both = [await sipp.callee("callee_answers", hold_ms=200) for _ in range(2)]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(*(each.uri for each in both)))
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=600)
        (await caller.finished()).assert_passed()
        results = [await each.stop() for each in both]
        told = await assert_told_once(app)
    assert sorted(leg["status"] for leg in told["dial_legs"]) == ["completed", "no-answer"]
    bridged = [each for each in results if each.received("BYE")]
    cancelled = [each for each in results if each.received("CANCEL")]
    assert len(bridged) + len(cancelled) >= 2


async def test_dv34_a_caller_that_leaves_in_the_moment_of_the_answer_is_gone(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", hold_ms=200)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(callee.uri))
        app.on("/dial", [{"verb": "redirect", "actionHook": "/never"}])
        caller = await sipp.caller("caller_hangs_up_in_the_answer", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        await assert_told_once(app)
    assert "/never" not in app.paths


async def test_dv34_a_caller_that_cancels_stops_every_branch(sipp: SippBench) -> None:
    callees = [await sipp.callee("callee_rings_on") for _ in range(2)]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(*(each.uri for each in callees)))
        app.on("/dial", [{"verb": "redirect", "actionHook": "/never"}])
        caller = await sipp.caller("caller_cancels", sip_address(engine), hold_ms=300)
        (await caller.finished()).assert_passed()
        for each in callees:
            called = await each.finished()
            called.assert_passed()
            assert "Call completed elsewhere" not in called.received("CANCEL")[0].header("Reason"), "DV-33"
        told = await assert_told_once(app)
    assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)
    assert told["dial_termination_reason"] == "caller-gone"
    assert "/never" not in app.paths, "DV-36"


async def put(engine: Engine, call_sid: str, change: dict[str, object]) -> int:
    """Live control over REST; the HTTP status."""
    url = f"{engine.http_url}/v1/Accounts/{ACCOUNT_SID}/Calls/{call_sid}"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.put(url, json=change) as reply:
        return reply.status


async def test_dv85_hanging_up_over_rest_while_it_rings_cancels_all_branches(sipp: SippBench) -> None:
    """Also the last row of DV-34."""
    callees = [await sipp.callee("callee_rings_on") for _ in range(2)]
    async with WebApplication() as app, application_engine(app, api=True) as engine:
        app.on("/call", document(*(each.uri for each in callees)))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        ringing = await app.told("/status", direction="inbound", call_status="ringing")
        assert await put(engine, ringing.payload["call_sid"], {"call_status": "completed"}) in (202, 204)
        calling = await caller.finished()
        for each in callees:
            (await each.finished()).assert_passed()
        told = await assert_told_once(app)
    calling.assert_passed()
    assert told["dial_status"] == "no-answer"


async def test_section_8_3_a_new_document_over_rest_replaces_the_running_one_and_the_dial(
    sipp: SippBench,
) -> None:
    callee = await sipp.callee("callee_rings_on")
    async with WebApplication() as app, application_engine(app, api=True) as engine:
        app.on("/call", [*document(callee.uri), {"verb": "redirect", "actionHook": "/never"}])
        app.on("/dial", [{"verb": "redirect", "actionHook": "/never"}])
        app.on("/instead", [{"verb": "sip:decline", "status": 486, "reason": "Replaced"}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        ringing = await app.told("/status", direction="inbound", call_status="ringing")
        assert await put(engine, ringing.payload["call_sid"], {"call_hook": app.url("/instead")}) in (
            202,
            204,
        )
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
        told = await assert_told_once(app)
    assert calling.received("486 INVITE")[0].first_line == "SIP/2.0 486 Replaced"
    assert told["dial_termination_reason"] == "replaced"
    assert "/never" not in app.paths, "what is asked later wins"


async def test_dv30_twenty_calls_at_once_are_each_told_once(sipp: SippBench) -> None:
    """Half of the callees are busy, half answer; nobody's hooks get mixed up."""
    count = 20
    busy = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 486 Busy Here"}, calls=count // 2)
    answering = await sipp.callee("load_callee", calls=count // 2)

    def call(request: HookRequest) -> Answer:
        odd = int(request.payload["call_id"].split("-")[0]) % 2
        uri = busy.uri if odd else answering.uri
        tag = {"verb": "tag", "data": {"mine": request.payload["call_sid"]}}
        decline = {"verb": "answer"}
        return Answer(document=[tag, decline, *document(uri)], delay_s=0.05)

    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", call)
        app.on("/dial", [{"verb": "pause", "length": 10}])
        callers = await sipp.caller(
            "caller_answers_basic", sip_address(engine), calls=count, rate=50.0, hold_ms=1500
        )
        (await callers.finished()).assert_passed(count)
        async with asyncio.timeout(10):
            await app.request("/dial", count)
        await app.until(lambda: len(ended(app)) == count, "the end of every caller")
    told = app.payloads("/dial")
    assert len({each["call_sid"] for each in told}) == count
    assert all(each["customerData"]["mine"] == each["call_sid"] for each in told)
    assert sorted(each["dial_status"] for each in told) == ["busy"] * 10 + ["completed"] * 10


def ended(app: WebApplication) -> list[dict[str, Any]]:
    """Terminal statuses of callers."""
    return [
        told
        for told in app.payloads("/status")
        if told["direction"] == "inbound" and told["call_status"] in TERMINAL
    ]
