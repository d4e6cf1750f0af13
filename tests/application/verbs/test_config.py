"""`config`: what runs beside the verbs that follow, on and off."""

from __future__ import annotations

import pytest

from tests.application.verbs.streaming import ScriptedRecogniser, plane, stage
from tests.listen.server import listen_server, talker, until


async def test_config_switches_a_transcription_off() -> None:
    recogniser = ScriptedRecogniser()
    async with (
        plane() as media,
        talker(media) as caller,
        stage(caller.stream, recognisers={"scripted": recogniser}) as call,
    ):
        call.start(
            {"verb": "config", "transcribe": {"transcriptionHook": "/words"}},
            {"verb": "pause", "length": 0.3},
            {"verb": "config", "transcribe": {"enable": False}},
            {"verb": "pause", "length": 30},
        )
        words = await recogniser.session()
        assert not words.is_closed
        await until(lambda: words.is_closed)
        assert not call.is_over
        assert len(recogniser.sessions) == 1


@pytest.mark.parametrize("name", ["listen", "stream"])
async def test_a_stream_runs_under_either_name(name: str) -> None:
    async with (
        plane() as media,
        talker(media) as caller,
        listen_server() as server,
        stage(caller.stream) as call,
    ):
        call.start({"verb": "config", name: {"url": server.url}}, {"verb": "pause", "length": 30})
        await server.heard(5)
        assert not call.is_over
