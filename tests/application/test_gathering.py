"""`Gathering`, which decides for `gather`: nothing but calls and times."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.application.document import GatherVerb
from engine.application.gathering import Gathered, Gathering, GatherReason
from engine.speech.recognition import Alternative, RecognitionResult
from tests.application.documents import one


def gathering(*, prompt: bool = False, **properties: Any) -> Gathering:
    """Begun at 100.0; without a prompt unless one is wanted."""
    made = Gathering(one(GatherVerb, {"verb": "gather", **properties}))
    if not prompt:
        made.prompt_ended(100.0)
    return made


def now(gathered: Gathering) -> Gathering:
    """The same: what was known of it before an event says nothing about it after."""
    return gathered


def outcome_of(gathered: Gathering) -> Gathered:
    assert gathered.outcome is not None
    return gathered.outcome


def keyed(gathered: Gathering, digits: str, *, at: float = 101.0, pace: float = 0.3) -> Gathered | None:
    for nth, digit in enumerate(digits):
        gathered.digit(digit, at + nth * pace)
    return gathered.outcome


def words(text: str, confidence: float = 0.9, *, is_final: bool = True) -> RecognitionResult:
    return RecognitionResult("en-US", 1, is_final, (Alternative(text, confidence),), "scripted")


def dtmf(digits: str) -> Gathered:
    return Gathered(GatherReason.DTMF, digits)


@pytest.mark.parametrize(
    ("properties", "digits", "outcome"),
    [
        ({"numDigits": 4}, "123", None),
        ({"numDigits": 4}, "1234", dtmf("1234")),
        ({"numDigits": 1}, "#", dtmf("#")),
        ({"maxDigits": 3}, "12", None),
        ({"maxDigits": 3}, "123", dtmf("123")),
        ({"numDigits": 5, "maxDigits": 3}, "123", dtmf("123")),
        ({"finishOnKey": "#"}, "12#", dtmf("12")),
        ({"finishOnKey": "#"}, "#", dtmf("")),
        ({"finishOnKey": "#*"}, "7*", dtmf("7")),
        ({"finishOnKey": "a"}, "7A", dtmf("7")),
        ({"finishOnKey": "#", "numDigits": 2}, "1#", dtmf("1")),
        ({"finishOnKey": "#", "numDigits": 2}, "12", dtmf("12")),
        ({}, "123456789*0#", None),
    ],
)
def test_digits_end_it_by_number_or_by_key(
    properties: dict[str, Any], digits: str, outcome: Gathered | None
) -> None:
    assert keyed(gathering(**properties), digits) == outcome


def test_nothing_in_time_is_a_timeout_and_no_timeout_waits_for_ever() -> None:
    waiting = gathering()
    assert now(waiting).deadline == 105.0
    waiting.deadline_passed(105.0)
    assert now(waiting).outcome == Gathered(GatherReason.TIMEOUT)
    assert gathering(timeout=2.5).deadline == 102.5
    assert gathering(timeout=0).deadline is None


def test_the_timeout_begins_when_the_prompt_has_ended() -> None:
    waiting = gathering(prompt=True)
    assert now(waiting).deadline is None
    waiting.prompt_ended(130.0)
    assert now(waiting).deadline == 135.0


def test_every_digit_begins_a_new_wait() -> None:
    waiting = gathering(timeout=5)
    keyed(waiting, "12", at=104.0, pace=3.0)
    assert now(waiting).deadline == 112.0
    waiting.deadline_passed(112.0)
    assert now(waiting).outcome == dtmf("12")


def test_the_time_between_digits_counts_once_there_are_enough_of_them() -> None:
    waiting = gathering(interDigitTimeout=1, minDigits=2, timeout=5)
    waiting.digit("1", 101.0)
    assert now(waiting).deadline == 106.0
    waiting.digit("2", 103.0)
    assert now(waiting).deadline == 104.0
    waiting.deadline_passed(104.0)
    assert now(waiting).outcome == dtmf("12")
    alone = gathering(interDigitTimeout=1)
    alone.digit("1", 101.0)
    assert now(alone).deadline == 102.0


@pytest.mark.parametrize("properties", [{"minDigits": 3}, {"numDigits": 3}, {"minDigits": 3, "maxDigits": 9}])
def test_too_few_digits_in_time_are_a_timeout_that_tells_them(properties: dict[str, Any]) -> None:
    waiting = gathering(**properties)
    keyed(waiting, "12")
    waiting.deadline_passed(now(waiting).deadline or 0.0)
    assert now(waiting).outcome == Gathered(GatherReason.TIMEOUT, "12")
    assert outcome_of(waiting).to_dict() == {"reason": "timeout", "digits": "12"}


def test_a_digit_stops_the_prompt_unless_it_must_not() -> None:
    barging = gathering(prompt=True)
    barging.digit("1", 101.0)
    assert now(barging).stops_prompt
    assert now(barging).deadline == 106.0
    patient = gathering(prompt=True, dtmfBargein=False, numDigits=3)
    patient.digit("1", 101.0)
    assert not now(patient).stops_prompt
    assert now(patient).deadline is None
    patient.prompt_ended(120.0)
    assert now(patient).deadline == 125.0
    assert keyed(patient, "23", at=121.0) == dtmf("123")


def test_all_digits_during_the_prompt_end_it_even_if_they_do_not_stop_it() -> None:
    patient = gathering(prompt=True, dtmfBargein=False, numDigits=2)
    assert keyed(patient, "12") == dtmf("12")
    assert now(patient).stops_prompt


def test_digits_nobody_asked_for_are_nothing() -> None:
    listening = gathering(input=["speech"])
    assert keyed(listening, "123") is None
    assert listening.digits == ""
    assert now(listening).deadline == 105.0


def test_words_end_it_and_are_told_as_they_were_understood() -> None:
    listening = gathering(input=["speech"])
    listening.speech_began(103.0)
    assert now(listening).deadline == 113.0
    result = words("sales please")
    listening.result(result, 104.0)
    assert now(listening).outcome == Gathered(GatherReason.SPEECH, speech=result)
    assert outcome_of(listening).to_dict() == {
        "reason": "speechDetected",
        "speech": {
            "language_code": "en-US",
            "channel_tag": 1,
            "is_final": True,
            "alternatives": [{"transcript": "sales please", "confidence": 0.9}],
            "vendor": {"name": "scripted", "evt": {}},
        },
    }


def test_a_party_that_speaks_is_not_timed_out_and_noise_does_not_wait_for_ever() -> None:
    listening = gathering(input=["speech"])
    listening.speech_began(104.0)
    listening.result(words("I would like", is_final=False), 112.0)
    assert now(listening).deadline == 122.0
    listening.deadline_passed(122.0)
    assert now(listening).outcome is None
    assert now(listening).is_asking_for_last_words
    assert now(listening).deadline == 125.0
    listening.result(words("I would like to talk to sales"), 123.0)
    assert outcome_of(listening).reason is GatherReason.SPEECH
    noisy = gathering(input=["speech"])
    noisy.speech_began(104.0)
    noisy.deadline_passed(114.0)
    noisy.recognition_over("", 114.5)
    assert now(noisy).outcome == Gathered(GatherReason.TIMEOUT)
    mute = gathering(input=["speech"])
    mute.speech_began(104.0)
    mute.deadline_passed(114.0)
    mute.deadline_passed(117.0)
    assert now(mute).outcome == Gathered(GatherReason.TIMEOUT)


def test_the_first_digit_ends_the_listening_to_words() -> None:
    both = gathering(input=["speech", "digits"], numDigits=2)
    both.speech_began(101.0)
    both.digit("1", 102.0)
    assert not both.wants_speech
    both.result(words("one"), 102.5)
    assert now(both).outcome is None
    assert keyed(both, "2", at=103.0) == dtmf("12")


def test_words_nobody_is_sure_of_do_not_count() -> None:
    listening = gathering(input=["speech"])
    listening.speech_began(101.0)
    listening.result(words("mumble", 0.2), 102.0, min_confidence=0.5)
    assert now(listening).outcome is None
    assert now(listening).deadline == 107.0
    listening.result(words(""), 103.0)
    assert now(listening).outcome is None


def test_noise_is_as_if_it_had_not_been() -> None:
    quiet = gathering(input=["speech"])
    quiet.speech_began(101.0)
    quiet.nothing_understood(102.0)
    assert now(quiet).deadline == 105.0
    quiet.speech_began(104.0)
    quiet.speech_began(105.0)
    assert now(quiet).deadline == 115.0
    quiet.nothing_understood(107.5)
    assert now(quiet).deadline == 107.5
    quiet.deadline_passed(107.5)
    assert now(quiet).outcome == Gathered(GatherReason.TIMEOUT)
    unaware = gathering(input=["speech"])
    unaware.nothing_understood(103.0)
    assert now(unaware).deadline == 105.0
    wordless = gathering(input=["speech"])
    wordless.speech_began(101.0)
    wordless.result(words(" "), 102.0)
    assert now(wordless).deadline == 105.0
    endless = gathering(input=["speech"], timeout=0)
    endless.speech_began(101.0)
    endless.nothing_understood(102.0)
    assert now(endless).deadline is None


def test_noise_during_the_prompt_neither_ends_it_nor_the_timeout_behind_it() -> None:
    over = gathering(prompt=True, input=["speech"])
    over.speech_began(101.0)
    over.nothing_understood(102.0)
    assert now(over).deadline is None
    over.prompt_ended(120.0)
    assert now(over).deadline == 125.0
    across = gathering(prompt=True, input=["speech"])
    across.speech_began(101.0)
    across.prompt_ended(103.0)
    assert now(across).deadline == 111.0
    across.nothing_understood(104.0)
    assert now(across).deadline == 108.0
    unsure = gathering(prompt=True, input=["speech"])
    unsure.speech_began(101.0)
    unsure.result(words("mumble", 0.2), 102.0, min_confidence=0.5)
    assert now(unsure).deadline is None, "the prompt is still heard"


def test_who_is_asked_for_last_words_has_no_more_time_for_new_ones() -> None:
    asked = gathering(input=["speech"])
    asked.speech_began(101.0)
    asked.deadline_passed(111.0)
    asked.result(words("I would", is_final=False), 112.0)
    asked.nothing_understood(112.5)
    asked.result(words("mumble", 0.2), 113.0, min_confidence=0.5)
    assert now(asked).deadline == 114.0


def test_speech_stops_the_prompt_only_if_it_may_and_says_enough() -> None:
    listening = gathering(prompt=True, input=["speech"], bargein=True, minBargeinWordCount=2)
    listening.result(words("I", is_final=False), 101.0)
    assert not now(listening).stops_prompt
    listening.result(words("I want", is_final=False), 102.0)
    assert now(listening).stops_prompt
    patient = gathering(prompt=True, input=["speech"])
    patient.result(words("I want to", is_final=False), 102.0)
    assert not now(patient).stops_prompt
    patient.result(words("I want to go"), 103.0)
    assert now(patient).stops_prompt


def test_a_recogniser_that_fails_is_an_error_unless_digits_will_do() -> None:
    listening = gathering(input=["speech"])
    listening.recognition_over("it is not there", 101.0)
    assert now(listening).outcome == Gathered(GatherReason.ERROR, problem="it is not there")
    assert outcome_of(listening).to_dict() == {"reason": "error", "details": {"error": "it is not there"}}
    both = gathering(input=["digits", "speech"], numDigits=1)
    both.speech_began(101.0)
    both.recognition_over("it is not there", 102.0)
    assert now(both).outcome is None
    assert now(both).deadline == 107.0
    assert keyed(both, "5") == dtmf("5")


def test_a_key_may_ask_for_the_words_so_far() -> None:
    listening = gathering(input=["speech"], recognizer={"asrDtmfTerminationDigit": "#"})
    listening.digit("5", 101.0)
    assert not now(listening).is_asking_for_last_words
    listening.digit("#", 102.0)
    assert now(listening).is_asking_for_last_words
    assert now(listening).deadline == 105.0


_STEPS = st.lists(
    st.sampled_from(["prompt", "deadline", "began", "noise", "final", "partial", "over", *"12#*"]),
    max_size=20,
)


@given(
    steps=_STEPS,
    inputs=st.sampled_from([["digits"], ["speech"], ["digits", "speech"]]),
    least=st.integers(0, 3),
    timeout=st.sampled_from([0, 5]),
    bargein=st.booleans(),
)
def test_whatever_happens_there_is_one_outcome_and_until_then_something_to_wait_for(
    steps: list[str], inputs: list[str], least: int, timeout: float, bargein: bool
) -> None:
    waiting = gathering(
        prompt=True,
        input=inputs,
        minDigits=least,
        maxDigits=4,
        finishOnKey="#",
        timeout=timeout,
        dtmfBargein=bargein,
        interDigitTimeout=1,
    )
    at, has_prompt = 100.0, True
    first: Gathered | None = None
    for step in [*steps, "prompt"]:
        at += 0.5
        match step:
            case "prompt":
                if has_prompt:
                    waiting.prompt_ended(at)
                has_prompt = False
            case "deadline":
                if waiting.deadline is not None:
                    at = max(at, waiting.deadline)
                    waiting.deadline_passed(at)
            case "began":
                waiting.speech_began(at)
            case "noise":
                waiting.nothing_understood(at)
            case "final" | "partial":
                waiting.result(words("yes", is_final=step == "final"), at)
            case "over":
                waiting.recognition_over("gone", at)
            case digit:
                waiting.digit(digit, at)
        if first is None:
            first = waiting.outcome
        assert waiting.outcome is first
        if first is not None:
            assert now(waiting).stops_prompt
            assert now(waiting).deadline is None
    if first is None and timeout:
        assert now(waiting).deadline is not None
