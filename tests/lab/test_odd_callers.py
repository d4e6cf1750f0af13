"""Callers and callees that leave the beaten path, and twelve targets on real sockets."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from engine import Target
from engine.dial.events import HangUpLeg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.softphone import CallState, Ring
from tests.support.engine_process import serving
from tests.support.phones import PhoneRack
from tests.support.running_engine import happened, inbound, running, sip_address, start
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    ("answer_on_bridge", "scenario", "goodbye"),
    [(True, "callee_answers", "BYE"), (False, "callee_rings_on", "CANCEL")],
)
async def test_a_caller_who_never_answers_our_offer_is_hung_up_and_holds_no_callee(
    sipp: SippBench, answer_on_bridge: bool, scenario: str, goodbye: str
) -> None:
    callee = await sipp.callee(scenario, hold_ms=100)
    async with inbound(callee.uri, answer_on_bridge=answer_on_bridge) as engine:
        caller = await sipp.caller("caller_never_answers_our_offer", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    assert len(called.received(goodbye)) == 1


async def test_dv10_of_twelve_targets_ten_ring_and_a_duplicate_rings_once(sipp: SippBench) -> None:
    callees = await sipp.callee("load_simring", calls=10)
    users = ["user1", "user1", *(f"user{n}" for n in range(2, 10)), "winner", "user10", "user11"]
    async with running() as engine:
        dial, happenings = start(engine, *(callees.uri_for(user) for user in users), time_limit_s=0.2)
        async with asyncio.timeout(10.0):
            result = await dial.wait()
        seen = await callees.finished()
    seen.assert_passed(10)
    rung = [invite.first_line.split()[1] for invite in seen.received("INVITE")]
    assert sorted(rung) == sorted(callees.uri_for(user) for user in [*users[1:10], "winner"])
    assert len({invite.header("Call-ID") for invite in seen.received("INVITE")}) == 10
    assert len(happened(happenings, HangUpLeg)) == 10
    assert (result.dial_status, len(result.legs)) == (DialStatus.COMPLETED, 10)
    assert [warning.split(",")[0] for warning in result.warnings] == [
        "targets: 1 duplicates are dialled once",
        "targets: more than 10",
        "targets: more than 10",
    ]


async def test_dv25_a_name_that_does_not_exist_fails_at_once_beside_one_who_answers(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", hold_ms=200)
    async with running() as engine:
        nowhere = Target.sip("sip:bob@nowhere.invalid")
        dial, _ = start(engine, nowhere, callee.uri, time_limit_s=0.2)
        async with asyncio.timeout(10.0):
            result = await dial.wait()
        (await callee.finished()).assert_passed()
    assert [leg.sip_status for leg in result.legs] == [503, 200]
    assert result.termination_reason is TerminationReason.TIME_LIMIT


async def test_a_caller_who_still_hears_ringing_when_the_drain_is_over_gets_503_and_the_callee_a_cancel(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob, alice = await rack.phone("bob", Ring()), await rack.phone("alice")
    async with serving(
        tmp_path, bob.uri, route=["answer_on_bridge = true"], config="[limits]\ndrain_s = 0.5"
    ) as engine:
        call = await alice.call(f"sip:5550100@127.0.0.1:{engine.sip_port}")
        await call.until(CallState.EARLY)
        engine.signal(signal.SIGTERM)
        finished = await engine.finished()
        refused = await call.until(CallState.DISCONNECTED)
        cancelled = await (await bob.next_call()).until(CallState.DISCONNECTED)
    assert finished.exit_code == 0, finished.err
    assert "Traceback" not in finished.err
    assert refused.status == 503
    assert cancelled.message.startswith("CANCEL ")
    assert "Call completed elsewhere" not in cancelled.message
