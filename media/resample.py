"""Streaming change of sample rate."""

from media.audio import Pcm

__all__ = ["Resampler"]


class Resampler:
    """From one rate to another, piece by piece; the pieces join without a click."""

    __slots__ = ("from_hz", "to_hz")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self.to_hz = to_hz

    def push(self, pcm: Pcm) -> Pcm:
        """What this piece makes: n·to/from samples for whole milliseconds."""
        raise NotImplementedError
