"""The types of properties that JSON cannot say by itself: hooks, headers, durations, digits.

A type made here is decoded by `decode_field`, which msgspec calls with the raw JSON value; a value that
cannot be used raises ValueError, to which msgspec adds the path of the property. `PropertyError` carries the
rest of the path when the fault lies deeper than the property itself.
"""

from __future__ import annotations

import math
from abc import ABCMeta
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from engine.dial import InvalidRequest, Target, TargetType
from engine.dial.safety import is_header_name, unsafe_in_user, unsafe_in_value
from engine.hooks import Hook

__all__ = [
    "Auth",
    "Count",
    "Decibels",
    "Headers",
    "HookField",
    "HookObject",
    "Loop",
    "Milliseconds",
    "NestedFault",
    "Number",
    "PropertyError",
    "SampleRate",
    "Schema",
    "Seconds",
    "SecondsOrZero",
    "Texts",
    "WebSocketUrl",
    "check_digits",
    "check_text",
    "check_uri",
    "check_url",
    "check_user",
    "decode_field",
    "json_kind",
    "times",
]

_FOREVER = 10_000_000.0
"""Seconds: longer than any call, short enough for every clock arithmetic."""

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=_FOREVER)]
SecondsOrZero = Annotated[float, Meta(ge=0, le=_FOREVER)]
Milliseconds = Annotated[float, Meta(gt=0, le=_FOREVER * 1000)]
SampleRate = Literal[8000, 16000, 24000, 48000, 64000]
Loop = Annotated[int, Meta(ge=1, le=1_000_000)] | Literal["forever"]
"""How often something is played; `times` makes it a number."""

_DIGITS = frozenset("0123456789*#ABCDabcd")


