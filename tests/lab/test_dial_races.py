"""The races of DV-34 against a far side that produces them on purpose: no call may be left up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from engine.dial.events import Connected, LegAnswered
from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus, TerminationReason
from tests.lab.test_dial_outcomes import branch, number
from tests.support.running_engine import happened, lab_config, ring, running, start
from tests.support.sipp import SippBench
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab


@pytest.fixture
def silent_uri() -> Iterator[str]:
    """Somebody who takes every datagram and never says a word."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        yield f"sip:bob@127.0.0.1:{sink.getsockname()[1]}"


async def test_dv34_a_200_after_the_cancel_is_acked_and_ended_with_bye(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_late_200_after_cancel")
    async with running() as engine:
        dial, happenings = start(engine, callee.uri, timeout_s=0.3)
        result = await dial.wait()
        seen = await callee.finished()
    seen.assert_passed()
    ack, bye = seen.received("ACK")[0], seen.received("BYE")[0]
    assert is_on_time(bye.at_utc - ack.at_utc, 0.0)
    assert ack.header("To") == bye.header("To") == seen.sent("200 INVITE")[0].header("To")
    assert not happened(happenings, Connected)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)
    assert result.termination_reason is TerminationReason.RING_TIMEOUT


async def test_dv30_a_callee_that_ignores_the_cancel_does_not_hold_the_result(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_ignores_cancel")
    async with running() as engine:
        started = asyncio.get_running_loop().time()
        result = await ring(engine, callee.uri, timeout_s=0.3)
        took_s = asyncio.get_running_loop().time() - started
        seen = await callee.finished()
    seen.assert_passed()
    assert is_on_time(took_s, 0.3 + 3.0)
    first, second = seen.received("CANCEL")[:2]
    assert branch(first) == branch(second)
    assert is_on_time(second.at_utc - first.at_utc, 0.5)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)
    assert result.legs[0].is_abandoned


@pytest.mark.parametrize("scenario", ["callee_200_twice", "callee_loses_first_ack"])
async def test_dv34_each_copy_of_the_200_is_acked_and_none_is_a_second_answer(
    sipp: SippBench, scenario: str
) -> None:
    callee = await sipp.callee(scenario)
    async with running() as engine:
        dial, happenings = start(engine, callee.uri, time_limit_s=0.9)
        result = await dial.wait()
        seen = await callee.finished()
    seen.assert_passed()
    first, second = seen.received("ACK")
    assert (branch(first), number(first)) == (branch(second), number(second))
    assert len(happened(happenings, LegAnswered)) == len(happened(happenings, Connected)) == 1
    assert len(seen.received("BYE")) == 1
    assert result.dial_status is DialStatus.COMPLETED


async def test_dv34_of_two_forks_the_second_answer_is_acked_and_hung_up(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_forks")
    async with running() as engine:
        dial, happenings = start(engine, callee.uri, time_limit_s=0.6)
        result = await dial.wait()
        seen = await callee.finished()
    seen.assert_passed()
    loser, winner = seen.received("BYE")
    assert "tag=forkB" in loser.header("To")
    assert "tag=forkA" in winner.header("To")
    assert winner.at_utc - loser.at_utc > 0.3, "the winner talks on after the loser is gone"
    assert len(happened(happenings, LegAnswered)) == 1
    assert result.dial_status is DialStatus.COMPLETED
    assert is_on_time(result.talk_s, 0.6)


async def test_a_bye_that_crosses_the_ack_ends_a_completed_dial(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_bye_at_once")
    async with running() as engine:
        result = await ring(engine, callee.uri)
        seen = await callee.finished()
    seen.assert_passed()
    assert len(seen.received("ACK")) == 1
    assert len(seen.received("200 BYE")) == 1
    assert (result.dial_status, result.ended_by) == (DialStatus.COMPLETED, EndedBy.CALLEE)
    assert is_on_time(result.talk_s, 0.0)


async def test_dv33_of_ten_that_ring_one_answers_and_nine_are_told_why_they_stop(sipp: SippBench) -> None:
    callees = await sipp.callee("load_simring", calls=10)
    users = [f"user{n}" for n in range(5)] + ["winner"] + [f"user{n}" for n in range(5, 9)]
    async with running() as engine:
        result = await ring(engine, *(callees.uri_for(user) for user in users), time_limit_s=0.3)
        seen = await callees.finished()
    seen.assert_passed(10)
    assert len({invite.header("Call-ID") for invite in seen.received("INVITE")}) == 10
    cancels = seen.received("CANCEL")
    assert len(cancels) == 9
    assert {cancel.header("Reason") for cancel in cancels} == {
        'SIP;cause=200;text="Call completed elsewhere"'
    }
    (bye,) = seen.received("BYE")
    assert bye.header("To").startswith("<sip:winner@")
    assert result.dial_status is DialStatus.COMPLETED
    assert [leg.to for leg in result.legs if leg.leg == result.leg] == [callees.uri_for("winner")]
    assert sum(leg.is_answered_elsewhere for leg in result.legs) == 9
    assert seen.retransmissions == 0


async def test_dv34_a_cancel_waits_for_the_first_provisional_response(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_slow_to_try", hold_ms=300)
    async with running() as engine:
        result = await ring(engine, callee.uri, timeout_s=0.1)
        seen = await callee.finished()
    seen.assert_passed()
    (invite,), (cancel,) = seen.received("INVITE"), seen.received("CANCEL")
    assert cancel.at_utc >= seen.sent("100 INVITE")[0].at_utc
    assert is_on_time(cancel.at_utc - invite.at_utc, 0.3)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)


async def test_dv34_a_dial_to_a_silent_address_ends_with_the_ring_timer(silent_uri: str) -> None:
    async with running() as engine:
        result = await ring(engine, silent_uri, timeout_s=0.2, within_s=5.0)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)
    assert result.legs[0].is_abandoned


async def test_no_response_at_all_is_408_after_timer_b(silent_uri: str) -> None:
    async with running(lab_config(timer_b_s=1.0)) as engine:
        result = await ring(engine, silent_uri, within_s=5.0)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 408)
    assert is_on_time(result.ring_s, 1.0)


async def test_dv52_a_6xx_on_one_branch_does_not_stop_the_others(sipp: SippBench) -> None:
    declining = await sipp.callee("callee_declines")
    answering = await sipp.callee("callee_answers", hold_ms=500)
    async with running() as engine:
        result = await ring(engine, declining.uri, answering.uri, time_limit_s=0.2)
        (await declining.finished()).assert_passed()
        (await answering.finished()).assert_passed()
    assert result.dial_status is DialStatus.COMPLETED
    assert [leg.sip_status for leg in result.legs] == [603, 200]


async def test_the_best_response_of_several_refusals_is_reported(sipp: SippBench) -> None:
    callees = [await sipp.callee(name) for name in ("callee_503", "callee_unavailable", "callee_busy")]
    async with running() as engine:
        result = await ring(engine, *(callee.uri for callee in callees))
        for callee in callees:
            (await callee.finished()).assert_passed()
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.BUSY, 486)
