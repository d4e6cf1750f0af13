"""Lines for whoever reads our standard output, written by a thread: a reader that stops reading must not stop
calls.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from types import TracebackType
from typing import Self

import structlog

__all__ = ["Printer"]

_log = structlog.get_logger(__name__)

_MAX_WAITING = 100_000
_GOODBYE_S = 2.0


class Printer:
    """`with Printer(sys.stdout.fileno()) as printer: printer.print("line")`; never waits, never raises.

    It writes to the file descriptor itself: a thread stuck in a buffered file keeps a process from ending.
    """

    def __init__(self, out: int, *, max_waiting: int = _MAX_WAITING) -> None:
        self.dropped = 0
        """Lines given up because too many were waiting, or because nobody reads any more."""
        self._out = out
        self._lines: deque[str] = deque()
        self._max_waiting = max_waiting
        self._has_work = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._write, name="printer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._has_work:
            self._is_closed = True
            self._has_work.notify()
        # A reader that does not read keeps the thread waiting; the process ends without it.
        self._thread.join(_GOODBYE_S)

    def print(self, line: str) -> None:
        """Write it when the reader takes it."""
        with self._has_work:
            if self._is_closed or len(self._lines) >= self._max_waiting:
                self.dropped += 1
                return
            self._lines.append(line)
            self._has_work.notify()

    def _write(self) -> None:
        while True:
            with self._has_work:
                while not self._lines:
                    if self._is_closed:
                        return
                    self._has_work.wait()
                lines = list(self._lines)
                self._lines.clear()
            try:
                _write_all(self._out, ("\n".join(lines) + "\n").encode())
            except OSError as error:
                _log.warning("nobody reads the standard output", problem=error.strerror)
                with self._has_work:
                    self._is_closed = True
                    self.dropped += len(lines) + len(self._lines)
                    self._lines.clear()
                return


def _write_all(out: int, data: bytes) -> None:
    while data:
        data = data[os.write(out, data) :]
