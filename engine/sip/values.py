"""Values of header fields: parsed when asked, frozen, `parse(str(x)) == x`. RFC 3261 §20 unless said.

Facts about the field that shape this file:

- Display names come unquoted with UTF-8, commas and `@` in them; brackets are missing around plain URIs.
- A `;` behind a URI without brackets belongs to the header, not to the URI (§20.10).
- `From` and `To` are read for their tags only; their URIs may be of any scheme, so `NameAddr.uri` is text.
- Via may have white space around its slashes and colon.
"""

from __future__ import annotations

import msgspec

from engine.sip.errors import ParseError
from engine.sip.syntax import (
    MAX_PORT,
    NO_PARAMS,
    Params,
    is_token,
    parse_host_port,
    parse_number,
    quote,
    remember,
    skip_quoted,
    split_list,
    split_outside,
    unquote,
)
from engine.sip.uri import SipUri, TelUri, escape_user, make_sip_uri, parse_uri, unescape

__all__ = [
    "NO_PARAMS",
    "CSeq",
    "NameAddr",
    "Params",
    "RAck",
    "Reason",
    "Replaces",
    "RetryAfter",
    "SessionExpires",
    "SipUri",
    "TelUri",
    "Token",
    "Via",
    "escape_user",
    "find_branch",
    "is_token",
    "make_sip_uri",
    "parse_seconds",
    "parse_uri",
    "quote",
    "split_list",
    "unescape",
    "unquote",
]

MAGIC_COOKIE = "z9hG4bK"
_MAX_UINT32 = 2**32 - 1


def _uint32(text: str, field: str) -> int:
    number = parse_number(text.strip())
    if number is None or number > _MAX_UINT32:
        raise ParseError(f"not a 32-bit number: {text[:40]!r}", field=field)
    return number


def parse_seconds(text: str, field: str) -> int:
    """delta-seconds. A value beyond 32 bits counts as the largest one (as §20.19 wants for Expires)."""
    number = parse_number(text.strip())
    if number is None:
        raise ParseError(f"not a number of seconds: {text[:40]!r}", field=field)
    return min(number, _MAX_UINT32)


class NameAddr(msgspec.Struct, frozen=True):
    """`"Alice" <sip:alice@example.com>;tag=1`: From, To, Contact, Route, Record-Route, Refer-To, Path..."""

    uri: str
    """As written, of any scheme; `sip_uri` parses it."""
    display_name: str = ""
    """Without quotes and escapes."""
    params: Params = NO_PARAMS
    """Parameters of the header field, not of the URI."""

    @classmethod
    def parse(cls, text: str, *, field: str = "") -> NameAddr:
        """name-addr or addr-spec with parameters. ParseError on unbalanced quotes or brackets, or no URI."""
        text = text.strip()
        name = ""
        start = 0
        if text.startswith('"'):
            start = skip_quoted(text, 0, field)
            name = unquote(text[:start])
        left = text.find("<", start)
        if left < 0:
            if start:
                raise ParseError(f"display name without <URI>: {text[:80]!r}", field=field)
            uri, _, rest = text.partition(";")
            uri = uri.rstrip()
            # §20: a URI with a comma or question mark has to be in brackets; who reads on would guess.
            if not uri or "?" in uri or "," in uri or ">" in uri or " " in uri or ":" not in uri:
                raise ParseError(f"not an address: {text[:80]!r}", field=field)
            return cls(uri, "", Params.parse(rest, field=field) if rest else NO_PARAMS)
        between = text[start:left].strip()
        if not start:
            name = between
        elif between:
            raise ParseError(f"text between display name and <URI>: {between[:40]!r}", field=field)
        right = text.find(">", left)
        uri = text[left + 1 : right].strip()
        if right < 0 or not uri:
            raise ParseError(f"no URI in the brackets: {text[:80]!r}", field=field)
        rest = text[right + 1 :].lstrip()
        if not rest:
            return cls(uri, name)
        if rest[0] != ";":
            raise ParseError(f"unexpected text behind the URI: {rest[:40]!r}", field=field)
        return cls(uri, name, Params.parse(rest[1:], field=field))

    @property
    def tag(self) -> str | None:
        """The tag parameter, None if there is none."""
        return self.params.get("tag")

    @property
    def sip_uri(self) -> SipUri:
        """The URI as a SIP URI; ParseError if it is none."""
        return SipUri.parse(self.uri)

    @property
    def q(self) -> float:
        """The q value, 0.0 to 1.0; 1.0 if absent or unreadable."""
        text = self.params.get("q")
        if not text or not text.isascii() or not text.replace(".", "", 1).isdigit():
            return 1.0
        return min(float(text), 1.0)

    def with_tag(self, tag: str) -> NameAddr:
        """A copy with this tag."""
        return NameAddr(self.uri, self.display_name, self.params.with_value("tag", tag))

    def __str__(self) -> str:
        """Always with brackets; the display name quoted unless it is made of tokens."""
        name = self.display_name
        if not name:
            return f"<{self.uri}>{self.params}"
        if not is_token(name.replace(" ", "a")) or name != name.strip():
            name = quote(name)
        return f"{name} <{self.uri}>{self.params}"


