"""WAV recordings: audio is put at its place in time, gaps are silence, a thread of its own does the writing.

`write` only remembers; once a second's worth has come, a job for the writer thread is made of it. All
recordings of the process share that thread. The file's header is right after every job, so what a killed
process leaves behind is a playable recording up to its last second. Audio may come late by `_REORDER_S` (two
channels never arrive in step); what is later than that finds silence written in its place and is dropped.
"""

import asyncio
import struct
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from media.audio import Pcm

__all__ = ["WavRecorder"]

_FLUSH_S = 1.0
_REORDER_S = 0.5
_MAX_GAP_S = 600.0
_HEADER_BYTES = 44
_MAX_DATA_BYTES = 0xFFFFFFFF - _HEADER_BYTES

_Piece = tuple[int, int, Pcm]
"""Channel, first sample, audio."""


class WavRecorder:
    """One recording. Raises OSError from the constructor if the file cannot be made.

    Use from one thread; `close` when done. A recorder that is never closed leaves a correct file of all but
    the last second.
    """

    __slots__ = ("_channels", "_closing", "_collected", "_file", "_last_job", "_pieces", "sample_rate_hz")

    def __init__(self, path: Path | str, sample_rate_hz: int, *, channels: int = 1) -> None:
        """channels: 1, or 2 for caller and callee apart. An existing file is overwritten."""
        self.sample_rate_hz = sample_rate_hz
        self._channels = channels
        self._file = _WavFile(Path(path), sample_rate_hz, channels)
        self._pieces: list[_Piece] = []
        self._collected = 0  # Samples in them.
        self._last_job: Future[None] | None = None
        self._closing = False

    @property
    def dropped_samples(self) -> int:
        """What came too late, or further ahead than ten minutes; grows with the writing."""
        return self._file.dropped_samples

    def write(self, pcm: Pcm, at_sample: int, channel: int = 0) -> None:
        """Put audio at its place, in samples since the start; gaps become silence. Never blocks.

        The array must not be changed afterwards. What comes after `close` or lies before sample 0 is ignored.
        Raises ValueError for a channel the file does not have.
        """
        if not 0 <= channel < self._channels:
            raise ValueError(f"channel {channel} of a recording with {self._channels}")
        if self._closing:
            return
        if at_sample < 0:
            pcm, at_sample = pcm[-at_sample:], 0
        self._pieces.append((channel, at_sample, pcm))
        self._collected += len(pcm)
        if self._collected >= _FLUSH_S * self.sample_rate_hz * self._channels:
            self._submit(is_last=False)

    async def close(self) -> None:
        """Write what is pending and finish the file; idempotent. Raises OSError if the writing failed."""
        if not self._closing:
            self._closing = True
            self._submit(is_last=True)
        if self._last_job is not None:
            # Shielded: a cancelled caller must not cancel the job that finishes the file.
            await asyncio.shield(asyncio.wrap_future(self._last_job))

    def _submit(self, *, is_last: bool) -> None:
        pieces, self._pieces, self._collected = self._pieces, [], 0
        self._last_job = _writer().submit(self._file.put, pieces, is_last)


@cache
def _writer() -> ThreadPoolExecutor:
    """The one thread that writes all recordings, started with the first."""
    return ThreadPoolExecutor(1, "recordings")


class _WavFile:
    """The file; used by the writer thread only, once made."""

    __slots__ = ("_base", "_channels", "_end", "_error", "_file", "_rate_hz", "_window", "dropped_samples")

    def __init__(self, path: Path, sample_rate_hz: int, channels: int) -> None:
        self._rate_hz = sample_rate_hz
        self._channels = channels
        self._base = 0  # Samples written and final.
        self._end = 0  # Behind the last sample known.
        self._window = np.zeros((0, channels), "<i2")  # Samples from _base on, room included.
        self._error: OSError | None = None
        self.dropped_samples = 0
        self._file: BinaryIO = path.open("wb")
        try:
            self._file.write(_header(sample_rate_hz, channels, 0))
            self._file.flush()
        except OSError:
            self._file.close()
            raise

    def put(self, pieces: list[_Piece], is_last: bool) -> None:
        """Take pieces in, write what is final, correct the header. Raises OSError, again at the end."""
        try:
            if self._error is None:
                for channel, start, pcm in pieces:
                    self._place(channel, start, pcm)
                keep = 0 if is_last else round(_REORDER_S * self._rate_hz)
                self._write_until(self._end - keep)
        except OSError as error:
            self._error = error
        if is_last:
            try:
                self._file.close()
            except OSError as error:
                self._error = self._error or error
        if self._error is not None:
            raise self._error

    def _place(self, channel: int, start: int, pcm: Pcm) -> None:
        late = max(0, min(self._base - start, len(pcm)))
        room = _MAX_DATA_BYTES // (2 * self._channels)
        if start > self._end + _MAX_GAP_S * self._rate_hz or start + len(pcm) > room:
            late = len(pcm)
        self.dropped_samples += late
        if late == len(pcm):
            return
        begin = start + late - self._base
        end = start + len(pcm) - self._base
        if end > len(self._window):
            grown = np.zeros((end + self._rate_hz, self._channels), "<i2")
            grown[: len(self._window)] = self._window
            self._window = grown
        self._window[begin:end, channel] = pcm[late:]
        self._end = max(self._end, start + len(pcm))

    def _write_until(self, sample: int) -> None:
        count = sample - self._base
        if count <= 0:
            return
        self._file.write(self._window[:count].tobytes())
        self._window = self._window[count:].copy()
        self._base = sample
        # The header after the audio: whenever the process dies, it never promises what is not there.
        self._file.flush()
        self._file.seek(0)
        self._file.write(_header(self._rate_hz, self._channels, sample))
        self._file.flush()
        self._file.seek(0, 2)


def _header(sample_rate_hz: int, channels: int, samples: int) -> bytes:
    """RIFF, fmt and the head of data for 16-bit PCM."""
    frame = 2 * channels
    size = samples * frame
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        size + _HEADER_BYTES - 8,
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        sample_rate_hz,
        sample_rate_hz * frame,
        frame,
        16,
        b"data",
        size,
    )
