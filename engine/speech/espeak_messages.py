"""What `EspeakSynthesiser` and its process tell each other: lengths (4 bytes, big-endian) and MessagePack."""

from __future__ import annotations

from typing import BinaryIO

import msgspec
from msgspec import Struct

from engine.speech.synthesis import Voice

__all__ = ["Ready", "Spoken", "ToSpeak", "frame", "read_frame"]


class ToSpeak(Struct):
    """To the worker."""

    text: str
    voice: str
    is_ssml: bool
    rate: float
    sample_rate_hz: int
    most_s: float


class Ready(Struct):
    """From the worker, first."""

    voices: tuple[Voice, ...]
    problem: str = ""
    """Why it cannot speak; it ends then."""


class Spoken(Struct):
    """From the worker, one for each request."""

    pcm: bytes = b""
    """int16, native order, at the rate wanted."""
    problem: str = ""


def frame(message: Struct) -> bytes:
    """As it goes over the pipe."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


def read_frame(stream: BinaryIO) -> bytes | None:
    """One message; None at the end."""
    head = stream.read(4)
    return stream.read(int.from_bytes(head, "big")) if len(head) == 4 else None
