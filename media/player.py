"""Sound files as sources: WAV, MP3 and whatever else FFmpeg reads, decoded off the loop."""

from pathlib import Path

from media.audio import Pcm

__all__ = ["PcmPlayer", "PlayerError", "open_player"]


class PlayerError(Exception):
    """A file cannot be played; the message names the file and why."""


class PcmPlayer:
    """Plays samples that are in memory. A `Source`."""

    __slots__ = ("_loop", "_pcm", "_position", "sample_rate_hz")

    def __init__(self, pcm: Pcm, sample_rate_hz: int, *, loop: bool = False, start_s: float = 0.0) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._pcm = pcm
        self._loop = loop
        self._position = round(start_s * sample_rate_hz)

    def read(self, samples: int) -> Pcm | None:
        raise NotImplementedError


async def open_player(
    path: Path | str, sample_rate_hz: int, *, loop: bool = False, start_s: float = 0.0
) -> PcmPlayer:
    """Decode a file in a thread and play it. Raises PlayerError."""
    raise NotImplementedError
