"""Beside a bridged conversation (DV-83, DV-84): streams, holds, louder voices; by phones that hum."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from engine import Engine
from engine.softphone.spectrum import read_wav
from media.audio import Pcm
from tests.listen.server import ListenServer, listen_server
from tests.softphone.test_spectrum import write
from tests.support.application import WebApplication
from tests.support.callee import RATE_HZ, tone
from tests.support.phones import PhoneRack
from tests.support.running_application import ACCOUNT_SID, KEY
from tests.support.spectrum import assert_hears, hear, loudness_dbfs
from tests.support.two_phones import ALICE_HZ, BOB_HZ, Bridged, bridged, hang_up

pytestmark = pytest.mark.lab

HOLD_HZ = 700
FRAMES = 75
"""1.5 s."""


def strongest(pcm: Pcm, rate_hz: int) -> float:
    """Hz of the strongest sound in the last half second."""
    return hear(pcm[-rate_hz // 2 :], rate_hz).hz


async def put(engine: Engine, call_sid: str, change: dict[str, object]) -> int:
    """Live control over REST; the HTTP status."""
    url = f"{engine.http_url}/v1/Accounts/{ACCOUNT_SID}/Calls/{call_sid}"
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.put(url, json=change) as reply:
        return reply.status


@pytest.mark.parametrize("rate_hz", [8000, 16000])
async def test_dv84_stereo_is_the_caller_left_and_the_callee_right(rack: PhoneRack, rate_hz: int) -> None:
    """Also WH-31 and WH-32."""
    async with WebApplication() as app, listen_server() as server:
        listen = {
            "url": server.url,
            "mixType": "stereo",
            "sampleRate": rate_hz,
            "metadata": {"clientId": "12udih"},
        }
        async with bridged(app, rack, listen=listen) as call:
            await server.heard(FRAMES)
            await hang_up(call)
    left, right = server.pcm(2).T
    assert strongest(left, rate_hz) == pytest.approx(ALICE_HZ, abs=10)
    assert strongest(right, rate_hz) == pytest.approx(BOB_HZ, abs=10)
    assert {len(frame) for frame in server.frames} == {2 * 2 * rate_hz // 50}, "20 ms of two channels"
    hello = server.texts[0]
    assert (hello["callSid"], hello["parentCallSid"]) == (call.bob_sid, call.alice_sid)
    assert (hello["sampleRate"], hello["mixType"]) == (rate_hz, "stereo")
    assert hello["clientId"] == "12udih"
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    ("properties", "hz"),
    [
        ({"mixType": "mono"}, {ALICE_HZ}),
        ({"mixType": "mono", "channel": 2}, {BOB_HZ}),
        ({"mixType": "mixed"}, {ALICE_HZ, BOB_HZ}),
    ],
    ids=["mono", "mono of channel 2", "mixed"],
)
async def test_dv84_one_channel_is_the_caller_the_callee_or_both(
    rack: PhoneRack, properties: dict[str, Any], hz: set[int]
) -> None:
    async with (
        WebApplication() as app,
        listen_server() as server,
        bridged(app, rack, stream={"url": server.url, **properties}) as call,
    ):
        await server.heard(FRAMES)
        await hang_up(call)
    heard = server.pcm()[-4000:]
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    bins = {each: spectrum[round(each * len(heard) / RATE_HZ)] for each in (ALICE_HZ, BOB_HZ)}
    loud = {each for each, height in bins.items() if height > 0.2 * spectrum.max()}
    assert loud == hz


async def test_dv84_wh36_a_stream_can_be_silenced_paused_and_resumed(rack: PhoneRack) -> None:
    async with WebApplication() as app, listen_server() as server:
        options = {"api": True}
        async with bridged(app, rack, options=options, listen={"url": server.url}) as call:
            await server.heard(25)
            assert await put(call.engine, call.alice_sid, {"listen_status": "silence"}) in (202, 204)
            await zeros(server)
            assert await put(call.engine, call.alice_sid, {"listen_status": "pause"}) in (202, 204)
            await asyncio.sleep(0.2)
            paused_at = len(server.frames)
            await asyncio.sleep(0.5)
            assert len(server.frames) - paused_at <= 1
            assert await put(call.engine, call.alice_sid, {"listen_status": "resume"}) in (202, 204)
            await server.heard(paused_at + FRAMES)
            await hang_up(call)
    assert strongest(server.pcm(), RATE_HZ) == pytest.approx(ALICE_HZ, abs=10)


async def zeros(server: ListenServer) -> None:
    """Wait for frames of nothing."""
    async with asyncio.timeout(5):
        while not (server.frames and not any(server.frames[-1])):  # noqa: ASYNC110 - the far end has no event
            await asyncio.sleep(0.01)


async def test_dv84_wh37_a_server_that_hangs_up_ends_the_stream_and_not_the_call(rack: PhoneRack) -> None:
    async with (
        WebApplication() as app,
        listen_server() as server,
        bridged(app, rack, listen={"url": server.url}) as call,
    ):
        await server.heard(20)
        await server.say({"type": "disconnect"})
        await call.bob.send_dtmf("1")
        assert await call.alice.until_keyed("1") == "1"
        told = await hang_up(call)
    assert told["dial_status"] == "completed"


async def test_dv84_a_server_that_is_not_there_is_an_alert_and_not_the_end_of_the_call(
    rack: PhoneRack,
) -> None:
    async with (
        WebApplication() as app,
        listen_server(status=403) as server,
        bridged(app, rack, listen={"url": server.url}) as call,
    ):
        await call.bob.send_dtmf("1")
        assert await call.alice.until_keyed("1") == "1"
        told = await hang_up(call)
        await call.engine.server.store.settled()
        alerts = await call.engine.server.store.alerts(ACCOUNT_SID)
    assert told["dial_status"] == "completed"
    assert "listen-failed" in {alert.kind for alert in alerts}


async def held(call: Bridged, heard: Path) -> None:
    """Alice records while bob holds, and again after he resumes."""
    await call.bob.hold()
    await call.app.request("/hold")
    await asyncio.sleep(0.3)
    await call.alice.record(heard)
    await asyncio.sleep(1.2)
    await call.alice.stop_recording()
    await call.bob.resume()


async def test_dv83_a_held_party_hears_the_document_of_the_hold_hook(rack: PhoneRack, tmp_path: Path) -> None:
    during, after = tmp_path / "during.wav", tmp_path / "after.wav"
    async with WebApplication() as app, bridged(app, rack, onHoldHook="/hold") as call:
        write(Path(call.engine.config.sounds.folder) / "hold.wav", tone(HOLD_HZ, seconds=1.0), RATE_HZ)
        app.on("/hold", [{"verb": "play", "url": "hold.wav", "loop": "forever"}])
        await held(call, during)
        await asyncio.sleep(0.3)
        await call.alice.record(after)
        await asyncio.sleep(1.0)
        await call.alice.stop_recording()
        told = await hang_up(call)
    assert_hears(during, HOLD_HZ, start_s=0.2)
    assert_hears(after, BOB_HZ, start_s=0.2)
    (asked,) = app.payloads("/hold")
    assert set(asked["hold_detail"]) == {"from", "to"}
    assert told["dial_status"] == "completed"


async def test_dv83_a_forbidden_verb_in_a_hold_document_is_an_alert_and_nothing_is_heard(
    rack: PhoneRack,
) -> None:
    async with WebApplication() as app:
        app.on("/hold", [{"verb": "hangup"}])
        async with bridged(app, rack, onHoldHook="/hold") as call:
            await call.bob.hold()
            await app.request("/hold")
            await call.bob.resume()
            await call.bob.send_dtmf("1")
            assert await call.alice.until_keyed("1") == "1"
            told = await hang_up(call)
            await call.engine.server.store.settled()
            alerts = await call.engine.server.store.alerts(ACCOUNT_SID)
    assert told["dial_status"] == "completed"
    assert [alert.path for alert in alerts] == ["$[0].verb"]


async def test_a_boosted_callee_is_louder_by_as_many_db(rack: PhoneRack, tmp_path: Path) -> None:
    levels = {}
    wishes: dict[str, dict[str, Any]] = {"plain": {}, "boosted": {"boostAudioSignal": "-12 dB"}}
    for name, boost in wishes.items():
        heard = tmp_path / f"{name}.wav"
        async with PhoneRack() as phones, WebApplication() as app, bridged(app, phones, **boost) as call:
            await call.alice.record(heard)
            await asyncio.sleep(1.2)
            await call.alice.stop_recording()
            await hang_up(call)
        pcm, rate_hz = read_wav(heard)
        levels[name] = loudness_dbfs(pcm[-rate_hz // 2 :])
    assert levels["boosted"] - levels["plain"] == pytest.approx(-12, abs=1)
