"""`say` in virtual time: who speaks, what is heard, what is told when it goes wrong."""

from __future__ import annotations

import asyncio

import pytest

from engine.application.schema.speech import Synthesizer
from engine.application.services import SessionDefaults
from tests.application.verbs.sounding import on_stage
from tests.support.virtual_time import in_virtual_time, settle


@in_virtual_time
async def test_a_text_is_heard_and_answers_the_caller() -> None:
    async with on_stage() as stage:
        assert await stage.run({"verb": "say", "text": "x" * 15}) == pytest.approx(1.5, abs=0.05)
        assert stage.heard_tones() == [(500, 1.5)]
        assert stage.party.has_answered
        assert [said.language for said in stage.voices[0].said] == ["en-US"]
        assert stage.alerts == []


@in_virtual_time
async def test_early_media_speaks_to_a_caller_who_is_not_answered() -> None:
    async with on_stage() as stage:
        await stage.run({"verb": "say", "text": "x" * 10, "earlyMedia": True})
        assert stage.party.has_early_media
        assert not stage.party.has_answered
        assert stage.heard_tones() == [(500, 1.0)]


@in_virtual_time
async def test_several_texts_follow_each_other_and_all_of_them_are_repeated() -> None:
    async with on_stage() as stage:
        assert await stage.run({"verb": "say", "text": ["abcde", "fghij"], "loop": 3}) == pytest.approx(
            3.0, abs=0.05
        )
        assert [said.text for said in stage.voices[0].said] == ["abcde", "fghij"]
        assert stage.heard_tones() == [(500, 3.0)]


@in_virtual_time
async def test_for_ever_ends_when_the_party_hangs_up() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "say", "text": "abcde", "loop": "forever"})
        await asyncio.sleep(7.0)
        stage.hang_up()
        await running
        assert stage.heard_tones()[0][1] == pytest.approx(7.0, abs=0.2)


@in_virtual_time
async def test_a_long_text_is_made_in_pieces_and_heard_without_gaps() -> None:
    async with on_stage() as stage:
        text = " ".join(["abcdefgh."] * 100)
        took = await stage.run({"verb": "say", "text": text})
        said = stage.voices[0].said
        assert len(said) > 3
        assert max(len(piece.text) for piece in said) <= 300
        assert " ".join(piece.text for piece in said) == text
        assert took == pytest.approx(sum(len(piece.text) for piece in said) * 0.1, abs=0.1)
        assert [hz for hz, _ in stage.heard_tones()] == [500]


@in_virtual_time
async def test_ssml_goes_to_the_voice_in_one_piece() -> None:
    async with on_stage() as stage:
        ssml = "<speak>" + "<p>abcdefgh.</p>" * 40 + "</speak>"
        running = stage.start({"verb": "say", "text": ssml})
        await asyncio.sleep(1.0)
        assert [said.text for said in stage.voices[0].said] == [ssml]
        stage.hang_up()
        await running


@in_virtual_time
async def test_what_is_more_than_anybody_wants_to_hear_is_left_out_and_told() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "say", "text": ["abcd " * 10_000, "more"]})
        await asyncio.sleep(1.0)
        assert stage.alerts == [("speech-failed", "more than 20000 characters are not said")]
        assert sum(len(said.text) for said in stage.voices[0].said) <= 20_000
        stage.hang_up()
        await running


@in_virtual_time
async def test_the_synthesizer_of_the_verb_comes_before_that_of_the_session() -> None:
    defaults = SessionDefaults(Synthesizer(vendor="own", language="de-DE", voice="german", gender="FEMALE"))
    async with on_stage(defaults=defaults) as stage:
        await stage.run(
            {"verb": "say", "text": "a"},
            {"verb": "say", "text": "b", "synthesizer": {"voice": "other"}},
            {"verb": "say", "text": "c", "synthesizer": {"language": "fr-FR"}},
            {"verb": "say", "text": "d", "synthesizer": {"vendor": "default", "voice": "default"}},
            {"verb": "say", "text": "e", "synthesizer": {"vendor": "other"}},
            {"verb": "say", "text": "f", "synthesizer": {"options": {"rate": 1.5}, "gender": "MALE"}},
        )
        own, other = stage.voices
        assert [(said.text, said.language, said.voice, said.gender, said.rate) for said in own.said] == [
            ("a", "de-DE", "german", "FEMALE", 1.0),
            ("b", "de-DE", "other", "FEMALE", 1.0),
            ("c", "fr-FR", "", "FEMALE", 1.0),
            ("d", "de-DE", "german", "FEMALE", 1.0),
            ("f", "de-DE", "german", "MALE", 1.5),
        ]
        assert [(said.text, said.language, said.voice) for said in other.said] == [("e", "de-DE", "")]
        assert stage.alerts == []


@in_virtual_time
async def test_an_unknown_vendor_is_an_alert_and_the_default_voice_speaks() -> None:
    async with on_stage() as stage:
        say = {
            "verb": "say",
            "text": ["abc", "def"],
            "synthesizer": {"vendor": "google", "voice": "Wavenet-A"},
        }
        await stage.run(say)
        assert stage.heard_tones() == [(500, 0.6)]
        assert stage.alerts == [("speech-failed", "no synthesiser is called 'google'; there are: other, own")]
        assert [said.voice for said in stage.voices[0].said] == ["", ""]


@in_virtual_time
async def test_the_fallback_of_the_document_comes_before_the_default_voice() -> None:
    async with on_stage() as stage:
        synthesizer = {
            "vendor": "google",
            "fallbackVendor": "other",
            "fallbackLanguage": "de-DE",
            "fallbackVoice": "anna",
        }
        await stage.run({"verb": "say", "text": "abcde", "synthesizer": synthesizer})
        assert stage.heard_tones() == [(900, 0.5)]
        [said] = stage.voices[1].said
        assert (said.language, said.voice) == ("de-DE", "anna")
        assert len(stage.alerts) == 1


@in_virtual_time
async def test_a_vendor_that_fails_is_replaced_and_if_all_fail_the_document_goes_on() -> None:
    async with on_stage() as stage:
        await stage.run(
            {"verb": "say", "text": "no", "synthesizer": {"vendor": "other"}},
            {"verb": "say", "text": "abcde"},
        )
        assert stage.alerts == [
            ("speech-failed", "other does not say that"),
            ("speech-failed", "own does not say that"),
        ]
        assert stage.heard_tones()[-1] == (500, 0.5)
    async with on_stage(is_bare=True) as stage:
        assert await stage.run({"verb": "say", "text": "abcde"}) < 0.1
        assert stage.alerts == [("speech-failed", "this engine has no voice")]


@in_virtual_time
async def test_what_the_voice_does_otherwise_than_asked_is_told_once() -> None:
    async with on_stage() as stage:
        await stage.run({"verb": "say", "text": ["a", "b", "c"], "synthesizer": {"voice": "Salli"}})
        assert stage.alerts == [("speech-failed", "there is no voice 'Salli'")]


@in_virtual_time
async def test_hanging_up_stops_speaking_and_leaves_no_task() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "say", "text": "x" * 200}, {"verb": "say", "text": "y"})
        await asyncio.sleep(1.0)
        stage.hang_up()
        await running
        await settle()
        assert stage.heard_tones()[0][1] == pytest.approx(1.0, abs=0.11)
        assert [said.text for said in stage.voices[0].said] == ["x" * 200]
        assert len(asyncio.all_tasks()) == 1
