"""A recording in progress: taps of one or two streams, laid into a WAV file where they belong in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from media.audio import Pcm
from media.recorder import WavRecorder

__all__ = ["Recording", "Tappable"]

_TOLERANCE_S = 0.2
"""A track may run this far behind the clock before its next piece is moved: a hold leaves silence, jitter
none.
"""


class Tappable(Protocol):
    """A stream, as far as a recording needs it."""

    def add_tap(self, tap: Callable[[Pcm], None], *, sample_rate_hz: int = 8000) -> None: ...

    def remove_tap(self, tap: Callable[[Pcm], None]) -> None: ...


class Recording:
    """Made by `MediaStream.record` and `Bridge.record`; runs until `stop` or until its streams close."""

    __slots__ = ("_began_at", "_recorder", "_tracks")

    def __init__(self, path: Path | str, sample_rate_hz: int = 8000, *, channels: int = 1) -> None:
        """Raises OSError if the file cannot be made."""
        self._recorder = WavRecorder(path, sample_rate_hz, channels=channels)
        self._began_at = time.monotonic()
        self._tracks: list[tuple[Tappable, Callable[[Pcm], None]]] = []

    def follow(self, stream: Tappable, channel: int = 0) -> None:
        """Record what is heard on `stream` from now on."""
        position = 0
        rate = self._recorder.sample_rate_hz

        def write(pcm: Pcm) -> None:
            nonlocal position
            now = round((time.monotonic() - self._began_at) * rate) - len(pcm)
            if now - position > _TOLERANCE_S * rate:
                position = now
            self._recorder.write(pcm, position, channel)
            position += len(pcm)

        self._tracks.append((stream, write))
        stream.add_tap(write, sample_rate_hz=rate)

    async def stop(self) -> None:
        """Finish the file; idempotent. Raises OSError if it could not be written."""
        tracks, self._tracks = self._tracks, []
        for stream, write in tracks:
            stream.remove_tap(write)
        await self._recorder.close()
