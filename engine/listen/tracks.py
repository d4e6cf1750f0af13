"""The audio of one or two parties on one time line, cut into the frames that go out. Pure.

Stream time is call time (WH-32): every 20 ms since the beginning there is exactly one frame, whatever was
heard. A party that is held, has fallen silent or has not begun is silence; a piece that comes late moves its
party back by as much, never by more than `_MOST_HELD_S`. Lost packets are concealed where they are heard, as
for any listener: the last sound fades within 60 ms into silence.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from engine.listen.options import Mix
from media.audio import PTIME_MS, Pcm, mix, silence, to_bytes

__all__ = ["Tracks"]

_FRAME_S = PTIME_MS / 1000
_MOST_HELD_S = 0.1
_EARLY_S = 0.001
"""A timer may fire this much before its time."""


class _Party:
    """What was heard of one party and is not in a frame yet."""

    __slots__ = ("_held", "_most", "_pieces")

    def __init__(self, most: int) -> None:
        self._pieces: deque[Pcm] = deque()
        self._held = 0
        self._most = most

    def push(self, pcm: Pcm) -> None:
        self._pieces.append(pcm)
        self._held += len(pcm)
        while self._held > self._most:
            self._held -= len(self._pieces.popleft())

    def take(self, samples: int) -> Pcm | None:
        """Exactly so many, what is missing is silent; None: nothing was heard."""
        if not self._held:
            return None
        first = self._pieces.popleft()
        if len(first) == samples:
            self._held -= samples
            return first
        taken = [first]
        got = len(first)
        while got < samples and self._pieces:
            taken.append(self._pieces.popleft())
            got += len(taken[-1])
        pcm = np.concatenate(taken)
        if got > samples:
            self._pieces.appendleft(pcm[samples:])
        elif got < samples:
            pcm = np.concatenate((pcm, silence(samples - got)))
        self._held -= min(got, samples)
        return pcm[:samples]

    def clear(self) -> None:
        self._pieces.clear()
        self._held = 0


class Tracks:
    """`push` what is heard; `frames` when time has passed.

    mono has one party, the others two: 0 the left channel (caller), 1 the right (callee).
    """

    __slots__ = ("_began_at", "_due", "_mix", "_nothing", "_parties", "_samples")

    def __init__(self, how: Mix, sample_rate_hz: int, at: float) -> None:
        """at: when stream time is zero."""
        self._mix = how
        self._samples = round(sample_rate_hz * _FRAME_S)
        self._parties = tuple(
            _Party(round(sample_rate_hz * _MOST_HELD_S)) for _ in range(1 if how is Mix.MONO else 2)
        )
        self._began_at = at
        self._due = 0
        self._nothing = bytes(2 * self._samples * (2 if how is Mix.STEREO else 1))

    def push(self, party: int, pcm: Pcm) -> None:
        """What a party said next, at the rate of the stream."""
        self._parties[party].push(pcm)

    def frames(self, at: float) -> list[bytes]:
        """The frames whose time has come; usually one."""
        return [self._frame() for _ in range(self._pass_time(at))]

    def silence(self, at: float) -> list[bytes]:
        """As many frames as are due, all zeros; what was heard is forgotten."""
        self._forget()
        return [self._nothing] * self._pass_time(at)

    def skip(self, at: float) -> None:
        """Time passes without frames; what was heard is forgotten."""
        self._forget()
        self._pass_time(at)

    def _pass_time(self, at: float) -> int:
        due = int((at - self._began_at + _EARLY_S) / _FRAME_S)
        frames, self._due = max(0, due - self._due), max(due, self._due)
        return frames

    def _forget(self) -> None:
        for party in self._parties:
            party.clear()

    def _frame(self) -> bytes:
        heard = [party.take(self._samples) for party in self._parties]
        match self._mix:
            case Mix.MONO:
                return self._nothing if heard[0] is None else to_bytes(heard[0])
            case Mix.STEREO:
                if heard[0] is None and heard[1] is None:
                    return self._nothing
                frame = np.zeros((self._samples, 2), "<i2")
                for channel, pcm in enumerate(heard):
                    if pcm is not None:
                        frame[:, channel] = pcm
                return frame.tobytes()
            case Mix.MIXED:
                parts = [pcm for pcm in heard if pcm is not None]
                if not parts:
                    return self._nothing
                return to_bytes(parts[0] if len(parts) == 1 else mix(*parts))
