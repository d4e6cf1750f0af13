"""engine.application.scope: a part of a task that can be cancelled while the task goes on."""

from __future__ import annotations

import asyncio

import pytest

from engine.application.scope import CancelScope, finish_despite_cancellation
from tests.support.virtual_time import in_virtual_time, settle


@in_virtual_time
async def test_a_cancelled_body_ends_and_the_task_goes_on() -> None:
    scope, cleaned = CancelScope(), []
    asyncio.get_running_loop().call_later(1.0, scope.cancel)
    async with scope:
        try:
            await asyncio.sleep(10)
        finally:
            cleaned.append("up")
    assert (scope.is_cancelled, cleaned) == (True, ["up"])
    await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() == 2.0


@in_virtual_time
async def test_a_cancellation_of_the_task_passes_through_also_when_the_scope_is_cancelled_too() -> None:
    scope = CancelScope()

    async def work() -> None:
        async with scope:
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await settle()
    scope.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_virtual_time
async def test_a_body_that_cancels_its_own_scope_is_not_interrupted_later() -> None:
    scope = CancelScope()
    async with scope:
        scope.cancel()
    await asyncio.sleep(1)
    assert scope.is_cancelled


@in_virtual_time
async def test_an_exception_of_the_body_is_not_swallowed() -> None:
    with pytest.raises(ValueError, match="no"):
        async with CancelScope():
            raise ValueError("no")


@in_virtual_time
async def test_cancelling_after_the_end_does_nothing() -> None:
    scope = CancelScope()
    async with scope:
        pass
    scope.cancel()
    await asyncio.sleep(1)
    assert not scope.is_cancelled


@in_virtual_time
async def test_finish_despite_cancellation_waits_and_then_passes_the_cancellation_on() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(finish_despite_cancellation(future))
    await settle()
    task.cancel()
    await settle()
    task.cancel()
    await settle()
    assert not task.done()
    future.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await task
