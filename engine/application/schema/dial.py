"""The `dial` verb: the dial contract, sections 2 and 8. Defaults and meanings as there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field
from msgspec.structs import force_setattr

from engine.application.schema.base import Verb
from engine.application.schema.fields import (
    Count,
    Decibels,
    Headers,
    HookField,
    Milliseconds,
    PropertyError,
    Schema,
    Seconds,
    check_digits,
    check_text,
    check_uri,
    check_user,
)
from engine.application.schema.listen import ListenVerb, TranscribeVerb
from engine.application.schema.speech import Recognizer
from engine.application.schema.target import Target
from engine.hooks import Hook

__all__ = ["Amd", "AmdTimers", "DialVerb", "DtmfCapture", "Dub"]


class AmdTimers(Schema, frozen=True, kw_only=True):
    """Milliseconds."""

    no_speech_timeout_ms: Milliseconds = 5000
    decision_timeout_ms: Milliseconds = 15000
    tone_timeout_ms: Milliseconds = 20000
    greeting_completion_timeout_ms: Milliseconds | None = None
    """None: 2000, or 1000 once a beep was heard."""


class Amd(Schema, frozen=True, kw_only=True):
    """Who answered: a person or a machine (section 8)."""

    action_hook: HookField
    threshold_word_count: Count = 9
    digit_count: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0: spoken digits do not count."""
    timers: AmdTimers = AmdTimers()
    recognizer: Recognizer | None = None


class DtmfCapture(Schema, frozen=True, kw_only=True):
    """Which sequences of which side are reported to `dtmfHook` (DV-80)."""

    child_call: tuple[str, ...] = ()
    """Of the callee."""
    parent_call: tuple[str, ...] = ()
    """Of the caller."""

    def __post_init__(self) -> None:
        for name, patterns in (("childCall", self.child_call), ("parentCall", self.parent_call)):
            for index, pattern in enumerate(patterns):
                check_digits(pattern, name, index)


class Dub(Schema, frozen=True, kw_only=True):
    """A track mixed in; carried."""

    action: Literal["addTrack", "removeTrack", "silenceTrack", "playOnTrack", "sayOnTrack"]
    track: str
    play: str = ""
    say: str | dict[str, Any] = ""
    loop: bool = False
    gain: Decibels | None = None


class DialVerb(Verb, frozen=True, kw_only=True, tag="dial"):
    """Rings all targets at once and joins the caller with the first who answers."""

    target: Annotated[tuple[Target, ...], Meta(min_length=1)]
    """At least one; duplicates and more than ten are left out when they are dialled (DV-10)."""
    action_hook: HookField = Hook("dial")
    amd: Amd | None = None
    answer_on_bridge: bool = False
    caller_id: str = ""
    """Empty: the caller's."""
    caller_name: str = ""
    confirm_hook: HookField | None = None
    dial_music: Annotated[str, Meta(min_length=1)] | None = None
    """URL of a WAV or MP3 file."""
    dtmf_capture: tuple[str, ...] | DtmfCapture = DtmfCapture()
    """Always a `DtmfCapture` once decoded: see `captures`."""
    dtmf_hook: HookField | None = None
    headers: Headers = field(default_factory=Headers)
    listen: ListenVerb | None = None
    """`stream` on the wire is the same."""
    stream: ListenVerb | None = None
    """None once decoded: see `listen`."""
    on_hold_hook: HookField | None = None
    proxy: str = ""
    """SIP URI; empty: none."""
    refer_hook: HookField | None = None
    tag: dict[str, Any] | None = None
    """`customerData` of the child legs."""
    forward_pai: bool = field(default=True, name="forwardPAI")
    time_limit: Seconds | None = None
    """Seconds connected; None: no limit."""
    timeout: Seconds = 60.0
    """Seconds until nobody has answered."""
    transcribe: TranscribeVerb | None = None
    anchor_media: bool | None = None
    exit_media_path: bool = False
    """See `is_direct`: anchoring wins."""
    boost_audio_signal: Decibels | None = None
    """dB, of the callee's audio."""
    codecs: tuple[str, ...] = ()
    """Offer order; empty: the engine's."""
    dub: tuple[Dub, ...] = ()
    srtp_encryption: Literal["sdes", "dtls"] | None = None

    def __post_init__(self) -> None:
        if self.stream is not None:
            if self.listen is not None:
                raise PropertyError("is the same as `listen`; give one of them", ("stream",))
            force_setattr(self, "listen", self.stream)
            force_setattr(self, "stream", None)
        if self.caller_id:
            check_user(self.caller_id, "callerId")
        if self.caller_name:
            check_text(self.caller_name, "callerName")
        if self.dial_music is not None:
            check_text(self.dial_music, "dialMusic")
        if self.proxy:
            check_uri(self.proxy, "proxy")
        if isinstance(self.dtmf_capture, tuple):
            for index, pattern in enumerate(self.dtmf_capture):
                check_digits(pattern, "dtmfCapture", index)
            force_setattr(
                self, "dtmf_capture", DtmfCapture(child_call=self.dtmf_capture, parent_call=self.dtmf_capture)
            )

    @property
    def captures(self) -> DtmfCapture:
        """Which sequences are watched for; the array form watches both sides."""
        capture = self.dtmf_capture
        return (
            capture
            if isinstance(capture, DtmfCapture)
            else DtmfCapture(child_call=capture, parent_call=capture)
        )

    @property
    def is_direct(self) -> bool:
        """The parties are to send their media to each other; `anchorMedia` wins."""
        return self.exit_media_path and not self.anchor_media
