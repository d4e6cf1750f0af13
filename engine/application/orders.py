"""What live control and the REST API ask of calls, as facts, and how it can be refused.

Everything that arrives here has been checked for shape: types, ranges, combinations, documents. What only the
runner of calls can know (an application, a trunk, the state of a call) is refused by the exceptions here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from engine.application.document import Verb
from engine.application.schema.dial import Amd
from engine.config import AccountConfig
from engine.dial.request import Target
from engine.errors import EngineError
from engine.hooks import Hook

__all__ = [
    "CallOrder",
    "CallUpdate",
    "Counts",
    "CreatedCall",
    "Dtmf",
    "NoSuchApplication",
    "NoSuchCall",
    "SipReply",
    "SipRequest",
    "Streaming",
    "WrongCallState",
]


class NoSuchCall(EngineError):
    """No call of this account has that sid: it never had, or it has ended long ago."""


class WrongCallState(EngineError):
    """The call is there, and what was asked for is not possible now; the text says why."""


class NoSuchApplication(EngineError):
    """The account has no application of that sid."""


class CallOrder(Struct, frozen=True, kw_only=True):
    """`POST …/Calls`, checked. Of several ways to control the call `document` goes before `call_hook`, and
    that before `application_sid`."""

    account: AccountConfig
    from_: str
    target: Target
    application_sid: str = ""
    call_hook: Hook | None = None
    """Called when the callee has answered."""
    document: Sequence[Verb] | None = None
    """Out of `app_json`."""
    call_status_hook: Hook | None = None
    answer_on_bridge: bool = False
    caller_name: str = ""
    from_host: str = ""
    timeout_s: float = 60.0
    time_limit_s: float | None = None
    amd: Amd | None = None
    tag: Mapping[str, object] | None = None
    """Becomes `customerData`."""
    headers: Mapping[str, str] = {}
    speech: Mapping[str, str] = {}
    """What is given of `speech_synthesis_*` and `speech_recognizer_*`, under these names."""


class CreatedCall(Struct, frozen=True):
    """The INVITE has been created."""

    sid: str
    call_id: str
    """SIP Call-ID."""


class Counts(Struct, frozen=True):
    """Calls in progress."""

    inbound: int
    outbound: int


class Streaming(StrEnum):
    """For `listen_status` and `transcribe_status`."""

    PAUSE = "pause"
    SILENCE = "silence"
    RESUME = "resume"


class Dtmf(Struct, frozen=True):
    """Digits to send."""

    digit: str
    """One or more of 0-9, *, #, A-D."""
    duration_ms: int = 250
    """Of each."""


class SipRequest(Struct, frozen=True):
    """One request in the dialog of the call."""

    method: str
    content_type: str = ""
    content: str = ""
    headers: Mapping[str, str] = {}


class SipReply(Struct, frozen=True):
    """The final response to a `SipRequest`."""

    status: int
    reason: str


class CallUpdate(Struct, frozen=True, kw_only=True):
    """`PUT …/Calls/{call_sid}`, checked. Everything that is set is to be done, in this order."""

    call_status: Literal["completed", "no-answer"] | None = None
    call_hook: Hook | None = None
    child_call_hook: Hook | None = None
    call_status_hook: Hook | None = None
    mute: bool | None = None
    listen_status: Streaming | None = None
    transcribe_status: Streaming | None = None
    whisper: Sequence[Verb] = ()
    """`say` and `play` only."""
    dtmf: Dtmf | None = None
    sip_request: SipRequest | None = None
    record: Mapping[str, object] | None = None
    tag: Mapping[str, object] | None = None
    dub: Mapping[str, object] | None = None
    boost_audio_signal_db: float | None = None
    media_path: Literal["no-media", "partial-media", "full-media"] | None = None
