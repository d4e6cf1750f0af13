"""URIs: `sip:` and `sips:` (RFC 3261 §19.1), `tel:` (RFC 3966).

Text is kept as it was written, escapes included; `unescape` and `decoded_user` give its meaning. `==` is
equality of the text's parts. The equivalence of §19.1.4 is a method, since it is not transitive and so can be
no `__eq__` (`sip:carol@example.com` equals both `;foo=1` and `;foo=2`, which differ).
"""

from __future__ import annotations

from urllib.parse import quote as _percent_encode
from urllib.parse import unquote_to_bytes

import msgspec

from engine.sip.errors import ParseError
from engine.sip.syntax import NO_PARAMS, Params, format_host, is_host, is_token, parse_host_port, remember

__all__ = [
    "SipUri",
    "TelUri",
    "as_address",
    "as_request_uri",
    "escape_user",
    "make_sip_uri",
    "parse_uri",
    "unescape",
]

_USER_SAFE = "-_.!~*'()&=+$,;?/"
_NOT_IN_A_URI = frozenset([*map(chr, range(33)), "\x7f", "<", ">", '"'])
_PARAMS_THAT_MUST_MATCH = ("user", "ttl", "method", "maddr", "transport")


def unescape(text: str) -> str:
    """`%41` → `A`. Bytes that are no UTF-8 survive as surrogates."""
    if "%" not in text:
        return text
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def escape_user(text: str) -> str:
    """Any text as the user part of a SIP URI (RFC 3261 §25.1 `user`)."""
    return _percent_encode(text.encode("utf-8", "surrogateescape"), safe=_USER_SAFE)


