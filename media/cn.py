"""Comfort noise (RFC 3389): the payload, and a source that sounds like it.

The payload is one octet of level and optional reflection coefficients. We send the level alone, and of what
is received we use the level alone: white noise at the right level already hides that the line is silent.
"""

import numpy as np

from media.audio import SILENCE_DBOV, Pcm

__all__ = ["NoiseSource", "decode_noise", "encode_noise"]

_TABLE_SAMPLES = 1 << 14


def _noise_table() -> Pcm:
    """Two seconds at 8 kHz of white noise at -20 dBov, the same in every process and every run."""
    noise = np.random.default_rng(3389).standard_normal(_TABLE_SAMPLES)
    noise *= 32768.0 * 10 ** (-20 / 20) / np.sqrt(np.mean(noise**2))
    return np.rint(np.clip(noise, -32768, 32767)).astype(np.int16)


_NOISE = _noise_table()


def encode_noise(level_dbov: float) -> bytes:
    """The payload that asks for white noise of this level, -127.0 … 0.0 dBov."""
    return bytes((min(127, max(0, round(-level_dbov))),))


def decode_noise(payload: bytes | bytearray | memoryview) -> float:
    """The level (dBov) a payload asks for; the spectrum is not modelled. Empty: silence."""
    return -float(payload[0] & 0x7F) if len(payload) else SILENCE_DBOV


class NoiseSource:
    """White noise of a level that may change. A `Source` without end."""

    __slots__ = ("_gain", "_level_dbov", "_position", "sample_rate_hz")

    def __init__(self, sample_rate_hz: int, level_dbov: float = -60.0, *, seed: int = 0) -> None:
        """seed: where in the noise to begin, so that two streams do not hiss in step."""
        self.sample_rate_hz = sample_rate_hz
        self._position = seed * 7919 % _TABLE_SAMPLES
        self.level_dbov = level_dbov

    @property
    def level_dbov(self) -> float:
        return self._level_dbov

    @level_dbov.setter
    def level_dbov(self, level_dbov: float) -> None:
        self._level_dbov = level_dbov
        self._gain = np.float32(10 ** ((level_dbov + 20) / 20))

    def read(self, samples: int) -> Pcm:
        """The next `samples`."""
        start = self._position
        # The odd step through the table keeps its end from being heard as a beat of two seconds.
        self._position = (start + samples + 61) % _TABLE_SAMPLES
        piece = _NOISE.take(np.arange(start, start + samples), mode="wrap") * self._gain
        clipped: Pcm = np.clip(np.rint(piece), -32768, 32767).astype(np.int16)
        return clipped
