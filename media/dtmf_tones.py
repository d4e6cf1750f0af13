"""DTMF heard in the audio itself (ITU-T Q.23, Q.24), for peers without telephone-event. Pure.

Blocks of 12.75 ms, half overlapping, are projected on the eight frequencies (Goertzel's sums as one matrix
product). A block is a digit if exactly one low and one high frequency stand out, hold nearly all of the power
(speech always has more to it) and are of similar level. Four such blocks in a row, 32 ms, begin a digit; four
without end it. Q.24 wants 40 ms recognised and interruptions of 10 ms bridged.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from media.audio import Pcm
from media.dtmf import DigitHeard

__all__ = ["ToneDetector"]

_LOW_HZ = (697.0, 770.0, 852.0, 941.0)
_HIGH_HZ = (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = "123A456B789C*0#D"

_BLOCK_S = 0.01275
_HITS_TO_BEGIN = 4
_MISSES_TO_END = 4
_MIN_LEVEL_DBOV = -36.0  # Of each frequency: Q.24 accepts down to -25 dBm0, which is -31 dBov.
_LOW_OVER_HIGH_DB = 8.0
_HIGH_OVER_LOW_DB = 4.0
_OVER_OTHERS_DB = 8.0
_SHARE_OF_POWER = 0.72  # Two tones 1.5 % off leave 0.8 of their power in the bins, in clean audio.


def _power(db: float) -> float:
    return float(10 ** (db / 10))


class ToneDetector:
    """Finds DTMF in audio. The clock is the count of samples, so a recording always gives the same digits."""

    __slots__ = (
        "_basis",
        "_block",
        "_digit",
        "_hits",
        "_hop",
        "_hop_ms",
        "_misses",
        "_pending",
        "_run",
        "_run_hits",
    )

    def __init__(self, sample_rate_hz: int = 8000) -> None:
        self._block = round(_BLOCK_S * sample_rate_hz)
        self._hop = self._block // 2
        self._hop_ms = 1000 * self._hop / sample_rate_hz
        self._basis = _basis(sample_rate_hz, self._block)
        self._pending = np.zeros(0, np.float32)
        self._digit = ""  # Sounding now; "" for none.
        self._hits = 0  # Blocks of it.
        self._misses = 0  # Blocks since the last of it.
        self._run = ""  # Another digit that may be beginning.
        self._run_hits = 0  # Its blocks in a row.

    def push(self, pcm: Pcm) -> list[DigitHeard]:
        """Digits that ended within this piece of any length."""
        samples = np.concatenate((self._pending, pcm), dtype=np.float32)
        count = (len(samples) - self._block) // self._hop + 1
        if count <= 0:
            self._pending = samples
            return []
        blocks = np.lib.stride_tricks.as_strided(
            samples,
            (count, self._block),
            (samples.strides[0] * self._hop, samples.strides[0]),
            writeable=False,
        )
        self._pending = samples[count * self._hop :]
        heard: list[DigitHeard] = []
        for digit in self._classify(blocks):
            self._step(digit, heard)
        return heard

    def _classify(self, blocks: NDArray[np.float32]) -> list[str]:
        """The digit of each block, "" for none."""
        n = self._block
        total = np.einsum("ij,ij->i", blocks, blocks)
        # Power of a sine of amplitude a over n samples: a²n/2; projected on sine and cosine: (an/2)².
        floor = _power(_MIN_LEVEL_DBOV) * 32768.0**2 * n
        if not (total > 2 * floor).any():
            return [""] * len(blocks)
        parts = blocks @ self._basis
        powers = (parts[:, :8] ** 2 + parts[:, 8:] ** 2) * (2 / n)
        low, high = powers[:, :4], powers[:, 4:]
        best_low, best_high = low.max(axis=1), high.max(axis=1)
        good = (best_low + best_high > _SHARE_OF_POWER * total) & (np.minimum(best_low, best_high) > floor)
        if not good.any():
            return [""] * len(blocks)  # Nearly always, when somebody speaks.
        row, column = low.argmax(axis=1), high.argmax(axis=1)
        good &= best_low < best_high * _power(_LOW_OVER_HIGH_DB)
        good &= best_high < best_low * _power(_HIGH_OVER_LOW_DB)
        good &= np.partition(low, 2, axis=1)[:, 2] < best_low * _power(-_OVER_OTHERS_DB)
        good &= np.partition(high, 2, axis=1)[:, 2] < best_high * _power(-_OVER_OTHERS_DB)
        return [_KEYS[r * 4 + c] if g else "" for r, c, g in zip(row, column, good, strict=True)]

    def _step(self, digit: str, heard: list[DigitHeard]) -> None:
        """One block further."""
        if self._digit and digit == self._digit:
            self._hits += 1 + self._misses
            self._misses = self._run_hits = 0
            self._run = ""
            return
        self._run_hits = (self._run_hits + 1 if digit == self._run else 1) if digit else 0
        self._run = digit
        has_begun = self._run_hits >= _HITS_TO_BEGIN
        if self._digit:
            self._misses += 1
            if self._misses >= _MISSES_TO_END or has_begun:
                heard.append(DigitHeard(self._digit, (self._hits + 1) * self._hop_ms))
                self._digit = ""
        if has_begun:
            self._digit, self._hits, self._misses = digit, self._run_hits, 0
            self._run, self._run_hits = "", 0


@lru_cache(maxsize=8)
def _basis(sample_rate_hz: int, block: int) -> NDArray[np.float32]:
    """Cosines of the eight frequencies, then their sines: shape (block, 16)."""
    at = np.arange(block)[:, None] / sample_rate_hz
    turns = 2 * np.pi * at * np.array(_LOW_HZ + _HIGH_HZ)
    return np.concatenate((np.cos(turns), np.sin(turns)), axis=1).astype(np.float32)
