"""Comfort noise (RFC 3389)."""

from media.audio import Pcm

__all__ = ["NoiseSource", "decode_noise", "encode_noise"]


def encode_noise(level_dbov: float) -> bytes:
    """The payload that asks for white noise of this level."""
    raise NotImplementedError


def decode_noise(payload: bytes | bytearray | memoryview) -> float:
    """The level (dBov) a payload asks for; the spectrum is not modelled. Empty: silence."""
    raise NotImplementedError


class NoiseSource:
    """Noise of a level that may change. A `Source` without end."""

    __slots__ = ("level_dbov", "sample_rate_hz")

    def __init__(self, sample_rate_hz: int, level_dbov: float = -60.0) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.level_dbov = level_dbov

    def read(self, samples: int) -> Pcm | None:
        raise NotImplementedError
