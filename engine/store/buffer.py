"""`Buffer`: what waits to be written. Filled by the loop, emptied by the writer thread, bounded.

A row that waits is replaced by its later version: however long the database is away, a call costs one row.
A delivery that is done before it was ever written needs no writing at all. When too much waits, records are
given up, oldest first; deliveries never are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from msgspec import Struct

from engine.store.rows import AlertRow, CallRow, Delivery, LegRow

__all__ = ["Batch", "Buffer"]

Record = CallRow | LegRow | AlertRow

Key = tuple[type[Record], str]
"""Of a record: a leg that becomes a call of its own has a row of each kind under one sid."""


class Batch(Struct):
    """One transaction's worth."""

    records: dict[Key, Record]
    deliveries: dict[str, Delivery | None]
    """None: to be deleted."""
    on_written: list[Callable[[], None]]
    """Called, in the writer's thread, when it is on disk or cannot be for now."""

    def __len__(self) -> int:
        return len(self.records) + len(self.deliveries)


class Buffer:
    """Both threads, one lock, held for microseconds."""

    __slots__ = (
        "_batch",
        "_changed",
        "_deliveries",
        "_is_reader_waiting",
        "_is_stopping",
        "_max_records",
        "_on_written",
        "_records",
        "_stored",
        "dropped",
    )

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._changed = threading.Condition()
        self._records: dict[Key, Record] = {}
        self._deliveries: dict[str, Delivery | None] = {}
        self._on_written: list[Callable[[], None]] = []
        self._batch: Batch | None = None
        self._stored: set[str] = set()
        self._is_reader_waiting = False
        self._is_stopping = False
        self.dropped = 0
        """Records given up."""

    def __len__(self) -> int:
        batch = self._batch
        return len(self._records) + len(self._deliveries) + (len(batch) if batch is not None else 0)

    def record(self, sid: str, row: Record) -> None:
        """A row to be written, in place of an earlier one of the same kind and sid."""
        with self._changed:
            self._records[type(row), sid] = row
            if len(self._records) > self._max_records:
                del self._records[next(iter(self._records))]
                self.dropped += 1
            self._wake()

    def find(self, kind: type[Record], sid: str) -> Record | None:
        """A row that has not been written yet."""
        key = (kind, sid)
        with self._changed:
            row = self._records.get(key)
            if row is None and self._batch is not None:
                row = self._batch.records.get(key)
            return row

    def put(self, delivery: Delivery) -> None:
        """A delivery to be kept."""
        with self._changed:
            self._deliveries[delivery.key] = delivery
            self._wake()

    def done(self, key: str) -> None:
        """A delivery to be forgotten."""
        with self._changed:
            if key in self._stored or (self._batch is not None and key in self._batch.deliveries):
                self._deliveries[key] = None
                self._wake()
            else:
                self._deliveries.pop(key, None)

    def is_stored(self, *keys: str) -> None:
        """Deliveries found in the database."""
        with self._changed:
            self._stored.update(keys)

    def call_when_written(self, callback: Callable[[], None]) -> bool:
        """Call it when everything that waits now has been written; False: nothing waits."""
        with self._changed:
            if not self._records and not self._deliveries and self._batch is None:
                return False
            self._on_written.append(callback)
            self._wake()
            return True

    @property
    def is_waited_for(self) -> bool:
        """Somebody is to be called when what waits now has been written."""
        with self._changed:
            return bool(self._on_written)

    def stop(self) -> None:
        """The writer is to write what waits, and then to end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()

    def _wake(self) -> None:
        if self._is_reader_waiting:  # else it looks anyway: waking a thread costs more than all the rest
            self._changed.notify()

    # The writer's side.

    @property
    def is_stopping(self) -> bool:
        """Nothing new will come."""
        return self._is_stopping

    def wait(self, timeout_s: float | None = None) -> None:
        """Until there is something to write, or it is over; with a time-out: until it is over."""
        with self._changed:
            if timeout_s is not None:
                self._changed.wait_for(lambda: self._is_stopping, timeout_s)
                return
            self._is_reader_waiting = True
            self._changed.wait_for(
                lambda: self._is_stopping or self._records or self._deliveries or self._on_written
            )
            self._is_reader_waiting = False

    def take(self, most: int) -> Batch:
        """The next batch; to be settled with `written` or `put_back`."""
        with self._changed:
            if len(self._records) + len(self._deliveries) <= most:
                batch = Batch(self._records, self._deliveries, self._on_written)
                self._records, self._deliveries, self._on_written = {}, {}, []
            else:  # deliveries first: they are what must not be lost
                batch = Batch({}, {}, [])
                for _ in range(min(most, len(self._deliveries))):
                    key = next(iter(self._deliveries))
                    batch.deliveries[key] = self._deliveries.pop(key)
                for _ in range(min(most - len(batch.deliveries), len(self._records))):
                    oldest = next(iter(self._records))
                    batch.records[oldest] = self._records.pop(oldest)
            self._batch = batch
            return batch

    def written(self, batch: Batch) -> None:
        """The batch is on disk."""
        with self._changed:
            self._batch = None
            for key, delivery in batch.deliveries.items():
                if delivery is None:
                    self._stored.discard(key)
                else:
                    self._stored.add(key)
        for callback in batch.on_written:
            callback()

    def put_back(self, batch: Batch) -> None:
        """The batch could not be written; what came meanwhile is newer. Nobody is kept waiting for it."""
        with self._changed:
            self._batch = None
            self._records = {**batch.records, **self._records}
            self._deliveries = {**batch.deliveries, **self._deliveries}
            # What may have been written before the failure must be deleted, not forgotten.
            self._stored.update(batch.deliveries)
            excess = len(self._records) - self._max_records
            for key in list(self._records)[: max(0, excess)]:
                del self._records[key]
                self.dropped += 1
            waiters, self._on_written = [*batch.on_written, *self._on_written], []
        for callback in waiters:
            callback()

    def lost(self, count: int) -> None:
        """Rows the database refuses to take, ever."""
        with self._changed:
            self.dropped += count
