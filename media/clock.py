"""The media clock: one tick every 20 ms for all streams of the process.

One timer serves every stream: a tick costs one call per user, not one timer per user. The n-th tick is
due at start + n · ptime, so a late wake-up delays one tick and never the ones behind it. After a stall longer
than `_MAX_CATCH_UP` ticks the clock skips: a burst of old packets would only overflow jitter buffers.
"""

import asyncio
from collections.abc import Callable

from media.audio import PTIME_MS

__all__ = ["MediaClock", "Tick"]

Tick = Callable[[float], None]
"""Called with the monotonic time (s) at which the tick was due; must not block."""

_MAX_CATCH_UP = 5


class MediaClock:
    """Calls its users every `ptime_ms`; starts with the first and stops with the last. Drift-free.

    A user that raises is removed and reported to the loop's exception handler; the others go on.
    """

    __slots__ = ("_due", "_handle", "_loop", "_ptime_s", "_users", "skipped")

    def __init__(self, ptime_ms: int = PTIME_MS, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """loop: for clocks made outside of it; by default the loop running at the first `add`."""
        self._ptime_s = ptime_ms / 1000
        self._users: dict[Tick, None] = {}
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.skipped = 0
        """Ticks that were left out because the loop stood still; a sign of overload."""

    @property
    def is_running(self) -> bool:
        return self._handle is not None

    def add(self, tick: Tick) -> None:
        """Call `tick` from now on, in order of arrival; adding twice is adding once. Needs a running loop."""
        self._users[tick] = None
        if self._handle is None:
            self._loop = self._loop or asyncio.get_running_loop()
            self._due = self._loop.time() + self._ptime_s
            self._handle = self._loop.call_at(self._due, self._on_time)

    def remove(self, tick: Tick) -> None:
        """No further calls; unknown is fine. May be called from within a tick."""
        self._users.pop(tick, None)
        if not self._users and self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _on_time(self) -> None:
        assert self._loop is not None
        now = self._loop.time()
        behind = int((now - self._due) / self._ptime_s)
        if behind > _MAX_CATCH_UP:
            self.skipped += behind
            self._due += behind * self._ptime_s
        # Re-armed before the users run: one of them may be the last and cancel it.
        due, self._due = self._due, self._due + self._ptime_s
        self._handle = self._loop.call_at(self._due, self._on_time)
        for tick in tuple(self._users):
            if tick not in self._users:
                continue  # Removed by a user before it.
            try:
                tick(due)
            except Exception as error:  # noqa: BLE001 - one stream's bug must not silence all the others
                self.remove(tick)
                self._loop.call_exception_handler(
                    {"message": "media clock user failed and was removed", "exception": error}
                )
