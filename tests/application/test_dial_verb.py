"""The `dial` verb under an application: one actionHook in every ending, notifications in order."""

from __future__ import annotations

import asyncio

import pytest

from engine.application.orders import CallUpdate
from engine.dial.leg import Cause
from engine.hooks import Hook
from engine.sip.events import Answered, Ended, Failed, Provisional
from tests.application.stage import ACCOUNT, Stage, on_stage
from tests.support.application import Answer


async def _once(stage: Stage) -> dict[str, object]:
    """The one actionHook of the one dial, when everything is over."""
    told = (await stage.result()).payload
    await stage.quiet()
    assert len(stage.app.asked("/dial")) == 1
    return told


@pytest.mark.parametrize(
    ("status", "dial_status", "to_caller"),
    [
        (486, "busy", 486),
        (600, "busy", 600),
        (603, "busy", 603),
        (480, "no-answer", 480),
        (404, "failed", 404),
        (500, "failed", 500),
        (503, "failed", 503),
        (403, "failed", 403),
        (502, "failed", 500),
    ],
)
async def test_dv40_a_failed_dial_leaves_the_caller_unanswered_and_section_9_says_what_it_is_told(
    status: int, dial_status: str, to_caller: int
) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        await stage.refuses(0, status)
        assert (await stage.caller.until(Failed)).failure.status == to_caller
        told = await _once(stage)
        assert (told["dial_status"], told["dial_sip_status"]) == (dial_status, status)
        assert told["dial_termination_reason"] == "all-failed"
        assert told["call_status"] == "trying"
        assert not any(isinstance(event, Answered) for event in stage.caller.events)


async def test_dv30_ring_timeout_and_480_to_the_caller() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True, timeout=0.3)])
        stage.call()
        await stage.rings()
        assert (await stage.caller.until(Failed)).failure.status == 480
        told = await _once(stage)
        assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)
        assert told["dial_termination_reason"] == "ring-timeout"
        assert stage.statuses(str(told["dial_call_sid"])) == ["trying", "ringing", "no-answer"]
        assert stage.statuses(str(told["call_sid"])) == ["trying", "ringing", "no-answer"]


async def test_sip_decline_in_the_action_hook_overrides_section_9() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.app.on("/dial", [{"verb": "sip:decline", "status": 486, "reason": "Later"}])
        stage.call()
        await stage.refuses(0, 404)
        failure = (await stage.caller.until(Failed)).failure
        assert (failure.status, failure.reason) == (486, "Later")
        await _once(stage)


async def test_dv36_when_the_caller_hangs_up_the_callee_is_released_and_the_returned_verbs_are_ignored() -> (
    None
):
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/dial", [stage.dial(1)])
        call = stage.call()
        await stage.answers()
        await stage.caller.until(Answered)
        await stage.app.told("/status", call_status="in-progress", direction="outbound")
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        told = await _once(stage)
        assert (told["dial_status"], told["dial_sip_status"]) == ("completed", 200)
        assert told["call_status"] == "completed"
        assert told["call_termination_by"] == "caller"
        assert stage.callees[1].events == []


async def test_dv34_the_caller_gives_up_while_it_rings() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(0, 1, answerOnBridge=True)])
        call = stage.call()
        await stage.rings(0)
        await stage.rings(1)
        await stage.caller.until(Provisional, count=2)
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Failed)
        await stage.callees[1].until(Failed)
        told = await _once(stage)
        assert told["dial_status"] == "no-answer"
        assert (told["dial_sip_status"], told["dial_termination_reason"]) == (487, "caller-gone")
        assert stage.statuses(str(told["call_sid"]))[-1] == "no-answer"
        assert [leg["status"] for leg in told["dial_legs"]] == ["no-answer"] * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("is_answered", [False, True])
async def test_dv85_completed_over_rest_ends_the_call_in_any_state(is_answered: bool) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        await (stage.answers() if is_answered else stage.rings())
        await stage.app.told("/status", call_status="in-progress" if is_answered else "ringing")
        if is_answered:
            await stage.caller.until(Answered)
        sid = stage.app.payloads("/call")[0]["call_sid"]
        assert await stage.calls.update(ACCOUNT, sid, CallUpdate(call_status="completed")) is None
        if is_answered:
            await stage.caller.until(Ended)
            await stage.callees[0].until(Ended)
        else:
            assert (await stage.caller.until(Failed)).failure.status == 480
            await stage.callees[0].until(Failed)
        told = await _once(stage)
        assert told["dial_status"] == ("completed" if is_answered else "no-answer")
        assert stage.statuses(sid)[-1] == ("completed" if is_answered else "no-answer")


async def test_no_answer_over_rest_gives_up_an_unanswered_caller_with_503() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        await stage.rings()
        sid = stage.app.payloads("/call")[0]["call_sid"]
        await stage.calls.update(ACCOUNT, sid, CallUpdate(call_status="no-answer"))
        assert (await stage.caller.until(Failed)).failure.status == 503
        await _once(stage)


async def test_dv35_the_time_limit_ends_the_conversation_and_the_caller_goes_on() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(timeLimit=0.3), {"verb": "redirect", "actionHook": "/after"}])
        stage.app.on("/after", [{"verb": "hangup"}])
        stage.call()
        await stage.answers()
        await stage.callees[0].until(Ended)
        told = (await stage.result()).payload
        assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "time-limit")
        after = (await stage.app.request("/after")).payload
        assert after["call_status"] == "in-progress"
        await stage.caller.until(Ended)
        await stage.quiet()


