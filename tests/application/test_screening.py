"""`confirmHook` (section 7): documents on the callee before it is connected, with real SIP and real HTTP."""

from __future__ import annotations

import asyncio

import pytest

from engine.sip.events import Answered, Ended, Failed
from engine.sip.types import Body
from engine.sip.uas import IncomingInvite
from tests.application.stage import Stage, on_stage
from tests.support.application import Answer

PAUSE = [{"verb": "pause", "length": 0.05}]


def _screened(stage: Stage, *callees: int, **more: object) -> list[object]:
    return [stage.dial(*callees, confirmHook="/confirm", answerOnBridge=True, **more)]


def _press(stage: Stage, callee: int, leg: IncomingInvite, digit: str) -> None:
    phone = stage.callees[callee]
    leg.send_info(Body("application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode()), phone.now)
    phone.endpoint.touch()


@pytest.mark.parametrize(
    "answer",
    [Answer(document=[]), Answer(), Answer(status=202), Answer(status=204), Answer(document=PAUSE)],
    ids=["empty-document", "empty-body", "202", "204", "all-verbs-finished"],
)
async def test_section7_accept(answer: Answer) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", answer)
        stage.call()
        leg = await stage.answers()
        await stage.caller.until(Answered)
        told = (await stage.app.request("/confirm")).payload
        assert told["direction"] == "outbound"
        assert told["parent_call_sid"] == stage.app.payloads("/call")[0]["call_sid"]
        assert told["call_status"] == "in-progress"
        stage.hang_up(stage.callees[0], leg)
        result = (await stage.result()).payload
        assert result["dial_status"] == "completed"
        assert result["dial_call_sid"] == told["call_sid"]
        await stage.caller.until(Ended)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(document=[{"verb": "hangup"}]),
        Answer(status=500),
        Answer(status=404),
        Answer(cut=True),
        Answer(text="nonsense"),
        Answer(document=[{"verb": "dial", "target": [{"type": "phone", "number": "+15550123"}]}]),
        Answer(document=[{"verb": "sip:decline", "status": 486}]),
        Answer(document=[{"verb": "pause", "length": 0.01}, {"verb": "conference", "name": "x"}]),
    ],
    ids=["hangup", "500", "404", "cut", "malformed", "dial", "sip:decline", "unknown"],
)
async def test_section7_decline_and_the_callee_gets_bye(answer: Answer) -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", answer)
        stage.call()
        await stage.answers()
        await stage.callees[0].until(Ended)
        assert (await stage.caller.until(Failed)).failure.status == 603
        result = (await stage.result()).payload
        assert (result["dial_status"], result["dial_sip_status"]) == ("busy", 200)
        assert result["dial_termination_reason"] == "screening-declined"
        await stage.quiet()
        assert stage.statuses(result["dial_call_sid"])[-1] == "busy"


async def test_a_hook_that_does_not_answer_in_time_is_a_decline() -> None:
    async with on_stage(hook_timeout_s=0.3) as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", Answer(delay_s=3.0))
        stage.call()
        await stage.answers()
        await stage.callees[0].until(Ended)
        assert (await stage.result()).payload["dial_termination_reason"] == "screening-declined"


async def test_the_callee_hangs_up_in_screening() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", [{"verb": "pause", "length": 30}])
        stage.call()
        leg = await stage.answers()
        await stage.app.request("/confirm")
        stage.hang_up(stage.callees[0], leg)
        result = (await stage.result()).payload
        assert (result["dial_status"], result["dial_termination_reason"]) == ("busy", "screening-declined")


async def test_dv34_the_caller_hangs_up_during_screening_and_the_callee_gets_bye() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", [{"verb": "pause", "length": 30}])
        call = stage.call()
        await stage.answers()
        await stage.app.request("/confirm")
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        result = (await stage.result()).payload
        assert (result["dial_status"], result["dial_termination_reason"]) == ("no-answer", "caller-gone")


