"""`transcribe` as a verb and beside a dial; once with real speech through a real call's audio."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from engine.application.document import TranscribeVerb, parse_document
from engine.application.schema.speech import Recognizer
from engine.application.services import SessionDefaults
from engine.application.session import EndingKind
from engine.application.verbs import transcribe
from engine.speech.recognition import (
    Alternative,
    RecognitionFailed,
    RecognitionLost,
    RecognitionResult,
    SpeechBegan,
)
from engine.speech.recognition_pocketsphinx import PocketsphinxRecogniser
from media.codecs import L16_16K, open_codec
from media.negotiate import AudioCapabilities
from tests.application.verbs.streaming import SID, ScriptedRecogniser, plane, stage
from tests.listen.server import talker, until, usual_amplitude
from tests.media.far_side import FarSide, sdp
from tests.speech.voice import spoken


def _verb(**properties: object) -> dict[str, Any]:
    return {"verb": "transcribe", "transcriptionHook": "/words", **properties}


def _result(
    text: str, *, confidence: float = 0.9, is_final: bool = True, channel: int = 1
) -> RecognitionResult:
    return RecognitionResult("en-US", channel, is_final, (Alternative(text, confidence),), "scripted")


async def test_results_are_told_with_the_payload_of_the_contract_while_it_goes_on() -> None:
    recogniser = ScriptedRecogniser()
    async with plane() as media, talker(media, hz=1000) as caller:
        async with stage(caller.stream, recognisers={"scripted": recogniser}) as call:
            call.app.on("/words")
            call.start(_verb(id="t1"))
            words = await recogniser.session()
            words.say(SpeechBegan(1))
            words.say(_result("hello", is_final=False))
            words.say(_result("hello world"))
            second = await call.app.request("/words", 2)
            assert call.party.has_answered
            assert second.payload["call_sid"] == SID
            assert second.payload["verb_id"] == "t1"
            assert second.payload["speech"] == {
                "language_code": "en-US",
                "channel_tag": 1,
                "is_final": True,
                "alternatives": [{"transcript": "hello world", "confidence": 0.9}],
                "vendor": "scripted",
            }
            assert call.app.payloads("/words")[0]["speech"]["is_final"] is False
            await until(lambda: sum(map(len, words.heard)) > 16000)
            assert usual_amplitude(np.concatenate(words.heard)[3200:], 1000, 16000) > 7000
            assert not call.is_over
        assert words.is_closed


async def test_verbs_in_an_answer_replace_the_document() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words", [{"verb": "hangup"}])
        call.start(_verb())
        (await recogniser.session()).say(_result("goodbye"))
        assert (await call.ended()).kind is EndingKind.HUNG_UP


async def test_the_recognizer_is_the_verbs_over_the_sessions_and_has_hints() -> None:
    first, second = ScriptedRecogniser("first"), ScriptedRecogniser("second")
    defaults = SessionDefaults(recognizer=Recognizer(vendor="second", language="de-DE"))
    properties = {"hints": ["yes", {"phrase": "no", "boost": 5}], "interim": True, "asrTimeout": 1.5}
    async with plane() as media, talker(media) as caller:
        recognisers = {"first": first, "second": second}
        async with stage(caller.stream, recognisers=recognisers, defaults=defaults) as call:
            call.start(_verb(recognizer={**properties, "customOptions": {"model": "x"}}))
            options = (await second.session()).options
    assert (options.language, options.hints, options.interim) == ("de-DE", ("yes", "no"), True)
    assert (options.endpoint_ms, options.channel_tag) == (1500, 1)
    assert options.vendor_options == {"model": "x"}
    assert first.sessions == []


async def test_a_recogniser_that_fails_is_replaced_by_the_fallback_and_then_it_is_over() -> None:
    first, second = ScriptedRecogniser("first"), ScriptedRecogniser("second")
    recognizer = {"vendor": "first", "fallbackVendor": "second", "fallbackLanguage": "en-GB"}
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"first": first, "second": second}) as call,
    ):
        call.app.on("/words")
        call.app.on("/next")
        call.start(_verb(recognizer=recognizer), {"verb": "redirect", "actionHook": "/next"})
        (await first.session()).say(RecognitionFailed("quota exceeded"))
        fallback = await second.session()
        assert fallback.options.language == "en-GB"
        fallback.say(_result("hello"))
        fallback.say(RecognitionLost("some words"))
        fallback.say(RecognitionFailed("gone too"))
        await call.app.request("/next")
        assert [payload.get("speech_event") for payload in call.app.payloads("/words")] == [
            {"type": "error", "vendor": "first", "reason": "quota exceeded"},
            None,
            {"type": "error", "vendor": "second", "reason": "gone too"},
        ]
        assert call.alerts == ["quota exceeded", "some words", "gone too"]


async def test_an_unknown_vendor_or_no_recogniser_at_all_is_an_alert() -> None:
    async with plane() as media, talker(media) as caller:
        async with stage(caller.stream, recognisers={"scripted": ScriptedRecogniser()}) as call:
            call.start({"verb": "transcribe", "recognizer": {"vendor": "nobody"}})
            assert (await call.ended()).kind is EndingKind.FINISHED
            assert "nobody" in call.alerts[0]
        async with stage(caller.stream) as call:
            call.start({"verb": "transcribe"})
            assert (await call.ended()).kind is EndingKind.FINISHED
            assert len(call.alerts) == 1


async def test_translation_is_refused_in_words_and_the_transcription_goes_on() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words")
        call.start(_verb(translationHook="/translated"))
        (await recogniser.session()).say(_result("hello"))
        await call.app.request("/words")
        assert "translationHook" in call.alerts[0]
        assert call.app.asked("/translated") == []


async def test_uncertain_results_are_left_out_if_asked_for() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words")
        call.start(_verb(recognizer={"minConfidence": 0.5}))
        words = await recogniser.session()
        words.say(_result("mumble", confidence=0.3))
        words.say(_result("clear", confidence=0.6))
        told = await call.app.request("/words")
        assert told.payload["speech"]["alternatives"][0]["transcript"] == "clear"


async def test_early_media_is_enough_if_asked_for() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.start(_verb(earlyMedia=True))
        await recogniser.session()
        assert not call.party.has_answered


async def test_live_control_pauses_and_resumes() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.start(_verb())
        words = await recogniser.session()
        await until(lambda: len(words.heard) > 10)
        call.session.control("transcribe", "pause")
        count, began = len(words.heard), asyncio.get_running_loop().time()
        await until(lambda: len(words.heard) >= count + 2)
        passed_s = asyncio.get_running_loop().time() - began
        paused = np.concatenate(words.heard[count:])
        assert not paused.any()  # silence in its place: what was being said ends
        assert len(paused) / 16000 == pytest.approx(passed_s, abs=0.3)
        call.session.control("transcribe", "resume")
        await until(lambda: len(words.heard) > count + 20)
        assert usual_amplitude(np.concatenate(words.heard[-10:]), 1000, 16000) > 6000


async def test_a_party_that_sends_nothing_because_it_is_held_is_silence() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.start(_verb())
        words = await recogniser.session()
        await until(lambda: len(words.heard) > 10)
        caller.stream.receive_offer(sdp(caller.far.port, direction="inactive"))
        count = len(words.heard)
        await until(lambda: len(words.heard) > count)
        assert not words.heard[-1].any()
        assert len(words.heard[-1]) >= 8000


async def test_config_transcribes_beside_the_verbs_that_follow() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words")
        wish = {"enable": True, "transcriptionHook": "/words"}
        call.start({"verb": "config", "transcribe": wish}, {"verb": "pause", "length": 30})
        (await recogniser.session()).say(_result("hello"))
        assert "verb_id" not in (await call.app.request("/words")).payload
        assert not call.is_over


@pytest.mark.parametrize(("channel", "expected"), [(None, [1, 2]), (1, [1]), (2, [2])])
async def test_dv84_beside_a_dial_each_party_is_a_channel_and_answers_are_ignored(
    channel: int | None, expected: list[int]
) -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media, hz=600) as caller,
        talker(media, hz=1700, ssrc=0x2002) as callee,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words", [{"verb": "hangup"}])
        (verb,) = parse_document([_verb(**({"channel": channel} if channel else {}))])
        assert isinstance(verb, TranscribeVerb)
        work = transcribe.beside(verb, call.session, caller=caller.stream, callee=callee.stream)
        task = call.session.background(work, name="transcribe")
        sessions = [await recogniser.session(n + 1) for n in range(len(expected))]
        assert [session.options.channel_tag for session in sessions] == expected
        for session, tag in zip(sessions, expected, strict=True):
            await until(lambda session=session: sum(map(len, session.heard)) > 16000)  # type: ignore[misc]
            heard = np.concatenate(session.heard)[3200:]
            assert usual_amplitude(heard, {1: 600, 2: 1700}[tag], 16000) > 7000
            session.say(_result("hello", channel=tag))
        await call.app.request("/words", len(expected))
        tags = [payload["speech"]["channel_tag"] for payload in call.app.payloads("/words")]
        assert tags == expected
        assert call.session.ending is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert all(session.is_closed for session in sessions)
        assert not media.clock.is_running


async def test_speech_in_a_real_calls_audio_becomes_text_in_a_real_hook() -> None:
    """RTP of a wideband call, pocketsphinx in its own process, the hook of the application."""
    recogniser = PocketsphinxRecogniser()
    far = FarSide()
    async with plane() as media:
        stream = media.stream(AudioCapabilities(codecs=(L16_16K,)))
        stream.receive_offer(sdp(far.port, codecs=("96 L16/16000",)))
        async with stage(stream, recognisers={"pocketsphinx": recogniser}) as call:
            call.app.on("/words", [{"verb": "hangup"}])
            call.start(_verb(recognizer={"vendor": "pocketsphinx", "language": "en-US"}))
            encoder = open_codec(L16_16K)
            speech = np.concatenate([spoken("one two three four five"), np.zeros(32000, np.int16)])
            loop = asyncio.get_running_loop()
            due = loop.time()
            for at in range(0, len(speech) - 319, 320):
                far.send(stream.port, encoder.encode(speech[at : at + 320]), payload_type=96, step=320)
                due += 0.02
                await asyncio.sleep(max(0.0, due - loop.time()))
            told = await call.app.request("/words")
            assert told.payload["speech"]["alternatives"][0]["transcript"] == "one two three four five"
            assert told.payload["speech"]["vendor"] == "pocketsphinx"
            assert (await call.ended()).kind is EndingKind.HUNG_UP
        await recogniser.close()
        stream.close()
    far.close()
