"""`Store`: what the loop sees of the database. Writing never waits, never raises; reading is awaited."""

from __future__ import annotations

from engine.errors import EngineError
from engine.store.rows import AlertRow, CallQuery, CallRow, Delivery, LegRow, StoreHealth

__all__ = ["Store", "StoreError"]


class StoreError(EngineError):
    """The store cannot be opened: no such place, somebody else's schema, in use by another process."""


class Store:
    """Call records and the outbox, in SQLite or PostgreSQL.

    `url`: `sqlite:///FILE` or `postgresql://user:password@host/database`. Called from the loop only.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def start(self) -> None:
        """Open or create the database, or wait for one that is down. StoreError: it can never be used."""

    async def stop(self) -> None:
        """Write what waits (at most a few seconds) and close."""

    # Writing: returns at once, in any state of the database.

    def call_started(self, row: CallRow) -> None: ...

    def call_changed(self, row: CallRow) -> None: ...

    def call_ended(self, row: CallRow) -> None: ...

    def leg_changed(self, row: LegRow) -> None: ...

    def leg_ended(self, row: LegRow) -> None: ...

    def alert(self, row: AlertRow) -> None: ...

    # The outbox: `engine.hooks.Outbox`.

    def put(self, delivery: Delivery) -> None: ...

    def done(self, key: str) -> None: ...

    async def pending(self) -> list[Delivery]:
        """What an earlier process left, in the order it is to be sent; waits for the database."""
        return []

    async def settled(self) -> None:
        """Returns when what was put before is on disk; also, soon, when the database is in trouble."""

    # Reading.

    async def call(self, call_sid: str) -> CallRow | None:
        """One call."""
        return None

    async def calls(self, query: CallQuery) -> list[CallRow]:
        """Calls, newest first."""
        return []

    async def count_calls(self, query: CallQuery) -> int:
        """How many calls `calls` would list without its limit."""
        return 0

    async def legs(self, call_sid: str) -> list[LegRow]:
        """The branches of one call, in the order they were started."""
        return []

    async def alerts(self, account_sid: str = "", *, limit: int = 100) -> list[AlertRow]:
        """Alerts, newest first."""
        return []

    @property
    def health(self) -> StoreHealth:
        """How the store does, now."""
        return StoreHealth(is_ready=True, queued=0, dropped=0)
