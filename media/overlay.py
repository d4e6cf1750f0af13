"""Tracks mixed into what one party hears, while a bridge or the engine itself goes on speaking to it.

A track begins with the first audio it can be mixed into and ends with its source; it has no pace of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from media.audio import PTIME_MS, Pcm, Source, apply_gain, mix, samples_in, silence
from media.resample import Resampler

__all__ = ["Overlays"]


class _Track:
    """One source at the rate of whom it is said to."""

    __slots__ = ("_pending", "_resampler", "gain_db", "is_silent", "source")

    def __init__(self, source: Source, gain_db: float) -> None:
        self.source = source
        self.gain_db = gain_db
        self.is_silent = False
        """It goes on unheard."""
        self._resampler: Resampler | None = None
        self._pending: Pcm = silence(0)

    def read(self, samples: int, sample_rate_hz: int) -> Pcm | None:
        """Exactly so many samples at this rate; None: it is over."""
        source = self.source
        while len(self._pending) < samples:
            pcm = source.read(samples_in(PTIME_MS, source.sample_rate_hz))
            if pcm is None:
                if not len(self._pending):
                    return None
                pcm = silence(samples - len(self._pending))
            elif source.sample_rate_hz != sample_rate_hz:
                if self._resampler is None or self._resampler.to_hz != sample_rate_hz:
                    self._resampler = Resampler(source.sample_rate_hz, sample_rate_hz)
                pcm = self._resampler.push(pcm)
            self._pending = np.concatenate((self._pending, pcm))
        piece, self._pending = self._pending[:samples], self._pending[samples:]
        return apply_gain(piece, self.gain_db) if self.gain_db else piece


class Overlays:
    """The tracks of one party, by name."""

    __slots__ = ("_changed", "_failed", "_tracks")

    def __init__(self, changed: Callable[[], None], failed: Callable[[Exception], None]) -> None:
        """`changed`: a track has ended by itself. `failed`: its source has raised; it is dropped."""
        self._tracks: dict[str, _Track] = {}
        self._changed = changed
        self._failed = failed

    def __bool__(self) -> bool:
        return bool(self._tracks)

    def add(self, name: str, source: Source, gain_db: float = 0.0) -> None:
        """In place of a track of the same name."""
        self._tracks[name] = _Track(source, gain_db)

    def remove(self, name: str) -> None:
        """Unknown is fine."""
        self._tracks.pop(name, None)

    def silence(self, name: str, *, wanted: bool = True) -> None:
        """Let it go on unheard, or be heard again. Unknown is fine."""
        if name in self._tracks:
            self._tracks[name].is_silent = wanted

    def clear(self) -> None:
        self._tracks.clear()

    def mixed(self, pcm: Pcm, sample_rate_hz: int) -> Pcm:
        """`pcm` and the next piece of every track, saturated."""
        parts, over = [pcm], list[str]()
        for name, track in self._tracks.items():
            try:
                piece = track.read(len(pcm), sample_rate_hz)
            except Exception as error:  # noqa: BLE001 - the source's bug costs its track only
                self._failed(error)
                piece = None
            if piece is None:
                over.append(name)
            elif not track.is_silent:
                parts.append(piece)
        for name in over:
            del self._tracks[name]
        if over:
            self._changed()
        return mix(*parts) if len(parts) > 1 else pcm
