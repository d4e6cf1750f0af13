"""Record beeps: heard after the greeting of a machine, and nothing else is one."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from amd.events import Beep

__all__ = ["BeepDetector"]


class BeepDetector:
    """Beeps of 60 ms to 2 s between 350 and 2200 Hz. For a call, use `AmdDetector`, which has one inside."""

    __slots__ = ("_beeps",)

    def __init__(self) -> None:
        self._beeps: deque[Beep] = deque()

    def push(self, pcm: NDArray[np.int16]) -> Beep | None:
        """Hear `pcm` (int16[n], mono, 8 kHz; any n). Returns the oldest beep not handed out yet."""
        return self._beeps.popleft() if self._beeps else None

    def push_lost(self, n_samples: int) -> Beep | None:
        """`n_samples` were lost on the network."""
        return self._beeps.popleft() if self._beeps else None
