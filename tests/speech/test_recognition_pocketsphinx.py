"""The recogniser that comes with the engine, with real speech in a real worker process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest_asyncio

from engine.speech.recognition import (
    NothingUnderstood,
    RecognitionEvent,
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
)
from engine.speech.recognition_pocketsphinx import PocketsphinxRecogniser
from media.audio import Pcm
from tests.speech.voice import spoken


@pytest_asyncio.fixture
async def recogniser() -> AsyncIterator[PocketsphinxRecogniser]:
    made = PocketsphinxRecogniser()
    yield made
    await made.close()


def _talk(session: RecognitionSession, *pieces: Pcm) -> None:
    """In 20 ms, as calls do."""
    for piece in pieces:
        for at in range(0, len(piece), 320):
            session.push(piece[at : at + 320])


async def _events(session: RecognitionSession) -> list[RecognitionEvent]:
    async with asyncio.timeout(60):
        return [event async for event in session.events()]


def _results(events: list[RecognitionEvent]) -> list[RecognitionResult]:
    return [event for event in events if isinstance(event, RecognitionResult)]


_PAUSE = np.zeros(16000, np.int16)


async def test_what_is_said_comes_out_as_text_utterance_by_utterance(
    recogniser: PocketsphinxRecogniser,
) -> None:
    session = await recogniser.open(RecognitionOptions(channel_tag=2))
    _talk(session, spoken("one two three four five"), _PAUSE, spoken("my name is susan"), _PAUSE)
    session.finish()
    events = await _events(session)
    assert events[0] == SpeechBegan(2)
    first, second = _results(events)
    assert first.transcript == "one two three four five"
    assert len(set(second.transcript.split()) & {"my", "name", "is", "susan"}) >= 3
    assert first.is_final
    assert first.to_dict() == {
        "language_code": "en-US",
        "channel_tag": 2,
        "is_final": True,
        "vendor": "pocketsphinx",
        "alternatives": [
            {"transcript": each.transcript, "confidence": each.confidence} for each in first.alternatives
        ],
    }
    assert all(0 <= each.confidence <= 1 for each in first.alternatives)
    assert [e.confidence for e in first.alternatives] == sorted(
        (e.confidence for e in first.alternatives), reverse=True
    )


async def test_what_is_being_said_is_told_before_it_is_over_if_wanted(
    recogniser: PocketsphinxRecogniser,
) -> None:
    session = await recogniser.open(RecognitionOptions(interim=True))
    reading = asyncio.create_task(_events(session))
    for at in range(0, 16000 * 3, 320):
        _talk(session, np.resize(spoken("one two three four five"), 16000 * 3)[at : at + 320])
        await asyncio.sleep(0.02)
    session.finish()
    results = _results(await reading)
    assert [result.is_final for result in results] == [False] * (len(results) - 1) + [True]
    assert len(results) >= 3
    assert all("one" in result.transcript for result in results[1:])


async def test_hints_decide_where_one_of_them_is_said_alone_on_a_telephone_line(
    recogniser: PocketsphinxRecogniser,
) -> None:
    """8 kHz: what is understood without hints is something else."""
    line = np.repeat(spoken("agent", 8000), 2)
    heard = []
    for hints in ((), ("operator", "agent", "leave a message")):
        session = await recogniser.open(RecognitionOptions(hints=hints))
        _talk(session, line, _PAUSE)
        session.finish()
        heard.append([result.transcript for result in _results(await _events(session))])
    assert heard[0] != ["agent"]
    assert heard[1] == ["agent"]


async def test_hints_that_do_not_fit_change_nothing(recogniser: PocketsphinxRecogniser) -> None:
    session = await recogniser.open(RecognitionOptions(hints=("operator", "xqzzk", "!?")))
    _talk(session, spoken("one two three four five"), _PAUSE)
    session.finish()
    assert [result.transcript for result in _results(await _events(session))] == ["one two three four five"]


async def test_silence_and_noise_are_no_words(recogniser: PocketsphinxRecogniser) -> None:
    session = await recogniser.open(RecognitionOptions())
    noise = np.random.default_rng(1).normal(0, 30, 32000).astype(np.int16)
    _talk(session, np.zeros(32000, np.int16), noise)
    session.finish()
    assert _results(await _events(session)) == []


async def test_noise_that_seems_to_be_speech_is_told_to_have_been_none(
    recogniser: PocketsphinxRecogniser,
) -> None:
    session = await recogniser.open(RecognitionOptions(channel_tag=2))
    knock = np.random.default_rng(2).normal(0, 3000, 4800).astype(np.int16)
    _talk(session, _PAUSE, knock, _PAUSE)
    session.finish()
    events = await _events(session)
    assert events == [SpeechBegan(2), NothingUnderstood(2)]


async def test_several_calls_share_one_worker(recogniser: PocketsphinxRecogniser) -> None:
    sessions = [await recogniser.open(RecognitionOptions(channel_tag=n)) for n in (1, 2)]
    words = ("yes", "one two three four five")
    for session, text in zip(sessions, words, strict=True):
        _talk(session, spoken(text), _PAUSE)
        session.finish()
    events = await asyncio.gather(*map(_events, sessions))
    assert [[result.transcript for result in _results(each)] for each in events] == [["yes"], [words[1]]]
    assert len(recogniser.pool.pids) == 1


async def test_another_language_is_refused_in_words(recogniser: PocketsphinxRecogniser) -> None:
    session = await recogniser.open(RecognitionOptions(language="de-DE"))
    _talk(session, _PAUSE)
    (event,) = await _events(session)
    assert isinstance(event, RecognitionFailed)
    assert "de-DE" in event.reason
    assert recogniser.pool.pids == []


async def test_a_worker_that_dies_costs_what_it_was_thinking_about_and_is_replaced(
    recogniser: PocketsphinxRecogniser,
) -> None:
    session = await recogniser.open(RecognitionOptions())
    _talk(session, np.tile(spoken("one two three four five"), 4), _PAUSE)
    events = session.events()
    assert await anext(events) == SpeechBegan(1)
    answer = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(30):
        while recogniser.pool.thinking == 0:  # noqa: ASYNC110 - the pool has no event for it
            await asyncio.sleep(0.002)
    (pid,) = recogniser.pool.pids
    os.kill(pid, signal.SIGKILL)
    assert isinstance(await asyncio.wait_for(answer, 30), RecognitionLost)
    assert await anext(events) == NothingUnderstood(1)
    _talk(session, spoken("yes"), _PAUSE)
    session.finish()
    async with asyncio.timeout(30):
        rest = [event async for event in events]
    assert [result.transcript for result in _results(rest)] == ["yes"]
    assert recogniser.pool.pids != [pid]


async def test_closing_ends_everything_at_once() -> None:
    recogniser = PocketsphinxRecogniser()
    session = await recogniser.open(RecognitionOptions())
    _talk(session, np.tile(spoken("one two three four five"), 3), _PAUSE)
    reading = asyncio.create_task(_events(session))
    await asyncio.sleep(0)
    session.close()
    session.push(_PAUSE)
    session.finish()
    await recogniser.close()
    assert _results(await reading) == []
    assert recogniser.pool.pids == []
