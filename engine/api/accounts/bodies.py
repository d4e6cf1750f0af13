"""What goes over the wire for calls (hooks contract, section 8); names as in the family, in both cases."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from engine.api.errors import Invalid
from engine.application.document import (
    DocumentError,
    PlayVerb,
    SayVerb,
    Verb,
    decode_document,
    parse_document,
)
from engine.application.orders import CallOrder, CallUpdate, Dtmf, SipRequest, Streaming
from engine.application.schema.dial import Amd
from engine.application.schema.fields import (
    Decibels,
    Headers,
    HookField,
    check_digits,
    check_text,
    check_user,
)
from engine.application.schema.target import Target, TeamsTarget
from engine.config import AccountConfig
from engine.dial.request import FromOverride, InvalidRequest
from engine.hooks import Hook

__all__ = ["Created", "DtmfBody", "NewCall", "SipRequestBody", "UpdateCall"]

_Text = Annotated[str, Meta(max_length=512)]
_Seconds = Annotated[float, Meta(gt=0, le=10_000_000)]
_Streaming = Literal["pause", "silence", "resume"]
_WHISPERED: frozenset[type[Verb]] = frozenset((SayVerb, PlayVerb))


class _Body(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing unknown; what is null is as good as absent."""


class NewCall(_Body, frozen=True):
    """Call somebody, and run an application when the call is answered."""

    from_: Annotated[str, Meta(min_length=1, max_length=256)] = field(name="from")
    """Presented number or name."""
    to: Target
    """Whom to call: a target as in the `dial` verb."""
    application_sid: Annotated[str, Meta(min_length=36, max_length=36)] | None = None
    """An application of the account. This, `call_hook` or `app_json` is needed."""
    call_hook: HookField | None = None
    """Asked for the document when the callee has answered. Needs `call_status_hook`."""
    app_json: str | list[Any] | None = None
    """The document itself, as JSON text or as it is; no call hook is needed."""
    call_status_hook: HookField | None = None
    """Told of every change of the call."""
    answer_on_bridge: bool | None = field(name="answerOnBridge", default=None)
    caller_name: _Text | None = field(name="callerName", default=None)
    """Display name in From."""
    from_host: _Text | None = field(name="fromHost", default=None)
    """Host in From."""
    timeout: _Seconds | None = None
    """Seconds it may ring; 60 unless said otherwise."""
    time_limit: _Seconds | None = field(name="timeLimit", default=None)
    """Seconds it may last."""
    amd: Amd | None = None
    """Answering machine detection, as in `dial`."""
    tag: dict[str, Any] | None = None
    """Becomes `customerData` of the hooks."""
    headers: Headers | None = None
    """SIP headers on the INVITE."""
    speech_synthesis_vendor: _Text | None = None
    speech_synthesis_language: _Text | None = None
    speech_synthesis_voice: _Text | None = None
    speech_synthesis_label: _Text | None = None
    speech_recognizer_vendor: _Text | None = None
    speech_recognizer_language: _Text | None = None
    speech_recognizer_label: _Text | None = None

    def __post_init__(self) -> None:
        check_user(self.from_, "from")
        if self.caller_name:
            check_text(self.caller_name, "callerName")

    def to_order(self, account: AccountConfig) -> CallOrder:
        """Raises Invalid."""
        if self.application_sid is None and self.call_hook is None and self.app_json is None:
            raise Invalid("application_sid", "this, call_hook or app_json is required")
        if self.call_hook is not None and self.call_status_hook is None:
            raise Invalid("call_status_hook", "is required with call_hook")
        if isinstance(self.to, TeamsTarget):
            raise Invalid("to.type", "there is no route to teams")
        if self.to.confirm_hook is not None:
            raise Invalid("to.confirmHook", "there is nobody for whom this callee could be screened")
        try:
            FromOverride(host=self.from_host or "")
        except InvalidRequest as refused:
            raise Invalid("fromHost", refused.problem) from None
        return CallOrder(
            account=account,
            from_=self.from_,
            target=self.to.to_target(),
            application_sid=self.application_sid or "",
            call_hook=_absolute(self.call_hook, "call_hook", _ASKED),
            document=None if self.app_json is None else _document(self.app_json),
            call_status_hook=_absolute(self.call_status_hook, "call_status_hook"),
            answer_on_bridge=self.answer_on_bridge or False,
            caller_name=self.caller_name or "",
            from_host=self.from_host or "",
            timeout_s=self.timeout or 60.0,
            time_limit_s=self.time_limit,
            amd=self.amd,
            tag=self.tag,
            headers=self.headers or {},
            speech={name: value for name in _SPEECH if (value := getattr(self, name))},
        )


_SPEECH = tuple(name for name in NewCall.__struct_fields__ if name.startswith("speech_"))


class Created(Struct, frozen=True):
    """The INVITE is on its way; what becomes of it is told to the call status hook."""

    sid: str
    """Of the call."""
    call_id: str = field(name="callId")
    """SIP Call-ID."""


