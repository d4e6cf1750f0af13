from __future__ import annotations

import asyncio

import pytest

from engine.sharing import ByteCache, SharedWork
from tests.support.virtual_time import in_virtual_time, settle


def test_the_least_recently_used_goes_first_when_the_bytes_do_not_suffice() -> None:
    cache: ByteCache[str, str] = ByteCache(100)
    cache.put("a", "A", 40)
    cache.put("b", "B", 40)
    assert cache.get("a") == "A"
    cache.put("c", "C", 40)
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c")) == ("A", "C")
    assert cache.size_bytes == 80


def test_a_value_put_again_counts_once_and_one_too_large_is_not_kept() -> None:
    cache: ByteCache[str, str] = ByteCache(100)
    cache.put("a", "A", 40)
    cache.put("a", "A2", 60)
    assert (cache.get("a"), cache.size_bytes, len(cache)) == ("A2", 60, 1)
    cache.put("a", "A3", 101)
    assert "a" not in cache
    assert cache.size_bytes == 0
    cache.put("b", "B", 100)
    cache.remove("b")
    cache.remove("b")
    cache.put("c", "C", 1)
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)


@in_virtual_time
async def test_many_who_want_the_same_wait_for_one() -> None:
    shared: SharedWork[str, int] = SharedWork("test")
    begun = 0

    async def work() -> int:
        nonlocal begun
        begun += 1
        await asyncio.sleep(1)
        return 42

    assert await asyncio.gather(*(shared.do("key", work) for _ in range(10))) == [42] * 10
    assert begun == 1
    assert len(shared) == 0
    assert await shared.do("key", work) == 42
    assert begun == 2


@in_virtual_time
async def test_one_who_gives_up_leaves_the_others_their_work() -> None:
    shared: SharedWork[str, int] = SharedWork("test")

    async def work() -> int:
        await asyncio.sleep(1)
        return 42

    hasty = asyncio.create_task(shared.do("key", work))
    patient = asyncio.create_task(shared.do("key", work))
    await settle()
    hasty.cancel()
    assert await patient == 42
    assert hasty.cancelled()


@in_virtual_time
async def test_work_nobody_waits_for_is_cancelled_and_begun_anew_by_the_next() -> None:
    shared: SharedWork[str, int] = SharedWork("test")
    cancelled = 0

    async def work() -> int:
        nonlocal cancelled
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return 42

    first, second = (asyncio.create_task(shared.do("key", work)) for _ in range(2))
    await settle()
    first.cancel()
    second.cancel()
    await asyncio.wait([first, second])
    assert len(shared) == 0
    assert await shared.do("key", work) == 42
    assert cancelled == 1


@in_virtual_time
async def test_a_failure_is_everybodys_and_is_not_remembered() -> None:
    shared: SharedWork[str, int] = SharedWork("test")
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(1)
        if attempts == 1:
            raise ValueError("no")
        return 42

    results = await asyncio.gather(*(shared.do("key", work) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["no"] * 3
    assert await shared.do("key", work) == 42


@in_virtual_time
async def test_close_cancels_what_is_under_way() -> None:
    shared: SharedWork[str, int] = SharedWork("test")

    async def work() -> int:
        await asyncio.sleep(60)
        return 42

    waiting = asyncio.create_task(shared.do("key", work))
    await settle()
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(shared) == 0
    assert asyncio.get_running_loop().time() == 0.0
