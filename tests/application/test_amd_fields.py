"""What the numbers of `amd` change (section 8): samples of real speech, real RTP, virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.speech.recognition import Alternative, RecognitionResult
from media import MediaPlane
from media.audio import Pcm
from tests.application.rehearsal import rehearsal
from tests.application.test_amd_words import scene
from tests.application.verbs.streaming import ScriptedRecogniser
from tests.support.callee import BEEP, GREETING, Callee, pause
from tests.support.virtual_time import in_virtual_time, settle

BOB = {"type": "sip", "sipUri": "sip:bob@example.com"}


async def _told(amd: dict[str, Any], *said: Pcm) -> list[tuple[str, float]]:
    """`type` of every event about a callee who says this, and the second at which it was told."""
    plane, told = MediaPlane(), list[tuple[str, float]]()
    dial = {"verb": "dial", "target": [BOB], "amd": {"actionHook": "/amd", **amd}}
    async with rehearsal([dial]) as stage:
        callee = Callee(plane.stream())
        stage.legs[0].media = callee.stream
        stage.legs[0].answer()
        await settle()
        clock = asyncio.get_running_loop().time
        began = clock()
        for piece in said:
            for start in range(0, len(piece), 800):
                await callee.says(piece[start : start + 800])
                events = stage.told("/amd")
                told += [(str(event["type"]), clock() - began) for event in events[len(told) :]]
        stage.party.goes()
        callee.far.close()
    await plane.close()
    return told


@pytest.mark.parametrize(("timeout_ms", "is_heard"), [(1000, False), (20_000, True)])
def test_tone_timeout_ms_is_how_long_a_beep_is_waited_for(timeout_ms: int, is_heard: bool) -> None:
    @in_virtual_time
    async def run() -> None:
        timers = {"toneTimeoutMs": timeout_ms}
        told = await _told({"timers": timers}, GREETING, pause(5.0), BEEP, pause(1.0))
        types = [kind for kind, _ in told]
        assert types[0] == "amd_machine_detected"
        assert ("amd_tone_detected" in types) is is_heard

    run()


@pytest.mark.parametrize("timeout_ms", [700, 2000, 3500])
def test_greeting_completion_timeout_ms_is_the_silence_after_which_it_is_over(timeout_ms: int) -> None:
    @in_virtual_time
    async def run() -> None:
        timers = {"greetingCompletionTimeoutMs": timeout_ms}
        told = dict(await _told({"timers": timers}, GREETING, pause(5.0)))
        over = told["amd_machine_stopped_speaking"]
        assert over == pytest.approx(len(GREETING) / 8000 + timeout_ms / 1000, abs=0.6)

    run()


@pytest.mark.parametrize(
    ("timers", "kind"), [({"decisionTimeoutMs": 800}, "amd_decision_timeout"), ({}, "amd_machine_detected")]
)
def test_decision_timeout_ms_ends_the_waiting_for_a_decision(timers: dict[str, int], kind: str) -> None:
    @in_virtual_time
    async def run() -> None:
        told = await _told({"timers": timers}, GREETING)
        assert told[0][0] == kind
        if timers:
            [(_, at)] = told
            assert at == pytest.approx(0.8, abs=0.15)

    run()


async def test_dv73_digit_count_and_language_go_with_the_words() -> None:
    """`recognizer` makes words count: its vendor listens in its language."""
    recogniser = ScriptedRecogniser()
    async with scene(recogniser, digit_count=4) as amd:
        heard = await recogniser.session()
        assert heard.options.language == "en-GB"
        alternatives = (Alternative("this is five five five", 0.9),)
        heard.say(RecognitionResult("en-GB", 2, True, alternatives, "scripted"))
        alternatives = (Alternative("one", 0.9),)
        heard.say(RecognitionResult("en-GB", 2, True, alternatives, "scripted"))
        await amd.call.app.request("/amd")
        [told] = amd.told()
        assert (told["amd_type"], told["reason"]) == ("machine", "digit count")
        assert told["language"] == "en-GB"