class Via(msgspec.Struct, frozen=True):
    """`SIP/2.0/UDP host:port;branch=...` (§20.42)."""

    transport: str
    """As written; compare without case."""
    host: str
    """sent-by host, IPv6 without brackets."""
    port: int | None = None
    params: Params = NO_PARAMS
    version: str = "2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """One via-parm. ParseError if the protocol is not SIP or sent-by is unreadable."""
        head, _, rest = text.partition(";")
        version, transport, host, port = _protocol_and_sent_by(head)
        return cls(transport, host, port, Params.parse(rest, field="via") if rest else NO_PARAMS, version)

    @property
    def branch(self) -> str | None:
        """The branch, None if absent (old peers)."""
        return self.params.get("branch")

    @property
    def has_magic_cookie(self) -> bool:
        """Whether the branch identifies the transaction by itself (§8.1.1.7). Compared without case."""
        branch = self.params.get("branch")
        return branch is not None and branch[:7].lower() == "z9hg4bk" and len(branch) > 7

    @property
    def received(self) -> str | None:
        """The received address, IPv6 without brackets (both forms are seen, RFC 5118 §4.5)."""
        value = self.params.get("received")
        return value[1:-1] if value and value.startswith("[") and value.endswith("]") else value

    @property
    def rport(self) -> int | None:
        """The value of rport (RFC 3581); None if absent, without value or unreadable."""
        port = parse_number(self.params.get("rport") or "")
        return port if port is not None and port <= MAX_PORT else None

    @property
    def wants_rport(self) -> bool:
        """Whether there is an rport parameter, with or without value."""
        return "rport" in self.params

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/{self.version}/{self.transport} {host}{port}{self.params}"


@remember
def _protocol_and_sent_by(head: str) -> tuple[str, str, str, int | None]:
    """Version, transport, host and port from what stands before the parameters of a Via."""
    protocol, _, sent_by = head.partition(" ")
    if protocol.startswith("SIP/2.0/") and len(protocol) > 8 and "\t" not in head:
        transport, version = protocol[8:], "2.0"
        sent_by = sent_by.strip()
    else:
        name, _, after_name = head.partition("/")
        version, _, after_version = after_name.partition("/")
        words = after_version.split(None, 1)
        version = version.strip()
        if name.strip().upper() != "SIP" or len(words) != 2 or not is_token(version):
            raise ParseError(f"not a Via: {head[:80]!r}", field="via")
        transport, sent_by = words[0], words[1].strip()
    if not is_token(transport):
        raise ParseError(f"bad transport {transport[:40]!r}", field="via")
    host, port = parse_host_port(sent_by, "via")
    return version, transport, host, port


def find_branch(via: str) -> str | None:
    """The branch of a Via without its other parameters being read: what `Via.parse(via).branch` finds.

    None if the text is unusual, and `Via.parse` has to be asked. ParseError as that.
    """
    head, _, params = via.partition(";")
    lower = params.lower()
    at = lower.find("branch=")
    if at < 0 or lower.count("branch") > 1 or (at and params[at - 1] != ";"):
        return None
    if not (params.isascii() and params.isprintable()) or " " in params or '"' in params:
        return None
    if params[0] == "=" or ";=" in params:
        return None
    _protocol_and_sent_by(head)
    return params[at + 7 :].partition(";")[0]


class CSeq(msgspec.Struct, frozen=True):
    """`314159 INVITE`."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Up to 2**32-1 is read, although §8.1.1.5 asks for less than 2**31."""
        return _cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@remember
def _cseq(text: str) -> CSeq:
    words = text.split()
    if len(words) != 2 or not is_token(words[1]):
        raise ParseError(f"not a CSeq: {text[:60]!r}", field="cseq")
    return CSeq(_uint32(words[0], "cseq"), words[1])


