"""`listen` and `transcribe` in real calls: pjsua2 phones at both ends, a foreign WebSocket server."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.softphone import Answer as Answers
from engine.softphone import CallState, Tone, Wav
from media.audio import to_bytes
from media.recorder import WavRecorder
from tests.listen.server import listen_server, until, usual_amplitude
from tests.media.signals import tone
from tests.speech.voice import spoken
from tests.support.application import WebApplication
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.spectrum import assert_hears

pytestmark = pytest.mark.lab


def _uri(engine: Engine) -> str:
    host, port = sip_address(engine)
    return f"sip:5550100@{host}:{port}"


def _dial(uri: str, **properties: Any) -> dict[str, Any]:
    return {"verb": "dial", "target": [{"type": "sip", "sipUri": uri}], "answerOnBridge": True, **properties}


async def test_dv84_listen_beside_a_dial_has_the_caller_left_and_the_callee_right_and_ends_with_it(
    rack: PhoneRack,
) -> None:
    alice, bob = await rack.phone("alice"), await rack.phone("bob", Answers(sound=Tone(1700)))
    async with listen_server() as server, WebApplication() as app, application_engine(app) as engine:
        stream = {"url": server.url, "mixType": "stereo", "actionHook": "/listened", "metadata": {"n": 1}}
        app.on("/call", [_dial(bob.uri, listen=stream)])
        app.on("/dial")
        app.on("/listened")
        call = await alice.call(_uri(engine), sound=Tone(600))
        await server.heard(100)
        frames_before_end = len(server.frames)
        await call.hang_up()
        told = (await app.request("/dial")).payload
        listened = (await app.request("/listened")).payload
        await until(lambda: server.connections[0].close_code is not None)
    assert told["dial_status"] == "completed"
    assert listened["dial_call_duration"] >= 1
    assert server.connections[0].close_code == 1000
    assert len(server.frames) <= frames_before_end + 50
    hello = server.texts[0]
    assert (hello["mixType"], hello["sampleRate"], hello["n"]) == ("stereo", 8000, 1)
    assert hello["callSid"] == told["dial_call_sid"]
    assert hello["parentCallSid"] == told["call_sid"]
    sides = server.pcm(channels=2)[8000 : 90 * 160]
    for side, own, other in ((sides[:, 0], 600, 1700), (sides[:, 1], 1700, 600)):
        assert usual_amplitude(side, own) > 5000
        assert usual_amplitude(side, other) < 100


async def test_wh34_what_the_server_sends_is_heard_by_the_caller_and_its_keys_reach_the_server(
    rack: PhoneRack, tmp_path: Path
) -> None:
    alice = await rack.phone("alice")
    recorded = tmp_path / "alice.wav"
    async with listen_server() as server, WebApplication() as app, application_engine(app) as engine:
        verb = {
            "verb": "listen",
            "url": server.url,
            "passDtmf": True,
            "finishOnKey": "#",
            "actionHook": "/listened",
        }
        app.on("/call", [verb])
        app.on("/listened", [{"verb": "hangup"}])
        call = await alice.call(_uri(engine), sound=Tone(600), record=str(recorded))
        await server.heard(20)
        clip = base64.b64encode(to_bytes(tone(900, seconds=1.5, rate_hz=16000))).decode()
        data = {"audioContent": clip, "audioContentType": "raw", "sampleRate": 16000, "id": "c1"}
        await server.say({"type": "playAudio", "data": data})
        await server.told({"type": "playDone", "data": {"id": "c1"}})
        await call.send_dtmf("5")
        await until(lambda: any(text.get("dtmf") == "5" for text in server.texts))
        await call.send_dtmf("#")
        assert (await app.request("/listened")).payload["digits"] == "#"
        await call.until(CallState.DISCONNECTED)
    assert_hears(recorded, 900, start_s=0.9, end_s=1.5)


async def test_dv84_transcribe_beside_a_dial_tells_what_the_callee_says(
    rack: PhoneRack, tmp_path: Path
) -> None:
    """µ-law at 8 kHz through two phones and the engine, into pocketsphinx, to the hook."""
    sentence = tmp_path / "sentence.wav"
    recorder = WavRecorder(sentence, 16000)
    recorder.write(spoken("one two three four five"), 0)
    await recorder.close()
    alice = await rack.phone("alice")
    bob = await rack.phone("bob", Answers(sound=Wav(str(sentence))))
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [_dial(bob.uri, transcribe={"transcriptionHook": "/words"})])
        app.on("/words")
        app.on("/dial")
        call = await alice.call(_uri(engine))
        told = (await app.request("/words")).payload
        await call.hang_up()
        await app.request("/dial")
    speech = told["speech"]
    assert (speech["channel_tag"], speech["is_final"], speech["vendor"]) == (2, True, "pocketsphinx")
    words = set(speech["alternatives"][0]["transcript"].split())
    assert len(words & {"one", "two", "three", "four", "five"}) >= 3


async def test_wh37_a_server_that_is_not_there_costs_an_alert_and_no_call(rack: PhoneRack) -> None:
    alice, bob = await rack.phone("alice"), await rack.phone("bob", Answers(sound=Tone(1700)))
    async with listen_server() as gone:
        url = gone.url
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [_dial(bob.uri, listen={"url": url}, timeLimit=1)])
        app.on("/dial", [{"verb": "hangup"}])
        call = await alice.call(_uri(engine))
        told = (await app.request("/dial")).payload
        await call.until(CallState.DISCONNECTED)
        alerts = await engine.server.store.alerts()
    assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "time-limit")
    assert [alert.kind for alert in alerts] == ["listen-failed"]
