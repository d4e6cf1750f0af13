"""Section 5 of the dial contract, row by row: what the caller is sent and, by spectrum, hears."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from engine.softphone import Answer, CallState, EarlyMedia, Ring, Tone
from engine.softphone.config import Behaviour
from tests.support.phones import PhoneRack
from tests.support.running_engine import inbound, sip_address
from tests.support.spectrum import assert_hears, hear, loudness_dbfs, read_wav

pytestmark = pytest.mark.lab

MUSIC_HZ, EARLY_HZ, VOICE_HZ = 620, 300, 1000
RINGBACK_HZ = 460
"""The US ringback is 440 and 480 Hz: either may come out as the stronger one."""
RINGS_S = 1.3

RINGING = Answer(after_s=RINGS_S, sound=Tone(VOICE_HZ))
EARLY = EarlyMedia(Tone(EARLY_HZ), answer_after_s=RINGS_S, answered_sound=Tone(VOICE_HZ))


class Row(NamedTuple):
    """One row of the table."""

    answer_on_bridge: bool
    has_music: bool
    callee: Behaviour
    targets: int
    status_at_once: int
    """What the caller is sent while the callee rings."""
    heard_hz: int | None
    """What the caller hears until the answer."""


ROWS = {
    "at once, 180": Row(False, False, RINGING, 1, 200, RINGBACK_HZ),
    "at once, 183 with SDP": Row(False, False, EARLY, 1, 200, RINGBACK_HZ),
    "at once, music, 180": Row(False, True, RINGING, 1, 200, MUSIC_HZ),
    "at once, music, 183 with SDP": Row(False, True, EARLY, 1, 200, MUSIC_HZ),
    "on bridge, 180": Row(True, False, RINGING, 1, 180, None),
    "on bridge, 183 with SDP": Row(True, False, EARLY, 1, 183, EARLY_HZ),
    "on bridge, 183 with SDP of one of two": Row(True, False, EARLY, 2, 180, None),
    "on bridge, music, 180": Row(True, True, RINGING, 1, 183, MUSIC_HZ),
    "on bridge, music, 183 with SDP": Row(True, True, EARLY, 1, 183, MUSIC_HZ),
}


def music(path: Path) -> str:
    """A second of a tone, to be looped."""
    pcm = (9000 * np.sin(2 * np.pi * MUSIC_HZ * np.arange(8000) / 8000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(pcm.tobytes())
    return str(path)


def seconds_of(path: Path, hz: float) -> list[float]:
    """Starts of the 100 ms windows whose strongest sound is within 25 Hz of `hz`."""
    pcm, rate_hz = read_wav(path)
    size = rate_hz // 10
    starts = range(0, pcm.size - size + 1, size)
    return [
        start / rate_hz
        for start in starts
        if loudness_dbfs(pcm[start : start + size]) > -40.0
        and abs(hear(pcm[start : start + size], rate_hz).hz - hz) < 25.0
    ]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
async def test_dv40_what_the_caller_is_sent_and_hears(rack: PhoneRack, tmp_path: Path, row: Row) -> None:
    bob = await rack.phone("bob", row.callee)
    others = [(await rack.phone("carol", Ring())).uri] if row.targets == 2 else []
    alice = await rack.phone("alice")
    dial_music = music(tmp_path / "music.wav") if row.has_music else ""
    heard = tmp_path / "alice.wav"
    async with inbound(
        bob.uri, *others, answer_on_bridge=row.answer_on_bridge, dial_music=dial_music
    ) as engine:
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard)
        at_once = await call.until(CallState.EARLY if row.answer_on_bridge else CallState.CONFIRMED)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await call.until(CallState.CONFIRMED)
        await asyncio.sleep(1.0)  # the conversation
        await call.hang_up()
        await theirs.until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
    assert at_once.status == row.status_at_once
    voice = seconds_of(heard, VOICE_HZ)
    assert len(voice) >= 5
    assert_hears(heard, VOICE_HZ, start_s=min(voice) + 0.2)
    for hz in (MUSIC_HZ, EARLY_HZ, RINGBACK_HZ):
        before = seconds_of(heard, hz)
        if hz == row.heard_hz:
            assert len(before) >= 6, f"{hz} Hz was not heard before the answer"
            assert max(before) < min(voice), f"{hz} Hz goes on after the answer"
        else:
            assert not before, f"{hz} Hz must not be heard"


async def test_dv43_ringback_is_heard_where_the_music_cannot_be_played(
    rack: PhoneRack, tmp_path: Path
) -> None:
    bob = await rack.phone("bob", RINGING)
    alice = await rack.phone("alice")
    heard, absent = tmp_path / "alice.wav", str(tmp_path / "absent.wav")
    async with inbound(bob.uri, answer_on_bridge=True, dial_music=absent) as engine:
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard)
        assert (await call.until(CallState.EARLY)).status == 183
        await call.until(CallState.CONFIRMED)
        await asyncio.sleep(0.8)  # the conversation
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
    ringback, voice = seconds_of(heard, RINGBACK_HZ), seconds_of(heard, VOICE_HZ)
    assert len(ringback) >= 6
    assert max(ringback) < min(voice)
