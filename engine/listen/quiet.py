"""How long nobody has said anything: the `timeout` of `listen`. Pure."""

from __future__ import annotations

from media.audio import Pcm, level_dbov

__all__ = ["QuietWatch"]

_SOUND_DBOV = -50.0
_SOUND_FRAMES = 3
"""In a row, of 20 ms: a click is no sign of life."""


class QuietWatch:
    """Fed with what is heard; knows when it was last more than a noise of the line."""

    __slots__ = ("_loud", "last_sound_at")

    def __init__(self, now: float) -> None:
        """now: monotonic seconds; the beginning counts as a sound."""
        self.last_sound_at = now
        self._loud = 0

    def hear(self, pcm: Pcm, now: float) -> None:
        """20 ms at any rate."""
        self._loud = self._loud + 1 if level_dbov(pcm) > _SOUND_DBOV else 0
        if self._loud >= _SOUND_FRAMES:
            self.last_sound_at = now
