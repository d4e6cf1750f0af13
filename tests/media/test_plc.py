"""Concealment judged by what an ear notices: level, pitch, clicks, and quiet after 60 ms."""

import numpy as np
import pytest

from media.audio import Pcm, level_dbov
from media.plc import Concealer
from tests.media.signals import amplitude_at, speechlike, tone, white_noise


def vowel(seconds: float, *, pitch_hz: float = 120.0, rate_hz: int = 8000) -> Pcm:
    """A steady voiced sound."""
    harmonics = [n * pitch_hz for n in range(1, int(3400 / pitch_hz))]
    parts = [
        tone(f, seconds=seconds, rate_hz=rate_hz, amplitude=3000 / n).astype(float)
        for n, f in enumerate(harmonics, 1)
    ]
    sound: Pcm = np.rint(np.sum(parts, axis=0)).astype(np.int16)
    return sound


def through(pcm: Pcm, lost: set[int], *, rate_hz: int = 8000) -> Pcm:
    """A stream of 20 ms frames, some of them lost."""
    concealer, frame = Concealer(rate_hz), rate_hz // 50
    pieces = []
    for nth in range(len(pcm) // frame):
        piece = pcm[nth * frame : (nth + 1) * frame]
        pieces.append(concealer.lost(frame) if nth in lost else concealer.good(piece))
    return np.concatenate(pieces)


def test_without_loss_nothing_is_touched() -> None:
    pcm = speechlike(2)
    assert np.array_equal(through(pcm, set()), pcm)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
@pytest.mark.parametrize("pitch_hz", [80.0, 120.0, 190.0])
def test_one_lost_frame_of_a_vowel_is_hardly_missed(rate_hz: int, pitch_hz: float) -> None:
    pcm = vowel(0.4, pitch_hz=pitch_hz, rate_hz=rate_hz)
    out = through(pcm, {10}, rate_hz=rate_hz)
    gap = slice(10 * rate_hz // 50, 11 * rate_hz // 50)
    error = out[gap].astype(float) - pcm[gap]
    assert np.mean(error**2) < 0.1 * np.mean(pcm[gap].astype(float) ** 2)
    assert level_dbov(out[gap]) == pytest.approx(level_dbov(pcm[gap]), abs=2)


def test_there_is_no_click_at_either_end_of_a_gap() -> None:
    pcm = vowel(0.6)
    steepest = np.abs(np.diff(pcm.astype(int))).max()
    for lost in ({10}, {10, 11}, {10, 11, 12}, {10, 11, 12, 13, 14}):
        out = through(pcm, lost)
        assert np.abs(np.diff(out.astype(int))).max() < 1.3 * steepest


@pytest.mark.parametrize("pitch_hz", [110, 137, 150, 190])
@pytest.mark.parametrize("lost", range(4, 9))
def test_a_sound_that_dies_away_is_repeated_without_a_step(pitch_hz: int, lost: int) -> None:
    at = np.arange(4000) / 8000
    pcm = np.rint(30000 * np.sin(2 * np.pi * pitch_hz * at) * np.exp(-30 * at)).astype(np.int16)
    out = through(pcm, {lost}).astype(int)
    steepest_before = np.abs(np.diff(pcm[(lost - 1) * 160 - 1 : lost * 160].astype(int))).max()
    assert np.abs(np.diff(out[lost * 160 - 1 : lost * 160 + 160])).max() < 1.05 * steepest_before


@pytest.mark.parametrize("frequency", [400.0, 1000.0, 2500.0])
def test_a_tone_stays_the_same_tone(frequency: float) -> None:
    out = through(tone(frequency), {20})
    assert amplitude_at(out[3040:3520], frequency) > 0.7 * 8000


def test_it_fades_and_is_silent_after_60_ms() -> None:
    out = through(vowel(1.0), set(range(20, 45)))
    levels = [level_dbov(out[n * 160 : (n + 1) * 160]) for n in range(19, 25)]
    assert levels[0] > levels[1] > levels[2] > levels[3]
    assert not out[23 * 160 + 1 : 45 * 160].any()


def test_after_a_long_gap_the_audio_comes_back_softly_and_complete() -> None:
    pcm = vowel(1.0)
    out = through(pcm, set(range(20, 30)))
    assert np.abs(out[4800:4810].astype(int)).max() < 0.2 * np.abs(pcm).max()
    assert np.array_equal(out[4900:], pcm[4900:])


def test_loss_before_anything_was_heard_is_silence() -> None:
    concealer = Concealer(8000)
    assert not concealer.lost(160).any()
    assert not concealer.lost(160).any()
    pcm = vowel(0.02)
    assert np.array_equal(concealer.good(pcm)[80:], pcm[80:])


def test_20_ms_are_too_little_to_know_a_pitch() -> None:
    concealer = Concealer(8000)
    concealer.good(vowel(0.02))
    assert not concealer.lost(160).any()


def test_frames_of_other_lengths_are_served() -> None:
    concealer, pcm = Concealer(8000), vowel(0.5)
    for n in range(0, 2400, 80):
        concealer.good(pcm[n : n + 80])
    made = np.concatenate([concealer.lost(80), concealer.lost(240), concealer.lost(7)])
    assert len(made) == 327
    assert level_dbov(made[:80]) == pytest.approx(level_dbov(pcm[:80]), abs=2)


@pytest.mark.parametrize("percent", [5, 20])
def test_noise_and_voice_under_random_loss_never_get_louder_than_they_were(percent: int) -> None:
    random = np.random.default_rng(percent)
    lost = {nth for nth in range(500) if random.random() < percent / 100}
    for pcm in (speechlike(10), white_noise(10, 3000), np.full(80000, 32767, np.int16)):
        out = through(pcm, lost)
        assert len(out) == len(pcm)
        # A loud beginning that is repeated where the original was soft may add a little.
        assert level_dbov(out) < level_dbov(pcm) + 0.5
        assert np.abs(out.astype(int)).max() <= 1.2 * np.abs(pcm.astype(int)).max()


@pytest.mark.parametrize("percent", [5, 20])
def test_a_gliding_voice_with_loss_is_much_nearer_to_the_original_than_with_silence(percent: int) -> None:
    random = np.random.default_rng(percent)
    lost = {nth for nth in range(3, 500) if random.random() < percent / 100}
    at = np.arange(80000) / 8000
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.5 * at)) / 8000
    wave = sum((3000 / n * np.sin(n * phase) for n in range(1, 15)), np.zeros(len(at)))
    pcm = np.rint(wave).astype(np.int16)
    silenced = wave.copy()
    for nth in lost:
        silenced[nth * 160 : (nth + 1) * 160] = 0
    concealed = through(pcm, lost)
    assert np.mean((concealed - wave) ** 2) < 0.6 * np.mean((silenced - wave) ** 2)
    assert level_dbov(concealed) == pytest.approx(level_dbov(pcm), abs=1)
