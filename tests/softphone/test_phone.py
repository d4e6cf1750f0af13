"""Real phones call each other: what one is told to do is what the other side sees and hears."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.softphone import (
    Answer,
    CallState,
    DtmfMethod,
    EarlyMedia,
    Manual,
    MediaDirection,
    PhoneCommandFailed,
    Refuse,
    Ring,
    Softphone,
    SoftphoneConfig,
    SoftphoneError,
    SoftphoneUnavailable,
    Tone,
    Voicemail,
    Wav,
)
from engine.softphone.protocol import CallRefused, PhoneExited
from tests.softphone.test_spectrum import sine, write
from tests.support.phones import PhoneRack
from tests.support.spectrum import assert_hears, assert_quiet, stretch, tone_seconds
from tests.support.timing import is_on_time
from tests.support.tools import require_pjsua2

pytestmark = pytest.mark.lab


async def audio_for(call_seconds: float) -> None:
    """Let the phones talk: real audio takes real time, there is nothing to wait for but the clock."""
    await asyncio.sleep(call_seconds)


async def test_each_phone_hears_the_tone_of_the_other(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer(sound=Tone(440), record=str(tmp_path / "bob.wav")))
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, sound=Tone(1000), record=tmp_path / "alice.wav")
    await call.until(CallState.CONFIRMED)
    await audio_for(1.0)
    statistics = await call.statistics()
    await call.hang_up()
    await call.until(CallState.DISCONNECTED)
    theirs = await bob.next_call()
    assert "BYE " in (await theirs.until(CallState.DISCONNECTED)).message
    assert_hears(tmp_path / "alice.wav", 440)
    assert_hears(tmp_path / "bob.wav", 1000)
    assert statistics.codec == "PCMU"
    assert statistics.packets_received > 25
    assert statistics.packets_lost == 0


@pytest.mark.parametrize(
    ("codecs", "used"), [(("PCMA",), "PCMA"), (("PCMA", "PCMU"), "PCMA"), (("G722",), "G722")]
)
async def test_codecs_are_offered_in_the_order_of_the_configuration(
    rack: PhoneRack, codecs: tuple[str, ...], used: str
) -> None:
    bob = await rack.phone("bob", Answer(), codecs=("PCMU", "PCMA", "G722"))
    alice = await rack.phone("alice", codecs=codecs)
    call = await alice.call(bob.uri)
    assert (await call.until_media(MediaDirection.ACTIVE)).codec == used


@pytest.mark.parametrize("status", [480, 486, 603])
async def test_a_refusal_reaches_the_caller_with_its_status(rack: PhoneRack, status: int) -> None:
    bob = await rack.phone("bob", Refuse(status))
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    assert (await call.until(CallState.DISCONNECTED)).status == status
    assert call.time_of(CallState.CONFIRMED) is None


async def test_a_ringing_phone_sees_the_cancel(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Ring())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, headers={"Subject": "lunch"})
    await call.until(CallState.EARLY)
    theirs = await bob.next_call()
    assert "\r\nSubject: lunch\r\n" in theirs.invite
    await call.hang_up()
    assert (await call.until(CallState.DISCONNECTED)).status == 487
    assert (await theirs.until(CallState.DISCONNECTED)).message.startswith("CANCEL sip:bob@")


async def test_early_media_is_heard_before_the_answer_and_another_sound_after_it(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", EarlyMedia(Tone(425), answer_after_s=1.0, answered_sound=Tone(900)))
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, record=tmp_path / "alice.wav")
    early = await call.until(CallState.EARLY)
    await call.until_media(MediaDirection.ACTIVE)
    assert (early.status, call.time_of(CallState.CONFIRMED)) == (183, None)
    await call.until(CallState.CONFIRMED)
    await audio_for(0.8)
    await call.hang_up()
    await call.until(CallState.DISCONNECTED)
    before, after = tone_seconds(tmp_path / "alice.wav", 425), tone_seconds(tmp_path / "alice.wav", 900)
    assert len(before) >= 5
    assert len(after) >= 4
    assert max(before) < min(after)


async def test_commands_ring_answer_and_hang_up_a_manual_phone(rack: PhoneRack) -> None:
    bob, alice = await rack.phones("bob", "alice", behaviour=Manual())
    call = await alice.call(bob.uri)
    theirs = await bob.next_call()
    await theirs.answer(180)
    assert (await call.until(CallState.EARLY)).status == 180
    await theirs.answer()
    await call.until(CallState.CONFIRMED)
    await theirs.until(CallState.CONFIRMED)
    await theirs.hang_up()
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    await theirs.hang_up()  # over already: nothing happens


async def test_an_answering_phone_hangs_up_by_itself_when_told_so(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer(after_s=0.2, hang_up_after_s=0.3))
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    await call.until(CallState.DISCONNECTED)
    ringing, up, down = (
        call.time_of(s) for s in (CallState.EARLY, CallState.CONFIRMED, CallState.DISCONNECTED)
    )
    assert ringing is not None
    assert up is not None
    assert down is not None
    assert is_on_time(up - ringing, 0.2)
    assert is_on_time(down - up, 0.3)


@pytest.mark.parametrize("method", list(DtmfMethod))
async def test_digits_arrive_in_both_directions(rack: PhoneRack, method: DtmfMethod) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    await call.until_media(MediaDirection.ACTIVE)
    theirs = await bob.next_call()
    await theirs.until(CallState.CONFIRMED)
    await call.send_dtmf("19*#", method)
    await theirs.send_dtmf("5A", method)
    assert await theirs.until_keyed("19*#") == "19*#"
    assert await call.until_keyed("5A") == "5A"
    assert {event.method for event in theirs.digits} == {method}


async def test_a_held_party_hears_nothing_until_it_is_resumed(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, sound=Tone(1000))
    await call.until(CallState.CONFIRMED)
    theirs = await bob.next_call()
    await theirs.until_media(MediaDirection.ACTIVE)
    await call.hold()
    await theirs.until_media(MediaDirection.REMOTE_HOLD)
    await call.until_media(MediaDirection.LOCAL_HOLD)
    await theirs.record(tmp_path / "held.wav")
    await audio_for(0.6)
    await theirs.stop_recording()
    await call.resume()
    await theirs.until_media(MediaDirection.ACTIVE)
    await call.until_media(MediaDirection.ACTIVE)
    await theirs.record(tmp_path / "resumed.wav")
    await audio_for(0.8)
    await theirs.stop_recording()
    assert_quiet(tmp_path / "held.wav", start_s=0.2)
    assert_hears(tmp_path / "resumed.wav", 1000)


async def test_a_file_is_played_and_a_sound_can_be_replaced_during_the_call(
    rack: PhoneRack, tmp_path: Path
) -> None:
    file = write(tmp_path / "speech.wav", sine(700, seconds=3.0, rate_hz=16000), 16000)
    bob = await rack.phone("bob", Answer(sound=Wav(str(file)), record=str(tmp_path / "bob.wav")))
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, record=tmp_path / "alice.wav")
    theirs = await bob.next_call()
    await call.until(CallState.CONFIRMED)
    await audio_for(0.8)
    await theirs.play(Tone(1500))
    await audio_for(0.8)
    await call.hang_up()
    await call.until(CallState.DISCONNECTED)
    await theirs.until(CallState.DISCONNECTED)
    file_heard, tone_heard = (tone_seconds(tmp_path / "alice.wav", hz) for hz in (700, 1500))
    assert len(file_heard) >= 4
    assert len(tone_heard) >= 4
    assert max(file_heard) < min(tone_heard)
    assert_quiet(tmp_path / "bob.wav", start_s=0.2)


async def test_voicemail_greets_beeps_and_then_records_the_caller(rack: PhoneRack, tmp_path: Path) -> None:
    message = tmp_path / "message.wav"
    bob = await rack.phone(
        "bob", Voicemail(greeting_s=0.9, beep_hz=1400, beep_ms=400, after_s=0.0, record=str(message))
    )
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri, sound=Tone(600), record=tmp_path / "alice.wav")
    await call.until(CallState.CONFIRMED)
    await audio_for(2.3)
    await call.hang_up()
    await (await bob.next_call()).until(CallState.DISCONNECTED)
    await call.until(CallState.DISCONNECTED)
    beep = tone_seconds(tmp_path / "alice.wav", 1400)
    assert 2 <= len(beep) <= 5
    assert 0.6 <= beep[0] <= 1.3
    pcm, rate_hz = stretch(tmp_path / "alice.wav", 0.1, 0.7)
    assert abs(pcm.astype(int)).mean() > 500, "a greeting before the beep"
    assert rate_hz == 8000
    assert_quiet(tmp_path / "alice.wav", start_s=beep[-1] + 0.3)
    assert_hears(message, 600)


async def test_a_transferred_party_calls_the_third_phone_and_progress_is_reported(rack: PhoneRack) -> None:
    bob, carol = await rack.phones("bob", "carol", behaviour=Answer())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    await call.until(CallState.CONFIRMED)
    await call.transfer_to(carol.uri)
    consulted = await carol.next_call()
    await consulted.until(CallState.CONFIRMED)
    assert "bob@" in consulted.remote_uri
    final = await alice.until(lambda: next((p for p in call.transfer if p.is_final), None))
    assert final.status == 200


async def test_a_phone_that_insists_on_reliable_provisionals_gets_its_pracks(
    rack: PhoneRack, tmp_path: Path
) -> None:
    log = tmp_path / "bob.log"
    bob = await rack.phone("bob", EarlyMedia(answer_after_s=0.3), requires_100rel=True, log=log)
    alice = await rack.phone("alice", requires_100rel=True)
    call = await alice.call(bob.uri)
    await call.until(CallState.CONFIRMED)
    assert "PRACK sip:" in log.read_text(errors="replace")


async def test_a_fifth_call_is_refused_as_busy_because_the_wheel_has_four_lines(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Ring())
    alice, carol = await rack.phones("alice", "carol")
    calls = [await (alice if n < 2 else carol).call(bob.uri) for n in range(4)]
    for call in calls:
        await call.until(CallState.EARLY)
    fifth = await alice.call(bob.uri)
    assert (await fifth.until(CallState.DISCONNECTED)).status == 486
    await bob.until(lambda: next((e for e in bob.events if isinstance(e, CallRefused)), None))


async def test_a_phone_speaks_over_tcp(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer(), tcp=True)
    alice = await rack.phone("alice", tcp=True)
    call = await alice.call(f"sip:bob@127.0.0.1:{bob.tcp_port};transport=tcp")
    await call.until(CallState.CONFIRMED)
    assert "Via: SIP/2.0/TCP" in (await bob.next_call()).invite


async def test_ipv6_is_refused_with_the_reason_because_the_wheel_cannot() -> None:
    require_pjsua2()
    with pytest.raises(SoftphoneUnavailable, match="without IPv6"):
        await Softphone.start(SoftphoneConfig(address="::1"))


async def test_a_command_for_a_call_that_is_not_there_is_refused_and_the_phone_lives_on(
    rack: PhoneRack,
) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    await call.until(CallState.CONFIRMED)
    await call.hang_up()
    await call.until(CallState.DISCONNECTED)
    with pytest.raises(PhoneCommandFailed, match="Hold: there is no call 1"):
        await call.hold()
    with pytest.raises(PhoneCommandFailed, match="PlaceCall"):
        await alice.call("not a uri")
    again = await alice.call(bob.uri)
    await again.until(CallState.CONFIRMED)


async def test_a_crash_is_an_event_and_ends_every_wait(rack: PhoneRack) -> None:
    alice = await rack.phone("alice")
    call = await alice.call("sip:bob@127.0.0.1:9")
    waiting = asyncio.create_task(call.until(CallState.CONFIRMED))
    alice.kill()
    with pytest.raises(SoftphoneError, match="alice is gone"):
        await waiting
    assert isinstance(alice.events[-1], PhoneExited)
    assert alice.exited is not None
    assert (alice.exited.exit_code, alice.exited.was_asked) == (-signal.SIGKILL, False)
    with pytest.raises(PhoneCommandFailed, match="is gone"):
        await call.hang_up()


async def test_a_listener_that_raises_ends_the_phone_and_is_not_swallowed(rack: PhoneRack) -> None:
    require_pjsua2()
    alice = await Softphone.start(SoftphoneConfig(name="alice"))

    def broken(event: object) -> None:
        alice_events.append(event)
        raise LookupError("a mistake in the owner's code")

    alice_events: list[object] = []
    alice.on_event(broken)
    with pytest.raises(PhoneCommandFailed, match="ended with"):
        await alice.call("sip:bob@127.0.0.1:9")
    with pytest.raises(LookupError, match="mistake"):
        await alice.stop()
    assert alice.exited is not None


async def test_what_is_no_phone_is_reported_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(1, b'hello\\n'); os._exit(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SoftphoneUnavailable, match="unreadable"):
        await Softphone.start(SoftphoneConfig())


async def test_stopping_says_goodbye_on_the_wire_and_may_be_repeated(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    call = await alice.call(bob.uri)
    await call.until(CallState.CONFIRMED)
    theirs = await bob.next_call()
    await alice.stop()
    await alice.stop()
    assert (await theirs.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    assert alice.exited is not None
    assert (alice.exited.exit_code, alice.exited.was_asked) == (0, True)


async def test_a_taken_port_is_told_at_the_start(rack: PhoneRack) -> None:
    bob = await rack.phone("bob")
    with pytest.raises(SoftphoneUnavailable, match=r"(?i)address already in use"):
        await Softphone.start(SoftphoneConfig(name="carol", port=bob.port))


async def test_without_pjsua2_the_error_names_the_extra_and_the_pythons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pjsua2.py").write_text("raise ImportError('no phones here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(
        SoftphoneUnavailable, match=r"no phones here.*dial-engine\[softphone\].*x86-64.*3\.12"
    ):
        await Softphone.start(SoftphoneConfig())


OWNER = """
import asyncio
from engine.softphone import Softphone, SoftphoneConfig

async def main() -> None:
    phone = await Softphone.start(SoftphoneConfig())
    print(phone.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_a_phone_dies_with_its_owner_even_if_the_owner_is_killed() -> None:
    require_pjsua2()
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        phone = os.pidfd_open(int(owner.stdout.readline()))
        try:
            owner.kill()
            ended = _wait_readable(phone, timeout_s=5.0)
        finally:
            os.close(phone)
    assert ended


def _wait_readable(descriptor: int, *, timeout_s: float) -> bool:
    """A pidfd becomes readable when its process ends."""
    return bool(select.select([descriptor], [], [], timeout_s)[0])


def test_the_owner_never_loads_pjsua2() -> None:
    script = "import sys, engine.softphone; sys.exit('pjsua2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
