"""The engine between phones and SIPps with other transports, extensions and codecs than the usual ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.dial.outcome import DialStatus
from engine.sip.types import Transport
from engine.softphone import Answer, CallState, EarlyMedia, MediaDirection, Tone, Voicemail
from tests.support.engine_process import run_engine
from tests.support.phones import PhoneRack
from tests.support.running_engine import inbound, ring, running, sip_address
from tests.support.sipp import SippBench
from tests.support.spectrum import assert_hears, tone_seconds

pytestmark = pytest.mark.lab


def number_at(address: tuple[str, int], more: str = "") -> str:
    return f"sip:5550100@{address[0]}:{address[1]}{more}"


async def test_tcp_on_both_sides(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", transport="t1")
    async with inbound(f"{callee.uri};transport=tcp", answer_on_bridge=True) as engine:
        address = sip_address(engine, Transport.TCP)
        caller = await sipp.caller("caller_answers_basic", address, transport="t1", hold_ms=200)
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    assert "SIP/2.0/TCP" in called.received("INVITE")[0].header("Via")


async def test_a_udp_caller_reaches_a_tcp_phone(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer(sound=Tone(440)), tcp=True)
    alice = await rack.phone("alice")
    target = f"sip:bob@127.0.0.1:{bob.tcp_port};transport=tcp"
    async with inbound(target, answer_on_bridge=True) as engine:
        call = await alice.call(number_at(sip_address(engine)), record=tmp_path / "alice.wav")
        await call.until(CallState.CONFIRMED)
        assert "Via: SIP/2.0/TCP" in (await bob.next_call()).invite
        await asyncio.sleep(0.8)  # audio takes its time
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
    assert_hears(tmp_path / "alice.wav", 440, start_s=0.3)


async def test_an_invite_over_1300_bytes_moves_to_tcp(sipp: SippBench) -> None:
    """RFC 3261 §18.1.1; SIPp's UDP and TCP cannot share a port, so the far side is TCP only."""
    callee = await sipp.callee("callee_answers", transport="t1")
    async with running() as engine:
        headers = {f"X-Long-{n}": "x" * 100 for n in range(12)}
        result = await ring(engine, callee.uri, headers=headers, time_limit_s=0.2)
        seen = await callee.finished()
    seen.assert_passed()
    (invite,) = seen.received("INVITE")
    assert len(invite.text) > 1300
    assert "SIP/2.0/TCP" in invite.header("Via")
    assert result.dial_status is DialStatus.COMPLETED


async def test_an_invite_over_1300_bytes_goes_by_udp_where_tcp_is_refused(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers")
    async with running() as engine:
        headers = {f"X-Long-{n}": "x" * 100 for n in range(12)}
        result = await ring(engine, callee.uri, headers=headers, time_limit_s=0.2)
        seen = await callee.finished()
    seen.assert_passed()
    assert "SIP/2.0/UDP" in seen.received("INVITE")[0].header("Via")
    assert result.dial_status is DialStatus.COMPLETED


async def test_dv44_a_caller_that_requires_100rel_gets_reliable_provisionals(
    rack: PhoneRack, tmp_path: Path
) -> None:
    log = tmp_path / "alice.log"
    bob = await rack.phone("bob", EarlyMedia(Tone(425), answer_after_s=0.5, answered_sound=Tone(900)))
    alice = await rack.phone("alice", requires_100rel=True, log=log)
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        call = await alice.call(number_at(sip_address(engine)), record=tmp_path / "alice.wav")
        await call.until(CallState.CONFIRMED)
        await asyncio.sleep(0.8)  # audio takes its time
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
    assert "\nPRACK sip:" in log.read_text(errors="replace")
    assert_hears(tmp_path / "alice.wav", 900, start_s=-0.5)


@pytest.mark.parametrize("insisting", ["caller", "callee"])
async def test_a_phone_that_insists_on_session_timers_is_served(rack: PhoneRack, insisting: str) -> None:
    bob = await rack.phone("bob", Answer(), session_expires_s=90 if insisting == "callee" else 0)
    alice = await rack.phone("alice", session_expires_s=90 if insisting == "caller" else 0)
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        call = await alice.call(number_at(sip_address(engine)))
        await call.until(CallState.CONFIRMED)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await call.hang_up()
        await theirs.until(CallState.DISCONNECTED)
    assert theirs.status == 200


async def test_a_caller_without_a_codec_of_ours_is_refused_with_488(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice", codecs=("G722", "GSM"))
    async with inbound(bob.uri) as engine:
        call = await alice.call(number_at(sip_address(engine)))
        assert (await call.until(CallState.DISCONNECTED)).status == 488
    assert not bob.calls


async def test_a_callee_without_a_codec_of_ours_fails_with_488(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer(), codecs=("G722",))
    async with running() as engine:
        result = await ring(engine, bob.uri)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 488)


async def test_dv82_a_transfer_without_a_hook_is_refused_with_501_and_the_call_goes_on(
    rack: PhoneRack,
) -> None:
    bob, carol = await rack.phones("bob", "carol", behaviour=Answer())
    alice = await rack.phone("alice")
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        call = await alice.call(number_at(sip_address(engine)))
        await call.until(CallState.CONFIRMED)
        await call.transfer_to(carol.uri)
        final = await alice.until(lambda: next((p for p in call.transfer if p.is_final), None))
        assert final.status == 501
        assert call.state is CallState.CONFIRMED
        assert call.direction is MediaDirection.ACTIVE
        await call.hang_up()
        await (await bob.next_call()).until(CallState.DISCONNECTED)
    assert not carol.calls


async def test_a_voicemail_is_dialled_and_its_greeting_and_beep_are_recorded(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", Voicemail(greeting_s=0.8, beep_hz=1400, beep_ms=500, after_s=0.1))
    recorded = tmp_path / "voicemail.wav"
    finished = await run_engine("dial", bob.uri, "--record", str(recorded), "--time-limit", "2.2", "--json")
    assert finished.exit_code == 0, finished.err
    beep = tone_seconds(recorded, 1400)
    assert 3 <= len(beep) <= 6
    assert 0.6 <= beep[0] <= 1.2
