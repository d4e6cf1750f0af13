"""The ear of the other tests is tested on sounds whose content is known by construction."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest

from engine.softphone.spectrum import Pcm, hear, hears_tone, level_dbfs, loudness_dbfs, read_wav
from tests.support.spectrum import assert_hears, assert_quiet, tone_seconds

RATE_HZ = 8000


def sine(hz: float, seconds: float = 1.0, peak: float = 12000.0, rate_hz: int = RATE_HZ) -> Pcm:
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def noise(seconds: float = 1.0, rms: float = 3000.0) -> Pcm:
    generator = np.random.default_rng(7)
    return generator.normal(0.0, rms, int(seconds * RATE_HZ)).clip(-32768, 32767).astype(np.int16)


def write(path: Path, pcm: Pcm, rate_hz: int = RATE_HZ, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())
    return path


@pytest.mark.parametrize("hz", [60.0, 437.3, 1000.0, 2100.0, 3400.0])
def test_a_sine_is_found_at_its_frequency_and_level(hz: float) -> None:
    heard = hear(sine(hz), RATE_HZ)
    assert heard.hz == pytest.approx(hz, abs=0.5)
    assert heard.level_dbfs == pytest.approx(20 * math.log10(12000 / 32768), abs=0.3)
    assert heard.is_tone(hz)


def test_noise_of_any_level_is_not_a_tone() -> None:
    heard = hear(noise(), RATE_HZ)
    assert heard.dominance_db < 0.0
    assert not heard.is_tone(heard.hz)


def test_a_tone_under_a_louder_one_is_measured_but_does_not_dominate() -> None:
    mixed = (sine(440, peak=12000) + sine(1000, peak=1200)).astype(np.int16)
    assert hear(mixed, RATE_HZ).hz == pytest.approx(440, abs=1)
    assert level_dbfs(mixed, RATE_HZ, 1000) == pytest.approx(20 * math.log10(1200 / 32768), abs=0.5)
    assert level_dbfs(mixed, RATE_HZ, 2000) < -70


def test_silence_is_silent_and_no_tone() -> None:
    silence = np.zeros(RATE_HZ, dtype=np.int16)
    assert loudness_dbfs(silence) == -120.0
    assert not hear(silence, RATE_HZ).is_tone(0.0)


def test_too_little_sound_is_an_error_and_not_a_verdict() -> None:
    with pytest.raises(ValueError, match="too few"):
        hear(sine(440, seconds=0.01), RATE_HZ)


def test_a_recording_is_read_at_its_own_rate_and_only_the_first_channel(tmp_path: Path) -> None:
    left, right = sine(700, rate_hz=16000), sine(900, rate_hz=16000)
    stereo = np.stack([left, right], axis=1).reshape(-1)
    pcm, rate_hz = read_wav(write(tmp_path / "stereo.wav", stereo, 16000, channels=2))
    assert rate_hz == 16000
    assert hear(pcm, rate_hz).is_tone(700)


def test_hears_tone_wants_the_right_tone_loud_enough_and_long_enough(tmp_path: Path) -> None:
    assert hears_tone(write(tmp_path / "a.wav", sine(440)), 440)
    assert not hears_tone(write(tmp_path / "b.wav", sine(440)), 460)
    assert not hears_tone(write(tmp_path / "c.wav", sine(440, peak=20)), 440)
    assert not hears_tone(write(tmp_path / "d.wav", sine(440, seconds=0.21)), 440)


def test_the_assertions_fail_when_they_should(tmp_path: Path) -> None:
    tone_then_silence = np.concatenate([sine(440), np.zeros(RATE_HZ, dtype=np.int16)])
    path = write(tmp_path / "a.wav", tone_then_silence)
    assert_hears(path, 440, end_s=1.0)
    assert_quiet(path, start_s=1.05)
    with pytest.raises(AssertionError, match="expected 1000"):
        assert_hears(path, 1000, end_s=1.0)
    with pytest.raises(AssertionError, match="expected silence"):
        assert_quiet(path, end_s=1.0)
    assert tone_seconds(path, 440) == pytest.approx([n / 10 for n in range(10)])
