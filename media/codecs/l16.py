"""L16: 16-bit samples in network byte order (RFC 3551 §4.5.11). Lossless, for tests and for LANs."""

import numpy as np

from media.audio import Pcm

__all__ = ["L16"]


class L16:
    """Big-endian linear audio, mono, at the rate it was opened for."""

    __slots__ = ("sample_rate_hz",)
    name = "L16"

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz

    @property
    def payload_type(self) -> int | None:
        return 11 if self.sample_rate_hz == 44100 else None

    @property
    def clock_rate_hz(self) -> int:
        return self.sample_rate_hz

    def encode(self, pcm: Pcm) -> bytes:
        return pcm.astype(">i2").tobytes()

    def decode(self, payload: bytes | bytearray | memoryview) -> Pcm:
        return np.frombuffer(payload, np.dtype(">i2"), count=len(payload) // 2).astype(np.int16)
