"""engine.cli.printer: a reader that does not read stops nobody."""

import os
import threading

from engine.cli.printer import Printer


def test_lines_come_whole_and_in_order() -> None:
    reading, writing = os.pipe()
    with Printer(writing) as printer:
        for number in range(1000):
            printer.print(f"line {number}")
    os.close(writing)
    with os.fdopen(reading) as out:
        assert out.read().splitlines() == [f"line {number}" for number in range(1000)]
    assert printer.dropped == 0


def test_a_reader_that_does_not_read_costs_lines_and_never_time() -> None:
    reading, writing = os.pipe()
    printer = Printer(writing, max_waiting=100)
    with printer:
        for number in range(100_000):  # two megabytes; the pipe holds 64 KiB
            printer.print(f"the line of number {number}")
        assert printer.dropped > 50_000
        # Somebody reads again: what was kept comes, and the end is not held up.
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(_all_of(reading)))
        reader.start()
    os.close(writing)
    reader.join(10.0)
    assert len(read[0].splitlines()) == 100_000 - printer.dropped


def test_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with Printer(writing) as printer:
        printer.print("to nobody")
    printer.print("after the end")
    os.close(writing)
    assert printer.dropped == 2


def _all_of(reading: int) -> bytes:
    with os.fdopen(reading, "rb") as out:
        return out.read()
