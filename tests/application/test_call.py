"""A call under an application from its first hook to its last: real SIP, real HTTP."""

from __future__ import annotations

import pytest

from engine.sip.events import Answered, Ended, Failed, OfferReceived
from tests.application.stage import ACCOUNT, APPLICATION, NUMBER, on_stage
from tests.legs.support import sdp
from tests.support.application import Answer

FINAL = ("completed", "failed", "busy", "no-answer")


async def test_a_call_from_a_pbx_dials_one_target_and_goes_on_after_its_action_hook() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(id="first")])
        stage.app.on("/dial", [{"verb": "hangup", "headers": {"X-Why": "done"}}])
        stage.call()
        callee = await stage.answers()
        await stage.caller.until(Answered)
        stage.hang_up(stage.callees[0], callee)
        told = (await stage.result()).payload
        assert told["dial_status"] == told["dial_call_status"] == "completed"
        assert told["dial_sip_status"] == 200
        assert told["dial_termination_reason"] == "answered"
        assert told["verb_id"] == "first"
        assert told["direction"] == "inbound"
        assert told["from"] == "+15550111"
        assert told["to"] == NUMBER
        assert told["call_status"] == "in-progress"
        assert told["account_sid"] == ACCOUNT
        assert told["application_sid"] == APPLICATION
        assert told["originating_sip_ip"] == "127.0.0.1"
        assert told["originating_sip_trunk_name"] == "pbx"
        [leg] = told["dial_legs"]
        assert leg["call_sid"] == told["dial_call_sid"]
        assert (leg["type"], leg["to"]) == ("sip", stage.callees[0].uri)
        assert (leg["sip_status"], leg["sip_reason"], leg["status"]) == (200, "OK", "completed")
        bye = (await stage.caller.until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-Why") == "done"
        await stage.quiet()
        assert stage.statuses(told["call_sid"]) == ["trying", "in-progress", "completed"]
        assert stage.statuses(told["dial_call_sid"]) == ["trying", "ringing", "in-progress", "completed"]
        assert not stage.app.unscripted
        assert stage.kept.calls[told["call_sid"]].dial_status == "completed"
        assert stage.kept.legs[told["dial_call_sid"]].call_status == "completed"


async def test_the_first_hook_carries_the_invite_the_defaults_and_the_environment() -> None:
    async with on_stage(application={"env": {"COLOUR": "blue"}}) as stage:
        stage.app.on("/call", [])
        stage.call()
        told = (await stage.app.request("/call")).payload
        assert told["sip"]["method"] == "INVITE"
        assert told["sip"]["uri"].startswith(f"sip:{NUMBER}@")
        assert told["sip"]["headers"]["call-id"] == told["call_id"]
        assert "m=audio" in told["sip"]["body"]
        assert told["defaults"] == {}
        assert told["env_vars"] == {"COLOUR": "blue"}
        assert told["call_status"] == "trying"
        await stage.caller.until(Failed)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500),
        Answer(status=404),
        Answer(cut=True),
        Answer(text="not json"),
        Answer(document=[{"verb": "fly"}]),
        Answer(document=[{"verb": "pause"}]),
        Answer(document=[{"say": {"text": "hello"}, "play": {}}]),
        Answer(document="text"),
    ],
    ids=["500", "404", "cut", "garbage", "unknown-verb", "missing-property", "no-verb", "not-an-array"],
)
async def test_dv03_a_first_document_that_cannot_be_had_or_run_refuses_the_call_with_480(
    answer: Answer,
) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", answer)
        stage.call()
        assert (await stage.caller.until(Failed)).failure.status == 480
        await stage.quiet()
        assert len(stage.alerts()) == 1, "DV-04: one alert per rejected document"
        sid = stage.app.payloads("/call")[0]["call_sid"]
        assert stage.statuses(sid) == ["trying", "no-answer"]
        last = stage.app.payloads("/status")[-1]
        assert (last["sip_status"], last["sip_reason"]) == (480, "Temporarily Unavailable")
        assert last["call_termination_by"] == "jambonz"


@pytest.mark.parametrize(
    "answer",
    [Answer(), Answer(document=[]), Answer(text="null"), Answer(text="{}"), Answer(status=204)],
    ids=["empty-body", "empty-array", "null", "empty-object", "204"],
)
async def test_dv03_a_document_that_ends_without_an_answer_is_603_whatever_way_it_is_empty(
    answer: Answer,
) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", answer)
        stage.call()
        assert (await stage.caller.until(Failed)).failure.status == 603
        await stage.quiet()
        sid = stage.app.payloads("/call")[0]["call_sid"]
        assert stage.statuses(sid) == ["trying", "busy"]
        assert not stage.alerts()


async def test_dv05_no_provisional_but_100_before_a_verb_needs_one_so_that_decline_is_the_first_answer() -> (
    None
):
    async with on_stage() as stage:
        decline = {"verb": "sip:decline", "status": 404, "reason": "Nobody", "headers": {"X-Why": "gone"}}
        stage.app.on("/call", [decline])
        stage.call()
        failure = (await stage.caller.until(Failed)).failure
        assert (failure.status, failure.reason) == (404, "Nobody")
        assert set(stage.provisionals()) <= {100}
        await stage.quiet()


async def test_dv01_both_forms_of_a_verb_run_alike() -> None:
    async with on_stage() as stage:
        stage.app.on(
            "/call", [{"answer": {}}, {"tag": {"data": {"n": 1}}}, {"redirect": {"actionHook": "/next"}}]
        )
        stage.app.on("/next", [{"verb": "hangup"}])
        stage.call()
        told = (await stage.app.request("/next")).payload
        assert told["customerData"] == {"n": 1}
        assert told["call_status"] == "in-progress"
        await stage.caller.until(Ended)
        await stage.quiet()


async def test_a_caller_without_an_offer_is_answered_and_its_ack_brings_the_audio() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "answer"}, {"verb": "redirect", "actionHook": "/next"}])
        stage.app.on("/next", [{"verb": "hangup"}])
        stage.call(None)
        await stage.caller.until(OfferReceived)
        offer = stage.caller.events[-1]
        assert isinstance(offer, OfferReceived)
        offer.call.answer_offer(sdp(40000), stage.caller.now)
        stage.caller.endpoint.touch()
        told = (await stage.app.request("/next")).payload
        assert told["call_status"] == "in-progress"
        await stage.caller.until(Ended)
        await stage.quiet()
