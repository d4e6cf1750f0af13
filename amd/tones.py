"""What the network and machines send that is neither speech nor a record beep, by its lines and its
cadence.

ITU-T E.180 Supplement 2 lists the tones of the world; three families cover nearly all: two lines in
North America (350+440 dial, 440+480 ringback, 480+620 busy and reorder), 400+450 in Britain, one line
near 425 Hz elsewhere. One burst of 425 Hz can be a beep or the beginning of a cadence: `ToneJudge`
holds such a burst back for half a second, and longer only what nothing can tell apart.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from msgspec.structs import replace

from amd.bursts import Burst
from amd.course import Course
from amd.events import Beep, BeepShape, Tone, ToneName
from amd.params import SAMPLE_RATE_HZ
from amd.shapes import beep_of

__all__ = ["ToneJudge", "dtmf_digit", "sit_meaning"]

_LOW_HZ: Final = (697.0, 770.0, 852.0, 941.0)
_HIGH_HZ: Final = (1209.0, 1336.0, 1477.0, 1633.0)
_DIGITS: Final = ("123A", "456B", "789C", "*0#D")

_PAIRS: Final = (
    (350.0, 440.0, ToneName.DIAL),
    (440.0, 480.0, ToneName.RINGBACK),
    (400.0, 450.0, ToneName.RINGBACK),
    (400.0, 425.0, ToneName.RINGBACK),
    (480.0, 620.0, ToneName.BUSY),
)
_PROGRESS_HZ: Final = (380.0, 490.0)
"""Where the single-line tones of call progress lie (400, 425, 440, 450, 480)."""
_CADENCES_S: Final = (0.25, 0.375, 0.5)
"""Halves of the usual busy and congestion cadences."""
_HOLD_S: Final = 0.54
"""A burst that may begin a cadence is held for so long: the longest pause of a busy tone, and its onset."""
_DATA: Final = frozenset({ToneName.FAX_CED, ToneName.FAX_CNG, ToneName.MODEM})
_DATA_SAMPLES: Final = 10 * SAMPLE_RATE_HZ
_REPEAT_S: Final = 12.0
"""A cadence that paused for longer is reported anew."""

# The North American coding of a special information tone: the first two of its tones are low or high,
# short (276 ms) or long (380 ms). By frequency alone it has four meanings; a long first (or a short
# one) tells two more.
_SIT_FIRST_HZ: Final = (913.8, 985.2)
_SIT_SECOND_HZ: Final = (1370.6, 1428.5)
_SIT_LONG_S: Final = 0.328
_SIT_MEANINGS: Final = {
    (0, 0): "intercept",
    (1, 0): "vacant code",
    (0, 1): "reorder",
    (1, 1): "no circuit",
}


def dtmf_digit(f1_hz: float, f2_hz: float) -> str | None:
    """The digit of a pair of lines (ITU-T Q.23, within 1.8 %), in either order; None: no digit."""
    low, high = sorted((f1_hz, f2_hz))
    for i, row in enumerate(_LOW_HZ):
        if abs(low - row) <= 0.018 * row:
            for j, column in enumerate(_HIGH_HZ):
                if abs(high - column) <= 0.018 * column:
                    return _DIGITS[i][j]
    return None


def sit_meaning(stations_hz: tuple[float, ...], first_s: float | None = None) -> str | None:
    """What a special information tone says; None: these stations are none (ITU-T E.180: ±50 Hz each)."""
    if len(stations_hz) < 3:
        return None
    first, second, third = stations_hz[:3]
    if not (abs(first - 950.0) <= 62.0 and abs(second - 1400.0) <= 62.0 and abs(third - 1800.0) <= 62.0):
        return None
    coded = (_nearest(first, _SIT_FIRST_HZ), _nearest(second, _SIT_SECOND_HZ))
    if coded[0] is None or coded[1] is None:
        return "call failed"  # the plain tone of E.180, 950 1400 1800
    if first_s is not None and coded == (0, 0) and first_s > _SIT_LONG_S:
        return "no circuit"
    if first_s is not None and coded == (1, 0) and first_s < _SIT_LONG_S:
        return "reorder"
    return _SIT_MEANINGS[coded[0], coded[1]]


def _nearest(hz: float, choices_hz: tuple[float, float]) -> int | None:
    for i, choice in enumerate(choices_hz):
        if abs(hz - choice) <= 12.0:
            return i
    return None


class _Heard(NamedTuple):
    """A burst of the recent past, for cadences."""

    start_sample: int
    end_sample: int
    hz: float

    @property
    def duration_s(self) -> float:
        return (self.end_sample - self.start_sample) / SAMPLE_RATE_HZ


class ToneJudge:
    """Bursts in; beeps and named tones out. Remembers a few bursts, so that cadences can be told."""

    __slots__ = ("_data_until", "_held", "_past", "_signal_end", "_signal_start", "_told", "was_signal")

    def __init__(self) -> None:
        self._past: deque[_Heard] = deque(maxlen=8)
        self._held: tuple[Beep, int] | None = None
        """A beep that may be the first burst of a cadence, and the sample at which it is let go."""
        self._told: dict[tuple[ToneName, str], int] = {}
        self.was_signal = False
        """The latest burst was a beep or a signal, not a voice."""
        self._signal_end: int | None = None
        self._signal_start = 0
        self._data_until = 0
        """Fax, modem and music go on in ways that are not named one by one."""

    def hear(
        self, burst: Burst | None, now: int, *, spoken: bool, is_sounding: bool, is_note: bool
    ) -> Beep | Tone | None:
        """One step, at most one event. `spoken`: somebody spoke before; `is_sounding`: a tone sounds now;
        `is_note`: music led to this burst."""
        if burst is None:
            return None if is_sounding else self._let_go(now)
        self.was_signal = False
        named = self._name(burst, spoken=spoken)
        self._past.append(_Heard(burst.start_sample, burst.end_sample, burst.frequencies_hz[0]))
        if named is not None:
            self._mark(burst)
            name, meaning = named
            self._held = None
            return self._tell(name, meaning, burst, now) if name is not None else None
        beep = beep_of(burst, now)
        if beep is None or is_note:
            return None
        self._mark(burst)
        if self._is_suspect(burst, beep, spoken=spoken):
            if self._is_cadence(burst, spoken=spoken):
                self._held = None
                return None
            self._held = (beep, burst.end_sample + int(_HOLD_S * SAMPLE_RATE_HZ))
            return None
        self._held = None
        return beep

    def _let_go(self, now: int) -> Beep | None:
        if self._held is None or now < self._held[1]:
            return None
        beep = self._held[0]
        self._held = None
        return replace(beep, sample=now)

    def forbids_human(self, now: int, onset_sample: int) -> bool:
        """What was taken for speech is more likely data, music, or a key: wait before calling it a person."""
        if self._data_until > now:
            return True
        end, start = self._signal_end, self._signal_start
        near = SAMPLE_RATE_HZ // 2
        return end is not None and start - near < onset_sample < end + near

    def is_recent(self, now: int) -> bool:
        """A named signal or a beep ended within the last three seconds."""
        return self._signal_end is not None and now - self._signal_end < 3 * SAMPLE_RATE_HZ

    def music(self, now: int) -> Tone | None:
        """Music sounds; told once in twelve seconds of it."""
        self._data_until = now + _DATA_SAMPLES
        key = (ToneName.MUSIC, "")
        last = self._told.get(key)
        self._told[key] = now
        if last is not None and now - last < _REPEAT_S * SAMPLE_RATE_HZ:
            return None
        return Tone(ToneName.MUSIC, "music", (), max(now - 3 * SAMPLE_RATE_HZ, 0), now)

    def _mark(self, burst: Burst) -> None:
        self.was_signal = True
        self._signal_start = burst.start_sample
        self._signal_end = burst.end_sample

    def forget(self) -> None:
        """Speech set in: what was held back was a signal before it, not a record beep after it."""
        self._held = None

    def _tell(self, name: ToneName, meaning: str, burst: Burst, now: int) -> Tone | None:
        if name in _DATA:
            self._data_until = now + _DATA_SAMPLES
        key = (name, meaning)
        last = self._told.get(key)
        self._told[key] = now
        if name is not ToneName.DTMF and last is not None and now - last < _REPEAT_S * SAMPLE_RATE_HZ:
            return None
        return Tone(name, meaning, burst.frequencies_hz, burst.start_sample, now)

    def _name(self, burst: Burst, *, spoken: bool) -> tuple[ToneName | None, str] | None:
        """(name, meaning); (None, "") for what is no beep but has no sure name yet; None: not ours."""
        sit = self._sit(burst)
        if sit is not None:
            return ToneName.SIT, sit
        if burst.course is not Course.STEADY:
            return None
        hz = burst.frequencies_hz
        strong = [f for f, p in zip(hz, burst.parts, strict=True) if p > 0.2 * burst.parts[0]]
        if len(strong) == 2 and burst.purity >= 0.85:
            pair = self._pair(burst, strong)
            if pair is not None:
                return pair
        swings = burst.swing_db > 4.5 and burst.duration_s < 1.0
        if burst.parts[0] < 0.7 or burst.variance_hz2 > 2.0 or swings:
            return None  # a voice
        return self._single(burst, hz[0], spoken=spoken)

    def _pair(self, burst: Burst, lines: list[float]) -> tuple[ToneName | None, str] | None:
        digit = dtmf_digit(lines[0], lines[1])
        if digit is not None and burst.duration_s >= 0.035:
            return ToneName.DTMF, digit
        low, high = sorted(lines)
        for first, second, name in _PAIRS:
            if abs(low - first) > 8.0 or abs(high - second) > 8.0:
                continue
            if burst.duration_s < 0.19 or sum(burst.parts[:2]) < 0.8:
                return None
            if name is ToneName.BUSY:
                return self._busy(burst)
            if name is ToneName.RINGBACK and burst.duration_s < 0.3:
                return None, ""
            if name is ToneName.DIAL and burst.duration_s < 0.8:
                return None, ""
            return name, name.value
        return None

    def _busy(self, burst: Burst) -> tuple[ToneName | None, str]:
        """Busy has halves of 0.5 s, reorder of 0.25 s; one burst is enough for two-line tones."""
        if burst.duration_s > 0.9:
            return ToneName.STEADY, "steady tone"
        if burst.duration_s < 0.36:
            return ToneName.REORDER, "network busy"
        return ToneName.BUSY, "line busy"

    def _single(self, burst: Burst, hz: float, *, spoken: bool) -> tuple[ToneName | None, str] | None:
        lasted = burst.duration_s
        if abs(hz - 2100.0) <= 21.0:
            return (ToneName.FAX_CED, "fax or modem answers") if lasted > 1.0 else (None, "")
        if abs(hz - 2225.0) <= 21.0 or (lasted > 2.06 and abs(hz - 2250.0) < 20.0):
            return (ToneName.MODEM, "modem answers") if lasted > 0.6 else (None, "")
        if abs(hz - 1100.0) <= 38.0 and 0.4 <= lasted <= 0.62 and (not spoken or self._repeats(hz, 2.5, 3.6)):
            return ToneName.FAX_CNG, "fax calls"
        if _PROGRESS_HZ[0] <= hz <= _PROGRESS_HZ[1]:
            progress = self._progress(burst, hz, spoken=spoken)
            if progress is not None:
                return progress
        if lasted > 2.06:
            return ToneName.STEADY, "steady tone"
        return None

    def _progress(self, burst: Burst, hz: float, *, spoken: bool) -> tuple[ToneName | None, str] | None:
        lasted = burst.duration_s
        if not burst.is_over or lasted > 2.06:
            return ToneName.DIAL, "dial tone"
        if lasted >= 0.75 and not spoken:
            return ToneName.RINGBACK, "ringback"
        before = self._before(hz)
        if before is None:
            if not spoken and abs(hz - 440.0) <= 6.0 and 0.26 <= lasted <= 0.34:
                return ToneName.CALL_WAITING, "call waiting"
            return None
        pause = (burst.start_sample - before.end_sample) / SAMPLE_RATE_HZ
        alike = abs(before.duration_s - lasted) <= 0.06 and lasted >= 0.17 and burst.purity >= 0.9
        if alike and pause >= 3.0 and lasted < 0.45:
            return ToneName.CALL_WAITING, "call waiting"
        if alike and abs(pause - lasted) <= 0.1 and lasted <= 0.65:
            return (ToneName.BUSY, "line busy") if lasted > 0.36 else (ToneName.REORDER, "network busy")
        if alike and abs(lasted - 0.4) < 0.08 and 0.15 <= pause <= 0.25:
            return ToneName.RINGBACK, "ringback"
        if lasted >= 0.75 and 1.5 <= pause <= 5.5:
            return ToneName.RINGBACK, "ringback"
        return None

    def _sit(self, burst: Burst) -> str | None:
        if burst.course is Course.STEPS and burst.pieces == 3:
            return sit_meaning(burst.frequencies_hz)
        if len(self._past) < 2 or burst.course is not Course.STEADY:
            return None
        first, second = self._past[-2], self._past[-1]
        gap = 0.12 * SAMPLE_RATE_HZ
        if second.start_sample - first.end_sample > gap or burst.start_sample - second.end_sample > gap:
            return None
        return sit_meaning((first.hz, second.hz, burst.frequencies_hz[0]), first.duration_s)

    def _is_suspect(self, burst: Burst, beep: Beep, *, spoken: bool) -> bool:
        """It may be the first burst of a cadence, or a pip before a greeting."""
        if beep.shape not in (BeepShape.SINGLE, BeepShape.HARMONIC):
            return False
        hz = beep.frequency_hz
        if abs(hz - 950.0) <= 62.0 and 0.2 <= burst.duration_s <= 0.45 and not spoken:
            return True
        if abs(hz - 1400.0) <= 62.0 and len(self._past) > 1 and self._follows(950.0):
            return True
        in_band = _PROGRESS_HZ[0] <= hz <= _PROGRESS_HZ[1]
        if not spoken:
            return in_band or burst.duration_s < 0.25
        near = abs(hz - 425.0) <= 10.0 or abs(hz - 400.0) <= 6.0
        return near and any(abs(burst.duration_s - half) <= 0.02 for half in _CADENCES_S)

    def _is_cadence(self, burst: Burst, *, spoken: bool) -> bool:
        """The same burst came a moment ago, or is as long as ringback: the network's, even if distorted."""
        hz = burst.frequencies_hz[0]
        if not spoken and burst.duration_s >= 0.75:
            return True
        for heard in list(self._past)[:-1]:
            recent = burst.start_sample - heard.end_sample < 1.2 * SAMPLE_RATE_HZ
            alike = abs(heard.hz - hz) <= 25.0 and abs(heard.duration_s - burst.duration_s) <= 0.12
            if recent and alike:
                return _PROGRESS_HZ[0] <= hz <= _PROGRESS_HZ[1]
        return False

    def _follows(self, hz: float) -> bool:
        """The burst before the latest was near `hz` and led straight into it."""
        before, latest = self._past[-2], self._past[-1]
        return abs(before.hz - hz) <= 62.0 and latest.start_sample - before.end_sample < 0.12 * SAMPLE_RATE_HZ

    def _before(self, hz: float) -> _Heard | None:
        for heard in reversed(self._past):
            if _same(heard.hz, hz):
                return heard
        return None

    def _repeats(self, hz: float, shortest_s: float, longest_s: float) -> bool:
        before = self._before(hz)
        if before is None:
            return False
        age = (self._past[-1].end_sample - before.start_sample) / SAMPLE_RATE_HZ
        return shortest_s <= age <= longest_s


def _same(a_hz: float, b_hz: float) -> bool:
    return abs(a_hz - b_hz) <= max(8.0, 0.01 * a_hz)
