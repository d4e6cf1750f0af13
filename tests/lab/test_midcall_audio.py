"""What pjsua2 phones hear of the mid-call features of `dial`, by spectrum and level; our packet counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.softphone import Answer as Answers
from engine.softphone import CallState, MediaDirection, Tone
from tests.lab.test_caller_hears import MUSIC_HZ, music, seconds_of
from tests.media.signals import amplitude_at
from tests.support.application import Answer, WebApplication
from tests.support.phones import PhoneRack
from tests.support.spectrum import loudest_tone, stretch
from tests.support.two_phones import BOB_HZ, bridged, hang_up

pytestmark = pytest.mark.lab

_VOLUME = 2000


def _serve_music(app: WebApplication, folder: Path) -> str:
    body = Path(music(folder / "music.wav")).read_bytes()
    app.on("/music.wav", Answer(text=body, headers={"Content-Type": "audio/wav"}))
    return app.url("/music.wav")


def _packets(engine: Engine) -> int:
    return sum(stream.statistics().packets_received for stream in engine.media.streams)


async def test_dv83_a_held_party_hears_the_document_and_then_the_other_one_again(
    rack: PhoneRack, tmp_path: Path
) -> None:
    heard = tmp_path / "alice.wav"
    async with WebApplication() as app:
        url = _serve_music(app, tmp_path)
        app.on("/hold", [{"verb": "play", "url": url, "loop": "forever"}])
        async with bridged(app, rack, record=heard, onHoldHook="/hold") as call:
            await asyncio.sleep(0.8)
            await call.bob.hold()
            asked = await app.request("/hold")
            await asyncio.sleep(1.5)
            await call.bob.resume()
            await call.bob.until_media(MediaDirection.ACTIVE)
            await asyncio.sleep(1.2)
            ended = await hang_up(call)
    assert asked.payload["call_sid"] == call.bob_sid
    assert asked.payload["hold_detail"]["from"] == "bob"
    assert ended["dial_status"] == "completed"
    bob, song = seconds_of(heard, BOB_HZ), seconds_of(heard, MUSIC_HZ)
    assert len(song) >= 10
    assert min(bob) < min(song)
    after = [second for second in bob if second > max(song)]
    assert len(after) >= 7, "resume ends the music, and bob is heard again"
    assert not [second for second in bob if min(song) < second < max(song)]


@pytest.mark.parametrize(("gain", "gain_db"), [(12, 12.0), ("-6 dB", -6.0)])
async def test_boost_audio_signal_is_how_much_louder_the_caller_hears_the_callee(
    rack: PhoneRack, tmp_path: Path, gain: object, gain_db: float
) -> None:
    levels: list[float] = []
    runs: dict[str, dict[str, Any]] = {"plain": {}, "boosted": {"boostAudioSignal": gain}}
    for name, options in runs.items():
        heard = tmp_path / f"{name}.wav"
        async with WebApplication() as app:
            quiet = Answers(sound=Tone(BOB_HZ, volume=_VOLUME))
            async with bridged(app, rack, behaviour=quiet, record=heard, **options) as call:
                await asyncio.sleep(1.5)
                await hang_up(call)
        assert seconds_of(heard, BOB_HZ)
        levels.append(loudest_tone(heard, start_s=-1.0).level_dbfs)
    assert levels[1] - levels[0] == pytest.approx(gain_db, abs=1.5)


async def test_exit_media_path_no_packet_passes_us_until_the_caller_hears_what_comes_after_the_dial(
    rack: PhoneRack, tmp_path: Path
) -> None:
    heard = tmp_path / "alice.wav"
    async with WebApplication() as app:
        url = _serve_music(app, tmp_path)
        after = [{"verb": "play", "url": url, "loop": 2}]
        async with bridged(app, rack, record=heard, after=after, exitMediaPath=True) as call:
            await asyncio.sleep(1.0)
            before = _packets(call.engine)
            await asyncio.sleep(1.5)
            assert _packets(call.engine) == before
            await call.bob.hang_up()
            await call.bob.until(CallState.DISCONNECTED)
            await call.alice.until(CallState.DISCONNECTED)
            ended = (await app.request("/dial")).payload
    assert ended["dial_status"] == "completed"
    assert len(seconds_of(heard, BOB_HZ)) >= 20, "bob, first through us and then directly"
    assert len(seconds_of(heard, MUSIC_HZ)) >= 15, "two rounds of a second, but for the way back"


async def test_dub_is_heard_together_with_the_other_party(rack: PhoneRack, tmp_path: Path) -> None:
    heard = tmp_path / "alice.wav"
    async with WebApplication() as app:
        url = _serve_music(app, tmp_path)
        dub = [{"action": "addTrack", "track": "a", "play": url, "loop": True, "gain": "-20 dB"}]
        async with bridged(app, rack, record=heard, dub=dub) as call:
            await asyncio.sleep(2.0)
            await hang_up(call)
    pcm, rate_hz = stretch(heard, -1.0)
    assert amplitude_at(pcm, BOB_HZ, rate_hz) > 4000.0
    assert 300.0 < amplitude_at(pcm, MUSIC_HZ, rate_hz) < 2000.0, "as much softer as was asked for"


async def test_dv82_a_callee_whose_media_was_direct_hears_the_document_it_is_given(
    rack: PhoneRack, tmp_path: Path
) -> None:
    heard = tmp_path / "bob.wav"
    async with WebApplication() as app:
        url = _serve_music(app, tmp_path)
        app.on("/refer", [{"verb": "play", "url": url, "loop": 3}, {"verb": "hangup"}])
        async with bridged(app, rack, exitMediaPath=True, referHook="/refer") as call:
            await call.bob.record(heard)
            await asyncio.sleep(1.0)
            before = _packets(call.engine)
            await asyncio.sleep(0.5)
            assert _packets(call.engine) == before, "the media is direct"
            await call.alice.transfer_to("sip:+15550177@example.com")
            await app.request("/refer")
            await asyncio.sleep(0.5)
            await call.alice.hang_up()
            await call.bob.until(CallState.DISCONNECTED)
    assert len(seconds_of(heard, MUSIC_HZ)) >= 22, "three rounds of a second, but for the way back"
