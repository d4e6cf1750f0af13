"""Frames in, frames out: the conversation without a socket."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.listen.messages import MessageError, parse_text
from engine.listen.options import Back, ListenOptions, Mix
from engine.listen.protocol import ListenProtocol


class Conversation:
    def __init__(self, **options: Any) -> None:
        self.told: list[Any] = []
        self.problems: list[str] = []
        self.protocol = ListenProtocol(
            ListenOptions(url="ws://app.example.com/", **options),
            say=lambda text: self.told.append(json.loads(text)),
            problem=self.problems.append,
        )

    def say(self, message: object) -> bool:
        return self.protocol.receive_text(json.dumps(message))


def _play(**data: object) -> dict[str, object]:
    audio = base64.b64encode(bytes(320)).decode()
    return {"type": "playAudio", "data": {"audioContent": audio, "audioContentType": "raw", **data}}


def test_wh31_the_hello_says_the_call_the_format_and_the_users_metadata() -> None:
    talk = Conversation(
        properties={"callSid": "1", "from": "+4930"},
        metadata={"clientId": "12udih", "nested": {"a": [1]}, "sampleRate": 1},
        sample_rate_hz=16000,
        mix=Mix.STEREO,
    )
    assert json.loads(talk.protocol.hello()) == {
        "callSid": "1",
        "from": "+4930",
        "clientId": "12udih",
        "nested": {"a": [1]},
        "sampleRate": 16000,
        "mixType": "stereo",
    }


def test_wh31_a_caller_whose_name_is_not_utf8_is_said_all_the_same() -> None:
    name = b"M\xfcller".decode("utf-8", "surrogateescape")
    talk = Conversation(properties={"callSid": "1", "callerName": name})
    assert json.loads(talk.protocol.hello())["callerName"] == "M\ufffdller"


def test_wh33_a_digit_is_a_text_frame() -> None:
    talk = Conversation()
    talk.protocol.send_digit("#", 160)
    assert talk.told == [{"event": "dtmf", "dtmf": "#", "duration": "160"}]


def test_wh34_only_disconnect_ends_the_stream() -> None:
    talk = Conversation()
    assert talk.say(_play())
    assert talk.say({"type": "killAudio"})
    assert talk.say({"type": "mark", "data": {"name": "m"}})
    assert talk.say({"type": "clearMarks", "data": None})
    assert not talk.say({"type": "disconnect"})


def test_wh34_the_eleventh_clip_that_would_wait_is_left_out_and_reported() -> None:
    talk = Conversation()
    for n in range(11):
        talk.say(_play(id=n, queuePlay=True))
    assert not talk.problems
    talk.say(_play(id=11, queuePlay=True))
    assert len(talk.problems) == 1


def test_marks_that_wait_for_their_audio_are_bounded() -> None:
    talk = Conversation()
    talk.say(_play())
    for n in range(2000):
        assert talk.say({"type": "mark", "data": {"name": str(n)}})
    assert len(talk.problems) == 1001
    assert "marks" in talk.problems[0]
    talk.say({"type": "clearMarks"})
    assert len([each for each in talk.told if each["type"] == "mark"]) == 999


def test_a_one_way_stream_plays_nothing() -> None:
    talk = Conversation(back=Back.NOTHING)
    talk.say(_play())
    talk.protocol.receive_audio(bytes(320))
    assert talk.protocol.playback.is_empty
    assert len(talk.problems) == 1


def test_wh34_binary_audio_is_for_streaming_only() -> None:
    without, with_streaming = Conversation(), Conversation(back=Back.STREAM)
    for talk in (without, with_streaming):
        talk.protocol.receive_audio(bytes(320))
        assert not talk.problems
    assert without.protocol.playback.is_empty
    assert not with_streaming.protocol.playback.is_empty


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"type":5}', '{"type":"mark"}', '{"type":"mark","data":{}}']
)
def test_what_is_no_message_is_named(text: str) -> None:
    with pytest.raises(MessageError):
        parse_text(text)


def test_a_message_that_is_nested_too_deeply_is_named() -> None:
    talk = Conversation()
    assert talk.protocol.receive_text('{"type":"killAudio","x":' + "[" * 100_000 + "]" * 100_000 + "}")
    assert talk.problems == ["message cannot be used: nested too deeply"]


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text() | st.floats(allow_nan=False), st.lists))
def test_no_text_of_a_server_raises_or_ends_the_stream(anything: object) -> None:
    talk = Conversation()
    assert talk.protocol.receive_text(anything if isinstance(anything, str) else json.dumps(anything))
    assert len(talk.problems) == 1
