"""Live control (hooks contract, 8.3), redirects, and documents that arrive late or again (section 9)."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from engine.application import verbs
from engine.application.call import Call
from engine.application.document import parse_document
from engine.application.orders import (
    CallUpdate,
    Dtmf,
    NoSuchCall,
    SipRequest,
    Streaming,
    WrongCallState,
)
from engine.hooks import Hook
from engine.hooks.websocket_messages import Command
from engine.sip.events import Answered, Ended, Failed, InfoReceived
from tests.application.stage import ACCOUNT, Stage, on_stage
from tests.support.application import Answer

STRANGER = "11111111-2222-4333-8444-555555555555"


async def _talking(stage: Stage) -> tuple[str, str]:
    """Caller and callee are connected: their sids."""
    stage.call()
    await stage.answers()
    await stage.caller.until(Answered)
    told = await stage.app.told("/status", call_status="in-progress", direction="outbound")
    return told.payload["parent_call_sid"], told.payload["call_sid"]


async def test_child_call_hook_makes_the_callee_independent_and_both_have_a_document_of_their_own() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on(
            "/parent", [{"verb": "pause", "length": 0.2}, {"verb": "hangup", "headers": {"X-Of": "parent"}}]
        )
        stage.app.on(
            "/child", [{"verb": "pause", "length": 0.6}, {"verb": "hangup", "headers": {"X-Of": "child"}}]
        )
        parent, child = await _talking(stage)
        change = CallUpdate(
            call_hook=Hook(stage.app.url("/parent")), child_call_hook=Hook(stage.app.url("/child"))
        )
        await stage.calls.update(ACCOUNT, parent, change)
        told = (await stage.app.request("/child")).payload
        assert told["call_sid"] == child
        assert told["direction"] == "outbound"
        assert (await stage.app.request("/parent")).payload["call_sid"] == parent
        result = (await stage.result()).payload
        assert result["dial_termination_reason"] == "replaced"
        of_parent = (await stage.caller.until(Ended)).request
        of_child = (await stage.callees[0].until(Ended)).request
        assert of_parent is not None
        assert of_child is not None
        assert of_parent.headers.get("X-Of") == "parent"
        assert of_child.headers.get("X-Of") == "child"
        await stage.quiet()
        assert stage.statuses(parent)[-1] == stage.statuses(child)[-1] == "completed"
        assert stage.statuses(child).count("completed") == 1
        assert len(stage.app.asked("/dial")) == 1


async def test_an_independent_child_may_dial_and_be_controlled_by_its_own_sid() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/parent", [{"verb": "hangup"}])
        stage.app.on("/child", [stage.dial(1)])
        parent, child = await _talking(stage)
        change = CallUpdate(
            call_hook=Hook(stage.app.url("/parent")), child_call_hook=Hook(stage.app.url("/child"))
        )
        await stage.calls.update(ACCOUNT, parent, change)
        await stage.caller.until(Ended)
        await stage.answers(1)
        grandchild = (
            await stage.app.told("/status", parent_call_sid=child, call_status="in-progress")
        ).payload
        assert grandchild["to"] == stage.callees[1].uri
        stage.calls.hang_up(ACCOUNT, child)
        await stage.callees[0].until(Ended)
        await stage.callees[1].until(Ended)
        await stage.quiet()
        assert len(stage.app.asked("/dial")) == 2


async def test_a_child_redirected_by_its_own_sid_leaves_the_caller_to_the_action_hook() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/dial", [{"verb": "hangup", "headers": {"X-By": "action"}}])
        stage.app.on("/child", [{"verb": "pause", "length": 30}])
        _, child = await _talking(stage)
        await stage.calls.update(ACCOUNT, child, CallUpdate(call_hook=Hook(stage.app.url("/child"))))
        assert (await stage.app.request("/child")).payload["call_sid"] == child
        bye = (await stage.caller.until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-By") == "action"
        assert (await stage.result()).payload["dial_termination_reason"] == "replaced"
        assert not any(isinstance(event, Ended) for event in stage.callees[0].events)
        stage.calls.hang_up(ACCOUNT, child)
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.statuses(child)[-1] == "completed"


async def test_a_child_that_rings_can_be_hung_up_by_its_own_sid_while_others_ring_on() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(0, 1, answerOnBridge=True)])
        stage.call()
        await stage.rings(0)
        ringing = await stage.rings(1)
        told = await stage.app.told("/status", to=stage.callees[0].uri, call_status="ringing")
        stage.calls.hang_up(ACCOUNT, told.payload["call_sid"])
        await stage.callees[0].until(Failed)
        assert not any(isinstance(event, Failed) for event in stage.caller.events)
        stage.refuse(1, ringing, 486)
        assert (await stage.result()).payload["dial_sip_status"] == 486
        await stage.caller.until(Failed)


async def test_live_control_refuses_what_is_not_there_and_what_is_not_possible() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "answer"}, {"verb": "pause", "length": 30}])
        stage.call()
        await stage.caller.until(Answered)
        sid = stage.app.payloads("/call")[0]["call_sid"]
        await stage.app.told("/status", call_status="in-progress")
        hook = Hook(stage.app.url("/x"))
        for change in (
            CallUpdate(call_status="no-answer"),
            CallUpdate(child_call_hook=hook),
            CallUpdate(listen_status=Streaming.PAUSE),
            CallUpdate(transcribe_status=Streaming.RESUME),
            CallUpdate(media_path="no-media"),
        ):
            with pytest.raises(WrongCallState):
                await stage.calls.update(ACCOUNT, sid, change)
        for account, call in ((ACCOUNT, STRANGER), (STRANGER, sid)):
            with pytest.raises(NoSuchCall):
                await stage.calls.update(account, call, CallUpdate(call_status="completed"))
            with pytest.raises(NoSuchCall):
                stage.calls.hang_up(account, call)
        stage.calls.hang_up(ACCOUNT, sid)
        await stage.caller.until(Ended)
        await stage.quiet()
        with pytest.raises(NoSuchCall):
            stage.calls.hang_up(ACCOUNT, sid)


async def test_dtmf_and_a_sip_request_reach_the_party_that_is_named() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        parent, child = await _talking(stage)
        request = SipRequest("INFO", "text/plain", "how are you", {"X-From": "boss"})
        asked = asyncio.create_task(stage.calls.update(ACCOUNT, child, CallUpdate(sip_request=request)))
        info = await stage.callees[0].until(InfoReceived)
        assert info.body is not None
        assert info.body.data == b"how are you"
        reply = await asked
        assert reply is not None
        assert reply.status == 200
        await stage.calls.update(ACCOUNT, parent, CallUpdate(dtmf=Dtmf("5"), tag={"vip": True}))
        stage.calls.hang_up(ACCOUNT, parent)
        assert (await stage.result()).payload["customerData"] == {"vip": True}


async def test_dv21_reserved_headers_break_neither_a_refusal_nor_a_goodbye_nor_a_request() -> None:
    reserved = {"Via": "x", "Content-Length": "5", "call-id": "y", "t": "<sip:z>", "CSeq": "9 X", "X-A": "b"}
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "sip:decline", "status": 486, "headers": reserved}])
        stage.call()
        response = (await stage.caller.until(Failed)).failure.response
        assert response is not None
        assert (response.status, response.headers.get("X-A")) == (486, "b")
        await stage.quiet()
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/bye", [{"verb": "hangup", "headers": reserved}])
        parent, child = await _talking(stage)
        request = SipRequest("INFO", "text/plain", "how are you", reserved)
        reply = await stage.calls.update(ACCOUNT, child, CallUpdate(sip_request=request))
        assert reply is not None
        assert reply.status == 200
        info = await stage.callees[0].until(InfoReceived)
        assert info.request.headers.get("X-A") == "b"
        await stage.calls.update(ACCOUNT, parent, CallUpdate(call_hook=Hook(stage.app.url("/bye"))))
        bye = (await stage.caller.until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-A") == "b"
        await stage.quiet()


async def test_whisper_plays_beside_the_document_and_ends_with_the_call() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        parent, child = await _talking(stage)
        verbs = parse_document([{"verb": "play", "url": "https://app.example.com/none.wav"}])
        await stage.calls.update(ACCOUNT, child, CallUpdate(whisper=verbs))
        await stage.calls.update(ACCOUNT, parent, CallUpdate(whisper=verbs))
        assert not any(isinstance(event, Ended) for event in stage.callees[0].events)
        stage.calls.hang_up(ACCOUNT, parent)
        await stage.callees[0].until(Ended)
        await stage.quiet()


async def test_draining_obeys_commands_and_waits_for_callees_that_became_calls_meanwhile() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/child", [{"verb": "pause", "length": 30}])
        parent, child = await _talking(stage)
        draining = asyncio.create_task(stage.calls.drain())
        await asyncio.sleep(0)
        await stage.calls.update(ACCOUNT, child, CallUpdate(call_hook=Hook(stage.app.url("/child"))))
        await stage.app.request("/child")
        stage.calls.obey(Command("call:status", "completed", parent, ACCOUNT, False))
        await stage.caller.until(Ended)
        await stage.caller.settled_elsewhere(lambda: len(stage.calls) == 1)
        await asyncio.sleep(0.3)
        assert not draining.done()
        stage.calls.obey(Command("call:status", "completed", child, ACCOUNT, False))
        assert await draining
        await stage.callees[0].until(Ended)


async def test_streams_end_with_the_call_also_while_a_hook_of_a_screening_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    async def listening(verb: object, session: object) -> None:
        log.append("on")
        try:
            await asyncio.sleep(1000)
        finally:
            log.append("off")

    monkeypatch.setitem(verbs._runners, "ListenVerb", listening)
    async with on_stage() as stage:
        gate = asyncio.Event()
        listen = {"verb": "config", "listen": {"url": "wss://app.example.com"}}
        stage.app.on("/call", [listen, stage.dial(confirmHook="/confirm")])
        stage.app.on("/confirm", [{"verb": "redirect", "actionHook": "/hangs"}])
        stage.app.on("/hangs", Answer(gate=gate))
        call = stage.call()
        await stage.answers()
        await stage.app.request("/hangs")
        assert log == ["on"]
        stage.hang_up(stage.caller, call)
        await stage.caller.settled_elsewhere(lambda: log == ["on", "off"], within_s=2.0)
        gate.set()
        await stage.quiet()


async def test_a_call_that_dials_again_and_again_keeps_none_of_its_dials() -> None:
    async with on_stage() as stage:
        screened = stage.dial(confirmHook="/confirm")
        stage.app.on("/call", [{"verb": "answer"}, *[screened] * 5, {"verb": "pause", "length": 30}])
        stage.call()
        for number in range(1, 6):
            await stage.next_ring_refused(number, 486)
        await stage.result(5)
        [call] = stage.calls
        assert isinstance(call, Call)
        assert len(call._dialled) <= 1
        call.stop()
        await stage.quiet()


async def test_dv40_no_whisper_answers_a_caller_and_nobody_hears_one_who_has_no_audio() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.call()
        await stage.rings()
        told = (await stage.app.told("/status", call_status="ringing", direction="outbound")).payload
        parent, child = told["parent_call_sid"], told["call_sid"]
        whisper = CallUpdate(
            whisper=parse_document([{"verb": "play", "url": "https://app.example.com/a.wav"}])
        )
        for sid, change in ((parent, whisper), (child, whisper), (child, CallUpdate(dtmf=Dtmf("5")))):
            with pytest.raises(WrongCallState):
                await stage.calls.update(ACCOUNT, sid, change)
        stage.calls.hang_up(ACCOUNT, parent)
        await stage.caller.until(Failed)
        await stage.quiet()
        assert stage.kept.alerts == []


async def test_redirect_goes_on_with_another_document_relative_to_the_last_and_moves_the_status_hook() -> (
    None
):
    """WH-02: relative URLs are relative to the hook that delivered the current document."""
    async with on_stage() as stage:
        stage.app.on("/call", [{"redirect": {"actionHook": "deep/one", "statusHook": "/status2"}}])
        stage.app.on("/deep/one", [{"redirect": {"actionHook": "two"}}])
        stage.app.on("/deep/two", [{"verb": "answer"}, {"verb": "hangup"}])
        stage.app.on("/status2")
        stage.call()
        await stage.app.request("/deep/two")
        await stage.caller.until(Ended)
        await stage.quiet()
        assert [each["call_status"] for each in stage.app.payloads("/status")] == ["trying"]
        assert [each["call_status"] for each in stage.app.payloads("/status2")] == [
            "in-progress",
            "completed",
        ]


async def test_section9_case1_an_action_hook_without_verbs_lets_the_document_go_on() -> None:
    async with on_stage() as stage:
        nothing = [Answer(), Answer(document=[]), Answer(text="null"), Answer(text="{}"), Answer(status=202)]
        redirects = [{"redirect": {"actionHook": "/nothing"}} for _ in nothing]
        stage.app.on("/call", [*redirects, {"verb": "sip:decline", "status": 410}])
        stage.app.on("/nothing", *nothing)
        stage.call()
        assert (await stage.caller.until(Failed)).failure.status == 410
        assert len(stage.app.asked("/nothing")) == len(nothing)


async def test_wh04_a_malformed_answer_is_an_alert_and_no_instructions() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"redirect": {"actionHook": "/bad"}}, {"verb": "sip:decline", "status": 410}])
        stage.app.on("/bad", [{"verb": "say"}])
        stage.call()
        assert (await stage.caller.until(Failed)).failure.status == 410
        [alert] = stage.kept.alerts
        assert (alert.kind, alert.path) == ("malformed-document", "$[0]")


async def test_section9_case2_the_caller_leaves_while_the_call_hook_is_open_and_nothing_of_it_runs() -> None:
    async with on_stage() as stage:
        gate = asyncio.Event()
        stage.app.on("/call", Answer(document=[stage.dial()], gate=gate))
        call = stage.call()
        await stage.app.request("/call")
        stage.hang_up(stage.caller, call)
        await stage.app.told("/status", call_status="no-answer")
        gate.set()
        await stage.quiet()
        assert stage.callees[0].events == []


async def test_section9_case2_the_caller_leaves_while_the_action_hook_is_open() -> None:
    async with on_stage() as stage:
        gate = asyncio.Event()
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/dial", Answer(document=[stage.dial(1)], gate=gate))
        call = stage.call()
        await stage.refuses(0, 486)
        await stage.result()
        await stage.caller.until(Answered)
        stage.hang_up(stage.caller, call)
        await stage.app.told("/status", call_status="completed", direction="inbound")
        gate.set()
        await stage.quiet()
        assert stage.callees[1].events == []
        assert len(stage.app.asked("/dial")) == 1


async def test_section9_case3_what_was_asked_for_last_wins_and_an_older_answer_is_discarded() -> None:
    async with on_stage() as stage:
        gate = asyncio.Event()
        stage.app.on("/call", [{"verb": "answer"}, {"verb": "pause", "length": 30}])
        stage.app.on("/old", Answer(document=[stage.dial(0)], gate=gate))
        stage.app.on("/new", [stage.dial(1)])
        stage.call()
        await stage.caller.until(Answered)
        sid = stage.app.payloads("/call")[0]["call_sid"]
        await stage.calls.update(ACCOUNT, sid, CallUpdate(call_hook=Hook(stage.app.url("/old"))))
        await stage.app.request("/old")
        await stage.calls.update(ACCOUNT, sid, CallUpdate(call_hook=Hook(stage.app.url("/new"))))
        await stage.rings(1)
        gate.set()
        await stage.caller.settled_elsewhere(lambda: not stage.hooks.backlog)
        stage.calls.hang_up(ACCOUNT, sid)
        await stage.callees[1].until(Failed)
        await stage.quiet()
        assert stage.callees[0].events == []


async def test_a_call_can_be_redirected_while_its_call_hook_is_open() -> None:
    async with on_stage() as stage:
        gate = asyncio.Event()
        stage.app.on("/call", Answer(document=[stage.dial(0)], gate=gate))
        stage.app.on("/new", [{"verb": "sip:decline", "status": 410}])
        stage.call()
        sid = (await stage.app.request("/call")).payload["call_sid"]
        await stage.calls.update(ACCOUNT, sid, CallUpdate(call_hook=Hook(stage.app.url("/new"))))
        assert (await stage.caller.until(Failed)).failure.status == 410
        gate.set()
        await stage.quiet()
        assert stage.callees[0].events == []


async def test_section9_case7_redirect_loops_stop_after_twenty_documents_without_media_activity() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"redirect": {"actionHook": "/call"}}])
        stage.call()
        assert (await stage.caller.until(Failed)).failure.status == 603
        await stage.quiet()
        assert len(stage.app.asked("/call")) == 21, "twenty ran, one more was not"
        assert stage.alerts() == ["application-loop"]


async def test_section9_case7_documents_in_which_somebody_rings_are_no_loop() -> None:
    async with on_stage(callees=1) as stage:
        rounds = itertools.count(1)
        stage.app.on("/call", [stage.dial(answerOnBridge=True)])
        stage.app.on(
            "/dial",
            lambda _: Answer(document=[stage.dial(answerOnBridge=True)] if next(rounds) < 25 else []),
        )
        stage.call()
        for number in range(1, 26):
            await stage.next_ring_refused(number, 486)
        assert (await stage.caller.until(Failed)).failure.status == 486
        assert len(stage.app.asked("/dial")) == 25
        assert not stage.alerts()
