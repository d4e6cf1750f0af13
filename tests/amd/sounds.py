"""Sounds made from numbers: tones, beeps, a voice, and what a line does to them. int16, mono, 8 kHz."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from amd.variants import alaw, loss, mulaw, noise, opus
from tests.support.tools import require_sox

Pcm = NDArray[np.int16]
RATE = 8000


def pcm(wave: NDArray[np.float64]) -> Pcm:
    """−1…1 → int16."""
    out: Pcm = np.clip(wave * 32767.0, -32768, 32767).astype(np.int16)
    return out


def silence(seconds: float, *, noise_dbov: float | None = None, seed: int = 1) -> Pcm:
    """Digital silence, or a line's white noise."""
    quiet = np.zeros(round(seconds * RATE), np.int16)
    return quiet if noise_dbov is None else noise(quiet, noise_dbov, seed)


def tone(hz: float | Sequence[float], seconds: float, dbfs: float = -12.0, *, ramp_s: float = 0.003) -> Pcm:
    """One or more lines of equal height; `dbfs` is the peak of their sum."""
    lines = [hz] if isinstance(hz, int | float) else list(hz)
    at = np.arange(round(seconds * RATE)) / RATE
    wave = sum((np.sin(2 * np.pi * f * at) for f in lines), np.zeros(len(at))) / len(lines)
    return pcm(_ramped(wave, ramp_s) * 10 ** (dbfs / 20))


def sweep(first_hz: float, last_hz: float, seconds: float, dbfs: float = -12.0) -> Pcm:
    """A straight glide."""
    at = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * (first_hz * at + (last_hz - first_hz) / seconds * at**2 / 2))
    return pcm(_ramped(wave, 0.003) * 10 ** (dbfs / 20))


def stations(hz: Sequence[float], each_s: float, dbfs: float = -12.0) -> Pcm:
    """One frequency after the other, with continuous phase."""
    track = np.concatenate([np.full(round(each_s * RATE), f) for f in hz])
    return pcm(_ramped(np.sin(2 * np.pi * np.cumsum(track) / RATE), 0.003) * 10 ** (dbfs / 20))


def harmonics(hz: float, heights: Sequence[float], seconds: float, dbfs: float = -12.0) -> Pcm:
    """A fundamental and its multiples."""
    at = np.arange(round(seconds * RATE)) / RATE
    wave = sum(
        (h * np.sin(2 * np.pi * hz * (i + 1) * at) for i, h in enumerate(heights)), np.zeros(len(at))
    ) / sum(heights)
    return pcm(_ramped(wave, 0.003) * 10 ** (dbfs / 20))


def voice(seconds: float, *, seed: int = 7, dbfs: float = -8.0, pitch_hz: float = 120.0) -> Pcm:
    """Like speech to a detector: a gliding pitch under moving formants, four syllables a second."""
    rng = np.random.default_rng(seed)
    n = round(seconds * RATE)
    at = np.arange(n) / RATE
    pitch = pitch_hz * (
        1.0 + 0.12 * np.sin(2 * np.pi * 0.9 * at + rng.random()) + 0.05 * np.sin(2 * np.pi * 3.1 * at)
    )
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first = 500.0 + 250.0 * np.sin(2 * np.pi * 1.7 * at + rng.random() * 6)
    second = 1500.0 + 500.0 * np.sin(2 * np.pi * 1.3 * at + rng.random() * 6)
    wave = np.zeros(n)
    for k in range(2, 30):
        f = k * pitch
        height = 1.0 / (1.0 + ((f - first) / 120.0) ** 2) + 0.5 / (1.0 + ((f - second) / 180.0) ** 2)
        wave += np.where(f < 3600.0, height, 0.0) * np.sin(k * phase)
    syllables = 0.15 + 0.85 * np.clip(0.5 + 0.75 * np.sin(2 * np.pi * 4.0 * at - 1.2), 0.0, 1.0)
    wave *= syllables
    wave += 0.01 * rng.standard_normal(n) * syllables
    wave /= max(float(np.abs(wave).max()), 1e-9)
    return pcm(_ramped(wave, 0.01) * 10 ** (dbfs / 20))


