"""Which bursts have the shape of a record beep.

A beep is an isolated burst of 60 ms to 2 s whose strongest line lies between 350 and 2200 Hz and keeps
to a plan: one frequency, one with its harmonics, two, a straight glide, or a few stations in turn.
Voices do not: their lines stand closer than 350 Hz, waver, and swell. What the network itself sends
(`tones.py` names it) is no beep.
"""

from __future__ import annotations

from typing import Final

from amd.bursts import Burst
from amd.course import Course
from amd.events import Beep, BeepShape
from amd.params import SAMPLE_RATE_HZ

__all__ = ["beep_of"]

LOWEST_HZ: Final = 350.0
HIGHEST_HZ: Final = 2200.0
VOICED_BELOW_HZ: Final = 480.0
"""Below, the strongest line may be a harmonic of a voice: a tone has to be steadier to be taken for one."""
SHORTEST_S: Final = 0.052
"""60 ms less what the edges of a filtered beep lose."""
LONGEST_S: Final = 2.06
FAINTEST_DBOV: Final = -46.0


def beep_of(burst: Burst, heard: int) -> Beep | None:
    """The beep that `burst` is by its own shape, whatever came before it; None: it is none."""
    if not burst.is_over or not SHORTEST_S <= burst.duration_s <= LONGEST_S:
        return None
    if burst.faded and not _is_bell(burst):
        return None
    if burst.level_dbov < FAINTEST_DBOV or burst.contiguous:
        return None
    main = burst.frequencies_hz[0]
    if not all(LOWEST_HZ - 6.0 <= f <= HIGHEST_HZ + 6.0 for f in (main, burst.frequencies_hz[-1])) and (
        burst.course is not Course.STEADY or not LOWEST_HZ - 6.0 <= main <= HIGHEST_HZ + 6.0
    ):
        return None
    shape: BeepShape | None
    match burst.course:
        case Course.STEADY:
            shape = _steady_shape(burst)
        case Course.GLIDE:
            shape = BeepShape.CHIRP if _is_chirp(burst) else None
        case Course.STEPS:
            shape = BeepShape.STEP if _is_stepped(burst) else None
    if shape is None:
        return None
    frequencies = burst.frequencies_hz
    if burst.course is Course.STEADY:
        keep = {BeepShape.SINGLE: 1, BeepShape.DUAL: 2}.get(shape, len(frequencies))
        frequencies = frequencies[:keep]
    return Beep(
        frequency_hz=frequencies[0],
        frequencies_hz=frequencies,
        shape=shape,
        duration_ms=burst.duration_s * 1000.0,
        level_dbov=burst.level_dbov,
        variance=burst.variance_hz2,
        start_sample=burst.start_sample,
        end_sample=burst.end_sample,
        sample=heard,
    )


def _steady_shape(burst: Burst) -> BeepShape | None:
    f, p = burst.frequencies_hz, burst.parts
    short = burst.duration_s < 0.13
    noisy = burst.purity < 0.9
    if burst.variance_hz2 > (4.0 if short else 16.0) * (2.0 if noisy else 1.0):
        return None
    if burst.swing_db > (6.0 if burst.purity > 0.97 or not short else 2.5):
        return None  # GSM lets a tone swell by 12 dB in 0.1 s, and so do voices: their lines waver
    if f[0] < 700.0 and burst.duration_s < 0.15 and _has_voice_comb(burst):
        return None
    if f[0] < VOICED_BELOW_HZ:
        # The second harmonic of a woman's "oo" through a telephone is all but a sine.
        strict = burst.duration_s < 0.15
        if burst.duration_s < 0.08 and (f[0] < 366.0 or burst.level_dbov < -38.0):
            return None  # one clean step is not enough to tell it from a vowel's end
        wavers = burst.variance_hz2 > (0.3 if strict else 1.0 if burst.duration_s < 0.3 else 3.0)
        if wavers or burst.swing_db > (0.8 if strict else 3.5) or (strict and burst.purity < 0.96):
            return None
    others = [(hz, part) for hz, part in zip(f[1:], p[1:], strict=True) if part > 0.03 * p[0]]
    if not others:
        return BeepShape.SINGLE if p[0] >= (0.85 if short else 0.6) else None
    if all(_is_harmonic(hz, f[0], faint=part < 0.13 * p[0]) for hz, part in others):
        odd = all(round(hz / f[0]) % 2 for hz, _ in others)
        few = len(others) <= (1 if short and f[0] < VOICED_BELOW_HZ else 2)
        return BeepShape.HARMONIC if burst.purity >= 0.65 and (few or odd) else None
    if _is_two_of_a_voice(f[0], others):
        return None
    low = min(f[0], others[0][0])
    spill = 0.2 if burst.duration_s >= 0.3 else 0.1
    if low < LOWEST_HZ - 6.0:
        return None
    if others[0][1] > 0.1 * p[0] and all(part < spill * p[0] for _, part in others[1:]):
        return BeepShape.DUAL if p[0] + others[0][1] >= 0.75 and burst.duration_s >= 0.1 else None
    steady = burst.variance_hz2 < (2.0 if short or f[0] < VOICED_BELOW_HZ or p[0] < 0.85 else 16.0)
    if p[0] >= (0.9 if short else 0.75) and steady and len(others) <= 2:
        return BeepShape.SINGLE
    return None


