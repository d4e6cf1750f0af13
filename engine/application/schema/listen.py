"""`listen` (audio over WebSocket) and `transcribe`, as verbs, nested in `dial`, and in the background."""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import force_setattr

from engine.application.schema.base import Verb
from engine.application.schema.fields import (
    Auth,
    HookField,
    PropertyError,
    SampleRate,
    Schema,
    Seconds,
    WebSocketUrl,
    check_digits,
)
from engine.application.schema.speech import Recognizer

__all__ = [
    "BackgroundListen",
    "BackgroundTranscribe",
    "BidirectionalAudio",
    "Channel",
    "ListenVerb",
    "TranscribeVerb",
]

Channel = Literal[1, 2]
"""1: the caller, 2: the callee."""


class BidirectionalAudio(Schema, frozen=True, kw_only=True):
    """What the server may send back (WH-34)."""

    enabled: bool = True
    streaming: bool = False
    """Binary frames are played; without it they are ignored."""
    sample_rate: SampleRate | None = None
    """Of binary frames; None: the stream's."""


class TranscribeVerb(Verb, frozen=True, kw_only=True, tag="transcribe"):
    """What is said, as text, to a hook."""

    transcription_hook: HookField | None = None
    translation_hook: HookField | None = None
    recognizer: Recognizer | None = None
    early_media: bool = False
    channel: Channel | None = None


class ListenVerb(Verb, frozen=True, kw_only=True, tag="listen"):
    """The audio of the call to a WebSocket server, and back (hooks contract, section 6)."""

    url: WebSocketUrl
    action_hook: HookField | None = None
    auth: Auth | None = None
    """`wsAuth` on the wire is the same."""
    ws_auth: Auth | None = None
    """None once decoded: see `auth`."""
    mix_type: Literal["mono", "stereo", "mixed"] = "mono"
    sample_rate: SampleRate = 8000
    metadata: dict[str, Any] = {}
    finish_on_key: str = ""
    max_length: Seconds | None = None
    """Seconds."""
    timeout: Seconds | None = None
    """Seconds of silence."""
    pass_dtmf: bool = False
    play_beep: bool = False
    early_media: bool = False
    channel: Channel | None = None
    transcribe: TranscribeVerb | None = None
    disable_bidirectional_audio: bool = False
    """Deprecated: `is_bidirectional` knows both wishes."""
    bidirectional_audio: BidirectionalAudio = BidirectionalAudio()

    def __post_init__(self) -> None:
        _check_stream(self)

    @property
    def is_bidirectional(self) -> bool:
        """The server may send audio back."""
        return self.bidirectional_audio.enabled and not self.disable_bidirectional_audio


class BackgroundListen(Schema, frozen=True, kw_only=True):
    """`config.listen`: a stream beside the verbs that follow, until `enable: false`."""

    enable: bool = True
    url: WebSocketUrl | None = None
    action_hook: HookField | None = None
    auth: Auth | None = None
    ws_auth: Auth | None = None
    """None once decoded: see `auth`."""
    mix_type: Literal["mono", "stereo", "mixed"] = "mono"
    sample_rate: SampleRate = 8000
    metadata: dict[str, Any] = {}
    finish_on_key: str = ""
    max_length: Seconds | None = None
    timeout: Seconds | None = None
    pass_dtmf: bool = False
    play_beep: bool = False
    early_media: bool = False
    channel: Channel | None = None
    transcribe: TranscribeVerb | None = None
    disable_bidirectional_audio: bool = False
    bidirectional_audio: BidirectionalAudio = BidirectionalAudio()

    def __post_init__(self) -> None:
        _check_stream(self)
        if self.enable and self.url is None:
            raise PropertyError("missing required property `url`")

    def to_verb(self) -> ListenVerb:
        """The same as a verb; only where `enable` is true."""
        if self.url is None:
            raise ValueError("a stream that is switched off is not a verb")
        return ListenVerb(
            url=self.url,
            action_hook=self.action_hook,
            auth=self.auth,
            mix_type=self.mix_type,
            sample_rate=self.sample_rate,
            metadata=self.metadata,
            finish_on_key=self.finish_on_key,
            max_length=self.max_length,
            timeout=self.timeout,
            pass_dtmf=self.pass_dtmf,
            play_beep=self.play_beep,
            early_media=self.early_media,
            channel=self.channel,
            transcribe=self.transcribe,
            disable_bidirectional_audio=self.disable_bidirectional_audio,
            bidirectional_audio=self.bidirectional_audio,
        )


class BackgroundTranscribe(Schema, frozen=True, kw_only=True):
    """`config.transcribe`: transcription beside the verbs that follow, until `enable: false`."""

    enable: bool = True
    transcription_hook: HookField | None = None
    translation_hook: HookField | None = None
    recognizer: Recognizer | None = None
    early_media: bool = False
    channel: Channel | None = None

    def to_verb(self) -> TranscribeVerb:
        """The same as a verb."""
        return TranscribeVerb(
            transcription_hook=self.transcription_hook,
            translation_hook=self.translation_hook,
            recognizer=self.recognizer,
            early_media=self.early_media,
            channel=self.channel,
        )


def _check_stream(listen: ListenVerb | BackgroundListen) -> None:
    if listen.ws_auth is not None:
        if listen.auth is not None:
            raise PropertyError("is the same as `auth`; give one of them", ("wsAuth",))
        force_setattr(listen, "auth", listen.ws_auth)
        force_setattr(listen, "ws_auth", None)
    for digit in listen.finish_on_key:
        check_digits(digit, "finishOnKey")
