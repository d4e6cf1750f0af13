"""What hooks tell in real calls is what the family's schemas say, and its libraries can verify it."""

from __future__ import annotations

import random
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.application.gathering import Gathered, GatherReason, told_speech
from engine.hooks.javascript import encode_for_javascript
from engine.softphone import CallState, Wav
from engine.speech import Alternative, RecognitionResult
from tests.judge_npm.node import Judge, judge
from tests.listen.server import listen_server
from tests.softphone.test_spectrum import write
from tests.speech.voice import spoken
from tests.support.application import Answer, WebApplication
from tests.support.callee import BEEP, GREETING, RATE_HZ, pause, tone
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import sip_address
from tests.support.sipp import SippBench
from tests.support.talking_sipp import callee_that_says
from tests.support.two_phones import bridged, hang_up

pytestmark = pytest.mark.lab

CALLBACKS = {
    "/call": "session-new",
    "/status": "call-status",
    "/dial": "dial",
    "/amd": "amd",
    "/dtmf": "dial-dtmf",
    "/hold": "dial-hold",
    "/refer": "dial-refer",
    "/gathered": "gather",
    "/partial": "gather-partial",
    "/played": "play",
    "/listened": "listen",
    "/text": "transcribe",
    "/redirected": "session-redirect",
    "/screen": "base",
}
"""Our hook, their schema."""


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[SippBench]:
    async with SippBench(tmp_path) as bench:
        yield bench


@pytest.fixture
async def rack() -> AsyncIterator[PhoneRack]:
    async with PhoneRack() as phones:
        yield phones


@pytest.fixture
async def family() -> AsyncIterator[Judge]:
    async with judge() as judging:
        yield judging


async def assert_sound(app: WebApplication, family: Judge, *paths: str, restated: bool = True) -> None:
    """Every hook pleases its schema, survives JavaScript (`restated`), and each of `paths` was among them."""
    assert set(paths) <= set(app.paths), f"not asked: {set(paths) - set(app.paths)}"
    complaints = []
    for request in app.requests:
        verdict = await family.payload(CALLBACKS[request.path], request.payload)
        if verdict is not None:
            complaints.append(f"{request.path}: {verdict}\n{request.body.decode()}")
        if request.method == "POST" and restated:
            text = request.body.decode()
            if await family.restated(text) != text:
                complaints.append(
                    f"{request.path}: JavaScript writes it differently, and so cannot verify it: {text}"
                )
    assert complaints == []


async def test_the_judge_is_awake(family: Judge) -> None:
    assert await family.payload("dial-dtmf", {"dtmf": "1"}) is None
    assert "dtmf" in (await family.payload("dial-dtmf", {}) or "")
    assert "sip_status" in (await family.payload("call-status", {"sip_status": "200"}) or "")
    assert await family.restated('{"a":1.0}') == '{"a":1}'


async def test_of_a_conversation_with_keys_hold_and_transfer(rack: PhoneRack, family: Judge) -> None:
    async with WebApplication() as app:
        for path in ("/dtmf", "/hold", "/refer"):
            app.on(path)
        hooks: dict[str, Any] = {
            "dtmfCapture": ["*2"],
            "dtmfHook": "/dtmf",
            "onHoldHook": "/hold",
            "referHook": "/refer",
        }
        async with bridged(app, rack, tag={"order": 7, "Name": "Jürgen"}, **hooks) as call:
            await call.bob.send_dtmf("*2")
            await app.request("/dtmf")
            await call.bob.hold()
            await app.request("/hold")
            await call.bob.resume()
            await call.bob.transfer_to("sip:+15550177@example.com")
            await app.request("/refer")
            await hang_up(call)
            await app.told("/status", direction="inbound", call_status="completed")
        await assert_sound(app, family, "/call", "/status", "/dial", "/dtmf", "/hold", "/refer")


async def test_of_verbs_that_listen(sipp: SippBench, family: Judge) -> None:
    async with WebApplication() as app, listen_server() as server, application_engine(app) as engine:
        app.on(
            "/call",
            [
                {"verb": "answer"},
                {"verb": "gather", "timeout": 0.3, "actionHook": "/gathered"},
                {"verb": "listen", "url": server.url, "maxLength": 0.5, "actionHook": "/listened"},
                {"verb": "redirect", "actionHook": "/redirected"},
            ],
        )
        for path in ("/gathered", "/listened"):
            app.on(path)
        app.on("/redirected", [{"verb": "hangup"}])
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        await app.told("/status", call_status="completed")
        await assert_sound(app, family, "/call", "/gathered", "/listened", "/redirected", "/status")


async def test_of_verbs_that_play(sipp: SippBench, family: Judge) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        write(Path(engine.config.sounds.folder) / "short.wav", tone(440, seconds=0.3), RATE_HZ)
        app.on(
            "/call",
            [{"verb": "play", "url": url, "actionHook": "/played"} for url in ("short.wav", "absent.wav")],
        )
        app.on("/played")
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        await app.told("/status", call_status="completed")
        completed, failed = app.payloads("/played")
        assert (completed["reason"], failed["reason"]) == ("playCompleted", "playFailed")
        await assert_sound(app, family, "/played")


