"""When a dial is over and its goodbyes are said, only transactions that absorb retransmissions are left.

Timers D and K (RFC 3261 §17.1.1.2, §17.1.2.2) keep those for 32 and 5 s; that they end too is tested in
virtual time and by the benches, which wait for it. Here nothing else may survive 64*T1: no call, no stream.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.running_engine import inbound, lab_config, ring, running, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab

T1_MS = 20
SCENARIOS = (
    "callee_answers",
    "callee_hangs_up",
    "callee_busy",
    "callee_rings_on",
    "callee_late_200_after_cancel",
    "callee_ignores_cancel",
    "callee_forks",
    "callee_100rel",
    "callee_bye_at_once",
    "callee_503",
)


async def after_all_goodbyes() -> None:
    """64*T1: the longest anything of a call may wait for the other side."""
    await asyncio.sleep(64 * T1_MS / 1000 + 0.5)


def other_than_absorbing(left: str) -> list[str]:
    return [
        line for line in left.splitlines() if not (line.startswith("<client ") and " Completed to " in line)
    ]


async def test_every_kind_of_dial_leaves_nothing_behind(sipp: SippBench) -> None:
    callees = await asyncio.gather(*(sipp.callee(name) for name in SCENARIOS))
    async with running(lab_config(t1_ms=T1_MS)) as engine:
        dials = (ring(engine, callee.uri, timeout_s=0.4, time_limit_s=0.3) for callee in callees)
        results = await asyncio.gather(*dials)
        await after_all_goodbyes()
        left = engine.describe()
    assert len(results) == len(SCENARIOS)
    assert other_than_absorbing(left) == []


async def test_callers_that_come_and_go_leave_nothing_behind(sipp: SippBench) -> None:
    callee = await sipp.callee("load_simring", calls=20)
    async with inbound(callee.uri_for("winner"), callee.uri_for("bob"), t1_ms=T1_MS) as engine:
        caller = await sipp.caller(
            "caller_answers_basic", sip_address(engine), calls=10, rate=20, hold_ms=200
        )
        (await caller.finished()).assert_passed(10)
        await after_all_goodbyes()
        left = engine.describe()
    (await callee.finished()).assert_passed(20)
    assert other_than_absorbing(left) == []
