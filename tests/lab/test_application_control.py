"""Live control over REST while two phones talk (hooks contract, 8.3): what they hear, what they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Engine
from engine.softphone import Answer as Answers
from engine.softphone import Wav
from tests.lab.test_application_conversation import put
from tests.lab.test_caller_hears import seconds_of
from tests.media.signals import amplitude_at
from tests.softphone.test_spectrum import write
from tests.speech.voice import spoken
from tests.support.application import WebApplication
from tests.support.callee import RATE_HZ, pause, tone
from tests.support.phones import PhoneRack
from tests.support.spectrum import stretch
from tests.support.two_phones import ALICE_HZ, BOB_HZ, Bridged, bridged, hang_up

pytestmark = pytest.mark.lab

TOLD_HZ = 1800
REST: dict[str, Any] = {"api": True}
DONE = (202, 204)


def _serve(engine: Engine) -> None:
    write(Path(engine.config.sounds.folder) / "told.wav", tone(TOLD_HZ, seconds=1.0), RATE_HZ)


async def _heard_by_both(call: Bridged, folder: Path, during: float) -> tuple[Path, Path]:
    """Both phones record for so many seconds."""
    alice, bob = folder / "alice.wav", folder / "bob.wav"
    await call.alice.record(alice)
    await call.bob.record(bob)
    await asyncio.sleep(during)
    await call.alice.stop_recording()
    await call.bob.stop_recording()
    return alice, bob


def _amplitude(heard: Path, hz: float) -> float:
    """Of one frequency in the last half second."""
    pcm, rate_hz = stretch(heard, -0.5)
    return amplitude_at(pcm, hz, rate_hz)


@pytest.mark.parametrize("to", ["caller", "callee"])
async def test_section_8_3_a_whisper_is_heard_by_the_party_that_is_named_and_by_nobody_else(
    rack: PhoneRack, tmp_path: Path, to: str
) -> None:
    async with WebApplication() as app, bridged(app, rack, options=REST) as call:
        _serve(call.engine)
        sid = call.alice_sid if to == "caller" else call.bob_sid
        whisper = {"verb": "play", "url": "told.wav", "loop": 2}
        assert await put(call.engine, sid, {"whisper": whisper}) in DONE
        alice, bob = await _heard_by_both(call, tmp_path, 1.5)
        told = await hang_up(call)
    named, other = (alice, bob) if to == "caller" else (bob, alice)
    assert len(seconds_of(named, TOLD_HZ)) >= 8
    assert seconds_of(other, TOLD_HZ) == []
    assert told["dial_status"] == "completed"


async def test_section_8_3_a_dub_is_heard_by_both_until_it_is_removed(
    rack: PhoneRack, tmp_path: Path
) -> None:
    async with WebApplication() as app, bridged(app, rack, options=REST) as call:
        _serve(call.engine)
        dub = {"action": "addTrack", "track": "a", "play": "told.wav", "loop": True}
        assert await put(call.engine, call.alice_sid, {"dub": dub}) in DONE
        (tmp_path / "with").mkdir()
        alice, bob = await _heard_by_both(call, tmp_path / "with", 1.2)
        assert (
            await put(call.engine, call.alice_sid, {"dub": {"action": "removeTrack", "track": "a"}}) in DONE
        )
        await asyncio.sleep(0.3)
        (tmp_path / "without").mkdir()
        after = await _heard_by_both(call, tmp_path / "without", 0.8)
        await hang_up(call)
    assert min(_amplitude(heard, TOLD_HZ) for heard in (alice, bob)) > 1000
    assert max(_amplitude(heard, TOLD_HZ) for heard in after) < 100
    assert min(_amplitude(alice, BOB_HZ), _amplitude(bob, ALICE_HZ)) > 1000, "and the other party"


async def test_section_8_3_who_is_muted_is_not_heard_until_unmuted(rack: PhoneRack, tmp_path: Path) -> None:
    async with WebApplication() as app, bridged(app, rack, options=REST) as call:
        assert await put(call.engine, call.bob_sid, {"mute_status": "mute"}) in DONE
        await asyncio.sleep(0.3)
        (tmp_path / "muted").mkdir()
        alice, bob = await _heard_by_both(call, tmp_path / "muted", 1.0)
        assert await put(call.engine, call.bob_sid, {"mute_status": "unmute"}) in DONE
        await asyncio.sleep(0.3)
        (tmp_path / "unmuted").mkdir()
        again, _ = await _heard_by_both(call, tmp_path / "unmuted", 1.0)
        await hang_up(call)
    assert seconds_of(alice, BOB_HZ) == []
    assert len(seconds_of(bob, ALICE_HZ)) >= 6, "only the one who is named"
    assert len(seconds_of(again, BOB_HZ)) >= 6


async def test_section_8_3_digits_are_keyed_to_the_party_that_is_named(rack: PhoneRack) -> None:
    async with WebApplication() as app, bridged(app, rack, options=REST) as call:
        dtmf = {"digit": "7*2", "duration": 160}
        assert await put(call.engine, call.bob_sid, {"dtmf": dtmf}) in DONE
        assert await call.bob.until_keyed("7*2") == "7*2"
        assert call.alice.keyed == ""
        await hang_up(call)


async def test_section_8_3_a_paused_transcription_hears_nothing_until_resumed(
    rack: PhoneRack, tmp_path: Path
) -> None:
    """Bob says the same sentence again and again, the recogniser is the real one."""
    sentence = tmp_path / "sentence.wav"
    write(sentence, np.concatenate([spoken("one two three", RATE_HZ), pause(1.2)]), RATE_HZ)
    says = Answers(sound=Wav(str(sentence), loop=True))
    wish = {"transcriptionHook": "/words", "channel": 2}
    async with WebApplication() as app:
        app.on("/words")
        async with bridged(app, rack, behaviour=says, options=REST, transcribe=wish) as call:
            await app.request("/words")
            assert await put(call.engine, call.alice_sid, {"transcribe_status": "pause"}) in DONE
            await asyncio.sleep(2.5)  # what was said before may still be understood
            before = len(app.asked("/words"))
            await asyncio.sleep(4.0)
            assert len(app.asked("/words")) == before
            assert await put(call.engine, call.alice_sid, {"transcribe_status": "resume"}) in DONE
            await app.request("/words", before + 1)
            await hang_up(call)
