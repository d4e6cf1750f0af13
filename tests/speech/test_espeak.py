"""The real library in its real process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from engine.speech import EspeakSynthesiser, Speech, SynthesisFailed, Utterance
from media.audio import level_dbov
from tests.speech.machine import no_descriptors


@pytest_asyncio.fixture
async def espeak() -> AsyncIterator[EspeakSynthesiser]:
    synthesiser = EspeakSynthesiser()
    yield synthesiser
    await synthesiser.close()


def loud_s(speech: Speech) -> float:
    """Seconds in which something is heard, in steps of 20 ms."""
    step = speech.sample_rate_hz // 50
    return sum(level_dbov(speech.pcm[at : at + step]) > -45 for at in range(0, len(speech.pcm), step)) / 50


async def test_a_sentence_becomes_speech_of_its_length_at_the_rate_wanted(espeak: EspeakSynthesiser) -> None:
    wish = Utterance("Hello world, the number you have dialled is one two three.")
    for rate in (8000, 16000, 48000):
        speech = await espeak.say(wish, sample_rate_hz=rate)
        assert (speech.sample_rate_hz, speech.problem) == (rate, "")
        assert speech.duration_s == pytest.approx(2.95, abs=0.3)
        assert loud_s(speech) > 1.5
    twice = await espeak.say(Utterance(f"{wish.text} {wish.text}"))
    assert twice.duration_s > 1.7 * 2.95


async def test_the_rate_voice_language_and_gender_change_what_is_heard(espeak: EspeakSynthesiser) -> None:
    text = "one two three four five"
    usual = await espeak.say(Utterance(text))
    slow, fast = await espeak.say(Utterance(text, rate=0.7)), await espeak.say(Utterance(text, rate=2.0))
    assert fast.duration_s < usual.duration_s < slow.duration_s
    others = [
        await espeak.say(Utterance(text, gender="FEMALE")),
        await espeak.say(Utterance(text, "de-DE")),
        await espeak.say(Utterance(text, voice="English (Great Britain)")),
    ]
    for other in others:
        assert other.problem == ""
        assert not np.array_equal(other.pcm, usual.pcm)
    again = await espeak.say(Utterance(text))
    assert abs(again.duration_s - usual.duration_s) < 0.1  # nothing of the others is left over


async def test_an_unknown_voice_or_language_is_replaced_and_told(espeak: EspeakSynthesiser) -> None:
    speech = await espeak.say(Utterance("Hello", "en-US", "Salli"))
    assert speech.problem == "there is no voice 'Salli'; English (America) speaks"
    assert loud_s(speech) > 0.2
    assert "nobody speaks 'tlh'" in (await espeak.say(Utterance("Hello", "tlh"))).problem


async def test_voices_are_listed_and_all_of_the_usual_languages_are_there(espeak: EspeakSynthesiser) -> None:
    voices = await espeak.voices()
    languages = {language for voice in voices for language in voice.languages}
    assert {"en-us", "en-gb", "de", "es", "fr", "it", "nl", "pt-br", "ru", "cmn"} <= languages
    assert len(voices) > 100


async def test_ssml_says_how_it_is_said(espeak: EspeakSynthesiser) -> None:
    plain = await espeak.say(Utterance("one two"))
    paused = await espeak.say(Utterance('<speak>one<break time="2s"/>two</speak>'))
    assert paused.duration_s - plain.duration_s == pytest.approx(2.0, abs=0.5)
    assert loud_s(paused) == pytest.approx(loud_s(plain), abs=0.3)
    tags = await espeak.say(Utterance("a <b> c"))
    assert loud_s(tags) > loud_s(await espeak.say(Utterance("a c")))  # no SSML: its signs are text


async def test_any_text_is_said_or_silent_but_never_an_error(espeak: EspeakSynthesiser) -> None:
    for text in ("", " ", "...", "\0\0", "🏢", "a\ud800b", "<speak", "<speak></speak>", "x" * 3000):
        speech = await espeak.say(Utterance(text))
        assert speech.sample_rate_hz == 8000


async def test_endless_silence_is_cut_off(espeak: EspeakSynthesiser) -> None:
    breaks = '<break time="100s"/>' * 50
    speech = await espeak.say(Utterance(f"<speak>one{breaks}two</speak>"))
    assert speech.duration_s <= 600.1


async def test_a_file_named_in_ssml_is_neither_opened_nor_able_to_abort_the_library(
    espeak: EspeakSynthesiser,
) -> None:
    # Found by a fuzzer: a name of this length overflows a buffer of the library, which ends the process.
    await espeak.voices()
    pid = espeak.pid
    speech = await espeak.say(Utterance(f"<speak><audio src='/{'x' * 5000}'>hello</audio></speak>"))
    assert speech.problem == ""
    assert loud_s(speech) > 0.2
    assert espeak.pid == pid


async def test_ssml_that_kills_the_process_is_said_without_its_tags(espeak: EspeakSynthesiser) -> None:
    await espeak.voices()
    pid = espeak.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    saying = asyncio.create_task(espeak.say(Utterance("<speak>hello<break time='5s'/></speak>")))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    speech = await saying
    assert speech.problem == "the SSML cannot be read, it is said without its tags"
    assert speech.duration_s < 2
    assert loud_s(speech) > 0.2


async def test_a_process_that_is_killed_is_replaced(espeak: EspeakSynthesiser) -> None:
    await espeak.voices()
    pid = espeak.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    saying = asyncio.create_task(espeak.say(Utterance("Hello")))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(SynthesisFailed, match="its process died"):
        await saying
    assert loud_s(await espeak.say(Utterance("Hello"))) > 0.2
    assert espeak.pid != pid


async def test_on_a_machine_without_room_for_a_process_the_text_fails_and_the_next_does_not(
    espeak: EspeakSynthesiser,
) -> None:
    with no_descriptors(), pytest.raises(SynthesisFailed, match="cannot be started"):
        await espeak.say(Utterance("one"))
    assert len((await espeak.say(Utterance("two"))).pcm)


async def test_who_is_cancelled_leaves_the_next_the_right_answer_and_the_process_alone(
    espeak: EspeakSynthesiser,
) -> None:
    wanted = await espeak.say(Utterance("one"))
    pid = espeak.pid
    for turns in (0, 1, 2, 3, 10):
        hasty = [asyncio.create_task(espeak.say(Utterance("one two three four five six"))) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for each in hasty:
            each.cancel()
        speech = await espeak.say(Utterance("one"))
        assert all(each.cancelled() for each in hasty)
        assert abs(speech.duration_s - wanted.duration_s) < 0.1
    assert espeak.pid == pid
    assert not espeak._tasks


async def test_closing_fails_those_who_wait(espeak: EspeakSynthesiser) -> None:
    await espeak.voices()
    waiting = [asyncio.create_task(espeak.say(Utterance("one two three " * 200))) for _ in range(3)]
    await asyncio.sleep(0.001)
    await espeak.close()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, SynthesisFailed)


async def test_the_loop_goes_on_turning_while_it_speaks(espeak: EspeakSynthesiser) -> None:
    await espeak.voices()
    saying = asyncio.create_task(espeak.say(Utterance("The quick brown fox. " * 400)))
    turns = 0
    while not saying.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await saying).duration_s > 300
    assert turns > 100


async def test_after_close_nothing_runs_and_nothing_is_said() -> None:
    espeak = EspeakSynthesiser()
    await espeak.voices()
    pid = espeak.pid
    assert pid is not None
    await espeak.close()
    await espeak.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(SynthesisFailed, match="closed"):
        await espeak.say(Utterance("Hello"))
