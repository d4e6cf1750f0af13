"""Matrix 5 of the dial contract: the callee is asked before it is connected (section 7)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.softphone import Answer as Answers
from engine.softphone import CallState
from tests.support.application import Answer, HookRequest, Script, WebApplication
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import SippBench
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab


def screened(*uris: str, **properties: Any) -> list[dict[str, Any]]:
    """A dial whose callees are asked at /screen."""
    targets = [{"type": "sip", "sipUri": uri} for uri in uris]
    return [
        {"verb": "dial", "answerOnBridge": True, "confirmHook": "/screen", "target": targets, **properties}
    ]


ACCEPTS: dict[str, Script] = {
    "an empty document": [],
    "200 without a body": Answer(),
    "202": Answer(status=202),
    "204": Answer(status=204),
    "null": Answer(text="null"),
    "verbs that finish": [{"verb": "tag", "data": {"a": 1}}, {"verb": "config", "notifyEvents": False}],
    "a redirect to an empty document": [{"verb": "redirect", "actionHook": "/again"}],
}


@pytest.mark.parametrize("how", ACCEPTS)
async def test_section_7_the_callee_is_connected_after(sipp: SippBench, how: str) -> None:
    callee = await sipp.callee("callee_answers")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(callee.uri))
        app.on("/screen", ACCEPTS[how])
        app.on("/again", [])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=200)
        calling, called = await caller.finished(), await callee.finished()
        told = (await app.request("/dial")).payload
    calling.assert_passed()
    called.assert_passed()
    assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "answered")
    (asked,) = app.payloads("/screen")
    assert asked["direction"] == "outbound"
    assert asked["parent_call_sid"] == told["call_sid"]
    assert asked["call_sid"] == told["dial_call_sid"]
    assert asked["call_id"] == called.received("INVITE")[0].header("Call-ID")


DECLINES: dict[str, Script] = {
    "hangup": [{"verb": "hangup"}],
    "404": Answer(status=404),
    "500": Answer(status=500),
    "a broken connection": Answer(cut=True),
    "no JSON": Answer(text="<html>"),
    "a malformed document": [{"verb": "say"}],
    "an unknown verb": [{"verb": "conference", "name": "a"}],
    "a forbidden verb: dial": [
        {"verb": "dial", "target": [{"type": "sip", "sipUri": "sip:bob@example.com"}]}
    ],
    "a forbidden verb: sip:decline": [{"verb": "sip:decline", "status": 603}],
    "a redirect to a forbidden verb": [{"verb": "redirect", "actionHook": "/again"}],
    "no answer in time": Answer(gate=asyncio.Event()),
}


@pytest.mark.parametrize("how", DECLINES)
async def test_section_7_the_callee_is_released_after(sipp: SippBench, how: str) -> None:
    callee = await sipp.callee("callee_answers")
    async with WebApplication() as app, application_engine(app, hook_timeout_s=0.5) as engine:
        app.on("/call", screened(callee.uri))
        app.on("/screen", DECLINES[how])
        app.on("/again", [{"verb": "sip:decline", "status": 603}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        told = (await app.request("/dial")).payload
    calling.assert_passed()
    called.assert_passed()
    assert (told["dial_status"], told["dial_sip_status"]) == ("busy", 200)
    assert told["dial_termination_reason"] == "screening-declined"
    assert len(calling.received("603 INVITE")) == 1, "section 9"
    assert not calling.received("200 INVITE"), "DV-40"


async def test_section_5_hangup_headers_are_on_the_bye_of_a_screened_callee(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(callee.uri))
        app.on("/screen", [{"verb": "hangup", "headers": {"X-Why": "not wanted"}}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
        called = await callee.finished()
    assert called.received("BYE")[0].header("X-Why") == "not wanted"


async def test_section_7_a_callee_that_hangs_up_declines_and_the_late_answer_is_ignored(
    sipp: SippBench,
) -> None:
    """Also case 2 of the hooks contract, section 9."""
    callee = await sipp.callee("callee_hangs_up", hold_ms=200)
    gate = asyncio.Event()
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(callee.uri))
        app.on("/screen", Answer(document=[{"verb": "redirect", "actionHook": "/never"}], gate=gate))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await callee.finished()).assert_passed()
        told = (await app.request("/dial")).payload
        gate.set()
        (await caller.finished()).assert_passed()
    assert (told["dial_status"], told["dial_termination_reason"]) == ("busy", "screening-declined")
    assert "/never" not in app.paths


async def test_dv60_a_declined_branch_leaves_the_others_ringing(sipp: SippBench) -> None:
    unwanted = await sipp.callee("callee_answers")
    wanted = await sipp.callee("callee_answers", hold_ms=600)
    targets = [
        {"type": "sip", "sipUri": unwanted.uri, "confirmHook": {"url": "/decline", "method": "GET"}},
        {"type": "sip", "sipUri": wanted.uri, "url": "/accept"},
    ]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(target=targets))
        app.on("/decline", [{"verb": "hangup"}])
        app.on("/accept", [])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=200)
        (await caller.finished()).assert_passed()
        (await unwanted.finished()).assert_passed()
        (await wanted.finished()).assert_passed()
        told = (await app.request("/dial")).payload
    assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "answered")
    assert app.asked("/decline")[0].method == "GET"
    assert "/screen" not in app.paths, "the target's own hook is asked, not the verb's"
    assert {leg["status"] for leg in told["dial_legs"]} == {"completed", "busy"}


async def test_dv61_of_two_in_screening_the_first_to_accept_wins(sipp: SippBench) -> None:
    first, second = await sipp.callee("callee_answers"), await sipp.callee("callee_answers")
    gates = {first.uri: asyncio.Event(), second.uri: asyncio.Event()}

    def screen(request: HookRequest) -> Answer:
        to = next(
            uri for uri in gates if str(request.payload["to"]) in uri or uri in str(request.payload["to"])
        )
        return Answer(document=[], gate=gates[to])

    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(first.uri, second.uri))
        app.on("/screen", screen)
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=200)
        await app.request("/screen", 2)
        gates[second.uri].set()
        (await caller.finished()).assert_passed()
        (await first.finished()).assert_passed()
        (await second.finished()).assert_passed()
        told = (await app.request("/dial")).payload
        gates[first.uri].set()
    winner = next(leg for leg in told["dial_legs"] if leg["call_sid"] == told["dial_call_sid"])
    assert winner["to"] == second.uri
    assert told["dial_status"] == "completed"
    (loser,) = [leg for leg in told["dial_legs"] if leg is not winner]
    assert loser["status"] != "busy", "no decline: somebody else was quicker"


async def test_dv34_a_caller_that_leaves_during_the_screening_takes_the_callee_along(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(callee.uri))
        app.on(
            "/screen", Answer(document=[{"verb": "redirect", "actionHook": "/never"}], gate=asyncio.Event())
        )
        app.on("/dial", [{"verb": "redirect", "actionHook": "/never"}])
        caller = await sipp.caller("caller_cancels", sip_address(engine), hold_ms=500)
        calling, called = await caller.finished(), await callee.finished()
        told = (await app.request("/dial")).payload
        await app.told("/status", direction="inbound", call_status="no-answer")
    calling.assert_passed()
    called.assert_passed()
    assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)
    assert told["dial_termination_reason"] == "caller-gone"
    assert is_on_time(called.received("BYE")[0].at_utc - calling.sent("CANCEL")[0].at_utc, 0.0)
    assert "/never" not in app.paths, "DV-36, WH-11: what is returned after the call is ignored"


@pytest.mark.parametrize(("digit", "accepted"), [("1", True), ("2", False)])
async def test_section_7_press_1_to_accept(rack: PhoneRack, digit: str, accepted: bool) -> None:
    bob, alice = await rack.phone("bob", Answers()), await rack.phone("alice")
    gather = {"verb": "gather", "numDigits": 1, "timeout": 10, "actionHook": "/pressed"}

    def pressed(request: HookRequest) -> Answer:
        return Answer(document=[] if request.payload.get("digits") == "1" else [{"verb": "hangup"}])

    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", screened(bob.uri))
        app.on("/screen", [gather])
        app.on("/pressed", pressed)
        app.on("/dial")
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}")
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await app.request("/screen")
        assert call.state is not CallState.CONFIRMED, "DV-40"
        await theirs.send_dtmf(digit)
        asked = (await app.request("/pressed")).payload
        assert (asked["digits"], asked["reason"]) == (digit, "dtmfDetected")
        assert asked["direction"] == "outbound"
        if accepted:
            await call.until(CallState.CONFIRMED)
            await theirs.hang_up()
        await call.until(CallState.DISCONNECTED)
        await theirs.until(CallState.DISCONNECTED)
        told = (await app.request("/dial")).payload
    assert told["dial_status"] == ("completed" if accepted else "busy")
    assert told["dial_termination_reason"] == ("answered" if accepted else "screening-declined")