class SipUri(msgspec.Struct, frozen=True):
    """`sip:user:password@host:port;params?headers`."""

    host: str
    """Without brackets."""
    user: str | None = None
    """As written: escaped. `decoded_user` is the meaning, `escape_user` the way back."""
    port: int | None = None
    params: Params = NO_PARAMS
    headers: tuple[tuple[str, str], ...] = ()
    """The `?name=value&...` part, as written."""
    password: str | None = None
    scheme: str = "sip"

    @classmethod
    def parse(cls, text: str) -> SipUri:
        """ParseError unless it is a sip or sips URI with a host."""
        return _sip_uri(text)

    @property
    def decoded_user(self) -> str:
        """The user without escapes; "" if there is none."""
        return unescape(self.user) if self.user else ""

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case, None if absent."""
        value = self.params.get("transport")
        return value.lower() if value else None

    @property
    def is_loose_router(self) -> bool:
        """Whether it has `;lr` (RFC 3261 §16.12)."""
        return "lr" in self.params

    @property
    def is_secure(self) -> bool:
        """Whether it is a sips URI."""
        return self.scheme == "sips"

    def is_equivalent(self, other: SipUri) -> bool:
        """The comparison of RFC 3261 §19.1.4."""
        if self.scheme != other.scheme or self.port != other.port:
            return False
        if self.host.lower() != other.host.lower():
            return False
        if _same_escapes(self.user) != _same_escapes(other.user):
            return False
        if _same_escapes(self.password) != _same_escapes(other.password):
            return False
        return _params_match(self.params, other.params) and _header_set(self) == _header_set(other)

    def without_headers(self) -> SipUri:
        """As a Request-URI or remote target: no headers, no method parameter (RFC 3261 §19.1.1, Table 1)."""
        if not self.headers and "method" not in self.params:
            return self
        return msgspec.structs.replace(self, headers=(), params=self.params.without("method"))

    def __str__(self) -> str:
        user = self.user
        if user is None:
            start = f"{self.scheme}:"
        elif self.password is None:
            start = f"{self.scheme}:{user}@"
        else:
            start = f"{self.scheme}:{user}:{self.password}@"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        headers = "?" + "&".join(f"{name}={value}" for name, value in self.headers) if self.headers else ""
        return f"{start}{host}{port}{self.params}{headers}"


@remember
def _sip_uri(text: str) -> SipUri:
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or (scheme != "sip" and scheme != "sips"):
        raise ParseError(f"not a SIP URI: {text[:80]!r}", field="URI")
    if not _NOT_IN_A_URI.isdisjoint(rest):
        raise ParseError(f"white space or quoting inside a URI: {text[:80]!r}", field="URI")
    user = password = None
    at = rest.find("@")
    if at >= 0:
        if rest.find("@", at + 1) >= 0:
            # A second @ before any parameter: a user that is an e-mail address. The last one counts.
            end = next((i for i in range(at, len(rest)) if rest[i] in ";?"), len(rest))
            at = rest.rfind("@", 0, end)
        user, colon, password_text = rest[:at].partition(":")
        if colon:
            password = password_text
        rest = rest[at + 1 :]
    rest, question, header_text = rest.partition("?")
    host_port, semicolon, param_text = rest.partition(";")
    host, port = parse_host_port(host_port, "URI")
    params = Params.parse(param_text) if semicolon else NO_PARAMS
    headers: tuple[tuple[str, str], ...] = ()
    if question:
        pairs = (pair.partition("=") for pair in header_text.split("&") if pair)
        headers = tuple((name, value) for name, _, value in pairs)
    return SipUri(host, user, port, params, headers, password, scheme)


def _same_escapes(text: str | None) -> str | None:
    """The meaning of a user or password: case-sensitive, an escaped character equals the plain one."""
    return None if text is None else unescape(text)


def _params_match(ours: Params, theirs: Params) -> bool:
    """A parameter in both must match; user, ttl, method, maddr and transport never match their absence."""
    left = {name.lower(): unescape(value or "").lower() for name, value in ours}
    right = {name.lower(): unescape(value or "").lower() for name, value in theirs}
    if any((name in left) != (name in right) for name in _PARAMS_THAT_MUST_MATCH):
        return False
    return all(value == right[name] for name, value in left.items() if name in right)


def _header_set(uri: SipUri) -> list[tuple[str, str]]:
    """Headers match in any order, each with its value."""
    return sorted((name.lower(), unescape(value)) for name, value in uri.headers)


class TelUri(msgspec.Struct, frozen=True):
    """`tel:+1-555-0100;ext=7` (RFC 3966)."""

    number: str
    """As written, with visual separators."""
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> TelUri:
        """ParseError unless it is a tel URI with at least one digit (or DTMF letter) in its number."""
        scheme, colon, rest = text.partition(":")
        if not colon or scheme.lower() != "tel":
            raise ParseError(f"not a tel URI: {text[:80]!r}", field="URI")
        number, semicolon, params = rest.partition(";")
        if not _TEL_CHARACTERS.issuperset(number) or not _TEL_DIGITS.intersection(number):
            raise ParseError(f"not a telephone number: {number[:80]!r}", field="URI")
        return cls(number, Params.parse(params) if semicolon else NO_PARAMS)

    @property
    def digits(self) -> str:
        """The number without visual separators, a leading + kept."""
        return "".join(character for character in self.number if character not in "-.()")

    @property
    def is_global(self) -> bool:
        """Whether the number is a global one (`+...`); a local one has a phone-context."""
        return self.number.startswith("+")

    def is_equivalent(self, other: TelUri) -> bool:
        """RFC 3966 §4: separators do not count, parameters do, in any order and case."""
        if self.digits.lower() != other.digits.lower():
            return False
        left = {name.lower(): (value or "").lower() for name, value in self.params}
        return left == {name.lower(): (value or "").lower() for name, value in other.params}

    def __str__(self) -> str:
        return f"tel:{self.number}{self.params}"


_NOT_IN_AN_ADDRESS = ("transport", "maddr", "ttl", "lr", "method")
_TEL_DIGITS = frozenset("0123456789*#ABCDEFabcdef")
_TEL_CHARACTERS = _TEL_DIGITS | frozenset("+-.()")


def parse_uri(text: str) -> SipUri | TelUri:
    """A sip, sips or tel URI; ParseError(status=416) for another scheme (RFC 3261 §8.2.2.1)."""
    scheme = text.partition(":")[0].lower()
    if scheme == "sip" or scheme == "sips":
        return SipUri.parse(text)
    if scheme == "tel":
        return TelUri.parse(text)
    if not is_token(scheme) or scheme == text:
        raise ParseError(f"no URI: {text[:80]!r}", field="URI")
    raise ParseError(f"URI scheme {scheme[:20]!r} is not supported", field="URI", status=416)


@remember
def as_request_uri(text: str) -> str:
    """A URI without what a Request-URI must not have, headers and method (RFC 3261 §19.1.1, Table 1).

    ParseError as `parse_uri`.
    """
    uri = parse_uri(text)
    if isinstance(uri, TelUri) or not (uri.headers or "method" in uri.params):
        return text
    return str(uri.without_headers())


@remember
def as_address(text: str) -> str:
    """A URI without what From and To must not have: port, headers, and how to get there (Table 1).

    ParseError as `parse_uri`.
    """
    uri = parse_uri(text)
    if isinstance(uri, TelUri):
        return text
    params = uri.params
    for name in _NOT_IN_AN_ADDRESS:
        if name in params:
            params = params.without(name)
    if uri.port is None and not uri.headers and params is uri.params:
        return text
    return str(msgspec.structs.replace(uri, port=None, params=params, headers=()))


def make_sip_uri(user: str, host: str, port: int | None = None, *, transport: str | None = None) -> SipUri:
    """A SIP URI from plain text: the user is escaped, the host checked (ValueError)."""
    if not is_host(host):
        raise ValueError(f"not a host: {format_host(host)!r}")
    params = NO_PARAMS.with_value("transport", transport) if transport else NO_PARAMS
    return SipUri(host, escape_user(user) if user else None, port, params)
