"""Joins two streams so that each side hears the other, in the cheapest way that their codecs allow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from media.stream import MediaStream, Recording

__all__ = ["Bridge", "BridgeMode"]


class BridgeMode(StrEnum):
    """How packets of one direction cross."""

    RELAY = "relay"
    """Both sides speak the same codec: headers are rewritten, payloads stay as they are."""
    TRANSLATE = "translate"
    """A-law to µ-law or back: byte by byte, never decoded."""
    TRANSCODE = "transcode"
    """Jitter buffer, decode, resample, encode."""
    CLOSED = "closed"
    """Nothing crosses: not open, or one side has no agreement yet."""


class Bridge:
    """Two streams, joined. A stream is in at most one open bridge at a time."""

    __slots__ = ("a", "b")

    def __init__(self, a: MediaStream, b: MediaStream) -> None:
        self.a = a
        self.b = b

    @property
    def modes(self) -> tuple[BridgeMode, BridgeMode]:
        """(a to b, b to a); chosen anew whenever either side renegotiates."""
        raise NotImplementedError

    def open(self) -> None:
        """Audio and DTMF cross from now on. Idempotent. Raises RuntimeError if a stream is in another
        open bridge.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Nothing crosses any more; both streams stay open. Idempotent; also done when a stream closes."""
        raise NotImplementedError

    def record(self, path: Path | str) -> Recording:
        """Record both sides, `a` on the left channel and `b` on the right. Raises OSError."""
        raise NotImplementedError
