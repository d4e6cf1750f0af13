"""Music on hold: sound in which lines stand still most of the time. Voices glide; single tones are
named elsewhere.

Over three seconds, the share of audible steps in which one line has kept its frequency for 80 ms is
0.4–0.9 in music and below 0.3 in nearly all speech (figures in the README).
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


class MusicTracker:
    """Steps in; `is_sure` and `is_likely` out."""

    __slots__ = ("_audible", "_notes", "_steady", "_window")

    def __init__(self) -> None:
        self._window: deque[tuple[bool, bool]] = deque(maxlen=_WINDOW_STEPS)
        self._audible = 0
        self._steady = 0
        self._notes = 0
        """Stretches of steady steps in the window, or one less."""

    def push(self, *, is_audible: bool, is_steady: bool) -> None:
        """One step. `is_audible`: it stands out from noise; `is_steady`: a line has kept its frequency."""
        if len(self._window) == _WINDOW_STEPS:
            audible, steady = self._window[0]
            self._audible -= audible
            self._steady -= steady
            if steady and not self._window[1][1]:
                self._notes -= 1
        steady = is_audible and is_steady
        if steady and not (len(self._window) > 0 and self._window[-1][1]):
            self._notes += 1
        self._window.append((is_audible, steady))
        self._audible += is_audible
        self._steady += steady

    @property
    def is_sure(self) -> bool:
        """More than half of the last three seconds sounded, and it was several notes."""
        return (
            self._notes >= _NOTES
            and self._audible >= _SURE_STEPS
            and self._steady >= _SURE_SHARE * self._audible
        )

    def led_to(self, tone_s: float) -> bool:
        """Music sounded before the tone of `tone_s` that ends now: it is one more note."""
        steps = round(tone_s * 50)
        audible, steady = self._audible - steps, self._steady - steps
        return audible >= _LIKELY_STEPS and steady >= _NOTE_SHARE * audible

    @property
    def is_likely(self) -> bool:
        """Enough to wait before calling it a person."""
        return self._audible >= _LIKELY_STEPS and self._steady >= _LIKELY_SHARE * self._audible
