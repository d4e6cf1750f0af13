"""Verbs about the call itself: `answer`, `hangup`, `redirect`, `sip:decline`, `tag`, `config`."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field
from msgspec.structs import force_setattr

from engine.application.schema.base import Verb
from engine.application.schema.fields import Headers, HookField, PropertyError, check_text
from engine.application.schema.listen import BackgroundListen, BackgroundTranscribe
from engine.application.schema.speech import Recognizer, Synthesizer

__all__ = ["AnswerVerb", "ConfigVerb", "DeclineVerb", "HangupVerb", "RedirectVerb", "TagVerb"]


class AnswerVerb(Verb, frozen=True, kw_only=True, tag="answer"):
    """200 OK, if the caller was not answered before."""


class HangupVerb(Verb, frozen=True, kw_only=True, tag="hangup"):
    """The end of the call."""

    headers: Headers = field(default_factory=Headers)
    """On the BYE."""


class RedirectVerb(Verb, frozen=True, kw_only=True, tag="redirect"):
    """Go on with what another hook says."""

    action_hook: HookField
    status_hook: HookField | None = None
    """From now on the call status hook; None: as before."""


class DeclineVerb(Verb, frozen=True, kw_only=True, tag="sip:decline"):
    """A final response to a caller who was not answered."""

    status: Annotated[int, Meta(ge=300, le=699)]
    reason: str = ""
    """Reason phrase; empty: the status' usual one."""
    headers: Headers = field(default_factory=Headers)

    def __post_init__(self) -> None:
        check_text(self.reason, "reason")


class TagVerb(Verb, frozen=True, kw_only=True, tag="tag"):
    """Data that comes back as `customerData` in every later hook of the call."""

    data: dict[str, Any]


class ConfigVerb(Verb, frozen=True, kw_only=True, tag="config"):
    """Defaults of the session. What is not said stays as it was."""

    synthesizer: Synthesizer | None = None
    recognizer: Recognizer | None = None
    notify_events: bool | None = None
    listen: BackgroundListen | None = None
    """`stream` on the wire is the same."""
    stream: BackgroundListen | None = None
    """None once decoded: see `listen`."""
    transcribe: BackgroundTranscribe | None = None

    def __post_init__(self) -> None:
        if self.stream is not None:
            if self.listen is not None:
                raise PropertyError("is the same as `listen`; give one of them", ("stream",))
            force_setattr(self, "listen", self.stream)
            force_setattr(self, "stream", None)
