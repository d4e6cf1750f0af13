"""Linear audio as the media package passes it around, and the few operations every part needs.

Pcm is mono int16. A frame is one packet time of it (20 ms unless negotiated otherwise). Levels are dBov
as in RFC 3389 and RFC 6464: 0 is a full-scale square wave, -127 the floor; a full-scale sine is -3.01 dBov.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "PTIME_MS",
    "SILENCE_DBOV",
    "Pcm",
    "Source",
    "apply_gain",
    "from_bytes",
    "level_dbov",
    "mix",
    "samples_in",
    "silence",
    "to_bytes",
]

Pcm = NDArray[np.int16]
"""Mono samples, shape (n,), full scale ±32767."""

PTIME_MS = 20
"""Packet time unless something else was negotiated (RFC 3551 §4.2)."""

SILENCE_DBOV = -127.0
"""The lowest level told apart (RFC 3389 §3.1)."""


class Source(Protocol):
    """Something that makes audio: a player, a tone, comfort noise.

    One reader; not shared between streams.
    """

    @property
    def sample_rate_hz(self) -> int: ...

    def read(self, samples: int) -> Pcm | None:
        """The next `samples` samples, exactly that many (the end is padded with silence); not to be changed.

        None: it is over, and stays over.
        """
        ...


def samples_in(ms: float, sample_rate_hz: int) -> int:
    """How many samples last `ms` milliseconds, rounded."""
    return round(ms * sample_rate_hz / 1000)


def silence(samples: int) -> Pcm:
    """Digital silence; a fresh array the caller may write to."""
    return np.zeros(samples, np.int16)


def from_bytes(data: bytes | bytearray | memoryview) -> Pcm:
    """Little-endian 16-bit samples without copying; an odd last byte is left out."""
    return np.frombuffer(data, np.dtype("<i2"), count=len(data) // 2)


def to_bytes(pcm: Pcm) -> bytes:
    """Little-endian 16-bit samples, as WAV files and WebSocket listeners want them."""
    return pcm.astype("<i2", copy=False).tobytes()


def mix(*parts: Pcm) -> Pcm:
    """The saturated sum of equally long pieces: clipped, never wrapped around."""
    total = np.add.reduce([part.astype(np.int32) for part in parts])
    clipped: Pcm = np.clip(total, -32768, 32767).astype(np.int16)
    return clipped


def apply_gain(pcm: Pcm, gain_db: float) -> Pcm:
    """The audio `gain_db` louder (or softer), saturated."""
    scaled = np.rint(pcm.astype(np.float32) * np.float32(10.0 ** (gain_db / 20)))
    clipped: Pcm = np.clip(scaled, -32768, 32767).astype(np.int16)
    return clipped


def level_dbov(pcm: Pcm) -> float:
    """Root mean square level of the piece, -127.0 … 0.0 dBov; an empty piece is silent."""
    if not len(pcm):
        return SILENCE_DBOV
    samples = pcm.astype(np.float64)
    power = float(np.dot(samples, samples)) / (len(pcm) * 32768.0**2)
    return max(SILENCE_DBOV, 10 * float(np.log10(power))) if power else SILENCE_DBOV
