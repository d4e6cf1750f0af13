"""`Store`: what the loop sees of the database. Writing never waits, never raises; reading is awaited.

loop ── row ──▶ Buffer ──▶ Writer (one thread, one transaction after the other) ──▶ database
loop ◀─ rows ── reader (one thread) ◀───────────────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.ids import random_bytes
from engine.store import queries
from engine.store.buffer import Buffer
from engine.store.database import Database
from engine.store.reader import Reader
from engine.store.rows import AlertRow, CallQuery, CallRow, Delivery, LegRow, StoreHealth
from engine.store.schema import StoreError
from engine.store.writer import Writer

__all__ = ["Store", "StoreError"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MAX_RECORDS = 50_000
"""That wait for a database that is away; more, and the oldest are given up."""
_SETTLED_WITHIN_S = 0.25
"""How long the first hook of a call waits for a slow disk."""
_READ_WITHIN_S = 10.0
_FLUSH_WITHIN_S = 5.0


class Store:
    """Call records and the outbox, in SQLite or PostgreSQL. `async with Store(url) as store`.

    `url`: `sqlite:///FILE` or `postgresql://user:password@host/database`. `node`: the name of this engine
    where several share a database. `handover_s`: how long an earlier process of this name may hold it.
    `keep_s`: how long calls, legs and alerts are kept after they ended; None: for ever. Called from the loop
    only. Is an `engine.hooks.Outbox`.
    """

    def __init__(
        self,
        url: str,
        *,
        node: str = "",
        max_records: int = _MAX_RECORDS,
        handover_s: float = 5.0,
        keep_s: float | None = None,
    ) -> None:
        self._database = Database(url, node)
        self._node = node
        self._buffer = Buffer(max_records)
        self._handover_s = handover_s
        self._keep_s = keep_s
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._left: asyncio.Future[list[Delivery]] | None = None
        self._written: asyncio.Event | None = None

    async def start(self) -> None:
        """Open or create the database, or wait for one that is down. StoreError: it can never be used."""
        self._database.occupy()
        loop = asyncio.get_running_loop()
        tried: asyncio.Future[None] = loop.create_future()
        self._left = loop.create_future()
        self._reader = Reader(self._database.readers.dispose)
        self._writer = Writer(
            self._database,
            self._buffer,
            node=self._node,
            handover_s=self._handover_s,
            keep_s=self._keep_s,
            run_id=random_bytes(16).hex(),
            on_tried=_in(loop, lambda: _resolve(tried, None)),
            on_recovered=lambda left: _in(loop, lambda: _resolve(self._left, left))(),
            on_fatal=lambda error: _in(loop, lambda: _fail(tried, error))(),
        )
        self._writer.start()
        try:
            await tried
        except BaseException:
            await self.stop()
            raise
        if not self._writer.is_well and self._database.is_sqlite:
            problem = self._writer.last_error
            await self.stop()
            raise StoreError(problem)

    async def stop(self) -> None:
        """Write what waits (at most five seconds) and close."""
        writer, self._writer = self._writer, None
        if writer is None:
            self._database.close()
            return
        self._buffer.stop()
        has_ended = await asyncio.to_thread(writer.join, _FLUSH_WITHIN_S)
        if len(self._buffer):
            log.error("store closed before everything was written", rows=len(self._buffer))
        if self._reader is not None:
            await asyncio.to_thread(self._reader.stop, 1.0 if has_ended else 0.0)
            self._reader = None
        if self._left is not None and not self._left.done():
            self._left.cancel()
        self._database.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    # Writing: returns at once, in any state of the database.

    def call_started(self, row: CallRow) -> None:
        """A call begins. Rows are written whole: each of these three replaces what was known of the call."""
        self._buffer.record(row.call_sid, row)

    def call_changed(self, row: CallRow) -> None:
        """A call went on."""
        self._buffer.record(row.call_sid, row)

    def call_ended(self, row: CallRow) -> None:
        """A call is over: `ended_utc` is set."""
        self._buffer.record(row.call_sid, row)

    def leg_changed(self, row: LegRow) -> None:
        """A branch began or went on."""
        self._buffer.record(row.leg_sid, row)

    def leg_ended(self, row: LegRow) -> None:
        """A branch is over: `ended_utc` is set."""
        self._buffer.record(row.leg_sid, row)

    def alert(self, row: AlertRow) -> None:
        """Something somebody has to repair."""
        self._buffer.record(row.alert_sid, row)

    # The outbox: `engine.hooks.Outbox`.

    def put(self, delivery: Delivery) -> None:
        """Keep it until it is done; one with the same key is replaced."""
        self._buffer.put(delivery)

    def done(self, key: str) -> None:
        """Forget it."""
        self._buffer.done(key)

    async def pending(self) -> list[Delivery]:
        """What an earlier process left, in the order it is to be sent; waits for the database."""
        if self._left is None:
            raise RuntimeError("the store has not been started")
        return await asyncio.shield(self._left)

    async def settled(self) -> None:
        """Returns when what was put before is on disk; also, soon, when the database is in trouble."""
        if self._writer is None or not self._writer.is_well:
            return
        written = self._written
        if (
            written is None or not self._buffer.is_waited_for
        ):  # else one wake-up serves all who wait for a batch
            written = asyncio.Event()
            loop = asyncio.get_running_loop()
            if not self._buffer.call_when_written(_in(loop, written.set)):
                return
            self._written = written
            loop.call_later(_SETTLED_WITHIN_S, written.set)
        await written.wait()

    # Reading. StoreError: the database does not answer.

    async def call(self, call_sid: str) -> CallRow | None:
        """One call."""
        waiting = self._buffer.find(CallRow, call_sid)
        if isinstance(waiting, CallRow):
            return waiting
        return await self._read(lambda: queries.one_call(self._database.readers, call_sid))

    async def calls(self, query: CallQuery) -> list[CallRow]:
        """Calls, newest first."""
        await self.settled()
        return await self._read(lambda: queries.some_calls(self._database.readers, query))

    async def count_calls(self, query: CallQuery) -> int:
        """How many calls `calls` would list without its limit."""
        await self.settled()
        return await self._read(lambda: queries.number_of_calls(self._database.readers, query))

    async def legs(self, call_sid: str) -> list[LegRow]:
        """The branches of one call, in the order they were started."""
        await self.settled()
        return await self._read(lambda: queries.legs_of(self._database.readers, call_sid))

    async def alerts(self, account_sid: str = "", *, limit: int = 100) -> list[AlertRow]:
        """Alerts, newest first."""
        await self.settled()
        return await self._read(lambda: queries.latest_alerts(self._database.readers, account_sid, limit))

    async def _read(self, query: Callable[[], T]) -> T:
        if self._reader is None:
            raise StoreError("the store is not open")
        try:
            return await self._reader.run(query, _READ_WITHIN_S)
        except (SQLAlchemyError, TimeoutError) as error:
            raise StoreError(f"the database does not answer ({type(error).__name__})") from None

    @property
    def health(self) -> StoreHealth:
        """How the store does, now."""
        writer = self._writer
        if writer is None:
            return StoreHealth(False, len(self._buffer), self._buffer.dropped, "not open")
        is_well = writer.is_well
        return StoreHealth(
            is_ready=is_well,
            queued=len(self._buffer),
            dropped=self._buffer.dropped,
            last_error=writer.last_error or ("" if is_well else "the database does not answer"),
            failing_since_utc=writer.failing_since_utc,
        )


def _in(loop: asyncio.AbstractEventLoop, action: Callable[[], None]) -> Callable[[], None]:
    """`action`, to be called from another thread; nothing if the loop is over."""

    def call() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(action)

    return call


def _resolve(future: asyncio.Future[T] | None, value: T) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
