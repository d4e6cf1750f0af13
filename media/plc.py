"""Packet-loss concealment."""

from media.audio import Pcm

__all__ = ["Concealer"]


class Concealer:
    """Fills gaps in one received stream; feed it every frame, good or lost, in order."""

    __slots__ = ("_sample_rate_hz",)

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz

    def good(self, pcm: Pcm) -> Pcm:
        """A frame that arrived; the first after a gap comes back blended with the concealment."""
        raise NotImplementedError

    def lost(self, samples: int) -> Pcm:
        """What to play in place of a frame that did not arrive; fades to silence after 60 ms."""
        raise NotImplementedError
