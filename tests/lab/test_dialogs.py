"""What happens inside a dialog with a far side that uses the extensions: 100rel, hold, session timers."""

from __future__ import annotations

import pytest

from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus
from tests.lab.test_dial_outcomes import number
from tests.support.running_engine import ring, running
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


async def test_dv44_a_reliable_183_gets_its_prack_and_its_sdp_is_the_answer(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_100rel")
    async with running() as engine:
        result = await ring(engine, callee.uri, time_limit_s=0.2)
        seen = await callee.finished()
    seen.assert_passed()
    (invite,), (prack,) = seen.received("INVITE"), seen.received("PRACK")
    assert prack.header("RAck") == f"1 {number(invite)} INVITE"
    assert number(prack) == number(invite) + 1
    assert "100rel" in invite.header("Supported")
    assert not seen.sent("200 INVITE")[0].body.strip()
    assert result.dial_status is DialStatus.COMPLETED
    assert result.legs[0].early_media_at is not None


async def test_dv83_a_callee_holds_and_resumes(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_reinvite_hold", hold_ms=150)
    async with running() as engine:
        result = await ring(engine, callee.uri)
        seen = await callee.finished()
    seen.assert_passed()
    held, resumed = seen.received("200 INVITE")
    assert "a=recvonly" in held.body or "a=inactive" in held.body
    assert held.body.startswith("v=0")
    versions = [
        line.split()[2] for one in (held, resumed) for line in one.body.split("\n") if line[:2] == "o="
    ]
    assert int(versions[1]) > int(versions[0]), "RFC 3264 §8: a changed description has a higher version"
    assert (result.dial_status, result.ended_by) == (DialStatus.COMPLETED, EndedBy.CALLEE)


async def test_a_422_is_answered_with_the_longer_interval_and_the_refresh_of_the_callee_is_confirmed(
    sipp: SippBench,
) -> None:
    callee = await sipp.callee("callee_session_timer")
    async with running() as engine:
        result = await ring(engine, callee.uri, time_limit_s=0.6)
        seen = await callee.finished()
    seen.assert_passed()
    first, second = seen.received("INVITE")
    assert number(second) == number(first) + 1
    assert first.header("Call-ID") == second.header("Call-ID")
    assert "timer" in first.header("Supported")
    assert result.dial_status is DialStatus.COMPLETED
