"""Call progress tones as sources."""

from msgspec import Struct

from media.audio import Pcm

__all__ = ["BEEP", "BUSY_US", "RINGBACK_EU", "RINGBACK_UK", "RINGBACK_US", "Tone", "ToneSource", "sine"]


class Tone(Struct, frozen=True):
    """Frequencies sounded together, and a cadence of on and off times."""

    frequencies_hz: tuple[float, ...]
    cadence_s: tuple[float, ...] = ()
    """Alternately on and off, on first; empty for a continuous tone."""
    level_dbov: float = -16.0
    """Of each frequency."""
    repeats: bool = True


RINGBACK_US = Tone((440.0, 480.0), (2.0, 4.0))
RINGBACK_EU = Tone((425.0,), (1.0, 4.0))
RINGBACK_UK = Tone((400.0, 450.0), (0.4, 0.2, 0.4, 2.0))
BUSY_US = Tone((480.0, 620.0), (0.5, 0.5))
BEEP = Tone((1000.0,), (0.5,), repeats=False)


def sine(frequency_hz: float, level_dbov: float = -16.0) -> Tone:
    """A continuous tone."""
    return Tone((frequency_hz,), (), level_dbov)


class ToneSource:
    """Sounds a tone for ever, or once. A `Source` with continuous phase."""

    __slots__ = ("_position", "_tone", "sample_rate_hz")

    def __init__(self, tone: Tone, sample_rate_hz: int) -> None:
        self._tone = tone
        self._position = 0
        self.sample_rate_hz = sample_rate_hz

    def read(self, samples: int) -> Pcm | None:
        raise NotImplementedError
