"""How many requests one host may hold at once. A host that does not answer must not hold the hooks of others.

A healthy host has most of the pool; one that failed several times in a row, without a success between, gets a
few places until it answers again. Whoever finds no place waits without a socket, and its time-out runs.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["HostGate", "HostGates"]

_SUSPECT_AFTER = 10
_REMEMBERED = 4096


class HostGate:
    """The places of one host."""

    __slots__ = ("_active", "_failures", "_limit", "_limit_suspect", "_waiters")

    def __init__(self, limit: int, limit_suspect: int) -> None:
        self._limit = limit
        self._limit_suspect = limit_suspect
        self._active = 0
        self._failures = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def is_suspect(self) -> bool:
        """It failed so often in a row that it gets few places."""
        return self._failures >= _SUSPECT_AFTER

    @property
    def is_idle(self) -> bool:
        """Nobody has a place or waits for one."""
        return not self._active and not self._waiters

    @property
    def is_clean(self) -> bool:
        """Idle, and there is nothing to remember about it."""
        return self.is_idle and not self._failures

    def _has_place(self) -> bool:
        return self._active < (self._limit_suspect if self.is_suspect else self._limit)

    async def enter(self) -> None:
        """Take a place, in the order of asking."""
        if not self._waiters and self._has_place():
            self._active += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiters.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # given to us in the same turn: pass it on
                self._active -= 1
                self._admit()
            elif place in self._waiters:
                self._waiters.remove(place)
            raise

    def leave(self, *, has_answered: bool | None) -> None:
        """Give the place back. `has_answered`: anything at all, as long as it is HTTP; None: nobody knows."""
        self._active -= 1
        if has_answered is not None:
            self._failures = 0 if has_answered else self._failures + 1
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._has_place():
            place = self._waiters.popleft()
            if not place.done():
                self._active += 1
                place.set_result(None)


class HostGates:
    """The gates of all hosts, by origin; hosts that were well when last seen are forgotten."""

    __slots__ = ("_gates", "_limit", "_limit_suspect")

    def __init__(self, max_connections: int) -> None:
        self._limit = max(1, max_connections * 3 // 4)
        self._limit_suspect = max(1, max_connections // 10)
        self._gates: dict[str, HostGate] = {}

    def of(self, origin: str) -> HostGate:
        """The gate of one host."""
        gate = self._gates.get(origin)
        if gate is None:
            if len(self._gates) >= _REMEMBERED:
                self._gates = {name: old for name, old in self._gates.items() if not old.is_idle}
            gate = self._gates[origin] = HostGate(self._limit, self._limit_suspect)
        return gate

    def forget(self, origin: str, gate: HostGate) -> None:
        """To be called after leaving."""
        if gate.is_clean:
            self._gates.pop(origin, None)

    def __len__(self) -> int:
        return len(self._gates)
