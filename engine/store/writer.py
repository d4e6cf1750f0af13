"""`Writer`: the one thread that writes. Takes what waits, writes it in one transaction, and again.

Commits follow each other at least 25 milliseconds apart: under load each carries more rows, alone a row is
written at once. When the database fails, what was taken is put back, and the pause grows to five seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from sqlalchemy import Connection, Table, delete, select, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from engine.store.buffer import Batch, Buffer
from engine.store.database import Database, InUse
from engine.store.mapping import Row, by_key, delivery_of, values_of
from engine.store.rows import AlertRow, CallRow, Delivery, DeliveryState, LegRow
from engine.store.schema import StoreError, alerts, calls, legs, outbox, prepare_schema
from engine.store.statements import Values, deletion_of, upsert_of

__all__ = ["Writer"]

log = structlog.get_logger(__name__)

_COMMIT_EVERY_S = 0.025
_MOST_ROWS = 500
"""Per transaction: what a thread converts in a few milliseconds, so that the loop gets its turns."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_PURGE_EVERY_S = 600.0
_SLOW_AFTER_S = 2.0
"""A write that takes longer is taken for a database that does not answer."""

_ABOUT_A_ROW = (DataError, IntegrityError, UnicodeError, OverflowError, TypeError, ValueError)
"""The database, or its driver, dislikes what is in a row; everything else means that it cannot work."""

_TABLES: Mapping[type[Row], Table] = {CallRow: calls, LegRow: legs, AlertRow: alerts, Delivery: outbox}


