"""Each decision rule on sounds made from numbers, with the sample at which it falls."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amd import AmdDetector, AmdEvent, AmdParams, Beep, Decision, GreetingEnded, Rule, Tone, ToneName, Verdict
from amd.model import Model
from tests.amd.sounds import LINES, RATE, Pcm, joined, melody, silence, tone, voice


def line(seconds: float) -> Pcm:
    """A quiet line."""
    return silence(seconds, noise_dbov=-60.0)


def events(sound: Pcm, params: AmdParams | None = None, size: int = 160) -> list[AmdEvent]:
    detector = AmdDetector(params)
    found: list[AmdEvent] = []
    for start in range(0, len(sound), size):
        event = detector.push(sound[start : start + size])
        if event is not None:
            found += [event, *detector.events()]
    return found


def decisions(sound: Pcm, params: AmdParams | None = None) -> list[tuple[Verdict, Rule, bool]]:
    return [(e.verdict, e.rule, e.revised) for e in events(sound, params) if isinstance(e, Decision)]


HELLO = joined(line(0.5), voice(0.6), line(3.0))
GREETING = joined(line(0.5), voice(6.0), line(0.4), tone(1000, 0.3), line(4.0))
TRICK = joined(line(0.5), voice(0.5), line(1.2), voice(4.0, seed=4), line(3.0))
CALLS = {
    "hello": HELLO,
    "greeting": GREETING,
    "trick": TRICK,
    "ringback": joined(silence(0.2), tone((440, 480), 2.0), silence(1.0), voice(0.6), silence(2.0)),
    "music": joined(melody(20), silence(1.0)),
}


def test_dv72_a_short_greeting_and_a_pause_are_a_person_decided_once() -> None:
    (decision,) = events(HELLO)
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.rule, decision.revised) == (Verdict.HUMAN, Rule.SHORT_GREETING, False)
    assert decision.sample == pytest.approx(15_200, abs=1600)
    assert decision.reason.startswith("0.6 s of speech, then silence for 0.")
    assert decision.evidence.onset_s == pytest.approx(0.5, abs=0.03)
    assert decision.evidence.speech_s == pytest.approx(0.6, abs=0.06)
    assert 0.7 < decision.confidence < 1.0


def test_with_known_odds_each_decision_falls_at_its_exact_sample() -> None:
    # Log-odds −1 + 2 per second of run − 20 per second of pause up to 0.4 s: with the thresholds at 0.885 and
    # 0.78 a machine is sure at 1.5203 s of speech, a person in any pause of 0.6 s after less than 3.3 s.
    ruler = Model(bias=-1.0, weights=(2.0, *[0.0] * 6, -20.0, *[0.0] * 7))
    long, short = AmdDetector(model=ruler), AmdDetector(model=ruler)
    machine = long.push(joined(line(0.5), voice(4.0)))
    human = short.push(HELLO)
    assert isinstance(machine, Decision)
    assert isinstance(human, Decision)
    assert (machine.verdict, machine.sample) == (Verdict.MACHINE, round((0.5 + 1.54) * RATE))
    assert machine.evidence.run_s == pytest.approx(1.54)
    assert human.verdict is Verdict.HUMAN
    assert human.evidence.pause_s == pytest.approx(0.6)
    assert human.sample == round((0.5 + human.evidence.speech_s + 0.6) * RATE)


def test_digital_silence_after_the_greeting_is_the_same_pause_as_the_noise_of_a_line() -> None:
    (digital,) = events(joined(silence(0.5), voice(0.6), silence(3.0)))
    (noisy,) = events(HELLO)
    assert digital.sample == noisy.sample


def test_the_pause_that_means_a_person_grows_with_what_was_said() -> None:
    pauses = []
    for seconds in (0.4, 0.8, 1.6):
        (decision,) = events(joined(line(0.5), voice(seconds), line(3.0)))
        assert isinstance(decision, Decision)
        assert decision.verdict is Verdict.HUMAN
        pauses.append(decision.evidence.pause_s)
    assert pauses == sorted(pauses)
    assert pauses[-1] - pauses[0] > 0.3


def test_dv73_speech_that_goes_on_is_a_machine_and_its_beep_and_end_are_reported() -> None:
    machine, beep, end = events(GREETING)
    assert isinstance(machine, Decision)
    assert (machine.verdict, machine.rule) == (Verdict.MACHINE, Rule.LONG_GREETING)
    assert machine.sample == pytest.approx(26_000, abs=1600)
    assert machine.reason.endswith(" s of speech without a pause")
    assert isinstance(beep, Beep)
    assert beep.frequency_hz == pytest.approx(1000, abs=5)
    assert isinstance(end, GreetingEnded)
    assert end.sample - beep.end_sample == pytest.approx(1.0 * RATE, abs=160)


def test_dv73_without_a_beep_the_greeting_is_over_two_seconds_after_the_last_word() -> None:
    machine, end = events(joined(line(0.5), voice(6.0), line(3.0)))
    assert isinstance(machine, Decision)
    assert isinstance(end, GreetingEnded)
    assert end.sample - end.speech_end_sample == 2 * RATE


def test_a_hello_after_which_the_greeting_goes_on_is_revised_to_a_machine() -> None:
    assert decisions(TRICK) == [
        (Verdict.HUMAN, Rule.SHORT_GREETING, False),
        (Verdict.MACHINE, Rule.LONG_GREETING, True),
    ]


def test_a_person_who_says_hello_again_stays_a_person() -> None:
    sound = joined(line(0.5), voice(0.5), line(2.2), voice(0.5, seed=4), line(3.0))
    assert decisions(sound) == [(Verdict.HUMAN, Rule.SHORT_GREETING, False)]


def test_a_person_who_talks_at_length_once_answered_stays_a_person() -> None:
    sound = joined(line(0.5), voice(0.5), line(3.5), voice(5.0, seed=4), line(1.0))
    assert decisions(sound) == [(Verdict.HUMAN, Rule.SHORT_GREETING, False)]


def test_a_short_greeting_with_a_beep_is_a_machine() -> None:
    found = events(joined(line(0.5), voice(0.9), line(0.3), tone(900, 0.2), line(3.0)))
    assert [type(e) for e in found] == [Decision, Beep, GreetingEnded]
    assert isinstance(found[0], Decision)
    assert (found[0].rule, found[0].revised) == (Rule.BEEP, False)


def test_a_long_beep_after_a_person_was_decided_revises_and_a_household_pip_does_not() -> None:
    hello = joined(line(0.5), voice(0.6), line(1.2))
    assert decisions(joined(hello, tone(900, 0.4), line(2.0)))[-1] == (Verdict.MACHINE, Rule.BEEP, True)
    assert decisions(joined(hello, tone(2050, 0.12), line(2.0)))[-1][0] is Verdict.HUMAN


def test_a_beep_alone_is_a_machine() -> None:
    assert decisions(joined(line(1.0), tone(1000, 0.5), line(3.0))) == [(Verdict.MACHINE, Rule.BEEP, False)]


@pytest.mark.parametrize("timeout_ms", [1000, 5000])
def test_dv70_silence_is_decided_at_the_sample_of_its_timeout(timeout_ms: int) -> None:
    (decision,) = events(line(6.0), AmdParams(no_speech_timeout_ms=timeout_ms))
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.sample) == (Verdict.SILENCE, timeout_ms * 8)


def test_who_speaks_only_after_the_silence_is_told_as_a_revision() -> None:
    sound = joined(line(6.0), voice(0.6), line(3.0))
    assert decisions(sound) == [
        (Verdict.SILENCE, Rule.NO_SPEECH, False),
        (Verdict.HUMAN, Rule.SHORT_GREETING, True),
    ]


def test_dv72_without_a_revision_window_the_first_decision_is_the_last() -> None:
    params = AmdParams(revision_window_ms=0)
    assert decisions(TRICK, params) == [(Verdict.HUMAN, Rule.SHORT_GREETING, False)]
    assert decisions(joined(line(6.0), voice(0.6), line(3.0)), params) == [
        (Verdict.SILENCE, Rule.NO_SPEECH, False)
    ]


def test_dv70_no_decision_in_time_is_undecided_at_the_sample_of_its_timeout() -> None:
    unsure = AmdParams(threshold_word_count=0, machine_probability=0.999, human_probability=0.999)
    sound = joined(*[joined(voice(0.3, seed=i), line(0.45)) for i in range(24)])
    (decision,) = events(sound, unsure)
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.rule, decision.sample) == (Verdict.UNDECIDED, Rule.TIMEOUT, 15000 * 8)


def test_dv73_as_many_words_as_the_threshold_are_a_machine() -> None:
    sound = joined(*[joined(voice(0.22, seed=i), line(0.12)) for i in range(14)])
    unsure = AmdParams(machine_probability=0.999)
    decision = events(sound, unsure)[0]
    assert isinstance(decision, Decision)
    assert (decision.rule, decision.evidence.words) == (Rule.WORD_COUNT, 9)
    assert decisions(sound, AmdParams(machine_probability=0.999, threshold_word_count=0)) == []


def test_ringback_before_a_hello_is_named_and_the_person_is_heard() -> None:
    tone_heard, decision = events(CALLS["ringback"])
    assert isinstance(tone_heard, Tone)
    assert tone_heard.name is ToneName.RINGBACK
    assert isinstance(decision, Decision)
    assert decision.verdict is Verdict.HUMAN


def test_the_wait_for_a_beep_ends_when_nobody_has_spoken_for_its_timeout() -> None:
    detector = AmdDetector(AmdParams(tone_timeout_ms=3000))
    detector.push(joined(line(0.5), voice(6.0), line(2.9)))
    list(detector.events())
    finished = [detector.is_finished]
    detector.push(line(0.3))
    finished.append(detector.is_finished)
    assert finished == [False, True]
    assert detector.push(joined(tone(1000, 0.3), line(0.5))) is None


@pytest.mark.parametrize(
    ("sound", "verdict"),
    [
        (line(1.0), Verdict.SILENCE),
        (joined(line(0.3), voice(0.6), line(0.3)), Verdict.HUMAN),
        (joined(line(0.3), voice(2.2)), Verdict.MACHINE),
    ],
)
def test_when_the_audio_ends_without_a_decision_the_best_guess_is_one(sound: Pcm, verdict: Verdict) -> None:
    detector = AmdDetector()
    assert detector.push(sound) is None
    decision = detector.finish()
    assert isinstance(decision, Decision)
    assert (decision.verdict, decision.rule, decision.sample) == (verdict, Rule.AUDIO_ENDED, len(sound))
    assert detector.is_finished
    assert detector.finish() is None


def test_lost_packets_are_time_that_passes_and_words_that_go_on() -> None:
    detector = AmdDetector()
    sound = joined(line(0.5), voice(6.0), line(0.5))
    found: list[AmdEvent] = []
    for i, start in enumerate(range(0, len(sound), 160)):
        chunk = sound[start : start + 160]
        event = detector.push_lost(len(chunk)) if i % 12 == 5 else detector.push(chunk)
        found += [event] if event is not None else []
    assert detector.samples_heard == len(sound)
    assert isinstance(found[0], Decision)
    assert found[0].verdict is Verdict.MACHINE
    assert found[0].sample == pytest.approx(26_000, abs=2400)


@pytest.mark.parametrize("name", LINES)
def test_a_hello_is_a_person_and_a_greeting_a_machine_on_every_line(name: str) -> None:
    assert decisions(LINES[name](HELLO))[0][0] is Verdict.HUMAN
    assert decisions(LINES[name](GREETING))[0][0] is Verdict.MACHINE


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("size", [1, 7, 80, 159, 161, 1000, 100_000])
def test_the_same_events_at_the_same_samples_however_the_audio_is_cut(call: str, size: int) -> None:
    sound = CALLS[call][:40_000] if size == 1 else CALLS[call]
    assert events(sound, size=size) == events(sound)


@given(cuts=st.lists(st.integers(0, 700), min_size=1, max_size=40))
@settings(max_examples=25, deadline=None)
def test_the_same_events_for_any_cuts(cuts: list[int]) -> None:
    detector = AmdDetector()
    found: list[AmdEvent] = []
    at = turn = 0
    while at < len(GREETING):
        n = cuts[turn % len(cuts)] or (1 if not any(cuts) else 0)
        turn += 1
        event = detector.push(GREETING[at : at + n])
        at += n
        found += [event, *detector.events()] if event is not None else []
    assert found == events(GREETING)


@given(
    chunks=st.lists(
        st.one_of(
            arrays(np.int16, st.integers(0, 2000)),
            st.builds(
                lambda v, n: np.full(n, v, np.int16),
                st.sampled_from([-32768, 0, 32767]),
                st.integers(0, 4000),
            ),
            st.builds(lambda f, n: tone(f, n / RATE, 0.0), st.integers(1, 3999), st.integers(0, 6000)),
        ),
        max_size=12,
    ),
    lost=st.integers(0, 5000),
)
@settings(max_examples=60, deadline=None)
def test_any_audio_gives_events_in_order_and_never_an_exception(chunks: list[Pcm], lost: int) -> None:
    detector = AmdDetector()
    found: list[AmdEvent] = []
    for chunk in chunks:
        event = detector.push(chunk)
        found += [event, *detector.events()] if event is not None else []
    event = detector.push_lost(lost)
    found += [event, *detector.events()] if event is not None else []
    event = detector.finish()
    found += [event, *detector.events()] if event is not None else []
    assert [e.sample for e in found] == sorted(e.sample for e in found)
    assert all(0 <= e.sample <= detector.samples_heard for e in found)
    assert sum(isinstance(e, Decision) and not e.revised for e in found) <= 1


def test_ten_minutes_of_talk_leave_memory_flat() -> None:
    detector = AmdDetector(AmdParams(tone_timeout_ms=10**9, greeting_completion_timeout_ms=10**9))
    minute = joined(voice(9.0), line(1.0), melody(20), line(2.0), voice(30.0, seed=2), line(10.0))
    detector.push(minute)
    list(detector.events())
    tracemalloc.start()
    detector.push(minute)
    list(detector.events())
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(9):
        detector.push(minute)
        list(detector.events())
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 20_000
