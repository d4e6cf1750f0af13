"""Commands over an application's WebSocket: what they mean, and what they do to a running call."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.application.commands import update_of
from engine.application.control import Control
from engine.application.document import parse_document
from engine.application.orders import CallUpdate, Dtmf, SipRequest, Streaming
from engine.application.session import MAX_QUEUED_VERBS
from engine.errors import EngineError
from engine.hooks import Hook
from engine.hooks.websocket_messages import Command
from engine.sip.events import Answered, Ended
from tests.application.rehearsal import SID, URL, Rehearsal, rehearsal
from tests.application.stage import ACCOUNT, on_stage
from tests.support.virtual_time import in_virtual_time, settle

SAY = {"verb": "say", "text": "hello"}
PAUSE = {"verb": "pause", "length": 10}


@pytest.mark.parametrize(
    ("name", "data", "change"),
    [
        ("call:status", {"call_status": "completed"}, CallUpdate(call_status="completed")),
        ("call:status", "no-answer", CallUpdate(call_status="no-answer")),
        ("mute:status", {"mute_status": "mute"}, CallUpdate(mute=True)),
        ("mute:status", "unmute", CallUpdate(mute=False)),
        ("listen:status", {"listen_status": "silence"}, CallUpdate(listen_status=Streaming.SILENCE)),
        ("transcribe:status", "pause", CallUpdate(transcribe_status=Streaming.PAUSE)),
        ("whisper", SAY, CallUpdate(whisper=parse_document([SAY]))),
        ("whisper", {"whisper": [SAY, SAY]}, CallUpdate(whisper=parse_document([SAY, SAY]))),
        ("dtmf", {"digit": "5", "duration": 300}, CallUpdate(dtmf=Dtmf("5", 300))),
        ("dtmf", {"dtmf": {"digit": "*2"}}, CallUpdate(dtmf=Dtmf("*2", 250))),
        ("sip:request", {"method": "INFO"}, CallUpdate(sip_request=SipRequest("INFO"))),
        ("tag", {"tag": {"a": 1}}, CallUpdate(tag={"a": 1})),
        ("tag", {"a": 1}, CallUpdate(tag={"a": 1})),
        ("record", {"action": "startCallRecording"}, CallUpdate(record={"action": "startCallRecording"})),
        ("dub", {"action": "addTrack"}, CallUpdate(dub={"action": "addTrack"})),
        ("boostAudioSignal", "10 dB", CallUpdate(boost_audio_signal_db=10.0)),
        ("redirect", {"call_hook": "/next"}, CallUpdate(call_hook=Hook("/next"))),
        (
            "redirect",
            {"call_hook": {"url": "/next", "method": "GET"}, "child_call_hook": "/child"},
            CallUpdate(call_hook=Hook("/next", "GET"), child_call_hook=Hook("/child")),
        ),
        ("media:path", {"media_path": "no-media"}, CallUpdate(media_path="no-media")),
    ],
)
def test_a_command_is_the_put_it_stands_for(name: str, data: object, change: CallUpdate) -> None:
    assert update_of(name, data) == change


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("fly", None),
        ("call:status", {"call_status": "ringing"}),
        ("call:status", {}),
        ("mute:status", 7),
        ("whisper", PAUSE),
        ("whisper", None),
        ("dtmf", {"digit": "x"}),
        ("dtmf", {"digit": "1", "duration": -1}),
        ("redirect", {"child_call_hook": "/child"}),
        ("redirect", {"call_hook": ""}),
        ("redirect", {"call_hook": {"uri": "/next"}}),
        ("redirect", [PAUSE]),
        ("sip:request", {}),
        ("tag", "x"),
        ("boostAudioSignal", "loud"),
        ("media:path", "somewhere"),
    ],
)
def test_one_that_cannot_be_understood_says_why(name: str, data: object) -> None:
    with pytest.raises((ValueError, EngineError, msgspec.MsgspecError)):
        update_of(name, data)


async def _obey(stage: Rehearsal, name: str, data: object = None, *, is_queued: bool = False) -> None:
    call = stage.call
    control = Control(lambda sid: call if sid == SID else None, lambda: [call])
    await control.obey(Command(name, data, SID, "", is_queued))
    await settle()


@in_virtual_time
async def test_redirect_brings_its_document_in_place_of_the_running_one_or_behind_it() -> None:
    async with rehearsal([PAUSE, {"verb": "redirect", "actionHook": "/old"}]) as stage:
        await _obey(stage, "redirect", [{"verb": "redirect", "actionHook": "/queued"}], is_queued=True)
        assert stage.open == []
        await asyncio.sleep(11)
        stage.asked("/old").answer()
        await settle()
        assert len(stage.told("/queued")) == 1
        await _obey(stage, "redirect", [{"verb": "sip:decline", "status": 486}])
        assert stage.party.goodbyes == [486]


@in_virtual_time
async def test_instructions_queued_without_end_cost_neither_the_process_nor_its_memory() -> None:
    async with rehearsal([PAUSE]) as stage:
        session = stage.call.session
        tag = parse_document([{"verb": "tag", "data": {"n": 1}}])
        for _ in range(MAX_QUEUED_VERBS):
            session.take_over(tag, is_queued=True)
        await _obey(stage, "redirect", [{"verb": "tag", "data": {"n": 2}}], is_queued=True)
        assert [alert.kind for alert in stage.alerts.rows] == ["command-failed"]
        await asyncio.sleep(11)
        await stage.task
        assert stage.call.facts().customer_data == {"n": 1}, "all of the others have run"


@in_virtual_time
async def test_redirect_names_a_hook_that_is_asked_at_once_or_when_the_document_has_ended() -> None:
    async with rehearsal([PAUSE]) as stage:
        await _obey(stage, "redirect", {"call_hook": "/later", "call_status_hook": "/told"}, is_queued=True)
        assert stage.open == []
        await asyncio.sleep(11)
        stage.asked("/later").answer([PAUSE])
        await settle()
        assert stage.call.journal.status_hook == Hook(f"{URL}/told")
        await _obey(stage, "redirect", {"call_hook": {"url": "/next"}})
        stage.asked("/next").answer([{"verb": "sip:decline", "status": 486}])
        await settle()
        assert stage.party.goodbyes == [486]
        assert stage.alerts.rows == []


@in_virtual_time
async def test_a_hook_that_cannot_be_used_is_an_alert_that_names_it() -> None:
    async with rehearsal([PAUSE]) as stage:
        await _obey(stage, "redirect", {"call_hook": {"uri": "/next"}})
        [alert] = stage.alerts.rows
        assert (alert.kind, "call_hook" in alert.text, "uri" in alert.text) == ("command-failed", True, True)
        stage.party.goes()


@in_virtual_time
async def test_a_command_ends_the_call_and_a_wrong_one_is_an_alert() -> None:
    async with rehearsal([PAUSE]) as stage:
        await _obey(stage, "fly")
        await _obey(stage, "redirect", [{"verb": "fly"}])
        await _obey(stage, "listen:status", "pause")
        assert [alert.kind for alert in stage.alerts.rows] == ["command-failed"] * 3
        await _obey(stage, "call:status", "completed")
        assert stage.party.goodbyes == [480]
        await _obey(stage, "call:status", "completed")


@in_virtual_time
async def test_a_command_for_another_account_does_nothing() -> None:
    async with rehearsal([PAUSE]) as stage:
        control = Control(lambda sid: stage.call, lambda: [stage.call])
        await control.obey(Command("call:status", "completed", SID, "somebody"))
        await settle()
        assert stage.party.goodbyes == []
        stage.party.goes()


async def test_the_hook_of_a_callee_is_seen_from_the_application_of_its_call() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        stage.app.on("/dial", [{"verb": "hangup"}])
        stage.app.on("/child", [{"verb": "hangup", "headers": {"X-Of": "child"}}])
        stage.call()
        await stage.answers()
        await stage.caller.until(Answered)
        bridged = await stage.app.told("/status", direction="outbound", call_status="in-progress")
        child = str(bridged.payload["call_sid"])
        await stage.calls.control.obey(Command("redirect", {"call_hook": "/child"}, child, ACCOUNT))
        assert (await stage.app.request("/child")).payload["call_sid"] == child
        bye = (await stage.callees[0].until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-Of") == "child"
        await stage.quiet()