class RAck(msgspec.Struct, frozen=True):
    """`776656 1 INVITE` (RFC 3262 §7.2): RSeq, CSeq and method of what a PRACK acknowledges."""

    rseq: int
    cseq: int
    method: str

    @classmethod
    def parse(cls, text: str) -> RAck:
        words = text.split()
        if len(words) != 3 or not is_token(words[2]):
            raise ParseError(f"not an RAck: {text[:60]!r}", field="rack")
        return cls(_uint32(words[0], "rack"), _uint32(words[1], "rack"), words[2])

    def __str__(self) -> str:
        return f"{self.rseq} {self.cseq} {self.method}"


class Token(msgspec.Struct, frozen=True):
    """A word with parameters: Event, Subscription-State, Content-Disposition, Content-Type, Accept..."""

    value: str
    """As written."""
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str, *, field: str = "") -> Token:
        value, _, rest = text.partition(";")
        value = value.strip()
        if not value or '"' in value:
            raise ParseError(f"no value in {text[:60]!r}", field=field)
        return cls(value, Params.parse(rest, field=field) if rest else NO_PARAMS)

    def __str__(self) -> str:
        return f"{self.value}{self.params}"


class Reason(msgspec.Struct, frozen=True):
    """`SIP;cause=200;text="Call completed elsewhere"` (RFC 3326)."""

    protocol: str
    cause: int | None = None
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Reason:
        """One reason-value; a cause that is no number reads as None."""
        token = Token.parse(text, field="reason")
        cause = parse_number(token.params.get("cause") or "")
        return cls(token.value, cause, token.params.get("text") or "")

    def __str__(self) -> str:
        cause = "" if self.cause is None else f";cause={self.cause}"
        text = f";text={quote(self.text)}" if self.text else ""
        return f"{self.protocol}{cause}{text}"


class RetryAfter(msgspec.Struct, frozen=True):
    """`120 (in a meeting);duration=60` (§20.33)."""

    seconds: int
    comment: str = ""
    params: Params = NO_PARAMS

    @classmethod
    def parse(cls, text: str) -> RetryAfter:
        number, parenthesis, rest = text.partition("(")
        comment = ""
        if parenthesis:
            end = rest.rfind(")")
            if end < 0:
                raise ParseError(f"comment does not end: {text[:60]!r}", field="retry-after")
            comment, rest = rest[:end], rest[end + 1 :].strip()
        else:
            number, semicolon, rest = number.partition(";")
            rest = semicolon + rest
        params = Params.parse(rest[1:], field="retry-after") if rest.startswith(";") else NO_PARAMS
        return cls(parse_seconds(number, "retry-after"), comment, params)

    def __str__(self) -> str:
        return f"{self.seconds}" + (f" ({self.comment})" if self.comment else "") + str(self.params)


class SessionExpires(msgspec.Struct, frozen=True):
    """`1800;refresher=uac` (RFC 4028 §4)."""

    delta_s: int
    refresher: str | None = None
    """"uac", "uas" or None; another word reads as None."""

    @classmethod
    def parse(cls, text: str) -> SessionExpires:
        token = Token.parse(text, field="session-expires")
        refresher = (token.params.get("refresher") or "").lower()
        delta_s = parse_seconds(token.value, "session-expires")
        return cls(delta_s, refresher if refresher in ("uac", "uas") else None)

    def __str__(self) -> str:
        return f"{self.delta_s};refresher={self.refresher}" if self.refresher else f"{self.delta_s}"


class Replaces(msgspec.Struct, frozen=True):
    """`call-id;to-tag=7743;from-tag=6472;early-only` (RFC 3891 §6.1)."""

    call_id: str
    to_tag: str
    from_tag: str
    is_early_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Replaces:
        token = Token.parse(text, field="replaces")
        to_tag, from_tag = token.params.get("to-tag"), token.params.get("from-tag")
        if not to_tag or not from_tag:
            raise ParseError("needs both to-tag and from-tag", field="replaces")
        return cls(token.value, to_tag, from_tag, "early-only" in token.params)

    def __str__(self) -> str:
        early = ";early-only" if self.is_early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


def split_name_addrs(values: list[str], field: str) -> list[NameAddr]:
    """Every address in the given field lines, in order.

    A piece without a colon has no URI: it is the beginning of an unquoted name with a comma (`Example, Bob
    <...>`).
    """
    addresses = []
    for value in values:
        name = ""
        for piece in split_list(value, field):
            if ":" not in piece:
                name += piece + ", "
                continue
            addresses.append(NameAddr.parse(name + piece, field=field))
            name = ""
        if name:
            raise ParseError(f"not an address: {name[:80]!r}", field=field)
    return addresses


def top_of_list(value: str) -> str:
    """The first element of a comma list."""
    return split_outside(value, ",")[0] if "," in value else value
