"""Record beeps alone, for audio where nobody asks who answered. `AmdDetector` hears them too."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from amd.ear import Ear
from amd.events import Beep

__all__ = ["BeepDetector"]


class BeepDetector:
    """Beeps of 60 ms to 2 s between 350 and 2200 Hz, and none of the network's own signals.

    What was spoken before counts: the first burst of a ringback is a beep only after a greeting.
    """

    __slots__ = ("_beeps", "_ear")

    def __init__(self) -> None:
        self._ear = Ear()
        self._beeps: deque[Beep] = deque()

    def push(self, pcm: NDArray[np.int16]) -> Beep | None:
        """Hear `pcm` (int16[n], mono, 8 kHz; any n). Returns the oldest beep not handed out yet."""
        self._beeps.extend(signal for _, signal in self._ear.hear(pcm) if isinstance(signal, Beep))
        return self._beeps.popleft() if self._beeps else None

    def push_lost(self, n_samples: int) -> Beep | None:
        """`n_samples` were lost on the network."""
        self._beeps.extend(signal for _, signal in self._ear.miss(n_samples) if isinstance(signal, Beep))
        return self._beeps.popleft() if self._beeps else None
