"""Who hears a stream: a tap at its own sample rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from media.audio import Pcm
from media.resample import Resampler

__all__ = ["Listener", "Tap"]

Tap = Callable[[Pcm], None]
"""Called with received audio, int16[n] mono, on the loop; must not block. The array is shared: do not
write to it. A tap that raises is removed and reported to the loop's exception handler.
"""


class Listener:
    """A tap at its own sample rate."""

    __slots__ = ("_lost", "_resampler", "sample_rate_hz", "tap")

    def __init__(self, tap: Tap, sample_rate_hz: int, lost: Callable[[int], None] | None) -> None:
        self.tap = tap
        self._lost = lost
        self.sample_rate_hz = sample_rate_hz
        self._resampler: Resampler | None = None

    def hear(self, pcm: Pcm, sample_rate_hz: int, gaps: Sequence[tuple[int, int]]) -> None:
        if sample_rate_hz != self.sample_rate_hz:
            if self._resampler is None or self._resampler.from_hz != sample_rate_hz:
                self._resampler = Resampler(sample_rate_hz, self.sample_rate_hz)
            pcm = self._resampler.push(pcm)
        if self._lost is None or not gaps:
            self.tap(pcm)
        else:
            self._hear_around(gaps, pcm, self.sample_rate_hz / sample_rate_hz, self._lost)

    def _hear_around(
        self, gaps: Sequence[tuple[int, int]], pcm: Pcm, ratio: float, lost: Callable[[int], None]
    ) -> None:
        """The audio between the gaps, and how long they are."""
        at = 0
        for start, end in gaps:
            from_, until = min(round(start * ratio), len(pcm)), min(round(end * ratio), len(pcm))
            if from_ > at:
                self.tap(pcm[at:from_])
            if until > from_:
                lost(until - from_)
            at = until
        if at < len(pcm):
            self.tap(pcm[at:])
