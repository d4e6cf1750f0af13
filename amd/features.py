"""One analysis of each 20 ms of audio, shared by everything that listens: level, spectral lines, voicing.

A step covers 160 samples; its spectrum is of the latest 320 (40 ms, Hann, zero-padded to 512: 15.6 Hz
per bin, lines 100 Hz apart are resolved). Steps are computed one by one also when a whole file is
pushed: then the figures do not depend, to the last bit, on how the audio was cut into packets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from amd.params import FRAME, SAMPLE_RATE_HZ

__all__ = ["BIN_HZ", "SILENCE_DBOV", "FrameAnalyser", "Step"]

WINDOW: Final = 320
FFT: Final = 512
BIN_HZ: Final = SAMPLE_RATE_HZ / FFT
SILENCE_DBOV: Final = -90.0
"""The level of digital silence; nothing is reported as lower."""

_BAND: Final = slice(13, 224)
"""203–3484 Hz: above mains hum, inside what a telephone carries."""
_LINES: Final = slice(20, 148)
"""312–2297 Hz: where a tone may be."""
_LOBE: Final = 4
"""Bins on either side of a line that hold its energy (Hann main lobe: ±50 Hz = ±3.2 bins)."""
_TONES_FROM_DBOV: Final = -56.0
_LOWEST_FIRST: Final = 0.25
_ALL_BUT_NOTHING: Final = 0.985
_VOICE_FFT: Final = FFT // 2
"""Pitch is looked for below 2 kHz, where a voice is strongest: half the transform."""
_PITCH: Final = slice(10, 58)
"""Lags of 2.5–14.3 ms at 4 kHz: voices from 70 to 400 Hz."""
_HANN: Final = np.hanning(WINDOW + 2)[1:-1]
# A window shortens the overlap at long lags; its own autocorrelation undoes that.
_OVERLAP: Final = np.correlate(_HANN, _HANN, "full")[WINDOW - 1 :: 2][_PITCH] / float(np.sum(_HANN**2))


class Step:
    """What was measured on one step; the analyser reuses one object, so copy what must last."""

    __slots__ = (
        "_power",
        "end_sample",
        "is_lost",
        "level_dbov",
        "lines",
        "tonality",
        "vad",
    )

    def __init__(self) -> None:
        self.end_sample = 0
        """Samples heard at the end of this step."""
        self.is_lost = False
        """More than half of the step never arrived."""
        self.level_dbov = SILENCE_DBOV
        """RMS of 203–3484 Hz over the window; a full-scale square wave has 0."""
        self.tonality = 0.0
        """Part of the band's energy in its (up to) three strongest lines, 0–1."""
        self.lines: tuple[tuple[float, float], ...] = ()
        """(Hz, energy relative to the band) of those lines, strongest first; empty below −56 dBov."""
        self.vad = False
        """webrtcvad's opinion (mode 2)."""
        self._power: NDArray[np.float64] | None = None

    def voicing(self) -> float:
        """Height of the pitch peak of the autocorrelation, 0–1; computed when asked for."""
        if self._power is None:
            return 0.0
        correlation = np.fft.irfft(self._power[: _VOICE_FFT // 2 + 1])
        pitch = correlation[_PITCH] / _OVERLAP
        return min(float(pitch.max()) / float(correlation[0]), 1.0)


class FrameAnalyser:
    """int16 audio at 8 kHz in, any n; one `Step` for each full 20 ms."""

    __slots__ = (
        "_buffer",
        "_filled",
        "_heard",
        "_lost",
        "_scale",
        "_spectrum",
        "_step",
        "_vad",
    )

    def __init__(self) -> None:
        self._buffer = np.zeros(WINDOW, np.int16)
        self._filled = 0
        """Samples of the unfinished step, at the front of the buffer's second half."""
        self._lost = 0
        self._heard = 0
        # Sum of bins -> mean square: two sides of the spectrum, its length, and the window's own power.
        self._scale = 2.0 / (FFT * float(np.sum(_HANN**2)))
        self._vad = webrtcvad.Vad(2)
        self._step = Step()

    @property
    def newest(self) -> NDArray[np.int16]:
        """The 160 samples of the step just yielded; a view, valid until the next one."""
        return self._buffer[FRAME:]

    def push(self, pcm: NDArray[np.int16], *, lost: bool = False) -> Iterator[Step]:
        """Yields a step for each full 20 ms. `lost`: these samples stand for packets that never came."""
        at = 0
        total = len(pcm)
        while at < total:
            take = min(FRAME - self._filled, total - at)
            start = FRAME + self._filled
            self._buffer[start : start + take] = pcm[at : at + take]
            self._filled += take
            self._heard += take
            at += take
            if lost:
                self._lost += take
            if self._filled == FRAME:
                yield self._analyse()
                self._buffer[:FRAME] = self._buffer[FRAME:]
                self._filled = 0
                self._lost = 0

    def _analyse(self) -> Step:
        step = self._step
        step.end_sample = self._heard
        step.is_lost = self._lost > FRAME // 2
        newest = self._buffer[FRAME:]
        step.vad = self._vad.is_speech(newest.tobytes(), SAMPLE_RATE_HZ)
        spectrum = np.fft.rfft(self._buffer * _HANN, FFT)
        power = spectrum.real**2 + spectrum.imag**2
        band = float(np.add.reduce(power[_BAND]))
        mean_square = band * self._scale
        level = 10.0 * math.log10(mean_square / 32768.0**2 + 1e-9)
        step.level_dbov = level
        if level < _TONES_FROM_DBOV:
            step.tonality = 0.0
            step.lines = ()
            step._power = None
            return step
        step._power = power
        self._find_lines(power, band)
        return step

    def _find_lines(self, power: NDArray[np.float64], band: float) -> None:
        rest = power[_LINES].copy()
        first = _LINES.start
        lines: list[tuple[float, float]] = []
        covered = 0.0
        for _ in range(3):
            k = int(rest.argmax())
            lo, hi = max(k - _LOBE, 0), k + _LOBE + 1
            part = float(np.add.reduce(rest[lo:hi])) / band
            if part < 0.02:
                break
            centre = k + first
            below, peak, above = power[centre - 1], power[centre], power[centre + 1]
            # Parabola through the logarithms: exact for a Gaussian lobe, within 0.5 Hz for a Hann one.
            if below > 0.0 and above > 0.0:
                a, b, c = math.log(below), math.log(peak), math.log(above)
                bend = a - 2.0 * b + c
                shift = 0.5 * (a - c) / bend if bend < 0.0 else 0.0
            else:
                shift = 0.0
            lines.append(((centre + shift) * BIN_HZ, part))
            covered += part
            if part < _LOWEST_FIRST or covered > _ALL_BUT_NOTHING:
                break  # three lines of this height are still no tone; or there is nothing left to find
            rest[lo:hi] = 0.0
        self._step.lines = tuple(lines)
        self._step.tonality = covered
