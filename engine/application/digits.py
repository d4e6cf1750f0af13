"""What one party keys, as it comes: everybody who waits for digits of a leg listens here."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from msgspec import Struct

__all__ = ["Digit", "DigitFeed"]

log = structlog.get_logger(__name__)


class Digit(Struct, frozen=True):
    """One key: 0-9, *, #, A-D."""

    digit: str
    at: float
    """Monotonic seconds."""
    duration_ms: int = 0


class DigitFeed:
    """The digits of one leg. Nothing is kept: who comes later hears what is keyed later.

    Digits arrive here from every source (RFC 4733, INFO, in-band) and in every state of the call, during a
    dial as well.
    """

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Callable[[Digit], None]] = []

    def listen(self, listener: Callable[[Digit], None]) -> None:
        """Call `listener` for every digit from now on; on the loop, it must not block."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[Digit], None]) -> None:
        """Unknown is fine. May be called from within a listener."""
        self._listeners = [each for each in self._listeners if each != listener]

    def push(self, digit: Digit) -> None:
        """From whoever owns the leg."""
        for listener in tuple(self._listeners):
            try:
                listener(digit)
            except Exception:  # a listener's bug costs itself only
                log.exception("listener for digits failed")
