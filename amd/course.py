"""How the strongest line of a tone ran: steady, gliding, or in steps; looked at backwards from its end."""

from __future__ import annotations

import math
from enum import Enum
from statistics import fmean, median, median_low, pvariance
from typing import Final, NamedTuple

from amd.params import FRAME

__all__ = ["APART_HZ", "GAP_STEPS", "Course", "Mark", "carries", "course_of", "variance_of"]

GAP_STEPS: Final = 3
"""Steps without the line that a burst may contain: one lost packet touches up to three windows."""
APART_HZ: Final = 60.0
"""Lines closer than this are one to a single step."""


class Course(Enum):
    """How the strongest line ran."""

    STEADY = "steady"
    GLIDE = "glide"
    STEPS = "steps"


class Mark(NamedTuple):
    """What the history keeps of a step."""

    end_sample: int
    level_dbov: float
    lines: tuple[tuple[float, float], ...]
    tonal: bool
    tonality: float

    def line_near(self, hz: float, tolerance_hz: float) -> tuple[float, float] | None:
        for line in self.lines:
            if abs(line[0] - hz) <= tolerance_hz:
                return line
        return None


def carries(mark: Mark, later: Mark) -> bool:
    """`mark` is not tonal itself (speech above the tone) but has the later step's line at its level."""
    hz, part = later.lines[0]
    line = mark.line_near(hz, max(10.0, 0.012 * hz))
    if line is None:
        return False
    here = mark.level_dbov + 10.0 * math.log10(line[1])
    there = later.level_dbov + 10.0 * math.log10(part)
    return abs(here - there) < 4.0


def course_of(path: list[Mark]) -> tuple[Course | None, list[Mark], tuple[float, ...], int, bool]:
    """(course, the steps that belong to it, stations, pieces, whether another tone led into it)."""
    tail = _steady_tail(path)
    before = path[: len(path) - len(tail)]
    steady_hz = median_low([m.lines[0][0] for m in tail[1:-1] or tail])
    if len(before) <= 2:
        return Course.STEADY, tail, (steady_hz,), 1, False
    glide = _glide_tail(path)
    if len(glide) >= 5 and len(glide) > len(tail):
        first, last = glide[0].lines[0][0], glide[-1].lines[0][0]
        return Course.GLIDE, glide, (first, last), 1, len(path) - len(glide) > 4
    stepped, stations, pieces = _steps_tail(path)
    if pieces >= 2 and max(stations) - min(stations) < APART_HZ:
        # Two lines too close for 40 ms: the strongest seems to wander between them.
        return Course.STEADY, stepped, (fmean(stations),), 1, False
    if pieces >= 2:
        return Course.STEPS, stepped, stations, pieces, len(path) - len(stepped) > 4
    pure_before = sum(m.lines[0][1] > 0.75 for m in before[-8:])
    if len(tail) < 2:
        return None, tail, (steady_hz,), 1, True
    return Course.STEADY, tail, (steady_hz,), 1, pure_before >= 3


def _steady_tail(path: list[Mark]) -> list[Mark]:
    """The steps at the end of `path` that carry one line."""
    # Not a mean: two lines of one height take turns at being the strongest.
    hz = median_low([m.lines[0][0] for m in path[-5:-1]] or [path[-1].lines[0][0]])
    tolerance = max(10.0, 0.012 * hz)
    start = len(path)
    missed = 0
    for i in range(len(path) - 1, -1, -1):
        mark = path[i]
        if mark.line_near(hz, tolerance) is not None:
            start = i
            missed = 0
            continue
        elsewhere = mark.lines[0][1] > 0.85 and abs(mark.lines[0][0] - hz) > 0.05 * hz
        missed += 1
        # The last window of a tone holds a click and reads far off; so may two after a lost packet.
        if missed > (1 if elsewhere and i < len(path) - 2 else 2):
            break
    return path[min(start, len(path) - 1) :]


def _glide_tail(path: list[Mark]) -> list[Mark]:
    """The steps at the end whose strongest line moves on a straight path; up to three may be off it."""
    # The last windows hold only the tone's end and read off: the longest path from any of three ends counts.
    return max((_glide_to(path, len(path) - i) for i in range(min(3, len(path)))), key=len)


def _glide_to(path: list[Mark], end: int) -> list[Mark]:
    start = end - 1
    slope: float | None = None  # Hz per step
    for i in range(end - 2, -1, -1):
        steps = (path[start].end_sample - path[i].end_sample) / FRAME
        if steps > GAP_STEPS + 1:
            break
        change = (path[start].lines[0][0] - path[i].lines[0][0]) / steps
        if slope is None:
            straight = 2.0 <= abs(change) <= 120.0
        else:
            straight = abs(change - slope) <= max(8.0, 0.5 * abs(slope)) / (1.0 if steps < 2.0 else 2.0)
        if straight:
            slope = change if slope is None else 0.8 * slope + 0.2 * change
            start = i
        elif slope is None:
            break
    glide = path[start:end]
    off = _off_the_line(glide)
    straight_steps = sum(abs(d) < 12.0 for d in off)
    return glide if straight_steps >= 0.75 * len(glide) else glide[-1:]


def _off_the_line(glide: list[Mark]) -> list[float]:
    """Hz by which each step is off one straight path: slope by the median of pairs half the glide apart."""
    n = len(glide)
    if n < 2:
        return [0.0] * n
    at = [m.end_sample for m in glide]
    hz = [m.lines[0][0] for m in glide]
    half = max(n // 2, 1)
    slope = median((hz[i + half] - hz[i]) / (at[i + half] - at[i]) for i in range(n - half))
    off = [f - slope * t for f, t in zip(hz, at, strict=True)]
    middle = median(off)
    return [d - middle for d in off]


def _steps_tail(path: list[Mark]) -> tuple[list[Mark], tuple[float, ...], int]:
    """Stations the line visits, backwards from the end, each held for at least two clean steps."""
    stations: list[float] = []
    held = 0
    missed = 0
    start = len(path) - 1
    pieces = 0
    station = 0.0
    for i in range(len(path) - 1, -1, -1):
        hz, part = path[i].lines[0]
        if part < 0.75:
            missed += 1
            if missed > GAP_STEPS:
                break
            continue
        if held and abs(hz - station) <= max(10.0, 0.012 * station):
            held += 1
            missed = 0
            if held == 2:
                pieces += 1
                if all(abs(station - s) > max(14.0, 0.02 * s) for s in stations):
                    stations.append(station)
            if held >= 2:
                start = i
        else:
            if held == 1:
                missed += 1
                if missed > GAP_STEPS:
                    break
            station, held = hz, 1
    stations.reverse()
    return path[max(start - 1, 0) :], tuple(stations), pieces if len(stations) >= 2 else 0


def variance_of(core: list[Mark], course: Course, stations: tuple[float, ...]) -> float:
    """Variance of the strongest line around its station (or, of a glide, around the straight path)."""
    if course is Course.GLIDE:
        off = _off_the_line(core)
    else:
        off = [min((m.lines[0][0] - s for s in stations), key=abs) for m in core]
    near = [d for d in off if abs(d) < 25.0] or off
    if len(near) < 8:
        return pvariance(near) if len(near) > 1 else 0.0
    # By the median deviation: a lost packet spoils up to three windows, a voice wavers in all of them.
    middle = median(near)
    return float((1.4826 * median(abs(d - middle) for d in near)) ** 2)
