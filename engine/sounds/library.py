"""`SoundLibrary`: a URL becomes audio that is ready to be played.

Files are fetched over the shared HTTP session, decoded in a thread and kept in memory, least recently used
ones first to go. Whoever wants what is already on its way waits for the same fetch.
"""

from __future__ import annotations

from pathlib import Path

import aiohttp
from msgspec import Struct

from media.audio import Pcm

__all__ = ["Sound", "SoundLibrary", "SoundLimits"]


class SoundLimits(Struct, frozen=True):
    """What a sound may cost."""

    max_bytes: int = 20_000_000
    """Of a file as it is fetched."""
    cache_bytes: int = 200_000_000
    """Of all that is kept."""
    max_duration_s: float = 900.0
    """Of the audio of one file; longer ones are refused, not cut."""
    fetch_timeout_s: float = 15.0
    """For a whole file, redirects included."""
    fresh_s: float = 60.0
    """How long a file is taken as unchanged when its server says nothing about it."""


class Sound(Struct, frozen=True, eq=False):
    """Decoded audio."""

    pcm: Pcm
    """int16[n], mono, read-only: shared by everybody who plays it."""
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / self.sample_rate_hz


class SoundLibrary:
    """One per process.

    async with aiohttp.ClientSession() as session:
        library = SoundLibrary(session, folder=Path("sounds"))
        sound = await library.get("https://app.example.com/welcome.mp3")
        stream.play(PcmPlayer(sound.pcm, sound.sample_rate_hz))
    """

    def __init__(
        self, session: aiohttp.ClientSession, *, folder: Path | None = None, limits: SoundLimits | None = None
    ) -> None:
        """`folder`: `file:` URLs and plain paths are taken from below it; None: there are none.

        The session stays its owner's.
        """
        raise NotImplementedError

    async def get(self, url: str, *, sample_rate_hz: int = 8000) -> Sound:
        """The sound behind `http:`, `https:` or `file:`, or a path below the folder. Raises SoundError.

        Cancelling it stops the fetch, unless others wait for it.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Stop what is under way and forget everything."""