async def test_dv30_replaced_by_live_control_the_action_hook_is_told_and_its_answer_ignored() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/dial", [stage.dial(1)])
        stage.app.on("/new", [{"verb": "hangup", "headers": {"X-By": "new"}}])
        stage.call()
        await stage.answers()
        await stage.app.told("/status", call_status="in-progress", direction="outbound")
        sid = stage.app.payloads("/call")[0]["call_sid"]
        await stage.calls.update(ACCOUNT, sid, CallUpdate(call_hook=Hook(stage.app.url("/new"))))
        await stage.callees[0].until(Ended)
        bye = (await stage.caller.until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-By") == "new"
        await _once(stage)
        assert stage.callees[1].events == []


async def test_dv30_the_engine_stops_in_the_middle_of_a_conversation() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.call()
        await stage.answers()
        await stage.app.told("/status", call_status="in-progress", direction="outbound")
        await stage.calls.stop()
        await stage.callees[0].until(Ended)
        await stage.caller.until(Ended)
        told = await _once(stage)
        assert told["dial_status"] == "completed"


async def test_dv31_every_branch_of_a_simring_is_told_about_and_ends_with_a_terminal_status() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(0, 1, 2, tag={"queue": "sales"})])
        stage.call()
        await stage.rings(0)
        await stage.refuses(1, 486)
        await stage.answers(2)
        await stage.callees[0].until(Failed)
        winner = stage.callees[2].events[0]
        stage.hang_up(stage.callees[2], winner.call)  # type: ignore[attr-defined]
        told = await _once(stage)
        by_target = {leg["to"]: leg["call_sid"] for leg in told["dial_legs"]}  # type: ignore[attr-defined]
        sids = [by_target[phone.uri] for phone in stage.callees]
        assert stage.statuses(sids[0]) == ["trying", "ringing", "no-answer"]
        assert stage.statuses(sids[1]) == ["trying", "busy"]
        assert stage.statuses(sids[2]) == ["trying", "ringing", "in-progress", "completed"]
        assert told["dial_call_sid"] == sids[2]
        of_loser = [each for each in stage.app.payloads("/status") if each["call_sid"] == sids[0]]
        assert of_loser[-1]["sip_status"] == 487
        assert of_loser[-1]["sip_reason_header"] == 'SIP;cause=200;text="Call completed elsewhere"'
        of_winner = [each for each in stage.app.payloads("/status") if each["call_sid"] == sids[2]]
        assert of_winner[-1]["duration"] == 0
        assert of_winner[-1]["call_termination_by"] == "caller"
        for each in of_loser + of_winner:
            assert each["parent_call_sid"] == told["call_sid"]
            assert each["direction"] == "outbound"
            assert each["customerData"] == {"queue": "sales"}
            assert each["from"] == "+15550111"


async def test_wh09_status_hooks_of_a_dial_come_before_its_action_hook_in_the_order_of_events() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.call()
        leg = await stage.answers()
        stage.hang_up(stage.callees[0], leg)
        await _once(stage)
        child = stage.app.payloads("/dial")[0]["dial_call_sid"]
        seen = [
            request.payload.get("call_status", "")
            for request in stage.app.requests
            if request.path == "/dial" or request.payload.get("call_sid") == child
        ]
        assert seen[:-1] == ["trying", "ringing", "in-progress", "completed"]
        assert stage.app.requests[-1].path in ("/dial", "/status")


async def test_a_slow_status_hook_does_not_delay_the_call() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/status", Answer(delay_s=2.0))
        begun = asyncio.get_running_loop().time()
        stage.call()
        leg = await stage.answers()
        await stage.caller.until(Answered)
        stage.hang_up(stage.callees[0], leg)
        await stage.caller.until(Ended)
        assert asyncio.get_running_loop().time() - begun < 2.0


async def test_dv25_a_target_without_a_route_fails_alone_and_the_others_ring() -> None:
    async with on_stage() as stage:
        teams = {"type": "teams", "number": "+15550123"}
        stage.app.on("/call", [{"verb": "dial", "target": [teams, stage.target()], "answerOnBridge": True}])
        stage.call()
        await stage.rings_and_refuses(0, 486)
        assert (await stage.caller.until(Failed)).failure.status == 486
        told = await _once(stage)
        legs = told["dial_legs"]
        assert isinstance(legs, list)
        assert [(leg["type"], leg["sip_status"]) for leg in legs] == [("teams", 503), ("sip", 486)]


async def test_no_hook_answers_and_the_call_still_ends_with_clean_signalling() -> None:
    """Section 9, case 4: the host dies after the document was delivered."""
    async with on_stage(hook_timeout_s=0.5) as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        leg = await stage.rings()
        await stage.app.stop()
        stage.refuse(0, leg, 486)
        assert (await stage.caller.until(Failed)).failure.status == 486
        await stage.quiet()


async def test_the_causes_of_a_stop_are_told_apart() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        await stage.rings()
        sid = stage.app.payloads("/call")[0]["call_sid"]
        call = stage.calls.find(sid)
        assert call is not None
        call.stop(Cause.SHUTDOWN)
        assert (await stage.caller.until(Failed)).failure.status == 503
        await _once(stage)
