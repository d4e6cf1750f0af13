"""The listen protocol without its socket: frames of the server in, frames for the server out. Pure.

Two functions are handed in: one takes text frames to send, one takes problems that somebody should hear of.
The audio that the server sends is in `playback`, ready to be played.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.listen.clip import ClipError, decode_clip
from engine.listen.messages import (
    ClearMarks,
    Disconnect,
    KillAudio,
    Mark,
    MessageError,
    PlayAudio,
    digit_text,
    hello_text,
    parse_text,
)
from engine.listen.options import Back, ListenOptions
from engine.listen.playback import MOST_QUEUED, Playback

__all__ = ["SUBPROTOCOLS", "ListenProtocol"]

SUBPROTOCOLS = ("audio.jambonz.org", "audio.drachtio.org")
"""Offered; the server may take either or none (WH-30)."""


class ListenProtocol:
    """One stream's conversation with its server; survives reconnections."""

    __slots__ = ("_options", "_problem", "_say", "playback")

    def __init__(
        self,
        options: ListenOptions,
        *,
        say: Callable[[str], None],
        problem: Callable[[str], None],
        play_rate_hz: int = 8000,
    ) -> None:
        self._options = options
        self._say = say
        self._problem = problem
        self.playback = Playback(say, sample_rate_hz=play_rate_hz, stream_rate_hz=options.back_rate_hz)

    def hello(self) -> str:
        """The first frame of every connection."""
        options = self._options
        return hello_text(
            options.properties,
            options.metadata,
            sample_rate_hz=options.sample_rate_hz,
            mix=options.mix.value,
        )

    def send_digit(self, digit: str, duration_ms: int) -> None:
        """The caller keyed a digit."""
        self._say(digit_text(digit, duration_ms))

    def receive_text(self, text: str | bytes) -> bool:
        """A text frame; False: the server asks to end the stream."""
        try:
            message = parse_text(text)
        except MessageError as error:
            self._problem(f"message cannot be used: {error}")
            return True
        match message:
            case Disconnect():
                return False
            case KillAudio():
                self.playback.kill()
            case Mark(data=data):
                if not self.playback.mark(data.name):
                    self._problem("more marks were sent than can wait for their audio; some are left out")
            case ClearMarks():
                self.playback.clear_marks()
            case PlayAudio():
                self._play(message)
        return True

    def receive_audio(self, data: bytes) -> None:
        """A binary frame; without streaming it is ignored (WH-34)."""
        if self._options.back is Back.STREAM and not self.playback.feed(data):
            self._problem("more audio was sent than can wait to be played; some is left out")

    def _play(self, message: PlayAudio) -> None:
        if self._options.back is Back.NOTHING:
            self._problem("playAudio is ignored: this stream is one-way")
            return
        data = message.data
        try:
            clip = decode_clip(data.audio_content, data.audio_content_type, data.sample_rate, data.id)
        except ClipError as error:
            self._problem(f"playAudio cannot be played: {error}")
            return
        if not data.queue_play:
            self.playback.play(clip)
        elif not self.playback.enqueue(clip):
            self._problem(f"playAudio is left out: at most {MOST_QUEUED} clips and 32 MB of audio may wait")
