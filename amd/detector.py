"""Who answered: one callee's audio in, decisions out. The clock is the count of samples.

Pure: no I/O, no clock, no log; nothing in the audio makes it raise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from amd.events import AmdEvent
from amd.params import AmdParams

__all__ = ["AmdDetector"]


class AmdDetector:
    """Answering-machine and beep detection on one call, from the answer on.

    Feed it the callee's audio with `push` (and `push_lost` where packets are missing); it hands out events in
    order, at most one per call. A push of more than one packet may hold several: `events()` drains the rest.
    """

    __slots__ = ("_events", "_heard", "_params")

    def __init__(self, params: AmdParams | None = None) -> None:
        self._params = params or AmdParams()
        self._events: deque[AmdEvent] = deque()
        self._heard = 0

    @property
    def samples_heard(self) -> int:
        """All samples pushed, lost ones included."""
        return self._heard

    @property
    def is_finished(self) -> bool:
        """Nothing more will be reported; the tap may be removed."""
        return False

    def push(self, pcm: NDArray[np.int16]) -> AmdEvent | None:
        """Hear `pcm` (int16[n], mono, 8 kHz; any n, 0 too). Returns the oldest event not handed out yet."""
        self._heard += len(pcm)
        return self._events.popleft() if self._events else None

    def push_lost(self, n_samples: int) -> AmdEvent | None:
        """`n_samples` were lost on the network: time passes, and what was sounding is taken to go on."""
        self._heard += n_samples
        return self._events.popleft() if self._events else None

    def events(self) -> Iterator[AmdEvent]:
        """Drain the events not handed out yet, in order."""
        while self._events:
            yield self._events.popleft()
