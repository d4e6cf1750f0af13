"""Verbs that are heard, under every order of what can happen to them: nothing hangs, nothing is left over.

Each example is a real session with a real stream, in virtual time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.application.document import parse_document
from engine.application.session import EndingKind
from engine.speech.recognition import Alternative, RecognitionFailed, RecognitionResult, SpeechBegan
from tests.application.verbs.sounding import Stage, on_stage
from tests.support.virtual_time import run_in_virtual_time, settle

WORDS = RecognitionResult("en-US", 1, True, (Alternative("yes", 0.9),), "scripted")

_urls = st.sampled_from(["400x0.5", "400x3", "800x1@2", "gone.wav", ["400x0.3", "gone.wav@1", "800x0.3@2"]])
_play = st.fixed_dictionaries(
    {"url": _urls},
    optional={
        "loop": st.sampled_from([2, "forever"]),
        "timeoutSecs": st.sampled_from([1, 4]),
        "seekOffset": st.sampled_from([4000, 80000]),
    },
)
_say = st.fixed_dictionaries(
    {"text": st.sampled_from(["abc", ["abcdef", "no"], "", "x" * 350])},
    optional={"synthesizer": st.sampled_from([{"vendor": "google"}, {"vendor": "other"}])},
)
_gather = st.fixed_dictionaries(
    {
        "input": st.sampled_from([["digits"], ["speech"], ["digits", "speech"]]),
        "actionHook": st.just("/gathered"),
    },
    optional={
        "say": _say,
        "play": _play.filter(lambda play: "loop" not in play),
        "numDigits": st.integers(1, 3),
        "finishOnKey": st.just("#"),
        "interDigitTimeout": st.sampled_from([1, 3]),
        "dtmfBargein": st.booleans(),
        "listenDuringPrompt": st.booleans(),
        "bargein": st.booleans(),
    },
)
_verbs = st.one_of(
    _play.map(lambda play: {"verb": "play", "actionHook": "/played", **play}),
    _say.map(lambda say: {"verb": "say", **say}),
    _gather.map(lambda gather: {"verb": "gather", **gather}),
    st.just({"verb": "pause", "length": 1}),
    st.just({"verb": "dtmf", "dtmf": "12", "duration": 300}),
)
_happenings = st.sampled_from(
    [*"12#", "began", "words", "recogniser fails", "recogniser ends", "other document", "hang up"]
)
_steps = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 2.0]), _happenings), max_size=8)


async def _happens(stage: Stage, what: str) -> None:
    sessions = stage.recogniser.sessions
    match what:
        case "hang up":
            stage.hang_up()
        case "other document":
            document = parse_document([{"verb": "say", "text": "abc"}])
            stage.session.replace(document, ticket=stage.session.ticket())
        case "began" | "words" | "recogniser fails" | "recogniser ends" if not sessions:
            pass
        case "began":
            sessions[-1].say(SpeechBegan(1))
        case "words":
            sessions[-1].say(WORDS)
        case "recogniser fails":
            sessions[-1].say(RecognitionFailed("it broke down"))
        case "recogniser ends":
            sessions[-1].finish()
        case digit:
            stage.key(digit)


async def _play_out(document: list[dict[str, Any]], steps: list[tuple[float, str]]) -> None:
    async with on_stage() as stage:
        running = stage.start(*document)
        for after_s, what in steps:
            await asyncio.sleep(after_s)
            if running.done():
                break
            await _happens(stage, what)
        # What is meant to go on for ever is ended by the party, long after.
        _, waiting = await asyncio.wait([running], timeout=150)
        if waiting:
            assert any(verb.get("loop") == "forever" for verb in document), document
            stage.hang_up()
        ending = await running
        assert ending.kind in (EndingKind.FINISHED, EndingKind.GONE)
        assert not [alert for alert in stage.alerts if alert[0] == "engine-error"]
        assert not stage.party.stream.sender.is_playing
        assert all(session.is_closed for session in stage.recogniser.sessions)
        executed = len(stage.hooks.asked) + len([url for url, _ in stage.hooks.told if url == "/played"])
        assert executed <= len(document)
        await stage.session.close()
        await settle()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, others


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(document=st.lists(_verbs, min_size=1, max_size=3), steps=_steps)
def test_whatever_happens_the_document_ends_and_nothing_is_left_over(
    document: list[dict[str, Any]], steps: list[tuple[float, str]]
) -> None:
    run_in_virtual_time(_play_out(document, steps))
