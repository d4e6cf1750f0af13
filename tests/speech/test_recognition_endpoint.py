"""Utterances cut out of a party's audio."""

from __future__ import annotations

import numpy as np
import pytest

from engine.speech.recognition_endpoint import Endpointer, Growing, Spoken, Started
from media.audio import Pcm
from tests.speech.voice import spoken

_QUIET = np.zeros(16000, np.int16)


def _cut(*pieces: Pcm, step: int = 320, endpoint_ms: int = 600) -> list[Started | Growing | Spoken]:
    endpointer = Endpointer(endpoint_ms)
    audio = np.concatenate(pieces)
    happened = []
    for at in range(0, len(audio), step):
        happened += endpointer.push(audio[at : at + step])
    return happened


@pytest.mark.parametrize("step", [320, 37, 5000, 10**6])
def test_two_utterances_with_a_pause_are_two_however_the_audio_comes(step: int) -> None:
    text = spoken("my name is susan")
    happened = _cut(_QUIET, text, _QUIET, text, _QUIET, step=step)
    kinds = [type(each) for each in happened if not isinstance(each, Growing)]
    assert kinds == [Started, Spoken, Started, Spoken]
    for each in happened:
        if isinstance(each, Spoken):
            assert len(each.pcm) == pytest.approx(len(text), abs=16000 * 0.45)


def test_a_pause_shorter_than_asked_for_does_not_end_an_utterance() -> None:
    pieces = (_QUIET, spoken("yes"), _QUIET[:6000], spoken("no"), _QUIET, _QUIET)
    assert sum(isinstance(each, Spoken) for each in _cut(*pieces, endpoint_ms=1500)) == 1
    assert sum(isinstance(each, Spoken) for each in _cut(*pieces, endpoint_ms=300)) == 2


def test_silence_and_faint_noise_are_nobody() -> None:
    noise = np.random.default_rng(1).normal(0, 20, 48000).astype(np.int16)
    assert _cut(_QUIET, noise) == []


def test_a_long_speech_is_looked_at_less_and_less_often_and_cut_at_20_seconds() -> None:
    speech = np.resize(spoken("one two three four five")[4000:-4000], 16000 * 21)
    happened = _cut(speech, endpoint_ms=2000)
    lengths = [len(each.pcm) / 16000 for each in happened if isinstance(each, Growing)]
    assert lengths[:5] == [0.8, 1.6, 3.2, 6.4, 12.8]
    (whole,) = [each for each in happened if isinstance(each, Spoken)]
    assert len(whole.pcm) == 20 * 16000


def test_what_is_being_said_when_the_audio_ends_is_an_utterance() -> None:
    endpointer = Endpointer()
    assert endpointer.finish() is None
    assert endpointer.push(spoken("one two three")[:12000])[0] == Started()
    assert endpointer.is_speaking
    last = endpointer.finish()
    assert last is not None
    assert len(last.pcm) > 4000
    assert endpointer.finish() is None
