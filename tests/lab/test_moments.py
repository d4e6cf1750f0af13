"""Bad moments: several answer at once, the caller leaves just then, messages are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from engine.dial.outcome import DialStatus, TerminationReason
from engine.softphone import Answer, CallState
from tests.support.lossy import lossy_link
from tests.support.phones import PhoneRack
from tests.support.running_engine import inbound, ring, running, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


async def test_dv34_when_three_answer_in_the_same_moment_one_is_connected_and_two_are_let_go(
    rack: PhoneRack,
) -> None:
    phones = await rack.phones("bob", "carol", "dave", behaviour=Answer(after_s=0.15))
    async with running() as engine:
        for _ in range(5):
            result = await ring(engine, *(phone.uri for phone in phones), time_limit_s=0.4)
            calls = [await phone.next_call() for phone in phones]
            ends = [await call.until(CallState.DISCONNECTED) for call in calls]
            assert result.dial_status is DialStatus.COMPLETED
            assert [leg.leg for leg in result.legs if not leg.is_answered_elsewhere] == [result.leg]
            goodbyes = [end.message.split(" ", 1)[0] for end in ends]
            assert goodbyes.count("BYE") >= 1
            assert set(goodbyes) <= {"BYE", "CANCEL"}
            elsewhere = [end for end in ends if "Call completed elsewhere" in end.message]
            assert len(elsewhere) == 2
            talked = [call for call, end in zip(calls, ends, strict=True) if end not in elsewhere]
            assert talked[0].time_of(CallState.CONFIRMED) is not None


@pytest.mark.parametrize("before_the_answer_ms", [-20, -5, -2, 0, 2, 5, 20])
async def test_dv34_a_caller_that_leaves_in_the_moment_of_the_answer_leaves_no_call_up(
    rack: PhoneRack, before_the_answer_ms: int
) -> None:
    rings_s = 0.2
    bob = await rack.phone("bob", Answer(after_s=rings_s))
    alice = await rack.phone("alice")
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        host, port = sip_address(engine)
        calling = await alice.call(f"sip:5550100@{host}:{port}")
        called = await bob.next_call()
        await asyncio.sleep(rings_s - before_the_answer_ms / 1000)
        await calling.hang_up()
        await calling.until(CallState.DISCONNECTED)
        end = await called.until(CallState.DISCONNECTED)
    assert end.message.startswith(("CANCEL ", "BYE "))
    assert calling.status in (200, 487)


LOSSES = pytest.mark.parametrize(
    ("to_called", "to_caller"),
    [({0}, ()), ({0, 1}, ()), ((), {0}), ((), {0, 1, 2}), ({0}, {2, 3})],
    ids=["INVITE", "two INVITEs", "100", "100, 180 and 200", "INVITE and two 200s"],
)


@LOSSES
async def test_a_callee_is_reached_although_messages_are_lost(
    rack: PhoneRack, to_called: Collection[int], to_caller: Collection[int]
) -> None:
    bob = await rack.phone("bob", Answer(after_s=0.1))
    address = ("127.0.0.1", bob.port)
    async with (
        running() as engine,
        lossy_link(address, lose_to_called=to_called, lose_to_caller=to_caller) as link,
    ):
        result = await ring(engine, link.uri_for("bob"), time_limit_s=0.2)
        call = await bob.next_call()
        assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert len(bob.calls) == 1, "a retransmitted INVITE is no second call"
    assert (link.sip_to_called.lost, link.sip_to_caller.lost) == (len(to_called), len(to_caller))
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)
    assert result.termination_reason is TerminationReason.TIME_LIMIT


@LOSSES
async def test_a_caller_is_served_although_messages_are_lost(
    rack: PhoneRack, to_called: Collection[int], to_caller: Collection[int]
) -> None:
    bob = await rack.phone("bob", Answer(after_s=0.1))
    alice = await rack.phone("alice")
    async with (
        inbound(bob.uri, answer_on_bridge=True) as engine,
        lossy_link(sip_address(engine), lose_to_called=to_called, lose_to_caller=to_caller) as link,
    ):
        calling = await alice.call(link.uri_for("5550100"))
        await calling.until(CallState.CONFIRMED, timeout_s=20.0)
        await calling.hang_up()
        await (await bob.next_call()).until(CallState.DISCONNECTED)
    assert len(bob.calls) == 1, "a retransmitted INVITE is no second call"
    assert (link.sip_to_called.lost, link.sip_to_caller.lost) == (len(to_called), len(to_caller))


async def test_a_hundred_dials_at_once_all_come_about(sipp: SippBench) -> None:
    callees = await sipp.callee("load_simring", calls=200, trace=False)
    winner, other = callees.uri_for("winner"), callees.uri_for("bob")
    async with running() as engine:
        dials = (ring(engine, winner, other, time_limit_s=0.5) for _ in range(100))
        results = await asyncio.gather(*dials)
        seen = await callees.finished()
    seen.assert_passed(200)
    assert {(result.dial_status, result.dial_sip_status) for result in results} == {
        (DialStatus.COMPLETED, 200)
    }
    assert len({leg.sip_call_id for result in results for leg in result.legs}) == 200
