"""Recordings of every common kind become 8 kHz samples."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from amd.files import UnreadableAudioError, read_audio, resample
from tests.amd.sounds import RATE, Pcm, tone

TONE = tone(1000, 0.5, -6.0)


def strongest_hz(sound: Pcm) -> float:
    spectrum = np.abs(np.fft.rfft(sound.astype(np.float64)))
    return float(spectrum.argmax()) * RATE / len(sound)


def write(path: Path, sound: Pcm, codec: str, *, rate: int = RATE, container: str | None = None) -> Path:
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=rate)
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in resampler.resample(frame):
            for packet in stream.encode(part):
                file.mux(packet)
        for packet in stream.encode(None):
            file.mux(packet)
    return path


def test_plain_wave_is_read_sample_for_sample(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(TONE.tobytes())
    assert np.array_equal(read_audio(path), TONE)


@pytest.mark.parametrize("suffix", ["ul", "al"])
def test_raw_companded_files_are_read_by_their_suffix(tmp_path: Path, suffix: str) -> None:
    codec, container = {"ul": ("pcm_mulaw", "mulaw"), "al": ("pcm_alaw", "alaw")}[suffix]
    sound = read_audio(write(tmp_path / f"a.{suffix}", TONE, codec, container=container))
    assert len(sound) == len(TONE)
    assert float(np.abs(sound.astype(int) - TONE).max()) < 1100
    assert strongest_hz(sound) == pytest.approx(1000, abs=4)


def test_a_wave_file_of_another_rate_is_resampled(tmp_path: Path) -> None:
    at = np.arange(48_000) / 48_000
    sound = (np.sin(2 * np.pi * 1000 * at) * 16000).astype(np.int16)
    read = read_audio(write(tmp_path / "a.wav", sound, "pcm_s16le", rate=48_000))
    assert len(read) == pytest.approx(RATE, abs=20)
    assert strongest_hz(read) == pytest.approx(1000, abs=4)


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
def test_resample_keeps_the_tone_and_the_length(rate: int) -> None:
    at = np.arange(rate) / rate
    out = resample((np.sin(2 * np.pi * 440 * at) * 16000).astype(np.int16), rate)
    assert len(out) == pytest.approx(RATE, abs=20)
    assert strongest_hz(out) == pytest.approx(440, abs=4)
    assert len(resample(np.zeros(0, np.int16), rate)) == 0


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no audio here, only text"])
def test_what_is_no_audio_is_refused_with_the_name_of_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(UnreadableAudioError, match=r"bad\.wav"):
        read_audio(path)
