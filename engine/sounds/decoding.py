"""Fetched bytes to samples, with FFmpeg. Blocks: for a thread.

What came over the network chooses no demuxer. Left to guess, FFmpeg takes a playlist for audio and opens
whatever it names, local files as well; so the container is told by its first bytes (or, for MP3, which may
begin with anything, by what the server calls it), and nothing else is tried.

    RIFF....WAVE, RF64  wav      ID3, 0xFFE.  mp3      OggS  ogg      fLaC  flac
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np

from media.audio import Pcm

__all__ = ["DecodingFailed", "container_of", "decode"]


class DecodingFailed(Exception):
    """These bytes are no audio we play; the message says why."""


def container_of(data: bytes, content_type: str = "", name: str = "") -> str:
    """FFmpeg's name of the format; empty if it is none we play."""
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "wav"
    if data[:4] == b"OggS":
        return "ogg"
    if data[:4] == b"fLaC":
        return "flac"
    # The sync word of MPEG audio, with a layer: 00 would be AAC.
    is_mpeg = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06 != 0
    kind = content_type.partition(";")[0].strip().lower()
    if data[:3] == b"ID3" or is_mpeg or kind in ("audio/mpeg", "audio/mp3") or name.lower().endswith(".mp3"):
        return "mp3"
    return ""


def decode(data: bytes, container: str, sample_rate_hz: int, max_duration_s: float) -> Pcm:
    """int16[n], mono, read-only. Raises DecodingFailed.

    A broken frame is left out, as every player does: files out of the field have them.
    """
    pieces: list[Pcm] = []
    total, most = 0, round(max_duration_s * sample_rate_hz)
    try:
        for piece in _resampled(data, container, sample_rate_hz):
            pieces.append(piece)
            total += len(piece)
            if total > most:
                raise DecodingFailed(f"longer than {max_duration_s:g} s")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise DecodingFailed(getattr(error, "strerror", None) or str(error)) from error
    pcm: Pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if not len(pcm):
        raise DecodingFailed("its audio is empty")
    pcm.setflags(write=False)
    return pcm


def _resampled(data: bytes, container: str, sample_rate_hz: int) -> Iterator[Pcm]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=sample_rate_hz)
    broken: av.FFmpegError | None = None
    is_silent = True
    with av.open(io.BytesIO(data), format=container, metadata_errors="replace") as file:
        if not file.streams.audio:
            raise DecodingFailed("there is no audio in it")
        for packet in file.demux(file.streams.audio[0]):
            try:
                frames = packet.decode()
            except av.InvalidDataError as error:
                broken = error
                continue
            for frame in frames:
                is_silent = False
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray()[0]
        if is_silent and broken is not None:
            raise broken
        for piece in resampler.resample(None):
            yield piece.to_ndarray()[0]
