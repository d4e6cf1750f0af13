"""Responses of ours that are repeated until acknowledged: 2xx to INVITE (RFC 3261 §13.3.1.4) and reliable 1xx
(RFC 3262 §3). Both are end to end, so they are repeated over reliable transports too."""

from __future__ import annotations

from collections.abc import Callable

from engine.sip.timers import Timer, TimerQueue
from engine.sip.types import Timers

__all__ = ["Repetition"]


class Repetition:
    """Sends again at T1, 2·T1, 4·T1 ... until `stop`; calls `give_up` after 64·T1."""

    __slots__ = ("_again", "_end", "_give_up", "_interval", "_longest", "_queue", "_send")

    def __init__(
        self,
        queue: TimerQueue,
        timers: Timers,
        send: Callable[[float], None],
        give_up: Callable[[float], None],
        now: float,
        *,
        longest: float,
    ) -> None:
        """`longest`: the interval is not doubled beyond it (T2 for a 2xx, no limit for a reliable 1xx)."""
        self._queue = queue
        self._send: Callable[[float], None] | None = send
        self._give_up: Callable[[float], None] | None = give_up
        self._interval = timers.t1
        self._longest = longest
        self._again: Timer = queue.at(now + timers.t1, self._repeat)
        self._end: Timer = queue.at(now + timers.h, self._expire)

    def stop(self) -> None:
        """Acknowledged, or no longer wanted."""
        self._again.cancel()
        self._end.cancel()
        self._send = self._give_up = None

    def _repeat(self, now: float) -> None:
        if self._send is None:
            return
        self._interval = min(self._interval * 2, self._longest)
        self._again = self._queue.at(now + self._interval, self._repeat)
        self._send(now)

    def _expire(self, now: float) -> None:
        give_up = self._give_up
        self.stop()
        if give_up is not None:
            give_up(now)
