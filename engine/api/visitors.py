"""Requests that stay: event streams, who waits for a result. Counted per account, sent home at the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType

from engine.api.errors import ApiError

__all__ = ["Place", "Visitors"]


class Visitors:
    """Who is allowed to stay, and until when."""

    __slots__ = ("_closing", "_counts", "_limit")

    def __init__(self, limit: int) -> None:
        """`limit`: per account."""
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def place(self, account_sid: str) -> Place:
        """Raises ApiError (429) when the account has taken all of its places."""
        if self._counts[account_sid] >= self._limit:
            raise ApiError(
                429, f"{self._limit} requests of this account are waiting already", retry_after_s=1
            )
        return Place(self._counts, account_sid, self._closing)

    def close(self) -> None:
        """The server stops: everybody is to finish. Idempotent."""
        if not self._closing.done():
            self._closing.set_result(None)

    def __len__(self) -> int:
        return self._counts.total()


class Place:
    """Taken in a `with` block."""

    __slots__ = ("_account_sid", "_counts", "closing")

    def __init__(self, counts: Counter[str], account_sid: str, closing: asyncio.Future[None]) -> None:
        self._counts = counts
        self._account_sid = account_sid
        self.closing = closing
        """Done when the server stops. Shared: do not cancel it."""

    def __enter__(self) -> None:
        self._counts[self._account_sid] += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._counts[self._account_sid] -= 1
