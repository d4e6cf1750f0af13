"""Audio through the real engine between real phones, judged by spectrum: who hears which tone, and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.softphone import (
    Answer,
    CallState,
    DtmfMethod,
    EarlyMedia,
    MediaDirection,
    Refuse,
    Ring,
    Tone,
)
from tests.support.lossy import lossy_link
from tests.support.phones import PhoneRack
from tests.support.running_engine import inbound, sip_address
from tests.support.spectrum import assert_hears, assert_quiet, loudest_tone, tone_seconds

pytestmark = pytest.mark.lab

ULAW, ALAW = ("PCMU",), ("PCMA",)


async def audio_for(seconds: float) -> None:
    """Let the parties talk: real audio takes real time, there is nothing to wait for but the clock."""
    await asyncio.sleep(seconds)


def number_at(address: tuple[str, int], user: str = "5550100") -> str:
    return f"sip:{user}@{address[0]}:{address[1]}"


@pytest.mark.parametrize(
    ("callers", "callees"),
    [(ULAW, ULAW), (ALAW, ALAW), (ULAW, ALAW), (ALAW, ULAW), (("PCMA", "PCMU"), ("PCMU", "PCMA"))],
    ids=["relay µ-law", "relay A-law", "µ-law to A-law", "A-law to µ-law", "each the other's favourite"],
)
@pytest.mark.parametrize("answer_on_bridge", [True, False], ids=["answered on bridge", "answered at once"])
async def test_both_sides_hear_each_other(
    rack: PhoneRack,
    tmp_path: Path,
    callers: tuple[str, ...],
    callees: tuple[str, ...],
    answer_on_bridge: bool,
) -> None:
    bob = await rack.phone(
        "bob", Answer(after_s=0.2, sound=Tone(440), record=str(tmp_path / "bob.wav")), codecs=callees
    )
    alice = await rack.phone("alice", codecs=callers)
    async with inbound(bob.uri, answer_on_bridge=answer_on_bridge) as engine:
        call = await alice.call(
            number_at(sip_address(engine)), sound=Tone(1000), record=tmp_path / "alice.wav"
        )
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await call.until(CallState.CONFIRMED)
        await audio_for(1.0)
        heard_by_alice, heard_by_bob = await call.statistics(), await theirs.statistics()
        await call.hang_up()
        assert (await theirs.until(CallState.DISCONNECTED)).message.startswith("BYE ")
        await call.until(CallState.DISCONNECTED)
    assert_hears(tmp_path / "bob.wav", 1000, start_s=0.3)
    assert_hears(tmp_path / "alice.wav", 440, start_s=-0.6)
    assert heard_by_alice.codec in callers
    assert heard_by_bob.codec in callees
    assert heard_by_alice.packets_lost == heard_by_bob.packets_lost == 0
    assert heard_by_bob.packets_received > 35


async def test_a_simring_joins_the_one_who_answers(rack: PhoneRack, tmp_path: Path) -> None:
    bob = await rack.phone("bob", Answer(after_s=0.4, sound=Tone(440), record=str(tmp_path / "bob.wav")))
    carol = await rack.phone("carol", Ring())
    busy = await rack.phone("dave", Refuse(486))
    alice = await rack.phone("alice")
    async with inbound(busy.uri, carol.uri, bob.uri, answer_on_bridge=True) as engine:
        call = await alice.call(
            number_at(sip_address(engine)), sound=Tone(1000), record=tmp_path / "alice.wav"
        )
        await call.until(CallState.CONFIRMED)
        missed = await (await carol.next_call()).until(CallState.DISCONNECTED)
        await audio_for(1.0)
        await call.hang_up()
        await (await bob.next_call()).until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
    assert missed.message.startswith("CANCEL ")
    assert 'Reason: SIP;cause=200;text="Call completed elsewhere"' in missed.message
    assert_hears(tmp_path / "bob.wav", 1000, start_s=0.3)
    assert_hears(tmp_path / "alice.wav", 440, start_s=0.3)


async def test_early_media_of_a_single_target_reaches_the_unanswered_caller(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", EarlyMedia(Tone(425), answer_after_s=1.2, answered_sound=Tone(900)))
    alice = await rack.phone("alice")
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        call = await alice.call(number_at(sip_address(engine)), record=tmp_path / "alice.wav")
        assert (await call.until(CallState.EARLY)).status == 183
        await call.until(CallState.CONFIRMED)
        await audio_for(1.0)
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
    early, answered = call.time_of(CallState.EARLY), call.time_of(CallState.CONFIRMED)
    assert early is not None
    assert answered is not None
    assert answered - early > 0.9
    before, after = (tone_seconds(tmp_path / "alice.wav", hz) for hz in (425, 900))
    assert len(before) >= 8
    assert len(after) >= 5
    assert max(before) < min(after)


async def test_the_caller_answered_at_once_hears_ringback_until_the_answer(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", Answer(after_s=1.5, sound=Tone(900)))
    alice = await rack.phone("alice")
    async with inbound(bob.uri) as engine:
        call = await alice.call(number_at(sip_address(engine)), record=tmp_path / "alice.wav")
        await (await bob.next_call()).until(CallState.CONFIRMED)
        await audio_for(1.0)
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
    ringing = loudest_tone(tmp_path / "alice.wav", 0.3, 1.2)
    assert min(abs(ringing.hz - 440), abs(ringing.hz - 480)) < 40, "the US ringback is 440 + 480 Hz"
    answered = tone_seconds(tmp_path / "alice.wav", 900)
    assert len(answered) >= 5
    assert_hears(tmp_path / "alice.wav", 900, start_s=min(answered) + 0.2)


@pytest.mark.parametrize("holder", ["caller", "callee"])
async def test_a_held_party_hears_nothing_until_resumed(rack: PhoneRack, tmp_path: Path, holder: str) -> None:
    bob = await rack.phone("bob", Answer(sound=Tone(440)))
    alice = await rack.phone("alice")
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        calling = await alice.call(number_at(sip_address(engine)), sound=Tone(1000))
        await calling.until(CallState.CONFIRMED)
        called = await bob.next_call()
        await called.until(CallState.CONFIRMED)
        holding, held = (calling, called) if holder == "caller" else (called, calling)
        await audio_for(0.3)
        await holding.hold()
        await holding.until_media(MediaDirection.LOCAL_HOLD)
        await audio_for(0.3)
        await held.record(tmp_path / "held.wav")
        await audio_for(0.6)
        await held.stop_recording()
        await holding.resume()
        await holding.until_media(MediaDirection.ACTIVE)
        await held.record(tmp_path / "resumed.wav")
        await holding.record(tmp_path / "holder.wav")
        await audio_for(1.0)
        await held.stop_recording()
        await holding.stop_recording()
        await calling.hang_up()
        await called.until(CallState.DISCONNECTED)
    hz_of_holder, hz_of_held = (1000, 440) if holder == "caller" else (440, 1000)
    assert_quiet(tmp_path / "held.wav", start_s=0.1)
    assert_hears(tmp_path / "resumed.wav", hz_of_holder, start_s=0.4)
    assert_hears(tmp_path / "holder.wav", hz_of_held, start_s=0.4)


@pytest.mark.parametrize("method", list(DtmfMethod))
@pytest.mark.parametrize(
    ("callers", "callees"), [(ULAW, ULAW), (ULAW, ALAW)], ids=["relay", "µ-law to A-law"]
)
async def test_dv81_digits_pass_in_both_directions(
    rack: PhoneRack, method: DtmfMethod, callers: tuple[str, ...], callees: tuple[str, ...]
) -> None:
    bob = await rack.phone("bob", Answer(), codecs=callees)
    alice = await rack.phone("alice", codecs=callers)
    async with inbound(bob.uri, answer_on_bridge=True) as engine:
        calling = await alice.call(number_at(sip_address(engine)))
        await calling.until(CallState.CONFIRMED)
        called = await bob.next_call()
        await called.until(CallState.CONFIRMED)
        await audio_for(0.2)
        await calling.send_dtmf("19*#", method)
        await called.send_dtmf("05A", method)
        assert await called.until_keyed("19*#") == "19*#"
        assert await calling.until_keyed("05A") == "05A"
        await audio_for(0.4)
        assert (called.keyed, calling.keyed) == ("19*#", "05A"), "each digit exactly once"
        await calling.hang_up()
        await called.until(CallState.DISCONNECTED)


@pytest.mark.parametrize("loss", [0.05, 0.2])
@pytest.mark.parametrize(
    ("callers", "callees"), [(ULAW, ULAW), (ULAW, ALAW)], ids=["relay", "µ-law to A-law"]
)
async def test_tones_survive_lost_packets_and_the_loss_is_not_hidden(
    rack: PhoneRack, tmp_path: Path, loss: float, callers: tuple[str, ...], callees: tuple[str, ...]
) -> None:
    bob = await rack.phone("bob", Answer(sound=Tone(440), record=str(tmp_path / "bob.wav")), codecs=callees)
    alice = await rack.phone("alice", codecs=callers)
    async with (
        inbound(bob.uri, answer_on_bridge=True) as engine,
        lossy_link(sip_address(engine), rtp_loss=loss) as link,
    ):
        calling = await alice.call(link.uri_for("5550100"), sound=Tone(1000), record=tmp_path / "alice.wav")
        await calling.until(CallState.CONFIRMED)
        called = await bob.next_call()
        await called.until(CallState.CONFIRMED)
        await audio_for(3.0)
        heard_by_bob, lost_to_bob = await called.statistics(), link.audio_to_called.lost
        heard_by_alice, lost_to_alice = await calling.statistics(), link.audio_to_caller.lost
        await calling.hang_up()
        await called.until(CallState.DISCONNECTED)
        await calling.until(CallState.DISCONNECTED)
    dominance_db = 10.0 if loss < 0.1 else 4.0
    assert_hears(tmp_path / "bob.wav", 1000, start_s=0.5, dominance_db=dominance_db)
    assert_hears(tmp_path / "alice.wav", 440, start_s=0.5, dominance_db=dominance_db)
    for heard, lost in ((heard_by_bob, lost_to_bob), (heard_by_alice, lost_to_alice)):
        assert lost > 0
        assert heard.packets_lost == pytest.approx(lost, abs=4), "what is lost last is not missed yet"
        assert heard.packets_received > 100


async def test_digits_survive_lost_packets(rack: PhoneRack) -> None:
    bob = await rack.phone("bob", Answer())
    alice = await rack.phone("alice")
    async with (
        inbound(bob.uri, answer_on_bridge=True) as engine,
        lossy_link(sip_address(engine), rtp_loss=0.2) as link,
    ):
        calling = await alice.call(link.uri_for("5550100"))
        await calling.until(CallState.CONFIRMED)
        called = await bob.next_call()
        await called.until(CallState.CONFIRMED)
        await calling.send_dtmf("1234")
        assert await called.until_keyed("1234") == "1234"
        await calling.hang_up()
        await called.until(CallState.DISCONNECTED)
