"""`Reader`: the one thread that asks the database for the API. A daemon, for a database may never answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

__all__ = ["Reader"]

T = TypeVar("T")


class Reader:
    """Queries, one after the other. Owned by the `Store`. `on_end` is the last that the thread does."""

    __slots__ = ("_on_end", "_queue", "_thread")

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="store reader", daemon=True)
        self._thread.start()

    async def run(self, query: Callable[[], T], timeout_s: float) -> T:
        """What `query` returns or raises. TimeoutError: not within `timeout_s`, and not asked any more."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def ask() -> None:
            if answer.done():
                return
            try:
                result = query()
            except Exception as error:  # noqa: BLE001  (it is raised where the question was asked)
                tell(partial(_fail, answer, error))
            else:
                tell(partial(_resolve, answer, result))

        def tell(action: Callable[[], None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(action)

        self._queue.put(ask)
        async with asyncio.timeout(timeout_s):
            return await answer

    def stop(self, timeout_s: float) -> None:
        """End it, if the database lets it. Blocking."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (ask := self._queue.get()) is not None:
            ask()
        self._on_end()


def _resolve(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[T], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
