"""What goes over the wire for native dials. Names are those of `DialRequest` and of the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from amd import AmdParams
from engine.dial.request import Credentials, DialRequest, FromOverride, InvalidRequest, Target

__all__ = ["AmdOptions", "DialList", "DialView", "FromBody", "LegView", "NewDial", "ResultBody", "TargetBody"]

Text = Annotated[str, Meta(max_length=512)]
Uri = Annotated[str, Meta(max_length=1024)]
Headers = Annotated[
    dict[Annotated[str, Meta(max_length=128)], Annotated[str, Meta(max_length=2048)]], Meta(max_length=64)
]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]


class FromBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Replaces user or host of the From URI."""

    user: Text = ""
    host: Text = ""


class TargetBody(Struct, frozen=True, forbid_unknown_fields=True):
    """One party to ring. A `phone` needs `number`, `sip` a `sip_uri`, a `user` a `name`."""

    type: Literal["phone", "sip", "user"]
    number: Text = ""
    sip_uri: Uri = ""
    name: Text = ""
    trunk: Text = ""
    """Of a `phone`; empty: any."""
    username: Text = ""
    password: Text = ""
    """For 401 and 407, together with `username`; `sip` only."""
    headers: Headers = {}
    from_: FromBody | None = field(default=None, name="from")
    proxy: Uri = ""
    override_to: Uri = ""
    """Request-URI in place of the registered one; `user` only."""

    def to_target(self) -> Target:
        """Raises InvalidRequest."""
        address_of = {"phone": "number", "sip": "sip_uri", "user": "name"}
        needed = address_of.pop(self.type)
        for other in (*address_of.values(), *_NOT_FOR[self.type]):
            if getattr(self, other):
                raise InvalidRequest(other, f"is not for a target of type {self.type!r}")
        if not getattr(self, needed):
            raise InvalidRequest(needed, f"is required for a target of type {self.type!r}")
        from_ = FromOverride(self.from_.user, self.from_.host) if self.from_ is not None else None
        common = {"headers": self.headers, "from_": from_, "proxy": self.proxy}
        match self.type:
            case "phone":
                return Target.phone(self.number, trunk=self.trunk, **common)  # type: ignore[arg-type]
            case "user":
                return Target.user(self.name, override_to=self.override_to, **common)  # type: ignore[arg-type]
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise InvalidRequest(missing, "username and password go together")
        if self.username:
            Credentials(self.username, self.password)
        return Target.sip(self.sip_uri, username=self.username, password=self.password, **common)  # type: ignore[arg-type]


_NOT_FOR = {
    "phone": ("username", "password", "override_to"),
    "sip": ("trunk", "override_to"),
    "user": ("trunk", "username", "password"),
}


class AmdOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be told to the detector of answering machines; times are times of audio."""

    no_speech_timeout_ms: Milliseconds = 5000
    decision_timeout_ms: Milliseconds = 15000
    tone_timeout_ms: Milliseconds = 20000
    greeting_completion_timeout_ms: Milliseconds = 2000
    threshold_word_count: Annotated[int, Meta(ge=0, le=1000)] = 9
    """0: never by words."""

    def to_params(self) -> AmdParams:
        return AmdParams(
            no_speech_timeout_ms=self.no_speech_timeout_ms,
            decision_timeout_ms=self.decision_timeout_ms,
            tone_timeout_ms=self.tone_timeout_ms,
            greeting_completion_timeout_ms=self.greeting_completion_timeout_ms,
            threshold_word_count=self.threshold_word_count,
        )


class NewDial(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ring all targets at once; the first who answers is connected to `play` and `record`."""

    targets: Annotated[list[Uri | TargetBody], Meta(min_length=1, max_length=50)]
    """Ten are rung at most, the same one once. Text is a `sip:` URI, `user@realm`, `user:name`, a number."""
    caller_id: Text = ""
    """Presented number."""
    caller_name: Text = ""
    """Presented display name."""
    trunk: Text = ""
    """For targets written as a number."""
    headers: Headers = {}
    """Extra SIP headers on every INVITE."""
    timeout_s: Seconds = 60.0
    """Ring time."""
    time_limit_s: Seconds | None = None
    """Longest conversation."""
    proxy: Uri = ""
    """Outbound proxy of all targets, a `sip:` URI."""
    codecs: Annotated[list[Annotated[str, Meta(max_length=32)]], Meta(max_length=16)] = []
    """Offer order; empty: the engine's."""
    play: Uri = ""
    """Sound played to whoever answers; the call ends with it. Empty: it lasts until somebody hangs up."""
    after_beep: Uri = ""
    """Sound left on a machine after its beep (implies `amd`); `play` is then for people."""
    record: bool = False
    """Record the callee; `GET /v1/dials/{id}/recording` fetches the WAV file afterwards."""
    amd: bool | AmdOptions = False
    """Detect machines, beeps, silence; what is heard comes as events."""

    def to_request(self) -> DialRequest:
        """Raises InvalidRequest, naming the field as it is written in the body."""
        targets: list[Target] = []
        for index, each in enumerate(self.targets):
            try:
                targets.append(
                    Target.parse(each, trunk=self.trunk) if isinstance(each, str) else each.to_target()
                )
            except InvalidRequest as error:
                where = f"targets[{index}]"
                name = where if isinstance(each, str) else f"{where}.{_WIRE.get(error.field, error.field)}"
                raise InvalidRequest(name, error.problem) from error
        return DialRequest(
            targets=tuple(targets),
            caller_id=self.caller_id,
            caller_name=self.caller_name,
            headers=self.headers,
            timeout_s=self.timeout_s,
            time_limit_s=self.time_limit_s,
            proxy=self.proxy,
            codecs=tuple(self.codecs),
        )


_WIRE = {"credentials.username": "username", "credentials.password": "password"}


class ResultLeg(Struct, frozen=True):
    """One branch, as it ended."""

    call_sid: str
    type: str
    to: str
    sip_status: int
    sip_reason: str
    status: str


class ResultBody(Struct, frozen=True):
    """The result of a dial under the contract's names, plus the dial's id."""

    id: str
    dial_call_sid: str
    dial_status: Literal["completed", "failed", "busy", "no-answer", "queued"]
    dial_call_status: str
    dial_sip_status: int
    dial_sbc_callid: str
    dial_termination_reason: str
    dial_legs: list[ResultLeg]


class LegView(Struct, frozen=True):
    """One branch as it is now."""

    call_sid: str
    type: str
    to: str
    call_status: str
    sip_status: int
    sip_reason: str


class DialView(Struct, frozen=True, kw_only=True):
    """One dial, in progress or finished."""

    id: str
    state: Literal["ringing", "talking", "ending", "ended"]
    created_at: str
    """RFC 3339, UTC."""
    legs: list[LegView]
    ring_s: float | None = None
    """Until somebody was connected or the dial was decided; null while it lasts."""
    talk_s: float | None = None
    recording: str | None = None
    """Where the WAV file is; null: there is none, or not yet."""
    warnings: list[str] = []
    error: str = ""
    """A mistake of the engine, or a recording that could not be made."""
    result: ResultBody | None = None
    """Null until the dial is over."""


class DialList(Struct, frozen=True):
    """The newest first."""

    dials: list[DialView]
    next: str | None
    """Give this as `after` to read on; null: that was all."""
