"""`amd` of a dial (section 8): what the detector says, told to its hook; samples of real speech, real RTP."""

from __future__ import annotations

from typing import Any

import pytest

from amd import AmdParams
from engine.application.amd_hook import amd_params
from engine.application.document import DialVerb, parse_document
from media import MediaPlane
from tests.application.rehearsal import Rehearsal, rehearsal
from tests.support.callee import BEEP, GREETING, HELLO, Callee, pause
from tests.support.virtual_time import in_virtual_time, settle

BOB = {"type": "sip", "sipUri": "sip:bob@example.com"}


def _dial(**amd: object) -> dict[str, object]:
    return {"verb": "dial", "id": "d1", "target": [BOB], "amd": {"actionHook": "/amd", **amd}}


async def _answered(stage: Rehearsal, plane: MediaPlane) -> Callee:
    """The callee picks up, with a voice."""
    callee = Callee(plane.stream())
    stage.legs[0].media = callee.stream
    stage.legs[0].answer()
    await settle()
    return callee


def _amd(stage: Rehearsal) -> list[dict[str, Any]]:
    names = ("event", "amd_type", "type", "reason", "frequency", "language")
    return [{name: told[name] for name in names if name in told} for told in stage.told("/amd")]


@in_virtual_time
async def test_dv70_a_person_is_told_in_both_vocabularies_about_the_callees_leg() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial(recognizer={"vendor": "microsoft", "language": "de-DE"})]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(pause(0.3), HELLO, pause(3.0))
        [told] = stage.told("/amd")
        assert (told["event"], told["amd_type"], told["type"]) == ("amd", "human", "amd_human_detected")
        assert told["language"] == "de-DE"
        assert told["greeting"] == ""
        assert told["call_sid"] == stage.legs[0].id
        assert told["parent_call_sid"] == stage.call.sid
        assert told["verb_id"] == "d1"
        stage.party.goes()
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_dv72_after_machine_come_the_beep_and_the_end_of_the_greeting_and_one_decision_only() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial()]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(GREETING, pause(0.4), BEEP, pause(2.5))
        told = _amd(stage)
        assert [each["type"] for each in told] == [
            "amd_machine_detected",
            "amd_tone_detected",
            "amd_machine_stopped_speaking",
        ]
        assert (told[0]["event"], told[0]["amd_type"]) == ("amd", "machine")
        assert told[1] == {"event": "beep", "type": "amd_tone_detected", "frequency": 1000}
        assert told[2] == {"event": "silence", "type": "amd_machine_stopped_speaking"}
        stage.party.goes()
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_no_speech_is_silence_after_the_time_the_verb_says() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial(timers={"noSpeechTimeoutMs": 1500})]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(pause(1.4))
        assert stage.told("/amd") == []
        await callee.says(pause(0.4))
        assert _amd(stage) == [{"event": "silence", "type": "amd_no_speech_detected"}]
        stage.party.goes()
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_verbs_in_the_answer_replace_the_application_and_the_action_hook_comes_once() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial(), {"verb": "sip:decline", "status": 486}]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(GREETING)
        stage.asked("/amd").answer(
            [{"verb": "tag", "data": {"machine": True}}, {"verb": "redirect", "actionHook": "/left"}]
        )
        await settle()
        assert stage.legs[0].has_ended, "the dial was replaced"
        [action] = stage.told("/dial")
        assert action["dial_status"] == "completed"
        stage.asked("/left").answer([{"verb": "hangup"}])
        await settle()
        assert stage.told("/left")[0]["customerData"] == {"machine": True}
        assert stage.party.goodbyes == [200]
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_a_conversation_that_ends_undecided_is_told_as_stopped() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial()]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(pause(0.3), HELLO)
        stage.legs[0].end()
        await settle()
        assert _amd(stage) == [{"type": "amd_stopped"}]
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_dv41_media_before_the_answer_never_starts_the_detection() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial(), {"verb": "hangup"}]) as stage:
        callee = Callee(plane.stream())
        stage.legs[0].early_media()
        stage.legs[0].media = callee.stream
        await settle()
        await callee.says(GREETING)
        assert not callee.is_listened_to()
        assert stage.told("/amd") == []
        stage.party.goes()
        callee.far.close()
    await plane.close()


@in_virtual_time
async def test_section9_case3_two_amd_answers_and_an_action_hook_the_last_one_asked_wins() -> None:
    plane = MediaPlane()
    async with rehearsal([_dial()]) as stage:
        callee = await _answered(stage, plane)
        await callee.says(GREETING, pause(0.4), BEEP, pause(0.5))
        stage.legs[0].end()  # and the callee hangs up: three hooks are open now
        await settle()
        machine, beep = (each for each in stage.open if each.url.endswith("/amd"))
        action = stage.asked("/dial")
        assert machine.is_open
        assert beep.is_open
        action.answer([{"verb": "redirect", "actionHook": "/of-action"}])
        beep.answer([{"verb": "redirect", "actionHook": "/of-beep"}])
        machine.answer([{"verb": "redirect", "actionHook": "/of-machine"}])
        await settle()
        followed = [each.url.rpartition("/")[2] for each in stage.open if "/of-" in each.url]
        assert followed == ["of-action"]
        stage.asked("/of-action").answer([{"verb": "hangup"}])
        await settle()
        assert stage.party.goodbyes == [200]
        callee.far.close()
    await plane.close()


@pytest.mark.parametrize(
    ("amd", "params"),
    [
        ({}, AmdParams(revision_window_ms=0)),
        ({"thresholdWordCount": 5}, AmdParams(revision_window_ms=0, threshold_word_count=5)),
        (
            {"timers": {"noSpeechTimeoutMs": 1, "decisionTimeoutMs": 2, "toneTimeoutMs": 3}},
            AmdParams(revision_window_ms=0, no_speech_timeout_ms=1, decision_timeout_ms=2, tone_timeout_ms=3),
        ),
        (
            {"timers": {"greetingCompletionTimeoutMs": 3000}},
            AmdParams(
                revision_window_ms=0,
                greeting_completion_timeout_ms=3000,
                greeting_completion_after_beep_ms=1000,
            ),
        ),
        (
            {"timers": {"greetingCompletionTimeoutMs": 700}},
            AmdParams(
                revision_window_ms=0,
                greeting_completion_timeout_ms=700,
                greeting_completion_after_beep_ms=700,
            ),
        ),
    ],
)
def test_thresholds_and_timers_are_the_detectors(amd: dict[str, object], params: AmdParams) -> None:
    [verb] = parse_document([_dial(**amd)])
    assert isinstance(verb, DialVerb)
    assert verb.amd is not None
    assert amd_params(verb.amd) == params