class PropertyError(ValueError):
    """What is wrong with a property. `suffix` leads from the struct or field being decoded to the culprit."""

    def __init__(self, problem: str, suffix: tuple[str | int, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.suffix = suffix


class NestedFault(ValueError):
    """A property that is an object of its own was refused; `fault` says where in it."""

    def __init__(self, fault: msgspec.ValidationError, kind: type, raw: object) -> None:
        super().__init__("an object was refused")
        self.fault = fault
        self.kind = kind
        self.raw = raw


class Schema(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", repr_omit_defaults=True
):
    """An object of a document: attributes in snake_case, properties in camelCase, nothing unknown."""


class Auth(Schema, frozen=True, kw_only=True):
    """Both or none (section 3)."""

    username: Annotated[str, Meta(min_length=1)]
    password: Annotated[str, Meta(min_length=1)]

    def __post_init__(self) -> None:
        check_text(self.username, "username")
        check_text(self.password, "password")

    def __repr__(self) -> str:
        return f"Auth(username={self.username!r}, password='***')"


class Headers(dict[str, str]):
    """SIP headers: names are tokens, values have no line breaks; numbers are written out."""


class Texts(tuple[str, ...]):
    """One string or several."""

    __slots__ = ()


class Number(float):
    """A number, also when it is written as a string (`"2.5"`); at least 0, at most what clocks can bear."""

    __slots__ = ()


class Decibels(float):
    """A gain: `10`, `"10"`, `"10 dB"`."""

    __slots__ = ()


class WebSocketUrl(str):
    """`ws:`, `wss:`, `http:` or `https:` URL, or a path relative to the document's."""

    __slots__ = ()


if TYPE_CHECKING:
    HookField = Hook
else:

    class HookField(metaclass=ABCMeta):  # noqa: B024 (it only stands for Hook in msgspec's isinstance)
        """A hook as a URL or as an object; decoded, it is a `Hook`."""

    HookField.register(Hook)


def decode_field(kind: type, raw: object) -> object:
    """msgspec's `dec_hook`: `raw` as one of the types above; ValueError says what is wrong with it."""
    return _DECODERS[kind](raw)


def times(loop: int | Literal["forever"]) -> float:
    """How often, as a number: `math.inf` for `forever`."""
    return math.inf if loop == "forever" else loop


def check_digits(digits: str, *suffix: str | int) -> None:
    """0-9, *, #, A-D (RFC 4733 §3.2), at least one."""
    bad = next((c for c in digits if c not in _DIGITS), None)
    if bad is not None or not digits:
        problem = f"{bad!r} is not a key: 0-9, *, #, A-D" if bad is not None else "must not be empty"
        raise PropertyError(problem, suffix)


def check_text(text: str, *suffix: str | int) -> None:
    """Text that goes into a header or a URL must not end or split it."""
    bad = unsafe_in_value(text)
    if bad is not None:
        raise PropertyError(f"must not contain {bad!r}", suffix)


def check_user(text: str, *suffix: str | int) -> None:
    """Text that goes into the user part of a SIP URI (DV-12)."""
    bad = unsafe_in_user(text)
    if bad is not None:
        raise PropertyError(f"must not contain {bad!r}", suffix)


def check_url(url: str, *suffix: str | int) -> None:
    """A URL or a relative reference: not empty, no whitespace, no control characters."""
    if not url:
        raise PropertyError("must not be empty", suffix)
    bad = next((c for c in url if c.isspace() or not c.isprintable()), None)
    if bad is not None:
        raise PropertyError(f"a URL must not contain {bad!r}", suffix)


def check_uri(uri: str, *suffix: str | int) -> None:
    """A `sip:` or `sips:` URI the dial will take."""
    try:
        Target(TargetType.SIP, uri)
    except InvalidRequest as refused:
        raise PropertyError(refused.problem, suffix) from None


def json_kind(raw: object) -> str:
    """The JSON type of a value, for messages."""
    if raw is None:
        return "null"
    for kind, name in _JSON_KINDS:
        if isinstance(raw, kind):
            return name
    return type(raw).__name__


_JSON_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (Mapping, "object"),
    (list, "array"),
    (tuple, "array"),
)


class HookObject(Schema, frozen=True, kw_only=True):
    """Section 2; `basicAuth` is how the newer members of the family write the credentials."""

    url: str
    method: Literal["GET", "POST"] = "POST"
    username: str = ""
    password: str = ""
    basic_auth: Auth | None = None


def _hook(raw: object) -> Hook:
    if isinstance(raw, str):
        check_url(raw)
        return Hook(raw)
    if not isinstance(raw, Mapping):
        raise PropertyError(f"expected a URL or a hook object, got {json_kind(raw)}")
    try:
        spec = msgspec.convert(raw, HookObject)
    except msgspec.ValidationError as fault:
        raise NestedFault(fault, HookObject, raw) from None
    check_url(spec.url, "url")
    username, password = spec.username, spec.password
    if spec.basic_auth is not None:
        if username or password:
            raise PropertyError("username and password are given twice", ("basicAuth",))
        username, password = spec.basic_auth.username, spec.basic_auth.password
    if password and not username:
        raise PropertyError("a password needs a username", ("password",))
    if ":" in username:
        raise PropertyError("must not contain ':' (RFC 7617 §2)", ("username",))
    check_text(username, "username")
    check_text(password, "password")
    return Hook(spec.url, spec.method, username, password)


def _websocket_url(raw: object) -> WebSocketUrl:
    url = _string(raw)
    check_url(url)
    scheme, colon, _ = url.partition("://")
    if colon and scheme.lower() not in ("ws", "wss", "http", "https"):
        raise PropertyError(f"must begin with ws:// or wss://, not {scheme}://")
    return WebSocketUrl(url)


def _headers(raw: object) -> Headers:
    if not isinstance(raw, Mapping):
        raise PropertyError(f"expected object, got {json_kind(raw)}")
    headers = Headers()
    for name, value in raw.items():
        if not isinstance(name, str) or not is_header_name(name):
            raise PropertyError("is not a header name", (name,))
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise PropertyError(f"expected string or number, got {json_kind(value)}", (name,))
        if isinstance(value, str):
            check_text(value, name)
            headers[name] = value
        elif not math.isfinite(value):
            raise PropertyError("must be finite", (name,))
        else:
            headers[name] = format(value, ".15g") if isinstance(value, float) else str(value)
    return headers


def _texts(raw: object) -> Texts:
    if isinstance(raw, str):
        return Texts((raw,))
    if not isinstance(raw, (list, tuple)):
        raise PropertyError(f"expected string or array of strings, got {json_kind(raw)}")
    if not raw:
        raise PropertyError("must not be empty")
    for index, text in enumerate(raw):
        if not isinstance(text, str):
            raise PropertyError(f"expected string, got {json_kind(text)}", (index,))
    return Texts(raw)


def _number(raw: object) -> Number:
    value = _parsed(raw, "")
    if value < 0:
        raise PropertyError("must not be negative")
    if value > _FOREVER * 1000:
        raise PropertyError("is out of range")
    return Number(value)


def _decibels(raw: object) -> Decibels:
    value = _parsed(raw, "db")
    if not -60 <= value <= 60:
        raise PropertyError("must be between -60 and 60 dB")
    return Decibels(value)


def _parsed(raw: object, unit: str) -> float:
    """A finite number, also one written as a string, with or without `unit`."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise PropertyError(f"expected number or string, got {json_kind(raw)}")
    text = raw.strip().lower().removesuffix(unit).rstrip() if isinstance(raw, str) else raw
    try:
        value = float(text)
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise PropertyError(f"{raw!r} is not a number" if isinstance(raw, str) else "is out of range")
    return value


def _string(raw: object) -> str:
    if not isinstance(raw, str):
        raise PropertyError(f"expected string, got {json_kind(raw)}")
    return raw


_DECODERS: dict[type, Any] = {
    HookField: _hook,
    Headers: _headers,
    Texts: _texts,
    Number: _number,
    Decibels: _decibels,
    WebSocketUrl: _websocket_url,
}