def _is_bell(burst: Burst) -> bool:
    """It dies away evenly, and nothing else sounds; words die away too."""
    if burst.course is not Course.STEADY or burst.duration_s < 0.2:
        return False
    return burst.purity >= 0.9 or (
        burst.purity >= 0.65 and burst.variance_hz2 <= 2.5 and burst.swing_db <= 2.0
    )


def _has_voice_comb(burst: Burst) -> bool:
    """Lines at half or third steps of the strongest: it is the second or third harmonic of a voice."""
    strongest = burst.frequencies_hz[0]
    # In noise anything may lie on the comb by chance, so there it must stand out.
    least = (0.0 if burst.purity >= 0.93 else 0.02) * burst.parts[0]
    for parts in (2, 3):
        pitch = strongest / parts
        for hz, part in zip(burst.frequencies_hz[1:], burst.parts[1:], strict=True):
            order = round(hz / pitch)
            near = abs(hz - order * pitch) < 0.06 * pitch and hz < 2.2 * strongest
            if order % parts and near and part >= least:
                return True
    return False


def _is_two_of_a_voice(hz: float, others: list[tuple[float, float]]) -> bool:
    """The two strongest lines are neighbours on the comb of a pitch, and more of the comb is there."""
    pitch = abs(others[0][0] - hz)
    if not 70.0 <= pitch < LOWEST_HZ or abs(hz / pitch - round(hz / pitch)) > 0.08:
        return False
    on_comb = sum(abs(f / pitch - round(f / pitch)) < 0.1 for f, _ in others[1:])
    return on_comb > 0 or pitch < 200.0


def _is_harmonic(hz: float, of_hz: float, *, faint: bool) -> bool:
    """A multiple; or, `faint`, the alias of an odd one: a square wave made at 8 kHz has them all over."""
    order = round(hz / of_hz)
    if order >= 2 and abs(hz - order * of_hz) < 0.015 * order * of_hz:
        return True
    if not faint:
        return False
    for odd in range(3, 15, 2):
        folded = abs((odd * of_hz + SAMPLE_RATE_HZ / 2) % SAMPLE_RATE_HZ - SAMPLE_RATE_HZ / 2)
        if abs(hz - folded) < 10.0 + 0.003 * odd * of_hz:
            return True
    return False


def _is_chirp(burst: Burst) -> bool:
    first, last = burst.frequencies_hz
    straight = burst.variance_hz2 <= 2.0 and burst.duration_s >= 0.19
    if min(first, last) < VOICED_BELOW_HZ and (burst.duration_s < 0.18 or burst.variance_hz2 > 4.0):
        return False
    return (
        0.12 <= burst.duration_s <= 0.6
        and abs(last - first) >= 80.0
        and (burst.purity >= 0.93 or (burst.purity >= 0.85 and straight))
        and burst.variance_hz2 <= 30.0
        and burst.swing_db <= 3.5
    )


def _is_stepped(burst: Burst) -> bool:
    wavers = burst.variance_hz2 > 12.0
    if burst.pieces < 4 and min(burst.frequencies_hz) < VOICED_BELOW_HZ and wavers:
        return False
    return (
        len(burst.frequencies_hz) == 2
        and abs(burst.frequencies_hz[0] - burst.frequencies_hz[1]) >= 60.0
        and burst.purity >= 0.85
        and max(burst.frequencies_hz) < 1.7 * min(burst.frequencies_hz)
        and burst.duration_s >= 0.18
        and burst.variance_hz2 <= (100.0 if burst.purity >= 0.97 else 60.0)
    )
