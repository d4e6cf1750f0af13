"""Matrix 4 of the dial contract under a document: `answerOnBridge` × `dialMusic` × what the callee sends.

The caller's phone records; what it heard is found by spectrum. The music comes over HTTP.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.softphone import Answer as Answers
from engine.softphone import CallState, Ring, Tone
from tests.lab.test_caller_hears import (
    EARLY_HZ,
    MUSIC_HZ,
    RINGBACK_HZ,
    ROWS,
    VOICE_HZ,
    Row,
    music,
    seconds_of,
)
from tests.support.application import Answer, WebApplication
from tests.support.phones import PhoneRack
from tests.support.running_application import ACCOUNT_SID, application_engine
from tests.support.running_engine import sip_address
from tests.support.spectrum import assert_hears

pytestmark = pytest.mark.lab

AT_ONCE = Answers(sound=Tone(VOICE_HZ), rings=False)
ALL_ROWS = {
    **ROWS,
    "at once, 200 directly": Row(False, False, AT_ONCE, 1, 200, None),
    "on bridge, 200 directly": Row(True, False, AT_ONCE, 1, 200, None),
}
KINDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def music_file(folder: Path) -> bytes:
    """As WAV."""
    return Path(music(folder / "music.wav")).read_bytes()


def mp3(wav: bytes) -> bytes:
    """The same as MP3."""
    packed = BytesIO()
    with av.open(BytesIO(wav)) as source, av.open(packed, "w", format="mp3") as out:
        stream = out.add_stream("mp3", rate=8000)
        stream.layout = "mono"
        for frame in source.decode(audio=0):
            frame.pts = None
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        pytest.param(row, kind, id=f"{name}-{kind}" if row.has_music else name)
        for name, row in ALL_ROWS.items()
        for kind in (KINDS if row.has_music else ["wav"])
    ],
)
async def test_section_5_what_the_caller_is_sent_and_hears(
    rack: PhoneRack, tmp_path: Path, row: Row, kind: str
) -> None:
    bob = await rack.phone("bob", row.callee)
    others = [(await rack.phone("carol", Ring())).uri] if row.targets == 2 else []
    alice = await rack.phone("alice")
    heard = tmp_path / "alice.wav"
    wav = music_file(tmp_path)
    async with WebApplication() as app, application_engine(app) as engine:
        dial: dict[str, Any] = {
            "target": [{"type": "sip", "sipUri": uri} for uri in (bob.uri, *others)],
            "answerOnBridge": row.answer_on_bridge,
            **({"dialMusic": app.url(f"/music.{kind}")} if row.has_music else {}),
        }
        sound = wav if kind == "wav" else mp3(wav)
        app.on(f"/music.{kind}", Answer(text=sound, headers={"Content-Type": KINDS[kind]}))
        app.on("/call", [{"verb": "dial", **dial}])
        app.on("/dial")
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard)
        at_once = await call.until(
            CallState.EARLY if row.answer_on_bridge and row.callee is not AT_ONCE else CallState.CONFIRMED
        )
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await call.until(CallState.CONFIRMED)
        await asyncio.sleep(1.0)  # the conversation
        await call.hang_up()
        await theirs.until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
        assert (await app.request("/dial")).payload["dial_status"] == "completed"
    assert at_once.status == row.status_at_once
    voice = seconds_of(heard, VOICE_HZ)
    assert len(voice) >= 5
    assert_hears(heard, VOICE_HZ, start_s=min(voice) + 0.2)
    for hz in (MUSIC_HZ, EARLY_HZ, RINGBACK_HZ):
        before = seconds_of(heard, hz)
        if hz == row.heard_hz:
            assert len(before) >= 6, f"{hz} Hz was not heard before the answer"
            assert max(before) < min(voice), f"{hz} Hz goes on after the answer"
        elif row.callee is not AT_ONCE:
            assert not before, f"{hz} Hz must not be heard"
    if row.answer_on_bridge:
        answered, bridged = call.time_of(CallState.CONFIRMED), theirs.time_of(CallState.CONFIRMED)
        assert answered is not None
        assert bridged is not None
        assert answered >= bridged - 0.05, "DV-40: not before a callee is selected"


BROKEN = {
    "not there": Answer(status=404),
    "not a sound": Answer(text="<html>", headers={"Content-Type": "audio/wav"}),
    "never sent": Answer(gate=asyncio.Event()),
    "cut off": Answer(cut=True),
}


@pytest.mark.parametrize("how", BROKEN)
async def test_dv43_music_that_cannot_be_played_is_ringback_and_an_alert(
    rack: PhoneRack, tmp_path: Path, how: str
) -> None:
    bob = await rack.phone("bob", Answers(after_s=2.0, sound=Tone(VOICE_HZ)))
    alice = await rack.phone("alice")
    heard = tmp_path / "alice.wav"
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/music.wav", BROKEN[how])
        app.on(
            "/call",
            [
                {
                    "verb": "dial",
                    "target": [{"type": "sip", "sipUri": bob.uri}],
                    "dialMusic": app.url("/music.wav"),
                }
            ],
        )
        app.on("/dial")
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await asyncio.sleep(0.8)
        await call.hang_up()
        await theirs.until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
        told = (await app.request("/dial")).payload
        await engine.server.store.settled()
        alerts = await engine.server.store.alerts(ACCOUNT_SID)
    assert told["dial_status"] == "completed", "the dial went on"
    assert len(seconds_of(heard, RINGBACK_HZ)) >= 6
    assert len(seconds_of(heard, VOICE_HZ)) >= 4
    if how != "never sent":
        assert [alert.kind for alert in alerts] == ["sound-failed"]


async def test_dv43_music_stops_within_one_packet_of_the_bridge(rack: PhoneRack, tmp_path: Path) -> None:
    """By the recording: the last packet of music and the first of the callee are neighbours."""
    bob = await rack.phone("bob", Answers(after_s=1.5, sound=Tone(VOICE_HZ)))
    alice = await rack.phone("alice")
    heard = tmp_path / "alice.wav"
    wav = music_file(tmp_path)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/music.wav", Answer(text=wav))
        dial = {"target": [{"type": "sip", "sipUri": bob.uri}], "dialMusic": app.url("/music.wav")}
        app.on("/call", [{"verb": "dial", **dial}])
        app.on("/dial")
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await asyncio.sleep(1.0)
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
        await theirs.until(CallState.DISCONNECTED)
    last_music, first_voice = max(seconds_of(heard, MUSIC_HZ)), min(seconds_of(heard, VOICE_HZ))
    assert 0 < first_voice - last_music <= 0.4, (
        "the windows are 0.1 s long; a phone's jitter buffer is between"
    )
    assert np.all(np.diff(seconds_of(heard, MUSIC_HZ)) < 0.25), "looped without gaps"
