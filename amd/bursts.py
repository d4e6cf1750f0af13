"""Bursts of tone: where one began and ended, which lines it has, how its frequency ran.

A burst is recognised backwards. While something tonal sounds, nothing is decided; when it falls silent
(or has lasted longer than any beep), the steps kept in a short history are walked back from the end for
as long as they carry the same line, and then one long spectrum of the samples in between tells lines
apart that 40 ms cannot (440 and 480 Hz, a vowel's harmonics). Speech that runs into a beep, or over it,
is walked past. This module names nothing: `beep.py` and `tones.py` do.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise
from statistics import fmean, median
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from amd.course import APART_HZ, GAP_STEPS, Course, Mark, carries, course_of, variance_of
from amd.features import SILENCE_DBOV, Step
from amd.params import FRAME, SAMPLE_RATE_HZ

__all__ = ["LONGEST_BEEP_STEPS", "Burst", "BurstTracer"]

LONGEST_BEEP_STEPS: Final = 104
"""2.08 s: whatever sounds longer is no beep and is looked at while it still sounds."""
_RING: Final = 16384 + 1024
"""Samples kept: the longest beep and what surrounds it."""
_FALL_DB: Final = 8.0
_LINE: Final = 0.5
"""A step with so much of its energy in one line sounds tonal..."""
_TONALITY: Final = 0.8
"""...or with so much in three."""
_FAINTEST_DBOV: Final = -48.0
_BLOCK: Final = 80


class Burst(Struct, frozen=True):
    """A tone, before anybody says what it means."""

    start_sample: int
    end_sample: int
    """Of a tone that still sounds: what has been heard of it."""
    course: Course
    frequencies_hz: tuple[float, ...]
    """Steady: its lines, strongest first. Otherwise the strongest line's stations in order of time."""
    parts: tuple[float, ...]
    """Steady: energy of each line, as part of the band's."""
    pieces: int
    """Changes of station plus one; 1 for a steady burst and a glide."""
    level_dbov: float
    variance_hz2: float
    swing_db: float
    """Largest change of level from one step to the next in the middle of the burst, outliers left out."""
    contiguous: bool
    """Another tone led into it without a gap."""
    is_over: bool
    faded: bool
    """It died away; a tone that is switched off falls by 8 dB within 30 ms."""

    @property
    def duration_s(self) -> float:
        """Length of the burst, to about 5 ms."""
        return (self.end_sample - self.start_sample) / SAMPLE_RATE_HZ

    @property
    def purity(self) -> float:
        """Part of the energy that its lines explain."""
        return sum(self.parts)


