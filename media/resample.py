"""Streaming change of sample rate between the rates of telephony (8, 16, 24, 32, 48 kHz). Pure.

A polyphase filter as one matrix product: for the ratio L/M, every M input samples with their neighbourhood
make L output samples, whatever the position, so a piece of audio is (windows of it) @ (one fixed matrix). The
filter is a Kaiser-windowed sinc of 16 periods to each side, 2 ms at 8 kHz: libraries tuned for music buy a
steeper filter with more delay and give it back in bursts, which a call has no use for. Files are resampled by
FFmpeg in `player`, at any rate and with no hurry.
"""

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

from media.audio import Pcm

__all__ = ["Resampler"]

_HALF_TAPS = 16  # Of the filter, in samples of the lower rate, to each side.
_KAISER_BETA = 7.0
_CUTOFF = 0.92  # Of the lower half rate.


class Resampler:
    """From one rate to another, piece by piece; the pieces join without a click."""

    __slots__ = ("_down", "_matrix", "_pending", "_reach", "delay_s", "from_hz", "to_hz")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Raises ValueError for rates that are not multiples of 1000 (no file rates here)."""
        if from_hz <= 0 or to_hz <= 0 or from_hz % 1000 or to_hz % 1000:
            raise ValueError(f"cannot resample {from_hz} Hz to {to_hz} Hz: not multiples of 1000")
        self.from_hz = from_hz
        self.to_hz = to_hz
        self._matrix, self._down = _bank(from_hz, to_hz)
        self._reach = self._matrix.shape[0] - self._down
        self.delay_s = self._reach / 2 / from_hz if from_hz != to_hz else 0.0
        """How much later the audio comes out, because the filter looks ahead."""
        self._pending = np.zeros(self._reach, np.float32)

    def push(self, pcm: Pcm) -> Pcm:
        """What this piece makes: n · to/from samples for whole milliseconds, else what is complete so far."""
        if self.from_hz == self.to_hz:
            return pcm
        samples = np.concatenate((self._pending, pcm))
        blocks = (len(samples) - self._reach) // self._down
        if blocks <= 0:
            self._pending = samples
            return np.zeros(0, np.int16)
        windows = np.lib.stride_tricks.as_strided(
            samples,
            (blocks, self._matrix.shape[0]),
            (samples.strides[0] * self._down, samples.strides[0]),
            writeable=False,
        )
        made = (windows @ self._matrix).reshape(-1)
        self._pending = samples[blocks * self._down :]
        np.rint(made, out=made)
        np.clip(made, -32768, 32767, out=made)
        return made.astype(np.int16)


@lru_cache(maxsize=32)
def _bank(from_hz: int, to_hz: int) -> tuple[NDArray[np.float32], int]:
    """The matrix, shape (window of input, L), and M, for to/from = L/M in lowest terms."""
    common = gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    lower_hz = min(from_hz, to_hz)
    half = _HALF_TAPS * from_hz // lower_hz  # In input samples.
    matrix = np.zeros((2 * half + down, up))
    cutoff = _CUTOFF * lower_hz / from_hz  # In units of the input's half rate.
    for column in range(up):
        # Output `column` of a block lies at column * M / L input samples into it.
        distance = np.arange(2 * half + down) - half - column * down / up
        window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(
            _KAISER_BETA
        )
        taps = np.where(np.abs(distance) <= half, np.sinc(cutoff * distance) * window, 0.0)
        matrix[:, column] = taps / taps.sum()
    return matrix.astype(np.float32), down
