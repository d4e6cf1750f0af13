"""Machines recognised by what they say, beside the acoustic detector."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from amd import Beep, BeepShape, Decision, Evidence, Rule, Verdict
from engine.application.amd_hook import AmdHook
from engine.application.amd_words import AmdWords, judge
from engine.application.schema.dial import Amd
from engine.application.schema.speech import Recognizer
from engine.hooks import Hook
from engine.speech.recognition import Alternative, RecognitionFailed, RecognitionResult
from tests.application.verbs.streaming import FACTS, ScriptedRecogniser, Stage, plane, stage
from tests.listen.server import talker, until

_HUMAN = Decision(Verdict.HUMAN, Rule.SHORT_GREETING, 0.9, "", Evidence(), 8000)
_MACHINE = Decision(Verdict.MACHINE, Rule.LONG_GREETING, 0.9, "", Evidence(), 16000)
_BEEP = Beep(1000.0, (1000.0,), BeepShape.SINGLE, 400.0, -10.0, 0.0, 0, 3200, 3200)


@pytest.mark.parametrize(
    ("transcript", "reason"),
    [
        ("hello", ""),
        ("hello this is bob speaking how are you", ""),
        ("hello this is bob speaking how are you doing today", "long greeting"),
        ("please  Leave a MESSAGE", "hint"),
        ("you have reached five five five one two three", "digit count"),
        ("you have reached 555 one two three", "digit count"),
        ("five minutes five", ""),
        ("", ""),
    ],
)
def test_dv73_words_digits_and_phrases_decide(transcript: str, reason: str) -> None:
    assert judge(transcript, threshold_word_count=10, digit_count=6) == reason


def test_dv73_digits_do_not_count_unless_asked_for() -> None:
    assert judge("one two three four five six", threshold_word_count=9, digit_count=0) == ""


class Scene:
    def __init__(self, call: Stage, words: AmdWords, hook: AmdHook) -> None:
        self.call = call
        self.words = words
        self.hook = hook

    def told(self) -> list[dict[str, object]]:
        """What the hook was told, without the common properties."""
        common = FACTS.to_dict()
        return [
            {name: value for name, value in payload.items() if name not in common}
            for payload in self.call.app.payloads("/amd")
        ]


@asynccontextmanager
async def scene(
    recogniser: ScriptedRecogniser, *, vendor: str = "scripted", **amd: int
) -> AsyncIterator[Scene]:
    async with (
        plane() as media,
        talker(media, hz=1000) as callee,
        stage(callee.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/amd")
        wish = Amd(action_hook=Hook("/amd"), recognizer=Recognizer(vendor=vendor, language="en-GB"), **amd)  # type: ignore[arg-type]
        hook = AmdHook(wish, call.session, lambda: FACTS)
        words = AmdWords.of(wish, call.session, hook, lambda: FACTS)
        assert words is not None
        words.begin(callee.stream)
        yield Scene(call, words, hook)
        words.close()
        words.close()
        await until(lambda: not media.clock.is_running)


def _says(text: str, *, is_final: bool = True) -> RecognitionResult:
    return RecognitionResult("en-GB", 2, is_final, (Alternative(text, 0.8),), "scripted")


async def test_dv73_a_long_transcript_is_a_machine_before_it_is_final() -> None:
    recogniser = ScriptedRecogniser()
    async with scene(recogniser, threshold_word_count=6) as amd:
        heard = await recogniser.session()
        assert heard.options.interim
        assert heard.options.channel_tag == 2
        await until(lambda: len(heard.heard) > 5)
        heard.say(_says("hello this is"))
        heard.say(_says("bob i am", is_final=False))
        await amd.call.app.request("/amd")
        assert amd.told() == [
            {
                "event": "amd",
                "amd_type": "machine",
                "type": "amd_machine_detected",
                "reason": "long greeting",
                "greeting": "hello this is bob i am",
                "language": "en-GB",
            }
        ]
        assert amd.hook.verdict == "machine"
        await until(lambda: heard.is_closed)


async def test_dv72_after_the_words_have_decided_the_sound_only_tells_the_beep() -> None:
    recogniser = ScriptedRecogniser()
    async with scene(recogniser) as amd:
        (await recogniser.session()).say(_says("please leave a message after the tone"))
        await amd.call.app.request("/amd")
        amd.words.tell(_MACHINE)
        amd.words.tell(_HUMAN)
        amd.words.tell(_BEEP)
        await amd.call.app.request("/amd", 2)
        assert [told["type"] for told in amd.told()] == ["amd_machine_detected", "amd_tone_detected"]
        assert amd.told()[0]["reason"] == "hint"


async def test_dv72_after_the_sound_has_decided_words_are_not_listened_to() -> None:
    recogniser = ScriptedRecogniser()
    async with scene(recogniser) as amd:
        heard = await recogniser.session()
        amd.words.tell(_HUMAN)
        heard.say(_says("please leave a message after the tone"))
        await until(lambda: heard.is_closed)
        await amd.call.app.request("/amd")
        assert [told["amd_type"] for told in amd.told()] == ["human"]


async def test_a_recogniser_that_fails_leaves_the_decision_to_the_sound() -> None:
    recogniser = ScriptedRecogniser()
    async with scene(recogniser) as amd:
        (await recogniser.session()).say(RecognitionFailed("quota exceeded"))
        amd.words.tell(_MACHINE)
        await amd.call.app.request("/amd")
        assert [told["amd_type"] for told in amd.told()] == ["machine"]


async def test_words_are_counted_in_one_place_only() -> None:
    recogniser = ScriptedRecogniser()
    async with scene(recogniser, threshold_word_count=6) as amd:
        assert amd.words.params.threshold_word_count == 0
        assert amd.words.params.decision_timeout_ms == 15000


async def test_without_a_recogniser_of_that_name_there_are_no_words() -> None:
    async with plane() as media, talker(media) as callee:
        recognisers = {"scripted": ScriptedRecogniser()}
        async with stage(callee.stream, recognisers=recognisers) as call:
            for recognizer in (None, Recognizer(vendor="nobody")):
                wish = Amd(action_hook=Hook("/amd"), recognizer=recognizer)
                hook = AmdHook(wish, call.session, lambda: FACTS)
                assert AmdWords.of(wish, call.session, hook, lambda: FACTS) is None
