"""A piece of audio sent by the server, made playable. Pure, and lazy: resampled as it is played.

`raw` is 16-bit little-endian linear audio, mono, at the rate the message names. `wav` brings its own rate and
may be linear of 8, 16, 24 or 32 bits, A-law or µ-law, with any number of channels; they are mixed to one.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Protocol

import numpy as np
from av import AudioFrame, AudioResampler

from media.audio import Pcm, from_bytes, silence
from media.codecs import PCMA, PCMU, open_codec
from media.resample import Resampler

__all__ = ["Clip", "ClipError", "Converter", "converter", "decode_clip"]

_SLOWEST_HZ = 4000
_FASTEST_HZ = 192_000
_MOST_CHUNKS = 1000
"""In one WAV file. More are a way to keep the loop busy."""


class ClipError(Exception):
    """Audio that cannot be played; the message says why."""


class Clip:
    """Samples with a rate and a name."""

    __slots__ = ("id", "pcm", "sample_rate_hz")

    def __init__(self, pcm: Pcm, sample_rate_hz: int, clip_id: str | int | None = None) -> None:
        self.pcm = pcm
        self.sample_rate_hz = sample_rate_hz
        self.id = clip_id


def decode_clip(content: str, content_type: str, sample_rate_hz: int, clip_id: str | int | None) -> Clip:
    """What a `playAudio` message carries. Raises ClipError."""
    try:
        data = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClipError(f"audioContent is not base64: {error}") from error
    match content_type.lower():
        case "raw":
            pcm, rate = from_bytes(data), sample_rate_hz
        case "wav" | "wave":
            pcm, rate = _read_wav(data)
        case _:
            raise ClipError(f"audioContentType {content_type!r} is not raw, wav or wave")
    if not _SLOWEST_HZ <= rate <= _FASTEST_HZ:
        raise ClipError(f"a sample rate of {rate} Hz cannot be played")
    return Clip(pcm, rate, clip_id)


def _read_wav(data: bytes) -> tuple[Pcm, int]:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ClipError("audioContent is not a WAV file")
    layout: tuple[int, int, int, int] | None = None
    at = 12
    for _ in range(_MOST_CHUNKS):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 > len(data):
            break
        body = data[at + 8 : at + 8 + size]  # A streamed file may claim more than there is.
        if name == b"fmt " and len(body) >= 16:
            coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if coding == 0xFFFE and len(body) >= 26:
                coding = int.from_bytes(body[24:26], "little")  # WAVE_FORMAT_EXTENSIBLE
            layout = coding, channels, rate, bits
        elif name == b"data":
            if layout is None:
                break
            coding, channels, rate, bits = layout
            return _mono(_linear(body, coding, bits), channels), rate
        at += 8 + size + (size & 1)
    raise ClipError("the WAV file is incomplete")


def _linear(body: bytes, coding: int, bits: int) -> Pcm:
    match coding, bits:
        case 1, 8:
            return (np.frombuffer(body, np.uint8).astype(np.int16) - 128) << 8
        case 1, 16:
            return from_bytes(body)
        case 1, 24 | 32:
            width = bits // 8
            octets = np.frombuffer(body[: len(body) // width * width], np.uint8).reshape(-1, width)
            return np.ascontiguousarray(octets[:, -2:]).view("<i2").reshape(-1).astype(np.int16, copy=False)
        case 6, 8:
            return open_codec(PCMA).decode(body)
        case 7, 8:
            return open_codec(PCMU).decode(body)
        case _:
            raise ClipError(f"WAV coding {coding} with {bits} bits cannot be played")


def _mono(pcm: Pcm, channels: int) -> Pcm:
    if channels == 1:
        return pcm
    if channels < 1:
        raise ClipError("the WAV file has no channels")
    frames = pcm[: len(pcm) // channels * channels].reshape(-1, channels)
    mixed: Pcm = frames.mean(axis=1).astype(np.int16)
    return mixed


class Converter(Protocol):
    """From one rate to another, piece by piece."""

    def push(self, pcm: Pcm) -> Pcm: ...


def converter(from_hz: int, to_hz: int) -> Converter:
    """The cheap filter of `media.resample` for the rates of telephony, FFmpeg's for all others."""
    return _OddConverter(from_hz, to_hz) if from_hz % 1000 else Resampler(from_hz, to_hz)


class _OddConverter:
    """11.025, 22.05 and 44.1 kHz, as files have them."""

    __slots__ = ("_from_hz", "_resampler")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._resampler = AudioResampler(format="s16", layout="mono", rate=to_hz)

    def push(self, pcm: Pcm) -> Pcm:
        if not len(pcm):
            return silence(0)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = self._from_hz
        made: list[Pcm] = [piece.to_ndarray().reshape(-1) for piece in self._resampler.resample(frame)]
        return np.concatenate(made) if made else silence(0)