async def test_of_words_that_are_understood(rack: PhoneRack, tmp_path: Path, family: Judge) -> None:
    write(tmp_path / "yes.wav", np.concatenate([pause(0.5), spoken("yes", RATE_HZ), pause(0.5)]), RATE_HZ)
    alice = await rack.phone("alice")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on(
            "/call",
            [
                {"verb": "answer"},
                {
                    "verb": "gather",
                    "input": ["speech"],
                    "timeout": 15,
                    "actionHook": "/gathered",
                    "partialResultHook": "/partial",
                },
                {"verb": "transcribe", "transcriptionHook": "/text"},
            ],
        )
        app.on("/gathered")
        app.on("/text")
        host, port = sip_address(engine)
        call = await alice.call(f"sip:5550100@{host}:{port}", sound=Wav(str(tmp_path / "yes.wav"), loop=True))
        await app.request("/text", timeout_s=40.0)
        await call.hang_up()
        await call.until(CallState.DISCONNECTED)
        await app.told("/status", call_status="completed")
        await assert_sound(app, family, "/gathered", "/text")
    assert app.payloads("/gathered")[0]["reason"] == "speechDetected"


async def test_of_words_that_are_not_final_and_of_a_recogniser_that_broke_down(family: Judge) -> None:
    words = RecognitionResult("en-US", 1, False, (Alternative("yes", 0.5),), "pocketsphinx")
    assert await family.payload("gather-partial", {"speech": told_speech(words)}) is None
    broken = Gathered(GatherReason.ERROR, problem="it broke down")
    assert await family.payload("gather", broken.to_dict()) is None


async def test_of_a_machine_that_answers_and_of_a_screening(
    sipp: SippBench, tmp_path: Path, family: Judge
) -> None:
    said = np.concatenate([pause(0.3), GREETING, pause(0.4), BEEP, pause(1.5)])
    callee = await callee_that_says(sipp, "voicemail", tmp_path, said)
    async with WebApplication() as app, application_engine(app) as engine:
        dial: dict[str, Any] = {
            "target": [{"type": "sip", "sipUri": callee.uri}],
            "confirmHook": "/screen",
            "amd": {"actionHook": "/amd"},
        }
        app.on("/call", [{"verb": "dial", **dial}])
        for path in ("/amd", "/dial", "/screen"):
            app.on(path)
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=11_500)
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
        await app.told("/status", direction="inbound", call_status="completed")
        await assert_sound(app, family, "/call", "/screen", "/amd", "/dial", "/status", restated=False)
    assert {told["type"] for told in app.payloads("/amd")} >= {"amd_machine_detected", "amd_tone_detected"}


async def test_of_calls_that_fail_or_are_given_up(sipp: SippBench, family: Judge) -> None:
    busy = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 486 Busy Here"})
    ringing = await sipp.callee("callee_rings_on")
    async with WebApplication() as app, application_engine(app) as engine:
        targets = [{"type": "sip", "sipUri": each.uri} for each in (busy, ringing)]
        app.on("/call", [{"verb": "dial", "target": targets, "answerOnBridge": True, "timeout": 1}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await busy.finished()).assert_passed()
        (await ringing.finished()).assert_passed()
        await app.told("/status", direction="inbound", sip_status=480)
        await assert_sound(app, family, "/call", "/dial", "/status")


async def test_wh07_every_number_and_every_letter_is_written_as_javascript_writes_it(family: Judge) -> None:
    chance = random.Random(7)
    numbers = [number for (number,) in struct.iter_unpack("d", chance.randbytes(8 * 2000))]
    numbers += [chance.uniform(-1, 1) * 10 ** chance.randint(-9, 23) for _ in range(2000)]
    numbers += [0.0, -0.0, 1e-7, 1e-6, 1e15, 1e16, 123456789012345680000.0, 1e21, 5e-324]
    text = encode_for_javascript({"numbers": numbers}).decode()
    assert await family.restated(text) == text
    letters = "".join(map(chr, range(0x300))) + "\u2028\u2029\ufeff\uffff\U0001f600"
    for payload in ({"letters": letters}, {"letters": letters + "\udc80", "one": 1.0}):
        text = encode_for_javascript(payload).decode()
        assert await family.restated(text) == text


async def test_wh07_numbers_an_application_gave_come_back_as_javascript_writes_them(
    sipp: SippBench, family: Judge
) -> None:
    """Its libraries verify the signature over what JavaScript makes of the body."""
    data = '{"whole":1.0,"large":1e21,"small":1e-7,"negative":-0.0,"list":[2.0,{"deep":3.0}]}'
    async with WebApplication() as app, application_engine(app) as engine:
        app.on(
            "/call",
            Answer(
                text='[{"verb":"tag","data":' + data + '},{"verb":"redirect","actionHook":"/redirected"}]'
            ),
        )
        app.on("/redirected", [{"verb": "sip:decline", "status": 486}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
        await app.told("/status", call_status="busy")
        await assert_sound(app, family, "/redirected")
    assert app.payloads("/redirected")[0]["customerData"]["whole"] == 1