def melody(notes: int, *, seed: int = 3, dbfs: float = -12.0) -> Pcm:
    """Notes of a plucked instrument, one running into the next, over a held chord."""
    rng = np.random.default_rng(seed)
    scale = 261.6 * 2.0 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12, 14, 16]) / 12.0)
    parts = []
    for _ in range(notes):
        at = np.arange(round(float(rng.choice([0.2, 0.3, 0.45])) * RATE)) / RATE
        f = float(rng.choice(scale)) * 2
        note = sum((0.6**k * np.sin(2 * np.pi * f * (k + 1) * at) for k in range(4)), np.zeros(len(at)))
        parts.append(note * np.exp(-2.0 * at))
    wave = np.concatenate(parts)
    at = np.arange(len(wave)) / RATE
    wave += 0.5 * sum((np.sin(2 * np.pi * f * at) for f in (392.0, 493.9, 587.3)), np.zeros(len(at)))
    return pcm(wave / np.abs(wave).max() * 10 ** (dbfs / 20))


def whistle(seconds: float, *, seed: int = 5, dbfs: float = -16.0) -> Pcm:
    """A person whistling: one line that wanders."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    hz = (
        1300.0 + 180.0 * np.sin(2 * np.pi * 0.8 * at + rng.random() * 6) + 25.0 * np.sin(2 * np.pi * 5.5 * at)
    )
    wave = np.sin(2 * np.pi * np.cumsum(hz) / RATE) * (0.8 + 0.2 * np.sin(2 * np.pi * 3.0 * at))
    return pcm(_ramped(wave, 0.05) * 10 ** (dbfs / 20))


def held_vowel(
    seconds: float, pitch_hz: float, formants_hz: tuple[float, float], *, dbfs: float = -10.0
) -> Pcm:
    """A vowel held by a person: harmonics of a pitch that wavers by a percent."""
    at = np.arange(round(seconds * RATE)) / RATE
    pitch = pitch_hz * (1.0 + 0.01 * np.sin(2 * np.pi * 5.0 * at) + 0.004 * np.sin(2 * np.pi * 1.1 * at))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    wave = np.zeros(len(at))
    for k in range(2, 20):
        f = k * pitch
        height = 1.0 / (1.0 + ((f - formants_hz[0]) / 90.0) ** 2) + 0.3 / (
            1.0 + ((f - formants_hz[1]) / 120.0) ** 2
        )
        wave += np.where((f > 300.0) & (f < 3500.0), height, 0.0) * np.sin(k * phase)
    return pcm(_ramped(wave / np.abs(wave).max(), 0.06) * 10 ** (dbfs / 20))


def joined(*parts: Pcm) -> Pcm:
    """One after the other."""
    return np.concatenate(parts)


def gsm(sound: Pcm) -> Pcm:
    """Through GSM 06.10 and back, by sox."""
    sox = require_sox()
    raw = ["-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1"]
    coded = subprocess.run(
        [sox, *raw, "-", "-t", "gsm", "-"], input=sound.tobytes(), capture_output=True, check=True
    )
    decoded = subprocess.run(
        [sox, "-t", "gsm", "-r", "8000", "-c", "1", "-", *raw, "-"],
        input=coded.stdout,
        capture_output=True,
        check=True,
    )
    out = np.frombuffer(decoded.stdout, np.int16)[: len(sound)]
    return np.concatenate([out, np.zeros(len(sound) - len(out), np.int16)])


LINES: dict[str, Callable[[Pcm], Pcm]] = {
    "clean": lambda x: x,
    "µ-law": mulaw,
    "A-law": alaw,
    "GSM": gsm,
    "Opus": opus,
    "noise": lambda x: noise(x, -36.0, 11),
    "5 % lost": lambda x: loss(x, 0.05, 12),
    "5 % repeated": lambda x: loss(x, 0.05, 13, repeat=True),
}


def corpus() -> Path:
    """The labelled corpus: `AMD_CORPUS`, or `../shared/amd-corpus` of the checkout; else the test skips."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("AMD_CORPUS") or root.parent / "shared" / "amd-corpus")
    if not (folder / "labels.jsonl").is_file():
        pytest.skip(f"no labelled corpus at {folder} (set AMD_CORPUS)")
    return folder


def _ramped(wave: NDArray[np.float64], ramp_s: float) -> NDArray[np.float64]:
    n = min(round(ramp_s * RATE), len(wave) // 2)
    shape = np.ones(len(wave))
    if n:
        shape[:n] = np.linspace(0.0, 1.0, n)
        shape[-n:] = np.linspace(1.0, 0.0, n)
    return wave * shape
