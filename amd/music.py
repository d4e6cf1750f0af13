"""Music on hold: sound in which lines stand still most of the time. Voices glide; single tones are
named elsewhere.

Over three seconds, the share of audible steps in which one line has kept its frequency for 80 ms is
0.4–0.9 in music and below 0.3 in nearly all speech (figures in the README).
"""

from __future__ import annotations

from collections import deque
from typing import Final

from amd.features import Step

__all__ = ["MusicTracker"]

_WINDOW_STEPS: Final = 150
_AUDIBLE_DBOV: Final = -45.0
_SURE_SHARE: Final = 0.45
_SURE_STEPS: Final = 80
_LIKELY_SHARE: Final = 0.35
_LIKELY_STEPS: Final = 40
_NOTE_SHARE: Final = 0.3


class MusicTracker:
    """Steps in; `is_sure` and `is_likely` out."""

    __slots__ = ("_audible", "_steady", "_window")

    def __init__(self) -> None:
        self._window: deque[tuple[bool, bool]] = deque(maxlen=_WINDOW_STEPS)
        self._audible = 0
        self._steady = 0

    def push(self, step: Step, *, is_steady: bool) -> None:
        """Hear one step. `is_steady`: a line has kept its frequency."""
        if len(self._window) == _WINDOW_STEPS:
            audible, steady = self._window[0]
            self._audible -= audible
            self._steady -= steady
        audible = step.level_dbov > _AUDIBLE_DBOV
        steady = audible and is_steady
        self._window.append((audible, steady))
        self._audible += audible
        self._steady += steady

    @property
    def is_sure(self) -> bool:
        """More than half of the last three seconds sounded, and it was music (or one long tone)."""
        return self._audible >= _SURE_STEPS and self._steady >= _SURE_SHARE * self._audible

    def led_to(self, tone_s: float) -> bool:
        """Music sounded before the tone of `tone_s` that ends now: it is one more note."""
        steps = round(tone_s * 50)
        audible, steady = self._audible - steps, self._steady - steps
        return audible >= _LIKELY_STEPS and steady >= _NOTE_SHARE * audible

    @property
    def is_likely(self) -> bool:
        """Enough to wait before calling it a person."""
        return self._audible >= _LIKELY_STEPS and self._steady >= _LIKELY_SHARE * self._audible
