"""`gather` in virtual time: a real stream, keys, prompts that are heard, a recogniser that obeys the test."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.application.gathering import told_speech
from engine.application.schema.speech import Recognizer
from engine.application.services import SessionDefaults
from engine.speech.recognition import (
    Alternative,
    NothingUnderstood,
    RecognitionFailed,
    RecognitionLost,
    RecognitionResult,
    SpeechBegan,
)
from tests.application.verbs.sounding import FACTS, Stage, on_stage
from tests.application.verbs.streaming import ScriptedSession
from tests.support.virtual_time import in_virtual_time, settle


def gather(**properties: Any) -> dict[str, Any]:
    return {"verb": "gather", "actionHook": "/gathered", **properties}


def told(stage: Stage) -> dict[str, Any]:
    """What the one `actionHook` was told beside the common properties."""
    [(url, payload)] = stage.hooks.asked
    assert url == "/gathered"
    assert payload["call_sid"] == FACTS.call_sid
    return {name: payload[name] for name in ("reason", "digits", "speech", "details") if name in payload}


def words(text: str, confidence: float = 0.9, *, is_final: bool = True) -> RecognitionResult:
    return RecognitionResult("en-US", 1, is_final, (Alternative(text, confidence),), "scripted")


@in_virtual_time
async def test_digits_after_a_spoken_prompt_are_told() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(numDigits=4, say={"text": "x" * 10}, id="g1"))
        await asyncio.sleep(2.0)
        for digit in "1234":
            stage.key(digit)
            await asyncio.sleep(0.5)
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "1234"}
        assert stage.hooks.asked[0][1]["verb_id"] == "g1"
        assert stage.party.has_answered
        assert stage.heard_tones() == [(500, 1.0)]


@in_virtual_time
async def test_a_key_stops_the_prompt_within_a_packet() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(numDigits=2, play={"url": "400x60"}))
        await asyncio.sleep(1.0)
        stage.key("1")
        await settle()
        assert stage.heard_tones()[0][1] == pytest.approx(1.0, abs=0.11)
        await asyncio.sleep(1.0)
        assert len(stage.heard()) <= 160  # a keep-alive at most: that clock is the real one
        stage.key("2")
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "12"}


@in_virtual_time
async def test_without_bargein_the_prompt_is_heard_to_its_end() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(numDigits=2, play={"url": "400x3"}, dtmfBargein=False))
        await asyncio.sleep(1.0)
        stage.key("1")
        await asyncio.sleep(2.5)
        assert stage.heard_tones() == [(400, 3.0)]
        stage.key("2")
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "12"}


@in_virtual_time
async def test_silence_times_out_so_long_after_the_prompt() -> None:
    async with on_stage() as stage:
        assert await stage.run(gather(timeout=3, say={"text": "x" * 20})) == pytest.approx(5.0, abs=0.1)
        assert told(stage) == {"reason": "timeout"}
    async with on_stage() as stage:
        assert await stage.run(gather()) == pytest.approx(5.0, abs=0.01)


@in_virtual_time
async def test_a_pause_between_digits_ends_the_input() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(interDigitTimeout=2, timeout=60, maxDigits=10))
        await asyncio.sleep(1.0)
        stage.key("12")
        await running
        assert stage.now == pytest.approx(3.0)
        assert told(stage) == {"reason": "dtmfDetected", "digits": "12"}


@in_virtual_time
async def test_the_finishing_key_is_not_part_of_the_input() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(finishOnKey="#"))
        await asyncio.sleep(1.0)
        stage.key("407#")
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "407"}


@in_virtual_time
async def test_the_answer_of_the_action_hook_replaces_the_document() -> None:
    async with on_stage() as stage:
        stage.hooks.answers["/gathered"] = [{"verb": "play", "url": "800x0.5"}]
        running = stage.start(gather(numDigits=1), {"verb": "play", "url": "400x9"})
        await settle()
        stage.key("1")
        await running
        assert stage.heard_tones() == [(800, 0.5)]


@in_virtual_time
async def test_a_prompt_that_cannot_be_had_is_an_alert_and_the_timeout_begins_at_once() -> None:
    async with on_stage() as stage:
        play = {"url": ["gone.wav"], "actionHook": "/played"}
        assert await stage.run(gather(play=play)) == pytest.approx(5.0, abs=0.1)
        assert [kind for kind, _ in stage.alerts] == ["sound-failed"]
        assert told(stage) == {"reason": "timeout"}
        [(url, payload)] = stage.hooks.told
        assert (url, payload["reason"]) == ("/played", "playFailed")


@in_virtual_time
async def test_hanging_up_leaves_nothing_behind_and_asks_nobody() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["digits", "speech"], say={"text": "x" * 100}))
        await stage.recogniser.session()
        await asyncio.sleep(1.0)
        stage.hang_up()
        await running
        await settle()
        assert stage.hooks.asked == []
        assert stage.recogniser.sessions[0].is_closed
        assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_words_are_told_as_they_were_understood() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech"], say={"text": "x" * 10}))
        session = await stage.recogniser.session()
        await asyncio.sleep(2.0)
        session.say(SpeechBegan(1))
        await asyncio.sleep(6.0)
        session.say(words("sales please"))
        await running
        assert told(stage) == {"reason": "speechDetected", "speech": told_speech(words("sales please"))}
        assert session.is_closed
        assert stage.alerts == []


@in_virtual_time
async def test_the_recogniser_hears_the_party_at_its_rate() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech"], timeout=2))
        session = await stage.recogniser.session()
        await running
        assert sum(len(pcm) for pcm in session.heard) == pytest.approx(2 * 16000, rel=0.05)


@in_virtual_time
async def test_recognition_waits_for_the_end_of_the_prompt_if_it_is_told_to() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech"], say={"text": "x" * 20}, listenDuringPrompt=False))
        await asyncio.sleep(1.9)
        assert not stage.recogniser.sessions
        await asyncio.sleep(0.3)
        [session] = stage.recogniser.sessions
        session.say(words("yes"))
        await running
        assert told(stage)["reason"] == "speechDetected"


@in_virtual_time
async def test_speech_stops_the_prompt_where_it_may_and_partial_words_are_told() -> None:
    async with on_stage() as stage:
        running = stage.start(
            gather(
                input=["speech"],
                play={"url": "400x60"},
                bargein=True,
                minBargeinWordCount=2,
                partialResultHook="/partial",
                speechTimeout=1.5,
            )
        )
        session = await stage.recogniser.session()
        assert session.options.interim
        assert session.options.endpoint_ms == 1500
        await asyncio.sleep(1.0)
        session.say(words("I", is_final=False))
        await asyncio.sleep(1.0)
        session.say(words("I want", is_final=False))
        await asyncio.sleep(1.0)
        assert stage.heard_tones()[0][1] == pytest.approx(2.0, abs=0.2)
        session.say(words("I want to go home"))
        await running
        assert [payload["speech"]["alternatives"][0]["transcript"] for _, payload in stage.hooks.told] == [
            "I",
            "I want",
        ]
        assert [payload["speech"]["vendor"]["name"] for _, payload in stage.hooks.told] == ["scripted"] * 2
        assert told(stage)["speech"]["is_final"] is True


@in_virtual_time
async def test_who_speaks_too_long_is_asked_for_what_was_said() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech"], timeout=2))
        session = await stage.recogniser.session()
        session.say(SpeechBegan(1))
        await running
        # 10 s after the beginning of the speech; this recogniser then ends without a word.
        assert stage.now == pytest.approx(10.0, abs=0.1)
        assert told(stage) == {"reason": "timeout"}


@in_virtual_time
async def test_noise_does_not_prolong_the_timeout() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech"], timeout=2))
        session = await stage.recogniser.session()
        await asyncio.sleep(0.5)
        session.say(SpeechBegan(1))
        await asyncio.sleep(1.0)
        session.say(NothingUnderstood(1))
        await running
        assert stage.now == pytest.approx(2.0, abs=0.1)
        assert told(stage) == {"reason": "timeout"}


@in_virtual_time
async def test_a_digit_is_worth_more_than_words() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(input=["speech", "digits"], numDigits=2))
        session = await stage.recogniser.session()
        stage.key("1")
        await settle()
        assert session.is_closed
        stage.key("2")
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "12"}


@in_virtual_time
async def test_a_recogniser_that_fails_is_replaced_by_the_fallback_and_then_an_error() -> None:
    async with on_stage() as stage:
        recognizer = {"vendor": "google", "fallbackVendor": "scripted", "fallbackLanguage": "en-GB"}
        running = stage.start(gather(input=["speech"], recognizer=recognizer, timeout=30))
        session = await stage.recogniser.session()
        assert session.options.language == "en-GB"
        session.say(RecognitionLost("too much was said"))
        session.say(RecognitionFailed("it broke down"))
        await running
        assert told(stage) == {"reason": "error", "details": {"error": "it broke down"}}
        assert [kind for kind, _ in stage.alerts] == ["transcribe-failed"] * 3


@in_virtual_time
async def test_without_a_recogniser_digits_still_count() -> None:
    async with on_stage(is_bare=True) as stage:
        running = stage.start(gather(input=["speech", "digits"], numDigits=1))
        await asyncio.sleep(1.0)
        stage.key("9")
        await running
        assert told(stage) == {"reason": "dtmfDetected", "digits": "9"}
        assert stage.alerts == [("transcribe-failed", "this engine has no recognisers")]
    async with on_stage(is_bare=True) as stage:
        assert await stage.run(gather(input=["speech"])) < 0.1
        assert told(stage)["reason"] == "error"


@in_virtual_time
async def test_the_recognizer_of_the_session_is_used_where_the_verb_names_none() -> None:
    defaults = SessionDefaults(recognizer=Recognizer(vendor="scripted", language="en-AU"))
    async with on_stage(defaults=defaults) as stage:
        running = stage.start(
            gather(input=["speech"], recognizer={"hints": ["sales", {"phrase": "support"}]})
        )
        session = await stage.recogniser.session()
        assert (session.options.language, session.options.hints) == ("en-AU", ("sales", "support"))
        await running


@in_virtual_time
async def test_early_media_of_the_prompt_leaves_the_caller_unanswered() -> None:
    async with on_stage() as stage:
        running = stage.start(gather(numDigits=1, say={"text": "x" * 10, "earlyMedia": True}))
        await asyncio.sleep(2.0)
        assert not stage.party.has_answered
        stage.key("1")
        await running
        assert stage.heard_tones() == [(500, 1.0)]


@in_virtual_time
async def test_a_recogniser_with_a_bug_is_an_error_and_not_an_endless_wait() -> None:
    async with on_stage() as stage:

        async def broken(options: object) -> ScriptedSession:
            raise ValueError("a bug")

        stage.recogniser.open = broken  # type: ignore[method-assign]
        await stage.run(gather(input=["speech"], timeout=0), {"verb": "play", "url": "400x0.5"})
        assert stage.now < 1.0
        assert ("engine-error", "gather failed: ValueError") in stage.alerts
        assert stage.heard_tones() == [(400, 0.5)]
