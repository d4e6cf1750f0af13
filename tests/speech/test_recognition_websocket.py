"""The open protocol for recognisers, against a real server of another family."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.speech.recognition import (
    Alternative,
    NothingUnderstood,
    RecognitionEvent,
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
)
from engine.speech.recognition_websocket import WebSocketRecogniser
from media.audio import Pcm, from_bytes
from tests.media.signals import amplitude_at, tone


class Vendor:
    """A recogniser that understands what it is told to."""

    def __init__(self) -> None:
        self.port = 0
        self.status: int | None = None
        self.starts: list[dict[str, Any]] = []
        self.authorizations: list[str | None] = []
        self.audio = b""
        self.got_stop = asyncio.Event()
        self.heard_enough = asyncio.Event()
        self.behave: Callable[[ServerConnection], Awaitable[None]] = self.listen

    async def listen(self, connection: ServerConnection) -> None:
        async for message in connection:
            if isinstance(message, bytes):
                self.audio += message
            elif json.loads(message) == {"type": "stop"}:
                self.got_stop.set()
                return

    async def serve(self, connection: ServerConnection) -> None:
        self.starts.append(json.loads(await connection.recv()))
        with suppress(ConnectionClosed):
            await self.behave(connection)

    def look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.authorizations.append(request.headers.get("Authorization"))
        return None if self.status is None else connection.respond(self.status, "no\n")


def _heard(*texts: str, is_final: bool = True, **more: object) -> str:
    alternatives = [{"transcript": text, "confidence": 0.9 - 0.2 * n} for n, text in enumerate(texts)]
    return json.dumps({"type": "transcription", "is_final": is_final, "alternatives": alternatives, **more})


@asynccontextmanager
async def vendor(token: str = "") -> AsyncIterator[tuple[Vendor, WebSocketRecogniser]]:
    made = Vendor()
    async with serve(made.serve, "127.0.0.1", 0, process_request=made.look) as server:
        made.port = next(iter(server.sockets)).getsockname()[1]
        recogniser = WebSocketRecogniser("examplevoice", f"ws://127.0.0.1:{made.port}/stt", token=token)
        try:
            yield made, recogniser
        finally:
            await recogniser.close()


def _talk(session: RecognitionSession, pcm: Pcm) -> None:
    for at in range(0, len(pcm), 160):
        session.push(pcm[at : at + 160])


async def _events(session: RecognitionSession) -> list[RecognitionEvent]:
    async with asyncio.timeout(20):
        return [event async for event in session.events()]


async def test_the_start_frame_says_what_is_wanted_and_the_audio_arrives_whole() -> None:
    async with vendor(token="secret") as (far, recogniser):
        options = RecognitionOptions(
            language="de-DE",
            hints=("ja", "nein"),
            interim=True,
            channel_tag=2,
            vendor_options={"model": "phone"},
        )
        session = await recogniser.open(options)
        assert session.sample_rate_hz == 8000
        _talk(session, tone(700, seconds=1.0))
        session.finish()
        assert await _events(session) == []
        assert far.starts == [
            {
                "type": "start",
                "language": "de-DE",
                "interimResults": True,
                "sampleRateHz": 8000,
                "format": "raw",
                "encoding": "LINEAR16",
                "channel": 2,
                "hints": ["ja", "nein"],
                "options": {"model": "phone"},
            }
        ]
        assert far.authorizations == ["Bearer secret"]
        assert np.array_equal(from_bytes(far.audio), tone(700, seconds=1.0))
        assert amplitude_at(from_bytes(far.audio), 700) > 7000


async def test_partial_and_final_results_come_as_facts_with_the_beginning_of_speech() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.send(_heard("guten", is_final=False))
            await connection.send(_heard("guten Tag", "guter Tag", language="de-AT", channel=7, extra=1))
            await connection.send(_heard(" ", is_final=True))
            await connection.send(_heard("ja"))
            await far.listen(connection)

        far.behave = behave
        session = await recogniser.open(RecognitionOptions(language="de-DE", interim=True, channel_tag=2))
        events = session.events()
        got = [await asyncio.wait_for(anext(events), 10) for _ in range(5)]
        session.finish()
        assert [event async for event in events] == []
    assert got[0] == SpeechBegan(2)
    assert got[2] == RecognitionResult(
        language_code="de-AT",
        channel_tag=2,
        is_final=True,
        alternatives=(Alternative("guten Tag", 0.9), Alternative("guter Tag", 0.7)),
        vendor="examplevoice",
    )
    assert [event.transcript for event in got if isinstance(event, RecognitionResult)] == [
        "guten",
        "guten Tag",
        "ja",
    ]
    assert got[3] == SpeechBegan(2)


async def test_without_interim_only_final_results_are_told() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.send(_heard("gu", is_final=False))
            await connection.send(_heard("gut"))
            await far.listen(connection)

        far.behave = behave
        session = await recogniser.open(RecognitionOptions())
        session.finish()
        assert [type(event) for event in await _events(session)] == [SpeechBegan, RecognitionResult]


async def test_an_utterance_without_words_is_told_to_have_been_none() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.send(_heard("eh", is_final=False))
            await connection.send(_heard("", is_final=False))
            await connection.send(_heard(""))
            await connection.send(_heard())
            await connection.send(_heard("yes"))
            await far.listen(connection)

        far.behave = behave
        session = await recogniser.open(RecognitionOptions())
        session.finish()
        events = await _events(session)
    assert events[:3] == [SpeechBegan(1), NothingUnderstood(1), SpeechBegan(1)]
    assert [type(event) for event in events[3:]] == [RecognitionResult]


async def test_results_after_stop_are_waited_for() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await far.listen(connection)
            await connection.send(_heard("last words"))

        far.behave = behave
        session = await recogniser.open(RecognitionOptions())
        session.finish()
        (_, result) = await _events(session)
        assert isinstance(result, RecognitionResult)
        assert result.transcript == "last words"


async def test_an_error_of_the_vendor_ends_the_session_with_its_words() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.send(json.dumps({"type": "error", "error": "quota exceeded"}))
            await far.listen(connection)

        far.behave = behave
        assert await _events(await recogniser.open(RecognitionOptions())) == [
            RecognitionFailed("examplevoice: quota exceeded")
        ]


async def test_a_vendor_that_closes_in_the_middle_has_failed() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.close()

        far.behave = behave
        (failed,) = await _events(await recogniser.open(RecognitionOptions()))
        assert isinstance(failed, RecognitionFailed)


async def test_a_broken_connection_is_made_again_and_the_audio_of_meanwhile_is_kept() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            if len(far.starts) == 1:
                connection.transport.abort()
            await far.listen(connection)

        far.behave = behave
        session = await recogniser.open(RecognitionOptions())
        events = session.events()
        assert isinstance(await asyncio.wait_for(anext(events), 10), RecognitionLost)
        _talk(session, tone(700, seconds=1.0))
        session.finish()
        assert [event async for event in events] == []
        assert len(far.starts) == 2
        assert len(from_bytes(far.audio)) == 8000


async def test_what_was_being_said_when_the_connection_broke_is_over() -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            if len(far.starts) == 1:
                await connection.send(_heard("half a sen", is_final=False))
                await far.heard_enough.wait()
                connection.transport.abort()
            await far.listen(connection)

        far.behave = behave
        session = await recogniser.open(RecognitionOptions())
        events = session.events()
        assert await asyncio.wait_for(anext(events), 10) == SpeechBegan(1)
        far.heard_enough.set()
        assert isinstance(await asyncio.wait_for(anext(events), 10), RecognitionLost)
        assert await asyncio.wait_for(anext(events), 10) == NothingUnderstood(1)
        session.finish()
        assert [event async for event in events] == []


async def test_a_vendor_that_refuses_is_not_asked_again() -> None:
    async with vendor() as (far, recogniser):
        far.status = 401
        assert await _events(await recogniser.open(RecognitionOptions())) == [
            RecognitionFailed("examplevoice: it answered 401")
        ]
        assert len(far.authorizations) == 1


async def test_a_vendor_that_is_not_there_is_tried_four_times() -> None:
    async with vendor() as (far, _):
        port = far.port
    recogniser = WebSocketRecogniser("examplevoice", f"ws://127.0.0.1:{port}/")
    session = await recogniser.open(RecognitionOptions())
    for _ in range(400):  # 8 s of audio: the oldest three are lost
        session.push(np.zeros(160, np.int16))
    events = await _events(session)
    await recogniser.close()
    assert [type(event) for event in events] == [RecognitionLost, RecognitionLost, RecognitionFailed]


@pytest.mark.parametrize(
    "nonsense",
    [
        *("no json", "[]", '{"type":"unknown"}', '{"type":"transcription"}'),
        '{"type":"error","x":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
    ids=lambda text: text[:30],
)
async def test_nonsense_is_borne_twice(nonsense: str) -> None:
    async with vendor() as (far, recogniser):

        async def behave(connection: ServerConnection) -> None:
            await connection.send(nonsense)
            await connection.send(b"binary")
            await connection.send(nonsense)
            await connection.send(_heard("still here"))
            await connection.send(nonsense)
            await far.listen(connection)

        far.behave = behave
        events = await _events(await recogniser.open(RecognitionOptions()))
        assert [type(event) for event in events] == [SpeechBegan, RecognitionResult, RecognitionFailed]


async def test_closing_the_recogniser_ends_its_sessions_at_once() -> None:
    async with vendor() as (far, recogniser):
        session = await recogniser.open(RecognitionOptions())
        reading = asyncio.create_task(_events(session))
        while not far.starts:  # noqa: ASYNC110 - the other side has no event for it
            await asyncio.sleep(0.005)
        await recogniser.close()
        assert await reading == []
        session.push(np.zeros(160, np.int16))
        session.finish()
        session.close()
