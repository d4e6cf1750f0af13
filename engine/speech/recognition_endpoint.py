"""Where an utterance begins and ends: voice activity of one party, cut into pieces worth recognising. Pure.

Begins when half of the last 160 ms is voice, with what was heard just before; ends after so much silence, or
when it has become too long to be thought about at once.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import webrtcvad
from msgspec import Struct

from media.audio import Pcm, silence

__all__ = ["SAMPLE_RATE_HZ", "Endpointer", "Growing", "Spoken", "Started"]

SAMPLE_RATE_HZ = 16000
_FRAME = 320
_FRAME_MS = 20
_WINDOW = 8
_BEGINS_WITH = 4
"""Voiced frames of the window."""
_PRE_ROLL = 15
"""Frames kept from before the voice: 300 ms, soft beginnings of words are in them."""
_TAIL = 15
"""Frames of silence that stay at the end of an utterance."""
_LONGEST = 1000
"""Frames: 20 s."""
_AGGRESSIVENESS = 2
_FAINT = 50.0**2 * _FRAME
"""Energy of a frame at -56 dBov: the detector takes the noise of a line for a voice when it sets in."""


class Started(Struct, frozen=True):
    """Somebody speaks."""


class Growing(Struct, frozen=True):
    """An utterance is this long so far and goes on: at 0.8, 1.6, 3.2 ... seconds."""

    pcm: Pcm


class Spoken(Struct, frozen=True):
    """An utterance, whole."""

    pcm: Pcm


class Endpointer:
    """One party's audio at 16 kHz in, utterances out."""

    __slots__ = (
        "_before",
        "_end_frames",
        "_frames",
        "_is_voiced",
        "_next_look",
        "_pending",
        "_quiet",
        "_vad",
    )

    def __init__(self, endpoint_ms: int = 600) -> None:
        """endpoint_ms: silence that ends an utterance."""
        self._end_frames = max(5, endpoint_ms // _FRAME_MS)
        self._vad = webrtcvad.Vad(_AGGRESSIVENESS)
        self._pending: Pcm = silence(0)
        self._before: deque[bytes] = deque(maxlen=_PRE_ROLL)
        self._is_voiced: deque[bool] = deque(maxlen=_WINDOW)
        self._frames: list[bytes] | None = None
        self._quiet = 0
        self._next_look = 0

    @property
    def is_speaking(self) -> bool:
        return self._frames is not None

    def push(self, pcm: Pcm) -> list[Started | Growing | Spoken]:
        """Audio of any length."""
        if len(self._pending):
            pcm = np.concatenate((self._pending, pcm))
        whole = len(pcm) // _FRAME * _FRAME
        self._pending = pcm[whole:]
        happened: list[Started | Growing | Spoken] = []
        for at in range(0, whole, _FRAME):
            self._frame(pcm[at : at + _FRAME], happened)
        return happened

    def finish(self) -> Spoken | None:
        """No more audio: what is being said is over."""
        return self._end() if self._frames is not None else None

    def _frame(self, pcm: Pcm, happened: list[Started | Growing | Spoken]) -> None:
        frame = pcm.tobytes()
        samples = pcm.astype(np.float32)
        is_voice = float(samples @ samples) > _FAINT and self._vad.is_speech(frame, SAMPLE_RATE_HZ)
        frames = self._frames
        if frames is None:
            self._before.append(frame)
            self._is_voiced.append(is_voice)
            if sum(self._is_voiced) >= _BEGINS_WITH:
                self._frames = list(self._before)
                self._quiet = 0
                self._next_look = 40
                happened.append(Started())
            return
        frames.append(frame)
        self._quiet = 0 if is_voice else self._quiet + 1
        if self._quiet >= self._end_frames or len(frames) >= _LONGEST:
            happened.append(self._end())
        elif len(frames) >= self._next_look:
            self._next_look *= 2
            happened.append(Growing(_joined(frames)))

    def _end(self) -> Spoken:
        frames = self._frames or []
        surplus = self._quiet - _TAIL
        self._frames = None
        self._before.clear()
        self._is_voiced.clear()
        return Spoken(_joined(frames[:-surplus] if surplus > 0 else frames))


def _joined(frames: list[bytes]) -> Pcm:
    return np.frombuffer(b"".join(frames), np.int16)
