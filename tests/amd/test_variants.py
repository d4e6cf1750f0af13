"""What lines do to audio: the right errors, the same length, the same result for the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amd.variants import VARIANTS, alaw, gain, loss, mulaw, noise, opus
from tests.amd.sounds import Pcm, joined, silence, tone, voice

SOUND = joined(silence(0.2), voice(1.0), tone(1000, 0.3), silence(0.2))


def snr_db(sound: Pcm, changed: Pcm) -> float:
    error = changed.astype(np.float64) - sound
    return 10 * math.log10(float(np.mean(sound.astype(np.float64) ** 2)) / float(np.mean(error**2)))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("sound", [SOUND, SOUND[:7], SOUND[:0]], ids=["call", "7 samples", "nothing"])
def test_a_variant_keeps_the_length_and_is_the_same_for_the_same_seed(name: str, sound: Pcm) -> None:
    once, again = VARIANTS[name](sound, 3), VARIANTS[name](sound, 3)
    assert once.dtype == np.int16
    assert len(once) == len(sound)
    assert np.array_equal(once, again)


def test_companding_costs_what_g711_costs() -> None:
    assert 34.0 < snr_db(SOUND, mulaw(SOUND)) < 42.0
    assert 34.0 < snr_db(SOUND, alaw(SOUND)) < 42.0
    extremes = np.array([-32768, -1, 0, 1, 32767], np.int16)
    assert np.abs(mulaw(extremes).astype(int) - extremes).max() <= 1024
    assert np.abs(alaw(extremes).astype(int) - extremes).max() <= 1024
    assert np.array_equal(mulaw(mulaw(SOUND)), mulaw(SOUND))


def test_the_delay_of_opus_is_taken_out() -> None:
    assert snr_db(SOUND, opus(SOUND)) > 5.0


def test_noise_has_its_level_and_gain_its_decibels() -> None:
    hiss = noise(np.zeros(8000, np.int16), -40.0, 1).astype(np.float64)
    assert 20 * np.log10(float(np.sqrt(np.mean(hiss**2))) / 32768) == pytest.approx(-40.0, abs=0.3)
    assert gain(np.array([1000, -1000, 30000], np.int16), 6.02).tolist() == pytest.approx(
        [1999, -1999, 32767], abs=2
    )


def test_one_packet_in_twenty_is_lost_and_becomes_silence_or_the_one_before() -> None:
    steady = np.full(160 * 2000, 1000, np.int16)
    lost = loss(steady, 0.05, 5).reshape(-1, 160)
    assert 0.035 < float(np.mean(lost[:, 0] == 0)) < 0.065
    assert all(len(set(packet.tolist())) == 1 for packet in lost[:50])
    assert np.array_equal(loss(steady, 0.05, 5, repeat=True), steady)
