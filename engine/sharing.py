"""Work that many want at once is done once; what it made is kept as long as there is room for it.

For what is worth keeping in memory because making it costs time: fetched files, decoded and synthesised
audio.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["ByteCache", "SharedWork"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class ByteCache(Generic[K, T]):
    """Keeps at most `limit_bytes` of values; who was not asked for longest goes first."""

    __slots__ = ("_entries", "limit_bytes", "size_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        """Of all that is kept now."""
        self._entries: OrderedDict[K, tuple[T, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def get(self, key: K) -> T | None:
        """What is kept under this key; it is the last to go now."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: T, size_bytes: int) -> None:
        """Keep it, in place of what was there. What is larger than the whole cache is not kept."""
        self.remove(key)
        if size_bytes > self.limit_bytes:
            return
        self._entries[key] = (value, size_bytes)
        self.size_bytes += size_bytes
        while self.size_bytes > self.limit_bytes:
            _, (_, freed) = self._entries.popitem(last=False)
            self.size_bytes -= freed

    def remove(self, key: K) -> None:
        """Unknown is fine."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size_bytes -= entry[1]

    def clear(self) -> None:
        self._entries.clear()
        self.size_bytes = 0


class SharedWork(Generic[K, T]):
    """Work by key: who wants what is already under way waits for it. Each piece of work is a task of its own,
    which is cancelled when nobody waits for it any more.
    """

    __slots__ = ("_name", "_running")

    def __init__(self, name: str) -> None:
        """`name`: of the tasks; without the key, which may be a text or a URL that nobody should log."""
        self._name = name
        self._running: dict[K, _Work[T]] = {}

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._running)

    async def do(self, key: K, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of `make()`, or of the one under way for this key; its exception is everybody's."""
        work = self._running.get(key)
        if work is None:
            task = asyncio.get_running_loop().create_task(make(), name=self._name)
            work = self._running[key] = _Work(task)
            task.add_done_callback(lambda _: self._forget(key, work))
        work.waiters += 1
        try:
            return await asyncio.shield(work.task)
        finally:
            work.waiters -= 1
            if not work.waiters and not work.task.done():
                self._forget(key, work)  # who comes now must not wait for what is being cancelled
                work.task.cancel()

    async def close(self) -> None:
        """Cancel everything, and who waits for it; returns when it has ended."""
        tasks = [work.task for work in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget(self, key: K, work: _Work[T]) -> None:
        if self._running.get(key) is work:
            del self._running[key]


class _Work(Generic[T]):
    __slots__ = ("task", "waiters")

    def __init__(self, task: asyncio.Task[T]) -> None:
        self.task = task
        self.waiters = 0
