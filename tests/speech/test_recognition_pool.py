"""The workers of the embedded recogniser: order, limits, and processes that end when they should."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.speech.recognition_pool import NotUnderstood, WorkerPool
from tests.speech.machine import no_descriptors
from tests.speech.voice import spoken

_SECOND = np.zeros(16000, np.int16)


async def test_whole_utterances_come_before_partial_ones() -> None:
    pool = WorkerPool()
    done: list[str] = []

    async def ask(name: str, *, is_partial: bool) -> None:
        await pool.understand(spoken("yes"), is_partial=is_partial)
        done.append(name)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for name, is_partial in (("p1", True), ("p2", True), ("f1", False), ("f2", False)):
            group.create_task(ask(name, is_partial=is_partial))
    assert done == ["f1", "f2", "p1", "p2"]
    assert pool.heard_s == pytest.approx(4 * len(spoken("yes")) / 16000)
    assert 0 < pool.cpu_s < pool.heard_s
    await pool.close()


async def test_when_too_much_waits_the_oldest_partial_ones_go_first_and_are_told() -> None:
    pool = WorkerPool(most_waiting_s=6.0)
    asked = [asyncio.create_task(pool.understand(_SECOND, is_partial=n in (1, 2))) for n in range(8)]
    results = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)
    assert [isinstance(result, NotUnderstood) for result in results] == [False, True, True] + [False] * 5
    await pool.close()


async def test_a_caller_that_is_cancelled_leaves_the_queue() -> None:
    pool = WorkerPool()
    first = asyncio.create_task(pool.understand(spoken("yes")))
    second = asyncio.create_task(pool.understand(spoken("no")))
    await asyncio.sleep(0)
    second.cancel()
    assert (await asyncio.wait_for(first, 60)).alternatives[0][0] == "yes"
    assert not pool._waiting
    await pool.close()


async def test_two_workers_think_at_the_same_time() -> None:
    pool = WorkerPool(workers=2)
    async with asyncio.timeout(60):
        answers = await asyncio.gather(
            *(pool.understand(spoken(text)) for text in ("yes", "no", "yes", "no"))
        )
    assert [answer.alternatives[0][0] for answer in answers] == ["yes", "no", "yes", "no"]
    assert len(pool.pids) == 2
    await pool.close()
    assert pool.pids == []


async def test_a_worker_that_thinks_for_ever_is_replaced() -> None:
    pool = WorkerPool(most_thinking_s=3.0)
    async with asyncio.timeout(60):
        await pool.understand(_SECOND)
        [stuck] = pool.pids
        os.kill(stuck, signal.SIGSTOP)
        with pytest.raises(NotUnderstood, match="broke down"):
            await pool.understand(_SECOND)
        await pool.understand(_SECOND)
        assert stuck not in pool.pids
    await pool.close()


async def test_what_is_said_on_a_machine_without_room_for_a_worker_is_answered() -> None:
    pool = WorkerPool()
    async with asyncio.timeout(30):
        with no_descriptors(), pytest.raises(NotUnderstood, match="cannot be started"):
            await pool.understand(_SECOND)
        await pool.understand(_SECOND)
    await pool.close()


async def test_a_closed_pool_refuses_and_fails_what_waits() -> None:
    pool = WorkerPool()
    waiting = asyncio.create_task(pool.understand(_SECOND))
    await asyncio.sleep(0)
    await pool.close()
    with pytest.raises(NotUnderstood):
        await waiting
    with pytest.raises(NotUnderstood):
        await pool.understand(_SECOND)
    pool.warm_up()
    assert pool.pids == []


_OWNER = """
import asyncio, os, sys
from engine.speech.recognition_pool import WorkerPool
import numpy as np
async def main():
    pool = WorkerPool()
    await pool.understand(np.zeros(1600, np.int16))
    print(*pool.pids, flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_a_worker_never_outlives_its_owner() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid = int(owner.stdout.readline())
        os.kill(pid, 0)
        gone = os.pidfd_open(pid)
        owner.kill()
        assert _is_over(gone, 10.0)
    os.close(gone)


def _is_over(pidfd: int, timeout_s: float) -> bool:
    import select

    return bool(select.select([pidfd], [], [], timeout_s)[0])
