"""A part of a task that can be cancelled from outside while the task goes on, as `asyncio.timeout` does."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["CancelScope", "finish_despite_cancellation"]


class CancelScope:
    """`async with scope:` runs its body until it ends or `cancel` is called; the body then is cancelled and
    the task continues after the block. Used once.

    A cancellation of the task itself passes through.
    """

    __slots__ = ("_cancelling", "_has_asked", "_is_over", "_task", "is_cancelled")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._has_asked = False
        self._is_over = False
        self.is_cancelled = False

    async def __aenter__(self) -> CancelScope:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._is_over = True
        task = self._task
        assert task is not None
        if not self._has_asked:
            return False
        # Our own request is taken back; whatever is left was somebody else's, and goes on.
        return task.uncancel() <= self._cancelling and kind is asyncio.CancelledError

    def cancel(self) -> None:
        """From the loop, at any time, any number of times. From within the body it only takes note: a task
        that cancels itself would be interrupted at its next wait, which may be after the block."""
        if self.is_cancelled or self._is_over:
            return
        self.is_cancelled = True
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._has_asked = True


async def finish_despite_cancellation(future: asyncio.Future[None]) -> None:
    """Wait for `future` (which must end soon by itself) even if cancelled meanwhile; that is raised after."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            if future.cancelled():
                break
            cancelled = error
    if cancelled is not None:
        raise cancelled
