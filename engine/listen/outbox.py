"""What waits to be sent: text frames and audio, bounded. When the server is slow the oldest audio goes.

Late audio is worth less than new audio, and a buffer that grows is a failure that has only been put off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Outbox"]

_MOST_TEXTS = 1000
"""Each answers something the server sent or a key somebody pressed; one who asks for more does not read."""


class Outbox:
    """Many writers, one reader, one loop."""

    __slots__ = ("_audio", "_dropping", "_items", "_most_audio", "_on_drop", "_texts", "_waiter", "dropped")

    def __init__(self, most_audio: int, on_drop: Callable[[], None]) -> None:
        """most_audio: frames. on_drop: called once per stretch of dropping."""
        self._items: deque[bytes | str] = deque()
        self._audio = 0
        self._texts = 0
        self._most_audio = most_audio
        self._on_drop = on_drop
        self._dropping = False
        self._waiter: asyncio.Future[None] | None = None
        self.dropped = 0
        """Audio frames that were never sent."""

    def put_audio(self, frame: bytes) -> None:
        """Queue a frame; the oldest one goes if there are too many."""
        if self._audio >= self._most_audio:
            self._drop_oldest(bytes)
            self._audio -= 1
            self.dropped += 1
            if not self._dropping:
                self._dropping = True
                self._on_drop()
        self._items.append(frame)
        self._audio += 1
        self._wake()

    def put_text(self, text: str) -> None:
        """Queue a text frame, in order with the audio."""
        if self._texts >= _MOST_TEXTS:
            self._drop_oldest(str)
            self._texts -= 1
        self._items.append(text)
        self._texts += 1
        self._wake()

    def take(self) -> bytes | str | None:
        """The oldest; None if there is nothing."""
        if not self._items:
            self._dropping = False
            return None
        item = self._items.popleft()
        if isinstance(item, bytes):
            self._audio -= 1
        else:
            self._texts -= 1
        return item

    async def wait(self) -> None:
        """Until there is something to take."""
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def forget_audio(self) -> None:
        """What is heard is not wanted any more; texts stay."""
        self._items = deque(item for item in self._items if isinstance(item, str))
        self._audio = 0

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _drop_oldest(self, kind: type[bytes] | type[str]) -> None:
        for index, item in enumerate(self._items):
            if isinstance(item, kind):
                del self._items[index]
                return
