"""`dial-engine dial` and `serve` as a user runs them, with phones and SIPps at the other end."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from engine.softphone import Answer, CallState, Refuse, Ring, Tone
from tests.softphone.test_spectrum import sine, write
from tests.support.engine_process import engine_process, run_engine, serving
from tests.support.phones import PhoneRack
from tests.support.sipp import SippBench
from tests.support.spectrum import assert_hears

pytestmark = pytest.mark.lab


async def test_dial_plays_a_file_records_the_callee_and_prints_the_result(
    rack: PhoneRack, tmp_path: Path
) -> None:
    heard, recorded = tmp_path / "bob.wav", tmp_path / "answer.wav"
    message = write(tmp_path / "message.wav", sine(800, seconds=1.5, rate_hz=16000), 16000)
    bob = await rack.phone("bob", Answer(after_s=0.2, sound=Tone(440), record=str(heard)))
    finished = await run_engine(
        "dial", bob.uri, "--play", str(message), "--record", str(recorded), "--from", "+15550123", "--json"
    )
    call = await bob.next_call()
    await call.until(CallState.DISCONNECTED)
    assert finished.exit_code == 0, finished.err
    assert finished.result["dial_status"] == "completed"
    assert finished.result["dial_sip_status"] == 200
    assert "+15550123" in call.remote_uri
    assert_hears(heard, 800, start_s=0.3, end_s=1.2)
    assert_hears(recorded, 440, start_s=0.3)


async def test_dial_shows_each_leg_and_says_not_answered(sipp: SippBench) -> None:
    busy = await sipp.callee("callee_busy")
    ringing = await sipp.callee("callee_rings_on")
    finished = await run_engine("dial", busy.uri, ringing.uri, "--timeout", "0.8")
    (await busy.finished()).assert_passed()
    (await ringing.finished()).assert_passed()
    assert finished.exit_code == 1
    for word in ("trying", "ringing", "486", "no-answer"):
        assert word in finished.out, finished.out


async def test_ctrl_c_cancels_a_ringing_dial_and_ends_in_order(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Ring())
    async with engine_process("dial", bob.uri) as process:
        await process.read_until("ringing")
        process.signal(signal.SIGINT)
        finished = await process.finished()
    call = await bob.next_call()
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("CANCEL ")
    assert finished.exit_code == 1
    assert "Traceback" not in finished.err


async def test_ctrl_c_hangs_up_a_conversation(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer())
    async with engine_process("dial", bob.uri) as process:
        await process.read_until("answered")
        call = await bob.next_call()
        await call.until(CallState.CONFIRMED)
        process.signal(signal.SIGINT)
        finished = await process.finished()
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert finished.exit_code == 0
    assert "Traceback" not in finished.err


async def test_serve_joins_phones_and_reports_the_dial(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer(sound=Tone(440), record=str(tmp_path / "bob.wav")))
    busy = await rack.phone("carol", Refuse(486))
    alice = await rack.phone("alice")
    async with serving(tmp_path, bob.uri, busy.uri, route=["answer_on_bridge = true"]) as engine:
        call = await alice.call(
            f"sip:5550100@127.0.0.1:{engine.sip_port}", sound=Tone(1000), record=tmp_path / "alice.wav"
        )
        await call.until(CallState.CONFIRMED)
        await asyncio.sleep(0.9)  # audio takes its time
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
        result = json.loads(await engine.read_until("dial_status"))
        engine.signal(signal.SIGTERM)
        finished = await engine.finished()
    await (await bob.next_call()).until(CallState.DISCONNECTED)
    assert finished.exit_code == 0, finished.err
    assert result["dial_status"] == "completed"
    assert sorted(leg["sip_status"] for leg in result["dial_legs"]) == [200, 486]
    assert_hears(tmp_path / "alice.wav", 440, start_s=0.3)
    assert_hears(tmp_path / "bob.wav", 1000, start_s=0.3)


async def test_sigterm_drains_new_calls_get_503_and_the_conversation_goes_on(
    rack: PhoneRack, sipp: SippBench, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    async with serving(tmp_path, bob.uri, route=["answer_on_bridge = true"]) as engine:
        call = await alice.call(f"sip:5550100@127.0.0.1:{engine.sip_port}")
        await call.until(CallState.CONFIRMED)
        engine.signal(signal.SIGTERM)
        late = await sipp.caller("caller_is_refused", ("127.0.0.1", engine.sip_port))
        refused = await late.finished()
        still_up = call.state
        await call.hang_up()
        finished = await engine.finished()
    refused.assert_passed()
    assert len(refused.received("503 INVITE")) == 1
    assert refused.received("503 INVITE")[0].header("Retry-After")
    assert still_up is CallState.CONFIRMED
    assert finished.exit_code == 0, finished.err


async def test_a_second_sigterm_hangs_up_at_once(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    async with serving(tmp_path, bob.uri, route=["answer_on_bridge = true"]) as engine:
        call = await alice.call(f"sip:5550100@127.0.0.1:{engine.sip_port}")
        await call.until(CallState.CONFIRMED)
        engine.signal(signal.SIGTERM)
        engine.signal(signal.SIGINT)
        finished = await engine.finished()
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert (await (await bob.next_call()).until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert finished.exit_code == 0, finished.err


async def test_a_number_goes_out_through_the_named_trunk(sipp: SippBench, tmp_path: Path) -> None:
    carrier = await sipp.callee("callee_answers")
    config = tmp_path / "engine.toml"
    config.write_text(
        '[sip]\nlisten = ["udp:127.0.0.1:0"]\n[media]\nports = ""\n'
        '[[trunk]]\nname = "Other"\nuri = "sip:192.0.2.1"\n'
        f'[[trunk]]\nname = "CarrierA"\nuri = "sip:127.0.0.1:{carrier.port}"\nfrom_domain = "example.com"\n'
    )
    finished = await run_engine(
        "dial", "+15550100", "--config", str(config), "--trunk", "CarrierA", "--from", "+15550199",
        "--time-limit", "0.5", "--json",
    )  # fmt: skip
    result = await carrier.finished()
    result.assert_passed()
    (invite,) = result.received("INVITE")
    assert finished.exit_code == 0, finished.err
    assert invite.first_line == f"INVITE sip:+15550100@127.0.0.1:{carrier.port} SIP/2.0"
    assert "<sip:+15550199@example.com>" in invite.header("From")
    unknown = await run_engine("dial", "+15550100", "--config", str(config), "--trunk", "Nobody", "--json")
    assert (unknown.exit_code, unknown.result["dial_sip_status"]) == (1, 503)
    assert unknown.result["dial_termination_reason"] == "no-route"
