"""The small grammar shared by all header fields: tokens, quoted strings, comma lists, parameters.

RFC 3261 §25.1. Reading is forgiving (white space anywhere the ABNF has it and a little beyond); writing gives
exactly what the ABNF allows. Every scanner has a fast branch for the usual text, which has no quotes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import msgspec

from engine.sip.errors import ParseError

__all__ = [
    "MAX_PORT",
    "NO_PARAMS",
    "Params",
    "format_host",
    "is_host",
    "is_token",
    "parse_host_port",
    "parse_number",
    "quote",
    "remember",
    "split_list",
    "split_outside",
    "unquote",
]

_DIGITS = "0123456789"
_ALPHANUM = _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = frozenset(_ALPHANUM + "-.!%*_+`'~")
_HOST = frozenset(_ALPHANUM + "-._")  # the underscore is no hostname character, but is deployed as one
_IPV6 = frozenset("0123456789abcdefABCDEF:.%")
_BARE_PARAM_VALUE = frozenset(_ALPHANUM + "-.!%*_+`'~:[]/")
MAX_PORT = 65535
_REMEMBERED_TEXTS = 1024
_LONGEST_REMEMBERED = 200

T = TypeVar("T")


def remember(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` with its last results kept: a peer says the same in every message, a trunk in every call.

    For frozen results only. Long texts are parsed anew, so that nobody can fill the memory with them.
    """
    remembered = lru_cache(maxsize=_REMEMBERED_TEXTS)(parse)

    def recall(text: str) -> T:
        return remembered(text) if len(text) <= _LONGEST_REMEMBERED else parse(text)

    return recall


def is_token(text: str) -> bool:
    """Whether `text` is a `token` of RFC 3261 §25.1 (not empty)."""
    return (text.isalnum() and text.isascii()) or (bool(text) and _TOKEN.issuperset(text))


def is_host(text: str) -> bool:
    """Whether `text` (IPv6 without brackets) can be a host. Underscores pass: they are seen in the field."""
    if ":" in text:
        return _IPV6.issuperset(text)
    return bool(text) and _HOST.issuperset(text)


def parse_number(text: str) -> int | None:
    """Decimal digits as a number; None for anything else. Beyond 20 digits it is only known to be that
    large."""
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 20:
        text = text.lstrip("0")[:21] or "0"
    return int(text)


def format_host(host: str) -> str:
    """`host` as it is written in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_host_port(text: str, field: str) -> tuple[str, int | None]:
    """`host[:port]`, IPv6 in brackets; white space around the colon is allowed (Via, RFC 3261 §20.42)."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        rest = rest.strip()
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ParseError(f"bad IPv6 reference {text!r}", field=field)
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        host = host.strip()
    if not is_host(host):
        raise ParseError(f"bad host {host!r}", field=field)
    if not colon:
        return host, None
    number = parse_number(port.strip())
    if number is None or number > MAX_PORT:
        raise ParseError(f"bad port {port[:20]!r}", field=field)
    return host, number


def quote(text: str) -> str:
    """`text` as a quoted-string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote(text: str) -> str:
    """The content of a quoted-string; any other text as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    text = text[1:-1]
    if "\\" not in text:
        return text
    characters = iter(text)
    return "".join([next(characters, "") if c == "\\" else c for c in characters])


def skip_quoted(text: str, start: int, field: str = "") -> int:
    """The index behind the quoted-string that begins at `start`; ParseError if it does not end."""
    at = start + 1
    end = -1
    while True:
        if end < at:
            end = text.find('"', at)
            if end < 0:
                raise ParseError(f"quoted string does not end: {text[start : start + 40]!r}", field=field)
        backslash = text.find("\\", at, end)
        if backslash < 0:
            return end + 1
        at = backslash + 2


def split_outside(text: str, separator: str, field: str = "") -> list[str]:
    """Split at `separator` wherever it is outside quoted strings and angle brackets. Nothing is stripped."""
    if '"' not in text and "<" not in text:
        return text.split(separator)
    pieces = []
    begin = at = 0
    in_brackets = False
    length = len(text)
    while at < length:
        character = text[at]
        if character == '"' and not in_brackets:
            at = skip_quoted(text, at, field)
            continue
        if character == "<":
            in_brackets = True
        elif character == ">":
            in_brackets = False
        elif character == separator and not in_brackets:
            pieces.append(text[begin:at])
            begin = at + 1
        at += 1
    pieces.append(text[begin:])
    return pieces


def split_list(text: str, field: str = "") -> list[str]:
    """The elements of a comma list, stripped. Empty elements mean nothing (§7.3.1) and are left out."""
    if "," not in text:
        text = text.strip()
        return [text] if text else []
    return [piece for piece in map(str.strip, split_outside(text, ",", field)) if piece]


class Params(msgspec.Struct, frozen=True):
    """`;name=value` parameters: order and spelling kept, names compared without case."""

    items: tuple[tuple[str, str | None], ...] = ()
    """Names and values verbatim; a quoted value has its quotes; None for a flag such as `;lr`."""

    @classmethod
    def parse(cls, text: str, *, field: str = "") -> Params:
        """Parse the text behind the first semicolon. Empty parameters (`;;`) are passed over."""
        pieces = text.split(";") if '"' not in text else split_outside(text, ";", field)
        items: list[tuple[str, str | None]] = []
        for piece in pieces:
            name, equals, value = piece.partition("=")
            name = name.strip()
            if equals:
                if not name:
                    raise ParseError(f"parameter without a name: {piece!r}", field=field)
                items.append((name, value.strip()))
            elif name:
                items.append((name, None))
        return cls(tuple(items)) if items else NO_PARAMS

    def get(self, name: str) -> str | None:
        """The value, unquoted; "" for a flag; None if there is no such parameter."""
        for candidate, value in self.items:
            if candidate == name or candidate.lower() == name:
                return "" if value is None else unquote(value)
        return None

    def with_value(self, name: str, value: str | None) -> Params:
        """A copy where `name` has `value`, in its old place or at the end; quoted if it has to be."""
        if not is_token(name):
            raise ValueError(f"parameter name {name!r} is not a token")
        if value is not None and not (value and _BARE_PARAM_VALUE.issuperset(value)):
            value = quote(value)
        if name not in self:
            return Params((*self.items, (name, value)))
        return Params(tuple((n, value if n.lower() == name else v) for n, v in self.items))

    def without(self, name: str) -> Params:
        """A copy without `name`."""
        return Params(tuple(item for item in self.items if item[0].lower() != name))

    def __contains__(self, name: str) -> bool:
        return any(candidate == name or candidate.lower() == name for candidate, _ in self.items)

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self.items)

    def __bool__(self) -> bool:
        return bool(self.items)

    def __str__(self) -> str:
        """With the leading semicolon; "" if there is none."""
        return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in self.items])


NO_PARAMS = Params()
