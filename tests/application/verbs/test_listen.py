"""`listen` as a verb and beside a dial: real audio, a real WebSocket server, real hooks."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from engine.application.document import ListenVerb, parse_document
from engine.application.session import EndingKind
from engine.application.verbs import listen
from engine.speech.recognition import Alternative, RecognitionResult
from media.audio import to_bytes
from tests.application.verbs.streaming import FACTS, SID, ScriptedRecogniser, plane, stage
from tests.listen.server import ListenServer, listen_server, talker, until, usual_amplitude
from tests.media.signals import tone


def _verb(server: ListenServer, **properties: object) -> dict[str, Any]:
    return {"verb": "listen", "url": server.url, "actionHook": "/listened", **properties}


def _tag() -> dict[str, Any]:
    """A verb that shows that the document went on."""
    return {"verb": "redirect", "actionHook": "/next"}


async def test_listen_answers_streams_and_tells_its_hook_when_the_server_closes() -> None:
    async with plane() as media, talker(media, hz=1000) as caller, listen_server() as server:
        async with stage(caller.stream) as call:
            call.app.on("/listened", [{"verb": "hangup"}])
            call.start(_verb(server, id="my stream", metadata={"clientId": "12udih"}), _tag())
            await server.heard(60)
            assert call.party.has_answered
            await server.connections[0].close()
            asked = await call.app.request("/listened")
            assert (await call.ended()).kind is EndingKind.HUNG_UP
            assert call.app.asked("/next") == []
            assert call.alerts == []
        assert asked.payload["call_sid"] == SID
        assert asked.payload["dial_call_duration"] == 1
        assert asked.payload["verb_id"] == "my stream"
        assert "digits" not in asked.payload
        hello = server.texts[0]
        assert (hello["callSid"], hello["from"], hello["clientId"]) == (SID, "+15550100", "12udih")
        assert usual_amplitude(server.pcm()[1600:], 1000) > 7000


async def test_early_media_is_enough_if_asked_for() -> None:
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start(_verb(server, earlyMedia=True))
        await server.heard(5)
        assert not call.party.has_answered


async def test_wh33_keys_are_passed_on_and_a_key_of_finish_on_key_ends_the_stream() -> None:
    async with plane() as media, talker(media) as caller, listen_server() as server:
        async with stage(caller.stream) as call:
            call.app.on("/listened")
            call.start(_verb(server, passDtmf=True, finishOnKey="#*"))
            await server.connected()
            call.key("5", 320)
            call.key("*")
            asked = await call.app.request("/listened")
            assert (await call.ended()).kind is EndingKind.FINISHED
            await server.told({"event": "dtmf", "dtmf": "5", "duration": "320"})
            await server.told({"event": "dtmf", "dtmf": "*", "duration": "160"})
        assert asked.payload["digits"] == "*"


async def test_keys_are_not_passed_on_unless_asked_for() -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start(_verb(server))
        await server.connected()
        call.key("5")
        await server.heard(len(server.frames) + 5)
        assert len(server.texts) == 1
        assert not call.is_over


async def test_max_length_ends_the_stream() -> None:
    async with plane() as media, talker(media) as caller, listen_server() as server:
        async with stage(caller.stream) as call:
            call.app.on("/listened")
            call.start(_verb(server, maxLength=0.5))
            await call.app.request("/listened")
            assert (await call.ended()).kind is EndingKind.FINISHED
        assert len(server.frames) == pytest.approx(25, abs=3)


async def test_timeout_ends_the_stream_after_so_much_silence_and_not_while_somebody_speaks() -> None:
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.app.on("/listened")
        call.start(_verb(server, timeout=0.4))
        await server.heard(45)
        assert not call.is_over
        caller.hz = 0
        silent_from = len(server.frames)
        await call.app.request("/listened")
        assert len(server.frames) - silent_from == pytest.approx(20, abs=8)


async def test_play_beep_is_heard_before_the_stream_begins() -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start(_verb(server, playBeep=True))
        await until(lambda: len(caller.heard) > 3000)
        assert server.connections == []
        await server.connected()
        assert usual_amplitude(caller.heard[400:3600], 1500) > 3000


async def test_wh34_the_server_speaks_to_the_caller_unless_the_stream_is_one_way() -> None:
    clip = {"audioContent": base64.b64encode(to_bytes(tone(700, seconds=0.3))).decode(), "id": "a"}
    for properties, is_heard in (
        ({}, True),
        ({"bidirectionalAudio": {"enabled": False}}, False),
        ({"disableBidirectionalAudio": True}, False),
    ):
        async with (
            plane() as media,
            talker(media) as caller,
            listen_server() as server,
            stage(caller.stream) as call,
        ):
            call.start(_verb(server, **properties))
            await server.connected()
            await server.say({"type": "playAudio", "data": {**clip, "audioContentType": "raw"}})
            if is_heard:
                await server.told({"type": "playDone", "data": {"id": "a"}})
                assert usual_amplitude(caller.heard[400:2000], 700) > 7000
            else:
                await until(lambda: bool(call.alerts))
                assert len(caller.heard) == 0


async def test_wh34_streaming_takes_the_rate_of_bidirectional_audio() -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start(_verb(server, bidirectionalAudio={"streaming": True, "sampleRate": 24000}))
        await server.connected()
        await server.connections[0].send(to_bytes(tone(700, seconds=0.5, rate_hz=24000)))
        await until(lambda: len(caller.heard) >= 4000)
        assert usual_amplitude(caller.heard[400:3600], 700) > 7000


async def test_wh35_credentials_of_ws_auth_are_sent() -> None:
    async with plane() as media, talker(media) as caller, listen_server() as server:
        async with stage(caller.stream) as call:
            call.start(_verb(server, wsAuth={"username": "alice", "password": "secret"}))
            await server.connected()
        token = base64.b64encode(b"alice:secret").decode()
        assert server.requests[0].headers["Authorization"] == f"Basic {token}"


async def test_wh36_live_control_reaches_the_stream_of_this_call() -> None:
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start(_verb(server))
        await server.heard(5)
        call.session.control("listen", "silence")
        await server.heard(len(server.frames) + 12)
        assert not server.pcm()[-800:].any()
        call.session.control("listen", "resume")
        await server.heard(len(server.frames) + 15)
        assert usual_amplitude(server.pcm()[-1600:], 1000) > 6000


async def test_wh37_a_server_that_is_not_there_is_an_alert_and_the_document_goes_on() -> None:
    async with listen_server() as server:
        gone = server
    async with plane() as media, talker(media) as caller, stage(caller.stream) as call:
        call.app.on("/listened")
        call.app.on("/next")
        call.start(_verb(gone), _tag())
        await call.app.request("/next")
        assert call.app.paths == ["/listened", "/next"]
        assert "given up" in call.alerts[-1]


async def test_the_hook_is_told_when_the_caller_hangs_up_and_its_answer_is_ignored() -> None:
    async with plane() as media, talker(media) as caller, listen_server() as server:
        async with stage(caller.stream) as call:
            call.app.on("/listened", [_tag()])
            call.start(_verb(server))
            await server.connected()
            call.hang_up()
            assert (await call.ended()).kind is EndingKind.GONE
            await call.app.request("/listened")
            await asyncio.wait_for(server.connections[0].wait_closed(), 5)
            assert call.app.asked("/next") == []
        assert server.connections[0].close_code == 1000


async def test_nested_transcribe_runs_as_long_as_the_stream() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        listen_server() as server,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.app.on("/words")
        call.app.on("/listened")
        call.start(_verb(server, transcribe={"transcriptionHook": "/words"}))
        words = await recogniser.session()
        words.say(RecognitionResult("en-US", 1, True, (Alternative("hello", 0.9),), "scripted"))
        told = await call.app.request("/words")
        assert told.payload["speech"]["alternatives"][0]["transcript"] == "hello"
        await server.connections[0].close()
        await call.ended()
        await until(lambda: words.is_closed)


def _listen_verb(server: ListenServer, **properties: object) -> ListenVerb:
    (verb,) = parse_document([_verb(server, **properties)])
    assert isinstance(verb, ListenVerb)
    return verb


async def test_dv84_beside_a_dial_both_parties_are_sent_and_the_end_is_told() -> None:
    async with (
        plane() as media,
        talker(media, hz=600) as caller,
        talker(media, hz=1700, ssrc=0x2002) as callee,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.app.on("/listened", [_tag()])
        verb = _listen_verb(server, mixType="stereo", finishOnKey="#")
        work = listen.beside(verb, call.session, caller=caller.stream, callee=callee.stream, facts=FACTS)
        task = call.session.background(work, name="listen")
        await server.heard(50)
        assert server.texts[0]["mixType"] == "stereo"
        task.cancel()
        asked = await call.app.request("/listened")
        assert asked.payload["dial_call_duration"] in (0, 1)
        sides = server.pcm(channels=2)[1600:]
        assert usual_amplitude(sides[:, 0], 600) > 7000
        assert usual_amplitude(sides[:, 1], 1700) > 7000
        assert call.app.asked("/next") == []


async def test_wh37_beside_a_dial_the_server_closing_ends_the_stream_only() -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        talker(media, ssrc=0x2002) as callee,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.app.on("/listened")
        work = listen.beside(
            _listen_verb(server), call.session, caller=caller.stream, callee=callee.stream, facts=FACTS
        )
        task = call.session.background(work, name="listen")
        await server.connected()
        await server.connections[0].close()
        await asyncio.wait_for(task, 5)
        await call.app.request("/listened")
        assert call.session.ending is None
        assert call.alerts == []


async def test_beside_a_dial_a_key_of_finish_on_key_ends_the_stream_only() -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        talker(media, ssrc=0x2002) as callee,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.app.on("/listened")
        verb = _listen_verb(server, finishOnKey="#")
        work = listen.beside(verb, call.session, caller=caller.stream, callee=callee.stream, facts=FACTS)
        task = call.session.background(work, name="listen")
        await server.connected()
        call.key("#")
        assert (await call.app.request("/listened")).payload["digits"] == "#"
        await asyncio.wait_for(task, 5)
        assert call.session.ending is None


async def test_config_streams_beside_the_verbs_that_follow_until_it_is_switched_off() -> None:
    async with (
        plane() as media,
        talker(media, hz=1000) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.app.on("/listened")
        call.app.on("/next")
        stream = {"enable": True, "url": server.url, "actionHook": "/listened"}
        call.start(
            {"verb": "config", "listen": stream},
            {"verb": "pause", "length": 1},
            {"verb": "config", "listen": {"enable": False}},
            {"verb": "pause", "length": 0.3},
            _tag(),
        )
        await call.app.request("/listened")
        assert not call.is_over
        await asyncio.wait_for(server.connections[0].wait_closed(), 5)
        await call.app.request("/next")
        assert call.app.paths == ["/listened", "/next"]
    assert len(server.frames) == pytest.approx(50, abs=8)
    assert usual_amplitude(server.pcm()[1600:], 1000) > 7000


async def test_an_engine_without_streams_and_channel_2_without_a_dial_are_alerts() -> None:
    async with plane() as media, talker(media, hz=1000) as caller, listen_server() as server:
        async with stage(caller.stream, has_listen=False) as call:
            call.start({"verb": "listen", "url": server.url})
            assert (await call.ended()).kind is EndingKind.FINISHED
            assert len(call.alerts) == 1
        async with stage(caller.stream) as call:
            call.start({"verb": "listen", "url": server.url, "channel": 2})
            await server.heard(20)
            assert "channel 2" in call.alerts[0]
            assert usual_amplitude(server.pcm()[1600:], 1000) > 6000
