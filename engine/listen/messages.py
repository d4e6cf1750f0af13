"""The text frames of a listen stream, both ways (hooks contract, section 6). Pure.

What the server sends is read forgivingly: unknown properties are ignored, and what cannot be used is told by
an exception whose text a person can act upon. What we send is built here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from engine.json_text import encode_json

__all__ = [
    "ClearMarks",
    "Disconnect",
    "KillAudio",
    "Mark",
    "MessageError",
    "PlayAudio",
    "ServerMessage",
    "digit_text",
    "hello_text",
    "mark_text",
    "parse_text",
    "play_done_text",
]


class MessageError(Exception):
    """A text frame cannot be used; the message says why."""


class _Play(Struct, rename="camel"):
    audio_content: str
    audio_content_type: str = "raw"
    sample_rate: int = 8000
    id: str | int | None = None
    queue_play: bool = False


class _Name(Struct):
    name: str


class PlayAudio(Struct, tag="playAudio"):
    """Play a clip: at once, or after what is queued already."""

    data: _Play


class KillAudio(Struct, tag="killAudio"):
    """Stop and forget what is queued."""


class Mark(Struct, tag="mark"):
    """Tell when everything sent so far has been played."""

    data: _Name


class ClearMarks(Struct, tag="clearMarks"):
    """Give pending marks back."""


class Disconnect(Struct, tag="disconnect"):
    """End the stream."""


ServerMessage = PlayAudio | KillAudio | Mark | ClearMarks | Disconnect

_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def parse_text(text: str | bytes) -> ServerMessage:
    """One text frame from the server. Raises MessageError."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from error
    except RecursionError as error:
        raise MessageError("nested too deeply") from error


def hello_text(
    properties: Mapping[str, object], metadata: Mapping[str, object], *, sample_rate_hz: int, mix: str
) -> str:
    """The first frame (WH-31). The user's metadata cannot replace what the engine says of the call."""
    return _text({**metadata, **properties, "sampleRate": sample_rate_hz, "mixType": mix})


def digit_text(digit: str, duration_ms: int) -> str:
    """A digit the caller keyed (WH-33)."""
    return _text({"event": "dtmf", "dtmf": digit, "duration": str(duration_ms)})


def play_done_text(clip_id: str | int | None) -> str:
    """A clip is over."""
    return _text({"type": "playDone", "data": {} if clip_id is None else {"id": clip_id}})


def mark_text(name: str, event: Literal["playout", "cleared"]) -> str:
    """What became of a mark."""
    return _text({"type": "mark", "data": {"name": name, "event": event}})


def _text(message: Mapping[str, object]) -> str:
    return encode_json(message).decode()
