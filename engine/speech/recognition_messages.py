"""The open protocol for recognisers over WebSocket: its text frames, typed. Pure. Described in the README.

engine                                  recogniser
  {"type":"start", ...}          ─▶
  binary: int16 little-endian    ─▶
                                 ◀─   {"type":"transcription", "is_final":false, ...}
                                 ◀─   {"type":"transcription", "is_final":true, ...}
  {"type":"stop"}                ─▶
                                 ◀─   the last results, then it closes the socket
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from engine.speech.recognition import Alternative, RecognitionOptions, RecognitionResult

__all__ = ["Heard", "MessageError", "ServerMessage", "Trouble", "parse_message", "start_text", "stop_text"]


class MessageError(Exception):
    """A text frame cannot be used; the message says why."""


class _Start(Struct, tag="start", rename="camel"):
    language: str
    interim_results: bool
    sample_rate_hz: int
    format: str = "raw"
    encoding: str = "LINEAR16"
    channel: int = 1
    hints: tuple[str, ...] = ()
    options: Mapping[str, object] = {}


class _Stop(Struct, tag="stop"):
    pass


class _Alternative(Struct):
    transcript: str
    confidence: float = 0.0


class Heard(Struct, tag="transcription"):
    """What was understood, or what may have been said so far."""

    alternatives: tuple[_Alternative, ...]
    is_final: bool = True
    language: str = ""
    channel: int | None = None

    def result(self, options: RecognitionOptions, vendor: str) -> RecognitionResult | None:
        """As a fact; None if there are no words in it."""
        alternatives = tuple(
            Alternative(each.transcript.strip(), min(1.0, max(0.0, each.confidence)))
            for each in self.alternatives
            if each.transcript.strip()
        )
        if not alternatives:
            return None
        return RecognitionResult(
            language_code=self.language or options.language,
            channel_tag=options.channel_tag,
            is_final=self.is_final,
            alternatives=alternatives,
            vendor=vendor,
        )


class Trouble(Struct, tag="error"):
    """The recogniser cannot go on."""

    error: str = "error"


ServerMessage = Heard | Trouble

_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def parse_message(text: str | bytes) -> ServerMessage:
    """One text frame of the recogniser. Raises MessageError."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MessageError(str(error)) from error
    except RecursionError as error:
        raise MessageError("nested too deeply") from error


def start_text(options: RecognitionOptions, sample_rate_hz: int) -> str:
    """The first frame of a connection."""
    start = _Start(
        language=options.language,
        interim_results=options.interim,
        sample_rate_hz=sample_rate_hz,
        channel=options.channel_tag,
        hints=options.hints,
        options=options.vendor_options,
    )
    return msgspec.json.encode(start).decode()


def stop_text() -> str:
    """No more audio comes."""
    return msgspec.json.encode(_Stop()).decode()
