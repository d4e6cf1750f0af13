"""What waits for the database: replaced by its later version, put back after a failure, bounded."""

from __future__ import annotations

from collections.abc import Callable

from engine.store import CallRow, LegRow
from engine.store.buffer import Batch, Buffer
from tests.store.examples import call_row, delivery, leg_row


def noting(notes: list[str], word: str) -> Callable[[], None]:
    return lambda: notes.append(word)


def keys(batch: Batch) -> list[str]:
    return [
        *(sid for _, sid in batch.records),
        *(f"{key}-" if row is None else key for key, row in batch.deliveries.items()),
    ]


def test_a_row_that_waits_is_replaced_by_its_later_version() -> None:
    buffer = Buffer(10)
    buffer.record("a", call_row("a", call_status="trying"))
    buffer.record("a", call_row("a", call_status="completed"))
    assert len(buffer) == 1
    assert list(buffer.take(10).records.values()) == [call_row("a", call_status="completed")]


def test_a_row_is_found_while_it_waits_and_while_it_is_being_written() -> None:
    buffer = Buffer(10)
    buffer.record("a", call_row("a"))
    assert buffer.find(CallRow, "a") == call_row("a")
    batch = buffer.take(10)
    assert buffer.find(CallRow, "a") == call_row("a")
    buffer.written(batch)
    assert buffer.find(CallRow, "a") is None


def test_a_leg_that_becomes_a_call_has_a_row_of_each_kind() -> None:
    buffer = Buffer(10)
    buffer.record("a", leg_row("a"))
    buffer.record("a", call_row("a"))
    assert buffer.find(LegRow, "a") == leg_row("a")
    assert len(buffer.take(10).records) == 2


def test_a_delivery_done_before_it_was_written_is_never_written() -> None:
    buffer = Buffer(10)
    buffer.put(delivery("a"))
    buffer.done("a")
    assert len(buffer) == 0


def test_a_delivery_done_while_or_after_it_was_written_is_deleted() -> None:
    buffer = Buffer(10)
    buffer.put(delivery("a"))
    buffer.put(delivery("b"))
    batch = buffer.take(10)
    buffer.done("a")
    buffer.written(batch)
    buffer.done("b")
    deleted = buffer.take(10)
    assert keys(deleted) == ["a-", "b-"]
    buffer.written(deleted)
    buffer.done("a")
    assert len(buffer) == 0


def test_after_a_failure_what_came_meanwhile_is_newer() -> None:
    buffer = Buffer(10)
    buffer.record("a", call_row("a", call_status="trying"))
    buffer.put(delivery("x", attempts=0))
    batch = buffer.take(10)
    buffer.record("a", call_row("a", call_status="completed"))
    buffer.record("b", call_row("b"))
    buffer.done("x")
    buffer.put_back(batch)
    again = buffer.take(10)
    assert keys(again) == ["a", "b", "x-"]
    assert again.records[CallRow, "a"] == call_row("a", call_status="completed")


def test_above_the_limit_the_oldest_records_are_given_up_and_deliveries_never() -> None:
    buffer = Buffer(3)
    for n in range(5):
        buffer.record(f"call-{n}", call_row(f"call-{n}"))
        buffer.put(delivery(f"key-{n}"))
    assert buffer.dropped == 2
    batch = buffer.take(100)
    assert keys(batch) == ["call-2", "call-3", "call-4", *(f"key-{n}" for n in range(5))]
    buffer.record("call-5", call_row("call-5"))
    buffer.put_back(batch)
    assert buffer.dropped == 3
    assert keys(buffer.take(100))[:3] == ["call-3", "call-4", "call-5"]


def test_a_batch_has_a_limit_and_deliveries_go_first() -> None:
    buffer = Buffer(100)
    for n in range(3):
        buffer.record(f"call-{n}", call_row(f"call-{n}"))
        buffer.put(delivery(f"key-{n}"))
    first = buffer.take(4)
    assert keys(first) == ["call-0", "key-0", "key-1", "key-2"]
    buffer.written(first)
    assert keys(buffer.take(4)) == ["call-1", "call-2"]


def test_who_waits_is_told_when_everything_before_is_written_or_cannot_be() -> None:
    buffer, notes = Buffer(10), list[str]()
    assert buffer.call_when_written(noting(notes, "nothing")) is False
    buffer.record("a", call_row("a"))
    assert buffer.call_when_written(noting(notes, "first"))
    batch = buffer.take(10)
    assert buffer.call_when_written(noting(notes, "second"))
    buffer.written(batch)
    assert notes == ["first"]
    empty = buffer.take(10)
    assert len(empty) == 0
    buffer.put_back(empty)
    assert notes == ["first", "second"]


def test_waiting_ends_when_there_is_something_or_it_is_over() -> None:
    buffer = Buffer(10)
    buffer.record("a", call_row("a"))
    buffer.wait()
    buffer.stop()
    buffer.wait(60.0)
    assert buffer.is_stopping
