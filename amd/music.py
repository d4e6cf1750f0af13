"""Music on hold: sound in which lines stand still most of the time, at several heights. Voices glide; tones
of the network have one or two heights and are named elsewhere.

Over three seconds, the share of audible steps in which one line has kept its frequency for 80 ms is 0.4–0.9
in music and below 0.3 in nearly all speech (figures in the README).
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["MusicTracker"]

_WINDOW_STEPS: Final = 150
_SURE_SHARE: Final = 0.45
_SURE_STEPS: Final = 80
_LIKELY_SHARE: Final = 0.35
_LIKELY_STEPS: Final = 40
_NOTES: Final = 3
_NOTE_SHARE: Final = 0.3
_APART: Final = 0.12
"""Two semitones: two lines 40 Hz apart seem to be one that wanders by a semitone."""


class MusicTracker:
    """Steps in; `is_sure` and `is_likely` out."""

    __slots__ = ("_audible", "_steady", "_window")

    def __init__(self) -> None:
        self._window: deque[tuple[bool, float]] = deque(maxlen=_WINDOW_STEPS)
        """(audible, frequency of a line that stands still, or 0) of each step."""
        self._audible = 0
        self._steady = 0

    def push(self, *, is_audible: bool, steady_hz: float) -> None:
        """One step: whether it stands out from noise, and the frequency of a line that stands still, or 0."""
        if len(self._window) == _WINDOW_STEPS:
            audible, hz = self._window[0]
            self._audible -= audible
            self._steady -= hz > 0.0
        if not is_audible:
            steady_hz = 0.0
        self._window.append((is_audible, steady_hz))
        self._audible += is_audible
        self._steady += steady_hz > 0.0

    @property
    def is_sure(self) -> bool:
        """More than half of the last three seconds sounded, and it was several notes."""
        if self._audible < _SURE_STEPS or self._steady < _SURE_SHARE * self._audible:
            return False
        heights: list[float] = []
        for _, hz in self._window:
            if hz > 0.0 and all(abs(hz - h) > _APART * h for h in heights):
                heights.append(hz)
        return len(heights) >= _NOTES

    def led_to(self, tone_s: float) -> bool:
        """Music sounded before the tone of `tone_s` that ends now: it is one more note."""
        steps = round(tone_s * 50)
        audible, steady = self._audible - steps, self._steady - steps
        return audible >= _LIKELY_STEPS and steady >= _NOTE_SHARE * audible

    @property
    def is_likely(self) -> bool:
        """Enough to wait before calling it a person."""
        return self._audible >= _LIKELY_STEPS and self._steady >= _LIKELY_SHARE * self._audible
