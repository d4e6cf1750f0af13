"""Call progress tones as sources: ringback, busy, congestion, dial tone, beeps, DTMF pairs.

Frequencies and cadences are those of ITU-T E.180 supplement 2 for the countries named. The phase of every
frequency is a function of the sample's position, so pieces of any length join without a click. On and off are
softened over 4 ms: a hard edge is heard as a click and splatters over the band.
"""

from functools import lru_cache

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from media.audio import Pcm, silence

__all__ = [
    "BEEP",
    "BUSY_EU",
    "BUSY_UK",
    "BUSY_US",
    "CONGESTION_EU",
    "CONGESTION_US",
    "DIAL_EU",
    "DIAL_UK",
    "DIAL_US",
    "DTMF_TONES",
    "RINGBACK_EU",
    "RINGBACK_UK",
    "RINGBACK_US",
    "Tone",
    "ToneSource",
    "dual",
    "sine",
]


class Tone(Struct, frozen=True):
    """Frequencies sounded together, and a cadence of on and off times."""

    frequencies_hz: tuple[float, ...]
    cadence_s: tuple[float, ...] = ()
    """Alternately on and off, on first; empty for a continuous tone."""
    level_dbov: float = -16.0
    """Of each frequency: -16 is -10 dBm0, what E.180 wants of a network tone."""
    repeats: bool = True
    """Start the cadence again at its end; otherwise the tone is over."""


RINGBACK_US = Tone((440.0, 480.0), (2.0, 4.0), -22.0)
RINGBACK_EU = Tone((425.0,), (1.0, 4.0))
RINGBACK_UK = Tone((400.0, 450.0), (0.4, 0.2, 0.4, 2.0), -22.0)
BUSY_US = Tone((480.0, 620.0), (0.5, 0.5), -22.0)
BUSY_EU = Tone((425.0,), (0.5, 0.5))
BUSY_UK = Tone((400.0,), (0.375, 0.375))
CONGESTION_US = Tone((480.0, 620.0), (0.25, 0.25), -22.0)
CONGESTION_EU = Tone((425.0,), (0.25, 0.25))
DIAL_US = Tone((350.0, 440.0), (), -19.0)
DIAL_EU = Tone((425.0,))
DIAL_UK = Tone((350.0, 450.0), (), -19.0)
BEEP = Tone((1000.0,), (0.5,), repeats=False)

_LOW_HZ, _HIGH_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
DTMF_TONES = {
    digit: Tone((low, high), (0.1, 0.1), -13.0, repeats=False)
    for low, row in zip(_LOW_HZ, ("123A", "456B", "789C", "*0#D"), strict=True)
    for high, digit in zip(_HIGH_HZ, row, strict=True)
}
"""ITU-T Q.23, 100 ms on and 100 ms off: for legs whose peer takes no telephone-event."""

_EDGE_S = 0.004
_CYCLE_LIMIT = 10 * 48000  # Samples of a tone that are kept ready; longer ones are computed as they sound.


def sine(frequency_hz: float, level_dbov: float = -16.0) -> Tone:
    """A continuous tone."""
    return Tone((frequency_hz,), (), level_dbov)


def dual(low_hz: float, high_hz: float, level_dbov: float = -16.0) -> Tone:
    """Two continuous frequencies of equal level."""
    return Tone((low_hz, high_hz), (), level_dbov)


class ToneSource:
    """Sounds a tone for ever, or once. A `Source` with continuous phase."""

    __slots__ = ("_position", "_tone", "sample_rate_hz")

    def __init__(self, tone: Tone, sample_rate_hz: int) -> None:
        self._tone = tone
        self._position = 0
        self.sample_rate_hz = sample_rate_hz

    def read(self, samples: int) -> Pcm | None:
        """The next `samples`; None when a tone that does not repeat is over."""
        start, self._position = self._position, self._position + samples
        tone, rate = self._tone, self.sample_rate_hz
        cycle = round(sum(tone.cadence_s) * rate)
        if not cycle:
            return render(tone, rate, start, samples)
        if not tone.repeats and start >= cycle:
            return None
        if cycle > _CYCLE_LIMIT:
            return render(tone, rate, start, samples)
        # Each turn of the cadence begins in the same phase, with silence before it: one turn serves all
        # listeners of the process, and a hundred ringing callers cost a hundred slices.
        ready = _one_cycle(tone, rate)
        if not tone.repeats:
            piece = silence(samples)
            rest = ready[start : start + samples]
            piece[: len(rest)] = rest
            return piece
        begin = start % cycle
        if begin + samples <= cycle:
            return ready[begin : begin + samples].copy()
        return ready.take(np.arange(begin, begin + samples), mode="wrap")


@lru_cache(maxsize=64)
def _one_cycle(tone: Tone, sample_rate_hz: int) -> Pcm:
    return render(tone, sample_rate_hz, 0, round(sum(tone.cadence_s) * sample_rate_hz))


def render(tone: Tone, sample_rate_hz: int, start: int, samples: int) -> Pcm:
    """Samples `start` … `start + samples` of a tone, computed from nothing but their position."""
    position = np.arange(start, start + samples, dtype=np.int64)
    cycle = round(sum(tone.cadence_s) * sample_rate_hz)
    within = position % cycle if cycle else position
    wave = np.zeros(samples)
    amplitude = 32767.0 * np.sqrt(2.0) * 10 ** (tone.level_dbov / 20)
    for frequency_hz in tone.frequencies_hz:
        # Reduced to one second first: a phase of 10^9 radians has lost its precision.
        turns = within % sample_rate_hz * (frequency_hz / sample_rate_hz) + within // sample_rate_hz * (
            frequency_hz % 1
        )
        wave += amplitude * np.sin(2 * np.pi * turns)
    if cycle:
        wave *= _envelope(tone.cadence_s, within / sample_rate_hz)
        if not tone.repeats:
            wave[position >= cycle] = 0
    clipped: Pcm = np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
    return clipped


def _envelope(cadence_s: tuple[float, ...], at_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 while on, 0 while off, with straight edges of 4 ms inside the on times."""
    level = np.zeros(len(at_s))
    begin = 0.0
    for index, length in enumerate(cadence_s):
        if index % 2 == 0:
            edge = np.minimum(at_s - begin, begin + length - at_s) / _EDGE_S
            level = np.maximum(level, np.clip(edge, 0.0, 1.0))
        begin += length
    return level