class Writer:
    """Owned by the `Store`. Attributes are read by the loop, written by the thread, one at a time."""

    __slots__ = (
        "_buffer",
        "_busy_since",
        "_clock",
        "_connection",
        "_database",
        "_delete",
        "_handover_s",
        "_has_recovered",
        "_keep_s",
        "_next_purge_utc",
        "_node",
        "_on_fatal",
        "_on_recovered",
        "_on_tried",
        "_run_id",
        "_thread",
        "_upserts",
        "failing_since_utc",
        "last_error",
    )

    def __init__(
        self,
        database: Database,
        buffer: Buffer,
        *,
        node: str,
        run_id: str,
        handover_s: float,
        keep_s: float | None,
        on_tried: Callable[[], None],
        on_recovered: Callable[[list[Delivery]], None],
        on_fatal: Callable[[StoreError], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._buffer = buffer
        self._node = node
        self._run_id = run_id
        self._handover_s = handover_s
        self._keep_s = keep_s
        self._next_purge_utc = 0.0
        self._on_tried = on_tried
        self._on_recovered = on_recovered
        self._on_fatal = on_fatal
        self._clock = clock
        self._connection: Connection | None = None
        self._busy_since: float | None = None
        self._has_recovered = False
        dialect = database.writer.dialect
        self._upserts = {kind: upsert_of(table, dialect) for kind, table in _TABLES.items()}
        self._delete = deletion_of(outbox, dialect)
        self.last_error = ""
        self.failing_since_utc: float | None = None
        # A daemon: a database that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name="store writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False: it has not come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def is_well(self) -> bool:
        """The last write succeeded, and the one under way has not been for long."""
        since = self._busy_since
        return not self.last_error and (since is None or time.monotonic() - since < _SLOW_AFTER_S)

    def _work(self) -> None:
        has_ended = False
        try:
            self._connect_and_write()
            has_ended = True
        finally:
            if not has_ended:  # a mistake of ours: the process goes on, and says that it keeps nothing
                self.last_error = "the writer has died"
                self._on_tried()

    def _connect_and_write(self) -> None:
        pause_s = _FIRST_PAUSE_S
        in_use_until = time.monotonic() + self._handover_s
        while True:
            try:
                self._connect()
            except InUse as error:
                if not self._has_recovered and time.monotonic() >= in_use_until:
                    self._on_fatal(error)
                    return
                self._failed(error)
            except StoreError as error:
                self._on_fatal(error)
                return
            except SQLAlchemyError as error:
                self._failed(error)
                self._on_tried()
            else:
                pause_s = _FIRST_PAUSE_S
                self._on_tried()
                if self._write_until_it_fails():
                    return
            if self._buffer.is_stopping:
                return
            self._buffer.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _connect(self) -> None:
        if self._connection is not None:
            return
        connection = self._database.connect()
        try:
            with connection.begin():
                prepare_schema(connection)
            if not self._has_recovered:
                with connection.begin():
                    left = self._recover(connection)
                self._has_recovered = True
                self._buffer.is_stored(*(delivery.key for delivery in left))
                self._on_recovered(left)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._connection = connection

    def _recover(self, connection: Connection) -> list[Delivery]:
        """Close what an earlier process left open; return what it promised or owed, in order of sending.

        What was due goes first; of promises, which were made from the outside in (call, leg, dial), the last.
        """
        now = self._clock()
        closed = 0
        for table in (calls, legs):
            closed += connection.execute(
                update(table)
                .where(table.c.node == self._node, table.c.ended_utc.is_(None))
                .values(
                    {
                        "call_status": "failed",
                        "sip_reason": "Engine Restarted",
                        "ended_by": "engine",
                        "ended_utc": now,
                    }
                )
            ).rowcount
        rows = connection.execute(
            select(outbox).where(outbox.c.node == self._node, outbox.c.run != self._run_id)
        ).mappings()
        left = [delivery_of(by_key(outbox, row)) for row in rows]
        left.sort(key=_sending_order)
        if closed or left:
            log.warning("an earlier process left calls open", calls_and_legs=closed, hooks=len(left))
        return left

    def _write_until_it_fails(self) -> bool:
        """True: it is over, everything is written."""
        written_at = 0.0
        while True:
            self._buffer.wait()
            early_s = written_at + _COMMIT_EVERY_S - time.monotonic()
            if early_s > 0 and not self._buffer.is_stopping:
                time.sleep(early_s)
            batch = self._buffer.take(_MOST_ROWS)
            self._busy_since = time.monotonic()
            try:
                self._write(batch)
                self._purge()
            except SQLAlchemyError as error:
                self._failed(error)
                self._busy_since = None
                self._buffer.put_back(batch)
                self._drop_connection()
                return False
            self._busy_since = None
            written_at = time.monotonic()
            self._buffer.written(batch)
            if self.last_error:
                # As loud as the failure: who saw that has to see its end.
                log.warning("store works again", queued=len(self._buffer))
                self.last_error, self.failing_since_utc = "", None
            if self._buffer.is_stopping and not len(self._buffer):
                self._drop_connection()
                return True

    def _write(self, batch: Batch) -> None:
        if not len(batch):
            return
        connection = self._connection
        assert connection is not None
        rows: dict[type[Row], list[Values]] = {}
        for record in batch.records.values():
            self._add(rows, record)
        deleted: list[Values] = []
        for key, delivery in batch.deliveries.items():
            if delivery is None:
                deleted.append((key,))
            else:
                self._add(rows, delivery)
        try:
            with connection.begin():
                for kind, values in rows.items():
                    connection.exec_driver_sql(self._upserts[kind].sql, values)
                if deleted:
                    connection.exec_driver_sql(self._delete, deleted)
        except _ABOUT_A_ROW:
            self._write_one_by_one(connection, rows, deleted)

    def _purge(self) -> None:
        """Delete what is older than it may be, a little at a time; a call that goes on is never old."""
        now = self._clock()
        if self._keep_s is None or now < self._next_purge_utc:
            return
        connection = self._connection
        assert connection is not None
        has_more = False
        for table, at in ((calls, calls.c.ended_utc), (legs, legs.c.ended_utc), (alerts, alerts.c.at_utc)):
            key = next(iter(table.primary_key))
            old = select(key).where(at < now - self._keep_s).limit(_MOST_ROWS)
            with connection.begin():
                gone = connection.execute(delete(table).where(key.in_(old))).rowcount
            has_more = has_more or gone == _MOST_ROWS
        if not has_more:
            self._next_purge_utc = now + _PURGE_EVERY_S

    def _add(self, rows: dict[type[Row], list[Values]], row: Row) -> None:
        kind = type(row)
        values = values_of(row, self._upserts[kind].names, self._node, self._run_id)
        rows.setdefault(kind, []).append(values)

    def _write_one_by_one(
        self, connection: Connection, rows: Mapping[type[Row], list[Values]], deleted: list[Values]
    ) -> None:
        """One row is refused: find it, so that it does not stop all others."""
        for kind, many in rows.items():
            for values in many:
                try:
                    with connection.begin():
                        connection.exec_driver_sql(self._upserts[kind].sql, values)
                except _ABOUT_A_ROW as error:
                    self._buffer.lost(1)
                    log.error("a row is refused by the database", row=kind.__name__, problem=_kind_of(error))  # noqa: TRY400
        if deleted:
            with connection.begin():
                connection.exec_driver_sql(self._delete, deleted)

    def _failed(self, error: Exception) -> None:
        if not self.last_error:
            self.failing_since_utc = self._clock()
            log.error("store fails", problem=_kind_of(error), queued=len(self._buffer))
        self.last_error = _kind_of(error)

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.invalidate()
                connection.close()
            except SQLAlchemyError as error:  # of a server that is gone
                log.debug("closing a connection failed", problem=_kind_of(error))


def _sending_order(delivery: Delivery) -> tuple[bool, float, int]:
    is_promise = delivery.state is DeliveryState.PROMISED
    sign = -1 if is_promise else 1
    return is_promise, sign * delivery.created_utc, sign * delivery.sequence


def _kind_of(error: Exception) -> str:
    """What went wrong, in the database's words, without statement and parameters: they are personal data."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split("\n", 1)[0].split())[:200] or type(original).__name__