class DtmfBody(_Body, frozen=True):
    """Digits to send."""

    digit: Annotated[str, Meta(max_length=64)]
    """0-9, *, #, A-D; one or more."""
    duration: Annotated[int, Meta(ge=20, le=10_000)] = 250
    """Milliseconds."""

    def __post_init__(self) -> None:
        check_digits(self.digit, "digit")


class SipRequestBody(_Body, frozen=True):
    """A request inside the call's dialog; the answer is the status of its response."""

    method: Literal["INFO", "MESSAGE", "NOTIFY", "OPTIONS"]
    content_type: _Text = ""
    content: Annotated[str, Meta(max_length=60_000)] = ""
    headers: Headers = field(default_factory=Headers)

    def __post_init__(self) -> None:
        check_text(self.content_type, "content_type")


class UpdateCall(_Body, frozen=True):
    """What is to change; several things at once where they do not contradict each other."""

    call_status: Literal["completed", "no-answer"] | None = None
    """`completed` hangs up in any state, `no-answer` gives up an unanswered call."""
    call_hook: HookField | None = None
    """Its document takes the place of what runs now."""
    child_call_hook: HookField | None = None
    """With `call_hook`: the document of the other party, who becomes a call of its own."""
    call_status_hook: HookField | None = None
    """With `call_hook`: told of changes from now on."""
    mute_status: Literal["mute", "unmute"] | None = None
    listen_status: _Streaming | None = None
    transcribe_status: _Streaming | None = None
    whisper: dict[str, Any] | list[Any] | None = None
    """One `say` or `play`, or several, played to one party."""
    dtmf: DtmfBody | None = None
    sip_request: SipRequestBody | None = None
    record: dict[str, Any] | None = None
    tag: dict[str, Any] | None = None
    """Takes the place of `customerData`."""
    dub: dict[str, Any] | None = None
    boost_audio_signal: Decibels | None = field(name="boostAudioSignal", default=None)
    """dB: a number, or text such as `10 dB`."""
    media_path: Literal["no-media", "partial-media", "full-media"] | None = None

    def to_update(self) -> CallUpdate:
        """Raises Invalid."""
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise Invalid("call_status", "nothing is asked for")
        for name in ("call_status_hook", "child_call_hook"):
            if getattr(self, name) is not None and self.call_hook is None:
                raise Invalid(name, "is only possible together with call_hook")
        if self.call_status is not None and self.call_hook is not None:
            raise Invalid("call_status", "a call cannot be ended and redirected at once")
        streaming = self.listen_status, self.transcribe_status
        return CallUpdate(
            call_status=self.call_status,
            call_hook=_absolute(self.call_hook, "call_hook", _ASKED),
            child_call_hook=_absolute(self.child_call_hook, "child_call_hook", _ASKED),
            call_status_hook=_absolute(self.call_status_hook, "call_status_hook"),
            mute=None if self.mute_status is None else self.mute_status == "mute",
            listen_status=None if streaming[0] is None else Streaming(streaming[0]),
            transcribe_status=None if streaming[1] is None else Streaming(streaming[1]),
            whisper=() if self.whisper is None else _whisper(self.whisper),
            dtmf=None if self.dtmf is None else Dtmf(self.dtmf.digit, self.dtmf.duration),
            sip_request=None if self.sip_request is None else _request(self.sip_request),
            record=self.record,
            tag=self.tag,
            dub=self.dub,
            boost_audio_signal_db=self.boost_audio_signal,
            media_path=self.media_path,
        )


_TOLD = ("http://", "https://")
_ASKED = (*_TOLD, "ws://", "wss://")


def _absolute(hook: Hook | None, name: str, schemes: tuple[str, ...] = _TOLD) -> Hook | None:
    """There is no document here against which a relative URL could be resolved (WH-02)."""
    if hook is not None:
        scheme, _, rest = hook.url.partition("://")
        if f"{scheme.lower()}://" not in schemes or not rest or rest[0] in "/?#:":
            raise Invalid(name, f"must be a URL that begins with one of {', '.join(schemes)}")
    return hook


def _document(given: str | list[Any]) -> tuple[Verb, ...]:
    try:
        return decode_document(given) if isinstance(given, str) else parse_document(given)
    except DocumentError as fault:
        raise Invalid("app_json", str(fault)) from fault


def _whisper(raw: dict[str, Any] | list[Any]) -> tuple[Verb, ...]:
    if not raw:
        raise Invalid("whisper", "needs at least one verb")
    try:
        return parse_document(raw if isinstance(raw, list) else [raw], only=_WHISPERED)
    except DocumentError as fault:
        raise Invalid("whisper", str(fault)) from fault


def _request(body: SipRequestBody) -> SipRequest:
    if body.content and not body.content_type:
        raise Invalid("sip_request.content_type", "is required with content")
    return SipRequest(body.method, body.content_type, body.content, body.headers)
