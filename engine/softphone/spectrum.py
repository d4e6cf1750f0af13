"""What a recording holds, by its spectrum: proof that a tone sent at one end was heard at the other.

Levels are dB relative to a full-scale sine (dBFS). A tone counts as heard if it is loud and stands out from
everything else; counting bytes or packets would call noise or the wrong party's voice a success.
"""

from __future__ import annotations

import math
import os
import wave

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

__all__ = ["Found", "Heard", "Pcm", "find", "hear", "hears_tone", "level_dbfs", "loudness_dbfs", "read_wav"]

Pcm = NDArray[np.int16]

_LOBE_HZ = 40.0
"""A tone's energy is taken this far to either side of its peak: window leakage, companding, drift."""
_SILENT_DBFS = -120.0
_RECOGNISABLE = 0.4
"""Correlation of a half second with a frame missing; unrelated speech stays below 0.3."""


class Heard(Struct, frozen=True):
    """The strongest frequency of a stretch of sound."""

    hz: float
    level_dbfs: float
    """Of this frequency alone."""
    dominance_db: float
    """Its energy against that of all others together."""

    def is_tone(self, hz: float, *, tolerance_hz: float = 8.0, dominance_db: float = 10.0) -> bool:
        """Whether this is a clear tone of about `hz`."""
        return abs(self.hz - hz) <= tolerance_hz and self.dominance_db >= dominance_db


def read_wav(path: str | os.PathLike[str]) -> tuple[Pcm, int]:
    """The samples (int16[n], first channel) and rate in Hz of a 16 bit WAV file. OSError, wave.Error."""
    with wave.open(os.fspath(path), "rb") as file:
        if file.getsampwidth() != 2:
            raise wave.Error(f"{path}: {8 * file.getsampwidth()} bit samples, 16 expected")
        pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        return pcm[:: file.getnchannels()].astype(np.int16), file.getframerate()


def hear(pcm: Pcm, rate_hz: int) -> Heard:
    """The strongest frequency above 50 Hz in `pcm` (int16[n], mono, at least 50 ms)."""
    power, step_hz = _power(pcm, rate_hz)
    peak = int(np.argmax(power))
    total = float(power.sum())
    if total <= 0.0:
        return Heard(0.0, _SILENT_DBFS, 0.0)
    lobe = max(2, round(_LOBE_HZ / step_hz))
    band = power[max(0, peak - lobe) : peak + lobe + 1]
    inside = float(band.sum())
    bins = np.arange(max(0, peak - lobe), max(0, peak - lobe) + band.size)
    hz = float((bins * band).sum() / inside) * step_hz
    return Heard(hz, _dbfs(inside), 10 * math.log10(inside / max(total - inside, total * 1e-9)))


def level_dbfs(pcm: Pcm, rate_hz: int, hz: float) -> float:
    """Level of one frequency in `pcm`."""
    power, step_hz = _power(pcm, rate_hz)
    lobe = max(2, round(_LOBE_HZ / step_hz))
    centre = round(hz / step_hz)
    return _dbfs(float(power[max(0, centre - lobe) : centre + lobe + 1].sum()))


def loudness_dbfs(pcm: Pcm) -> float:
    """Level of everything together; silence is -120."""
    if not pcm.size:
        return _SILENT_DBFS
    mean_square = float(np.mean(np.square(pcm.astype(np.float64))))
    return max(_SILENT_DBFS, 10 * math.log10(max(2 * mean_square, 1e-3) / 32768.0**2))


def hears_tone(path: str | os.PathLike[str], hz: float, *, skip_s: float = 0.2) -> bool:
    """Whether a recording, but for its first `skip_s`, is clearly the tone of `hz`."""
    pcm, rate_hz = read_wav(path)
    pcm = pcm[int(skip_s * rate_hz) :]
    return bool(pcm.size >= rate_hz // 20 and hear(pcm, rate_hz).is_tone(hz) and loudness_dbfs(pcm) > -50.0)


def _power(pcm: Pcm, rate_hz: int) -> tuple[NDArray[np.float64], float]:
    """Energy per bin, scaled so that a sine's bins add up to half its squared amplitude; Hz per bin."""
    if pcm.size < rate_hz // 20:
        raise ValueError(f"{pcm.size} samples are too few to hear anything in")
    window = np.hanning(pcm.size)
    spectrum = np.fft.rfft(pcm.astype(np.float64) * window)
    power = 2.0 * np.square(np.abs(spectrum)) / (pcm.size * float(np.square(window).sum()))
    step_hz = rate_hz / pcm.size
    power[: math.ceil(50.0 / step_hz)] = 0.0
    return power, step_hz


def _dbfs(power: float) -> float:
    return max(_SILENT_DBFS, 10 * math.log10(max(2 * power, 1e-3) / 32768.0**2))


class Found(Struct, frozen=True):
    """Where one sound stands in another."""

    start_s: float
    end_s: float
    similarity: float
    """1.0: every half second of it is there, in order, sample for sample; 0.0: nothing like it.

    One half second may be disturbed, though not unrecognisable: a jitter buffer drops or repeats a frame.
    """


def find(sound: Pcm, recording: Pcm, rate_hz: int) -> Found:
    """Look for `sound` (int16[n]) in `recording`, half a second at a time, since a phone's jitter buffer may
    stretch or drop a frame between two of them. A silent stretch counts as found where it should be."""
    size = rate_hz // 2
    starts: list[float] = []
    similarities: list[float] = []
    at = 0
    for offset in range(0, sound.size - size // 2, size):
        piece = sound[offset : offset + size].astype(np.float64)
        ahead = recording[at:].astype(np.float64)
        if ahead.size < piece.size:
            return Found(0.0, 0.0, 0.0)
        if loudness_dbfs(sound[offset : offset + size]) < -50.0:
            at += piece.size
            continue
        if starts:  # the next piece follows; look no further than a jitter buffer could have moved it
            ahead = ahead[: piece.size + rate_hz // 4]
        position, similarity = _best_match(piece, ahead)
        similarities.append(similarity)
        starts.append((at + position) / rate_hz - (0.0 if starts else offset / rate_hz))
        at += position + max(0, piece.size - rate_hz // 20)
    if not starts:
        return Found(0.0, 0.0, 0.0)
    worst, *others = sorted(similarities)
    similarity = others[0] if others and worst >= _RECOGNISABLE else max(0.0, worst)
    return Found(starts[0], starts[0] + sound.size / rate_hz, similarity)


def _best_match(piece: NDArray[np.float64], ahead: NDArray[np.float64]) -> tuple[int, float]:
    """Position and normalised correlation of the best place for `piece` in `ahead`."""
    length = 1 << (ahead.size + piece.size).bit_length()
    spectrum = np.fft.rfft(ahead, length) * np.conj(np.fft.rfft(piece, length))
    correlation = np.fft.irfft(spectrum, length)[: ahead.size - piece.size + 1]
    energy = np.concatenate(([0.0], np.cumsum(np.square(ahead))))
    under = energy[piece.size :] - energy[: -piece.size]
    norm = np.sqrt(np.maximum(under, 1.0) * max(float(np.square(piece).sum()), 1.0))
    position = int(np.argmax(correlation / norm))
    return position, float(correlation[position] / norm[position])