class BurstTracer:
    """Steps in, bursts out; bounded: 2.2 s of samples and of marks."""

    __slots__ = (
        "_consumed",
        "_history",
        "_hz",
        "_level",
        "_pure",
        "_ring",
        "_run",
        "_since",
        "_told",
        "_written",
    )

    def __init__(self) -> None:
        self._history: deque[Mark] = deque(maxlen=LONGEST_BEEP_STEPS + 8)
        self._ring = np.zeros(_RING, np.int16)
        self._written = 0
        self._hz = 0.0
        self._level = SILENCE_DBOV
        self._since = -1
        """Steps since the last tonal one; −1: nothing tonal lately."""
        self._run = 0
        """Steps the present tone has lasted on one frequency."""
        self._pure = 0
        """Steps in a row with all but nothing between the lines: two tones 40 Hz apart waver, yet are
        pure."""
        self._told = False
        self._consumed = 0
        """End of the latest burst that was handed out whole."""

    @property
    def is_sounding(self) -> bool:
        """Something tonal sounds, or just stopped and is not judged yet."""
        return self._since >= 0

    @property
    def tone_steps(self) -> int:
        """For how many steps a tone has sounded: one line that stays, or nothing but a few lines; 0: none."""
        return max(self._run if self._since == 0 else 0, self._pure)

    def push(self, step: Step, newest: NDArray[np.int16]) -> Burst | None:
        """Hear one step (`newest`: its 160 samples). A burst comes when it has ended, or got too long."""
        at = self._written % _RING
        if at + FRAME <= _RING:
            self._ring[at : at + FRAME] = newest
        else:
            cut = _RING - at
            self._ring[at:] = newest[:cut]
            self._ring[: FRAME - cut] = newest[cut:]
        self._written += FRAME
        lines = step.lines
        tonal = bool(
            lines
            and (lines[0][1] >= _LINE or step.tonality >= _TONALITY)
            and step.level_dbov > _FAINTEST_DBOV
        )
        self._history.append(Mark(step.end_sample, step.level_dbov, lines, tonal, step.tonality))
        self._pure = self._pure + 1 if tonal and step.tonality >= 0.94 else 0
        if tonal:
            return self._goes_on(step)
        if self._since < 0 or step.is_lost:
            return None
        self._since += 1
        if self._has_fallen_silent():
            burst = self._look_back()
            if burst is not None:
                self._consumed = burst.end_sample
            self._close()
            return burst
        if self._since > GAP_STEPS:
            burst = self._look_back(faded=True)  # as a bell does
            self._close()
            return burst
        return None

    def _goes_on(self, step: Step) -> Burst | None:
        hz, part = step.lines[0]
        if self._since < 0 or abs(hz - self._hz) > max(6.0, 0.008 * self._hz):
            self._run, self._told = 0, False
        self._run += 1
        self._since = 0
        self._hz = hz
        level = step.level_dbov + 10.0 * math.log10(part)
        # The peak of the last steps: the window that holds only the end of the tone reads too low.
        self._level = max(level, self._level - 1.0)
        if self._run > LONGEST_BEEP_STEPS and not self._told:
            self._told = True
            return self._look_back(is_over=False)
        return None

    def _close(self) -> None:
        self._since = -1
        self._run = 0
        self._level = SILENCE_DBOV

    def _has_fallen_silent(self) -> bool:
        """Gone from each of the latest three blocks of 10 ms: one lost packet empties only two."""
        blocks = self._samples(self._written - 3 * _BLOCK, self._written).reshape(3, _BLOCK)
        levels = _line_level(blocks, self._hz)
        return float(levels.max()) <= self._level - _FALL_DB

    def _samples(self, start: int, end: int) -> NDArray[np.float64]:
        index = np.arange(start, end) % _RING
        return self._ring[index].astype(np.float64)

    # -- the look back ------------------------------------------------------------------------------------

    def _look_back(self, *, is_over: bool = True, faded: bool = False) -> Burst | None:
        path = self._path()
        if len(path) < 2:
            return None
        course, path, stations, pieces, contiguous = course_of(path)
        if course is None:
            return None
        first, last = path[0].end_sample, path[-1].end_sample
        offset = self._written - self._history[-1].end_sample
        start_hz = stations[0]
        end_hz = stations[-1]
        start = self._edge(first + offset - 2 * FRAME, first + offset, start_hz, rising=True) - offset
        end = last
        if is_over:
            end = (
                self._edge(last + offset - 4 * FRAME, last + offset + 2 * FRAME, end_hz, rising=False)
                - offset
            )
        core = path[1:-1] or path
        levels = [m.level_dbov for m in core]
        swings = sorted(abs(b - a) for a, b in pairwise(levels))
        # One in ten of a longer burst may be a lost packet.
        swing = swings[-1 - len(swings) // 8] if swings else 0.0
        if course is Course.STEADY:
            found = self._long_look(start + offset, end + offset, stations[0])
            if found is None:
                return None
            frequencies, parts = found
        else:
            frequencies = stations
            parts = (median(m.tonality for m in core),)
        variance = variance_of(core, course, stations)
        level = 10.0 * math.log10(fmean(10.0 ** (v / 10.0) for v in levels))
        return Burst(
            start, end, course, frequencies, parts, pieces, level, variance, swing, contiguous, is_over, faded
        )

    def _path(self) -> list[Mark]:
        """The tonal steps that end the history, in order of time; short gaps are bridged."""
        path: list[Mark] = []
        missed = 0
        for mark in reversed(self._history):
            if mark.end_sample <= self._consumed:
                break
            if mark.tonal or (path and carries(mark, path[-1])):
                path.append(mark)
                missed = 0
            elif path:
                missed += 1
                if missed > GAP_STEPS:
                    break
        path.reverse()
        return path

    def _edge(self, start: int, end: int, hz: float, *, rising: bool) -> int:
        """Where in [start, end) the line begins or ends: half of its amplitude, to 2.5 ms."""
        start = max(start, self._written - _RING + FRAME, 0)
        end = min(end, self._written)
        if end - start < 2 * _BLOCK:
            return start if rising else end
        hop = 20
        samples = self._samples(start, end)
        count = (len(samples) - _BLOCK) // hop + 1
        blocks = np.lib.stride_tricks.sliding_window_view(samples, _BLOCK)[::hop][:count]
        levels = _line_level(blocks, hz)
        above = np.flatnonzero(levels >= levels.max() - 6.0)
        # A block reads half the amplitude when half of it holds the line.
        return start + int(above[0] if rising else above[-1]) * hop + _BLOCK // 2

    def _long_look(
        self, start: int, end: int, hz: float
    ) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Lines of the steady burst in [start, end): (Hz, part of the energy in 200–3500 Hz) each."""
        margin = min(_BLOCK, (end - start) // 6)
        start, end = max(start + margin, end - 4096, self._written - _RING + FRAME, 0), end - margin
        n = end - start
        if n < 2 * _BLOCK:
            return None
        size = max(1024, 1 << (n - 1).bit_length())
        power = np.abs(np.fft.rfft(self._samples(start, end) * np.hanning(n + 2)[1:-1], size)) ** 2
        bin_hz = SAMPLE_RATE_HZ / size
        lo, hi = round(200 / bin_hz), round(3500 / bin_hz)
        band = power[lo:hi]
        total = float(band.sum())
        if total <= 0.0:
            return None
        apart = max(2.2 * SAMPLE_RATE_HZ / n, 14.0)
        near = max(1, round(apart / bin_hz))
        rest = band.copy()
        lines: list[tuple[float, float]] = []
        for _ in range(5):
            k = int(rest.argmax())
            part = float(rest[max(k - near, 0) : k + near + 1].sum()) / total
            if part < 0.004 or (lines and part < 0.004 * lines[0][1]):
                break
            lines.append((_peak_hz(power, k + lo, bin_hz), part))
            rest[max(k - near, 0) : k + near + 1] = 0.0
        if not lines:
            return None
        if all(abs(f - hz) > APART_HZ / 2.0 for f, _ in lines[:2]):
            return None
        return tuple(f for f, _ in lines), tuple(p for _, p in lines)


def _line_level(blocks: NDArray[np.float64], hz: float) -> NDArray[np.float64]:
    """dBov of the line at `hz` in each row."""
    n = blocks.shape[1]
    phase = np.exp(-2j * np.pi * hz / SAMPLE_RATE_HZ * np.arange(n))
    amplitude = np.abs(blocks @ phase) * 2.0 / n
    level: NDArray[np.float64] = 20.0 * np.log10(amplitude / math.sqrt(2.0) / 32768.0 + 1e-9)
    return level


def _peak_hz(power: NDArray[np.float64], k: int, bin_hz: float) -> float:
    if not 0 < k < len(power) - 1:
        return k * bin_hz
    a, b, c = (math.log(float(p) + 1e-12) for p in power[k - 1 : k + 2])
    bend = a - 2.0 * b + c
    return (k + (0.5 * (a - c) / bend if bend < 0.0 else 0.0)) * bin_hz
