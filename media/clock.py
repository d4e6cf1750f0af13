"""The media clock: one tick every 20 ms for all streams of the process."""

import asyncio
from collections.abc import Callable

from media.audio import PTIME_MS

__all__ = ["MediaClock", "Tick"]

Tick = Callable[[float], None]
"""Called with the monotonic time (s) at which the tick was due; must not block."""


class MediaClock:
    """Calls its users every `ptime_ms`; starts with the first and stops with the last. Drift-free."""

    __slots__ = ("_handle", "_ptime_s", "_users")

    def __init__(self, ptime_ms: int = PTIME_MS) -> None:
        self._ptime_s = ptime_ms / 1000
        self._users: dict[Tick, None] = {}
        self._handle: asyncio.TimerHandle | None = None

    def add(self, tick: Tick) -> None:
        """Call `tick` from now on, in order of arrival; adding twice is adding once. Needs a running loop."""
        raise NotImplementedError

    def remove(self, tick: Tick) -> None:
        """No further calls; unknown is fine. May be called from within a tick."""
        raise NotImplementedError
