"""WAV recordings, written by a thread."""

from pathlib import Path

from media.audio import Pcm

__all__ = ["WavRecorder"]


class WavRecorder:
    """One recording. Raises OSError from the constructor if the file cannot be made."""

    __slots__ = ("_channels", "_path", "sample_rate_hz")

    def __init__(self, path: Path | str, sample_rate_hz: int, *, channels: int = 1) -> None:
        self._path = Path(path)
        self._channels = channels
        self.sample_rate_hz = sample_rate_hz

    def write(self, pcm: Pcm, at_sample: int, channel: int = 0) -> None:
        """Put audio at its place, in samples since the start; gaps become silence. Never blocks."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what is pending and finish the file; idempotent. Raises OSError if the writing failed."""
        raise NotImplementedError
