"""Matrix 2 of the dial contract: simultaneous ringing, and the response reported when nobody wins (6.3)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.application import WebApplication
from tests.support.ports import free_port
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import Sipp, SippBench

pytestmark = pytest.mark.lab

TRANSPORT_ERROR, DECLINES_IN_SCREENING = "no connection", "answers and is not wanted"

ROWS: dict[str, tuple[tuple[str, str], int, str, str]] = {
    # branch results in order of arrival: chosen response, dial_status, reason
    "486, 404": (("486 Busy Here", "404 Not Found"), 486, "busy", "all-failed"),
    "404, 486": (("404 Not Found", "486 Busy Here"), 486, "busy", "all-failed"),
    "503, 486": (("503 Service Unavailable", "486 Busy Here"), 486, "busy", "all-failed"),
    "486, 603": (("486 Busy Here", "603 Decline"), 603, "busy", "all-failed"),
    "404, 604": (("404 Not Found", "604 Does Not Exist Anywhere"), 604, "failed", "all-failed"),
    "480, 486": (("480 Temporarily Unavailable", "486 Busy Here"), 486, "busy", "all-failed"),
    "480, 404": (("480 Temporarily Unavailable", "404 Not Found"), 480, "no-answer", "all-failed"),
    "500, 503": (("500 Server Internal Error", "503 Service Unavailable"), 500, "failed", "all-failed"),
    "407, 486": (("407 Proxy Authentication Required", "486 Busy Here"), 407, "failed", "all-failed"),
    "transport error, 404": ((TRANSPORT_ERROR, "404 Not Found"), 404, "failed", "all-failed"),
    "screening declined, 486": ((DECLINES_IN_SCREENING, "486 Busy Here"), 200, "busy", "screening-declined"),
}

BETWEEN_MS = 250
"""Between the first branch's response and the second's."""


async def target(sipp: SippBench, answer: str, hold_ms: int) -> tuple[dict[str, Any], Sipp | None]:
    """A target that does this, and its SIPp."""
    if answer == TRANSPORT_ERROR:
        return {"type": "sip", "sipUri": f"sip:nobody@127.0.0.1:{free_port()};transport=tcp"}, None
    if answer == DECLINES_IN_SCREENING:
        callee = await sipp.callee("callee_answers", hold_ms=hold_ms)
        return {"type": "sip", "sipUri": callee.uri, "confirmHook": "/screen"}, callee
    callee = await sipp.callee("callee_refuses", keys={"answer": f"SIP/2.0 {answer}"}, hold_ms=hold_ms)
    return {"type": "sip", "sipUri": callee.uri}, callee


@pytest.mark.parametrize("row", ROWS)
async def test_section_6_3_the_best_response_is_reported(sipp: SippBench, row: str) -> None:
    answers, chosen, status, reason = ROWS[row]
    rung = [await target(sipp, answer, 50 + i * BETWEEN_MS) for i, answer in enumerate(answers)]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "dial", "answerOnBridge": True, "target": [each for each, _ in rung]}])
        app.on("/screen", [{"verb": "hangup"}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        for _, callee in rung:
            if callee is not None:
                (await callee.finished()).assert_passed()
    calling.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_sip_status"], told["dial_status"]) == (chosen, status)
    assert told["dial_termination_reason"] == reason
    assert len(told["dial_legs"]) == 2
    (decided,) = [leg for leg in told["dial_legs"] if leg["call_sid"] == told["dial_call_sid"]]
    assert decided["sip_status"] == chosen


async def test_section_6_3_a_ring_timeout_counts_more_than_an_earlier_refusal(sipp: SippBench) -> None:
    busy = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 486 Busy Here"}, hold_ms=100)
    ringing = await sipp.callee("callee_rings_on")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(busy.uri, ringing.uri, timeout=0.8))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        (await busy.finished()).assert_passed()
        (await ringing.finished()).assert_passed()
    calling.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)
    assert told["dial_termination_reason"] == "ring-timeout"
    assert sorted(leg["sip_status"] for leg in told["dial_legs"]) == [486, 487]
    assert len(calling.received("480 INVITE")) == 1, "section 9"


def document(*uris: str, **properties: Any) -> list[dict[str, Any]]:
    targets = [{"type": "sip", "sipUri": uri} for uri in uris]
    return [{"verb": "dial", "answerOnBridge": True, "target": targets, **properties}]


@pytest.mark.parametrize("size", [2, 10])
async def test_dv33_the_winner_is_bridged_and_all_others_are_cancelled(sipp: SippBench, size: int) -> None:
    callees = await sipp.callee("load_simring", calls=size)
    users = [f"user{i}" for i in range(size - 1)]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(*(callees.uri_for(user) for user in [*users, "winner"])))
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=400)
        calling, called = await caller.finished(), await callees.finished()
        await app.told("/status", direction="inbound", call_status="completed")
    calling.assert_passed()
    called.assert_passed(size)
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_sip_status"]) == ("completed", 200)
    winner, *others = sorted(told["dial_legs"], key=lambda leg: bool(leg["status"] != "completed"))
    assert winner["call_sid"] == told["dial_call_sid"]
    assert [(leg["status"], leg["sip_status"]) for leg in others] == [("no-answer", 487)] * (size - 1)
    for cancel in called.received("CANCEL"):
        assert cancel.header("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    for leg in others:
        last = [each for each in app.payloads("/status") if each["call_sid"] == leg["call_sid"]][-1]
        assert (last["call_status"], last["sip_status"]) == ("no-answer", 487)
        assert last["sip_reason_header"] == 'SIP;cause=200;text="Call completed elsewhere"'


async def test_dv10_of_twelve_targets_the_first_ten_are_rung_and_duplicates_once(sipp: SippBench) -> None:
    callees = await sipp.callee("load_simring", calls=10)
    uris = [
        callees.uri_for(user) for user in ["user0", "user0", "winner", *(f"user{i}" for i in range(1, 11))]
    ]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(*uris))
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=400)
        calling, called = await caller.finished(), await callees.finished()
    calling.assert_passed()
    called.assert_passed(10)
    rung = {invite.first_line.split()[1] for invite in called.received("INVITE")}
    assert len(called.received("INVITE")) == 10
    assert rung == set(uris[1:11]), "user0 once, the winner, user1 to user8"
    (told,) = app.payloads("/dial")
    assert len(told["dial_legs"]) == 10


async def test_dv52_a_6xx_of_one_branch_does_not_stop_the_others(sipp: SippBench) -> None:
    declines = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 603 Decline"})
    answers = await sipp.callee("callee_answers", hold_ms=400)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", document(declines.uri, answers.uri))
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=200)
        (await caller.finished()).assert_passed()
        (await answers.finished()).assert_passed()
        (await declines.finished()).assert_passed()
        told = (await app.request("/dial")).payload
    assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "answered")