async def test_dv61_two_in_screening_the_first_to_finish_wins_and_the_other_gets_bye_but_no_decline() -> None:
    async with on_stage() as stage:
        gate = asyncio.Event()
        targets = [stage.target(0, confirmHook="/slow"), stage.target(1, url="/fast")]
        stage.app.on("/call", [{"verb": "dial", "target": targets, "answerOnBridge": True}])
        stage.app.on("/slow", [{"verb": "pause", "length": 30}])
        stage.app.on("/fast", Answer(document=PAUSE, gate=gate))
        stage.call()
        await stage.answers(0)
        winner = await stage.answers(1)
        await stage.app.request("/slow")
        await stage.app.request("/fast")
        assert not any(isinstance(event, Answered) for event in stage.caller.events)
        gate.set()
        await stage.caller.until(Answered)
        await stage.callees[0].until(Ended)
        stage.hang_up(stage.callees[1], winner)
        result = (await stage.result()).payload
        assert result["dial_status"] == "completed"
        loser, won = result["dial_legs"]
        assert loser["status"] == "no-answer"
        assert won["call_sid"] == result["dial_call_sid"]
        await stage.caller.until(Ended)


async def test_dv60_ringing_goes_on_for_the_others_after_a_decline() -> None:
    async with on_stage() as stage:
        targets = [stage.target(0, confirmHook="/no"), stage.target(1)]
        stage.app.on("/call", [{"verb": "dial", "target": targets, "answerOnBridge": True}])
        stage.app.on("/no", [{"verb": "hangup"}])
        stage.call()
        ringing = await stage.rings(1)
        await stage.answers(0)
        await stage.callees[0].until(Ended)
        assert not any(isinstance(event, (Answered, Failed)) for event in stage.caller.events)
        stage.refuse(1, ringing, 486)
        result = (await stage.result()).payload
        # 6.3: the declined branch ranks like a 603, before the 486.
        assert (result["dial_status"], result["dial_sip_status"]) == ("busy", 200)
        assert result["dial_termination_reason"] == "screening-declined"


async def test_a_redirect_leads_to_another_screening_document_under_the_same_restriction() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", [{"verb": "tag", "data": {"a": 1}}, {"redirect": {"actionHook": "more"}}])
        stage.app.on("/more", [stage.dial(1)])
        stage.call()
        await stage.answers()
        told = (await stage.app.request("/more")).payload
        assert told["customerData"] == {"a": 1}
        assert told["direction"] == "outbound"
        await stage.callees[0].until(Ended)
        assert (await stage.result()).payload["dial_termination_reason"] == "screening-declined"
        assert stage.callees[1].events == []


@pytest.mark.parametrize(("digit", "is_accepted"), [("1", True), ("2", False)])
async def test_press_one_to_accept(digit: str, is_accepted: bool) -> None:
    """Gather's actionHook returns further verbs under the same restriction."""
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        gather = {"verb": "gather", "numDigits": 1, "timeout": 10, "actionHook": "/digits"}
        stage.app.on("/confirm", [gather])
        stage.app.on(
            "/digits",
            lambda request: Answer(document=[] if request.payload["digits"] == "1" else [{"verb": "hangup"}]),
        )
        stage.call()
        leg = await stage.answers()
        await stage.app.request("/confirm")
        while not stage.app.asked("/digits"):  # the gather begins some time after its hook was answered
            _press(stage, 0, leg, digit)
            await asyncio.sleep(0.05)
        told = (await stage.app.request("/digits")).payload
        assert told["digits"] == digit
        if is_accepted:
            await stage.caller.until(Answered)
            stage.hang_up(stage.callees[0], leg)
            assert (await stage.result()).payload["dial_status"] == "completed"
            await stage.caller.until(Ended)
        else:
            await stage.callees[0].until(Ended)
            assert (await stage.result()).payload["dial_termination_reason"] == "screening-declined"


async def test_the_headers_of_hangup_are_on_the_bye_of_the_screened_callee() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", _screened(stage))
        stage.app.on("/confirm", [{"verb": "hangup", "headers": {"X-Why": "not wanted"}}])
        stage.call()
        await stage.answers()
        bye = (await stage.callees[0].until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-Why") == "not wanted"
        result = (await stage.result()).payload
        assert (result["dial_status"], result["dial_termination_reason"]) == ("busy", "screening-declined")
