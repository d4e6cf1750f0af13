"""Sound files as sources: WAV, MP3 and whatever else FFmpeg reads, decoded off the loop.

A file is decoded whole, resampled and mixed to mono, in a thread; then playing is slicing. What is decoded
stays in a small cache by path, size and time of change, so that a hundred callers on hold cost one decoding.
Limits on the size of the file and the length of its audio keep a wrong file from filling the memory.
"""

import asyncio
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from msgspec import Struct

from media.audio import Pcm, silence

__all__ = ["PcmPlayer", "PlayLimits", "PlayerError", "decode_file", "open_player"]


class PlayerError(Exception):
    """A file cannot be played; the message names the file and why."""


class PlayLimits(Struct, frozen=True):
    """What a file may be at most."""

    file_bytes: int = 64 * 1024 * 1024
    duration_s: float = 15 * 60.0
    """Of audio; a quarter of an hour at 8 kHz is 14 MB in memory. Longer files are refused, not cut."""


class PcmPlayer:
    """Plays samples that are in memory. A `Source`."""

    __slots__ = ("_loop", "_pcm", "_position", "sample_rate_hz")

    def __init__(self, pcm: Pcm, sample_rate_hz: int, *, loop: bool = False, start_s: float = 0.0) -> None:
        """start_s: where to begin; at or behind the end is the end (a loop begins anew)."""
        self.sample_rate_hz = sample_rate_hz
        self._pcm = pcm
        self._loop = loop and len(pcm) > 0
        start = max(0, round(start_s * sample_rate_hz))
        self._position = start % len(pcm) if self._loop else min(start, len(pcm))

    @property
    def position_s(self) -> float:
        """How far into the file the next sample is."""
        return self._position / self.sample_rate_hz

    @property
    def duration_s(self) -> float:
        """Length of the file."""
        return len(self._pcm) / self.sample_rate_hz

    def read(self, samples: int) -> Pcm | None:
        """The next `samples`, the last of them padded with silence; None behind the end."""
        start, end, length = self._position, self._position + samples, len(self._pcm)
        if end <= length:
            self._position = end
            return self._pcm[start:end]
        if self._loop:
            self._position = end % length
            return self._pcm.take(np.arange(start, end), mode="wrap")
        if start >= length:
            return None
        self._position = length
        piece = silence(samples)
        piece[: length - start] = self._pcm[start:]
        return piece


async def open_player(
    path: Path | str,
    sample_rate_hz: int,
    *,
    loop: bool = False,
    start_s: float = 0.0,
    limits: PlayLimits = PlayLimits(),  # noqa: B008 - frozen
) -> PcmPlayer:
    """Decode a file in a thread and play it. Raises PlayerError.

    Callers that want the same file at the same time wait for one decoding; if one of them is cancelled, the
    others still get it.
    """
    key = (asyncio.get_running_loop(), os.fspath(path), sample_rate_hz, limits)
    decoding = _in_progress.get(key)
    if decoding is None:
        decoding = asyncio.create_task(
            asyncio.to_thread(decode_file, path, sample_rate_hz, limits), name=f"decode {path}"
        )
        _in_progress[key] = decoding
        decoding.add_done_callback(lambda done: _finished(key, done))
    pcm = await asyncio.shield(decoding)
    return PcmPlayer(pcm, sample_rate_hz, loop=loop, start_s=start_s)


_Key = tuple[asyncio.AbstractEventLoop, str, int, PlayLimits]
_in_progress: dict[_Key, asyncio.Task[Pcm]] = {}


def _finished(key: _Key, decoding: asyncio.Task[Pcm]) -> None:
    del _in_progress[key]
    if not decoding.cancelled():
        decoding.exception()  # Looked at, so that one nobody waits for any more is not reported as lost.


def decode_file(path: Path | str, sample_rate_hz: int, limits: PlayLimits = PlayLimits()) -> Pcm:  # noqa: B008
    """The whole file as mono at this rate, read-only. Blocks; raises PlayerError."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise PlayerError(f"cannot play {path}: {getattr(error, 'strerror', None) or error}") from error
    if status.st_size > limits.file_bytes:
        raise PlayerError(
            f"cannot play {path}: {status.st_size} bytes, at most {limits.file_bytes} are allowed"
        )
    return _decode(os.fspath(path), status.st_mtime_ns, status.st_size, sample_rate_hz, limits)


@lru_cache(maxsize=16)
def _decode(path: str, _mtime_ns: int, _size: int, sample_rate_hz: int, limits: PlayLimits) -> Pcm:
    # The "file:" prefix keeps FFmpeg from taking a name with a colon for another protocol.
    try:
        with av.open(f"file:{path}", metadata_errors="replace") as container:
            if not container.streams.audio:
                raise PlayerError(f"cannot play {path}: there is no audio in it")
            pieces: list[Pcm] = []
            total, most = 0, round(limits.duration_s * sample_rate_hz)
            for piece in _resampled(container, sample_rate_hz):
                pieces.append(piece)
                total += len(piece)
                if total > most:
                    raise PlayerError(f"cannot play {path}: longer than {limits.duration_s:g} s")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise PlayerError(f"cannot play {path}: {getattr(error, 'strerror', None) or error}") from error
    if not total:
        raise PlayerError(f"cannot play {path}: its audio is empty")
    pcm = np.concatenate(pieces)
    pcm.setflags(write=False)  # Shared by everybody who plays the file.
    return pcm


def _resampled(container: "av.container.InputContainer", sample_rate_hz: int) -> Iterator[Pcm]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate_hz)
    for frame in container.decode(audio=0):
        for piece in resampler.resample(frame):
            yield piece.to_ndarray()[0]
    for piece in resampler.resample(None):
        yield piece.to_ndarray()[0]
