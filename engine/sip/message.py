"""Request and Response: one fast pass that indexes lines; everything else is parsed when asked and cached.

What `parse_message` guarantees of a message it returns, so that the stack can route it without any `try`:
`method`/`status`, `call_id`, `cseq`, `top_via`, `from_`, `to` and their tags are there and readable, fields
that may occur once do, and the body has the length Content-Length says. All other typed accessors raise
ParseError when asked for a field that cannot be read; `defect()` tries them all.

A message is not edited once a typed accessor has been used: derive a new one (`build.py`).
Text is UTF-8 with surrogateescape, so bytes that are not UTF-8 survive a round trip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from engine.sip.errors import ParseError
from engine.sip.headers import MAX_HEADERS, Headers
from engine.sip.multipart import find_part
from engine.sip.syntax import is_token, parse_number
from engine.sip.values import (
    CSeq,
    NameAddr,
    RAck,
    Reason,
    RetryAfter,
    SessionExpires,
    SipUri,
    TelUri,
    Token,
    Via,
    parse_seconds,
    parse_uri,
    split_name_addrs,
    top_of_list,
)

__all__ = ["MAX_MESSAGE_BYTES", "Message", "Request", "Response", "parse_message"]

MAX_MESSAGE_BYTES = 65536
_ONLY_ONCE = ("call-id", "cseq", "from", "to", "content-length", "max-forwards")
_MAX_FORWARDS_IF_ABSENT = 70

_NO_HEADERS = Headers()  # of a message whose headers are not indexed yet
T = TypeVar("T")


class _parsed(Generic[T]):  # noqa: N801 - reads as the decorator it is
    """A property computed once: its value then lies in the instance's `__dict__` and is found before this."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> _parsed[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> _parsed[T] | T:
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value


class Message:
    """What requests and responses share."""

    __slots__ = ("__dict__", "body", "headers")

    headers: Headers
    body: bytes

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if not value:
            raise ParseError("missing", field=name)
        return value

    # Always readable on a message from parse_message.

    @_parsed
    def call_id(self) -> str:
        """Call-ID, verbatim."""
        return self._required("call-id")

    @_parsed
    def cseq(self) -> CSeq:
        """CSeq."""
        return CSeq.parse(self._required("cseq"))

    @_parsed
    def from_(self) -> NameAddr:
        """From."""
        return NameAddr.parse(self._required("from"), field="from")

    @_parsed
    def to(self) -> NameAddr:
        """To."""
        return NameAddr.parse(self._required("to"), field="to")

    @_parsed
    def from_tag(self) -> str:
        """The tag of From, "" if it has none (RFC 2543 peers)."""
        tag = _find_tag(self._required("from"))
        return (self.from_.tag or "") if tag is None else tag

    @_parsed
    def to_tag(self) -> str:
        """The tag of To, "" if it has none."""
        tag = _find_tag(self._required("to"))
        return (self.to.tag or "") if tag is None else tag

    @_parsed
    def top_via(self) -> Via:
        """The first Via."""
        return Via.parse(top_of_list(self._required("via")))

    @_parsed
    def branch(self) -> str:
        """The branch of the first Via, "" if it has none."""
        return self.top_via.branch or ""

    # May raise ParseError.

    @_parsed
    def vias(self) -> list[Via]:
        """All Vias, the topmost first."""
        return [Via.parse(piece) for piece in self.headers.values("via")]

    @_parsed
    def contacts(self) -> list[NameAddr]:
        """All Contacts; for `Contact: *` one NameAddr with the uri "*"."""
        lines = self.headers.get_all("contact")
        if lines == ["*"]:
            return [NameAddr("*")]
        return split_name_addrs(lines, "contact")

    @_parsed
    def routes(self) -> list[NameAddr]:
        """All Routes in order."""
        return split_name_addrs(self.headers.get_all("route"), "route")

    @_parsed
    def record_routes(self) -> list[NameAddr]:
        """All Record-Routes in the order of the message."""
        return split_name_addrs(self.headers.get_all("record-route"), "record-route")

    @_parsed
    def content_type(self) -> str:
        """The media type in lower case, without parameters; "" if absent."""
        return (self.headers.get("content-type") or "").partition(";")[0].strip().lower()

    @_parsed
    def sdp(self) -> bytes | None:
        """The application/sdp body, also as a part of a multipart body; None if there is none."""
        if not self.body:
            return None
        return find_part(self.headers.get("content-type") or "", self.body, "application/sdp")

    @_parsed
    def reasons(self) -> list[Reason]:
        """All values of Reason (RFC 3326)."""
        return [Reason.parse(piece) for piece in self.headers.values("reason")]

    @_parsed
    def retry_after(self) -> RetryAfter | None:
        """Retry-After."""
        value = self.headers.get("retry-after")
        return RetryAfter.parse(value) if value else None

    @_parsed
    def session_expires(self) -> SessionExpires | None:
        """Session-Expires (RFC 4028)."""
        value = self.headers.get("session-expires")
        return SessionExpires.parse(value) if value else None

    @_parsed
    def min_se_s(self) -> int | None:
        """Min-SE in seconds (RFC 4028)."""
        value = self.headers.get("min-se")
        return parse_seconds(value.partition(";")[0], "min-se") if value else None

    @_parsed
    def expires_s(self) -> int | None:
        """Expires in seconds."""
        value = self.headers.get("expires")
        return parse_seconds(value, "expires") if value else None

    @_parsed
    def rseq(self) -> int | None:
        """RSeq (RFC 3262)."""
        value = self.headers.get("rseq")
        return parse_seconds(value, "rseq") if value else None

    @_parsed
    def rack(self) -> RAck | None:
        """RAck (RFC 3262)."""
        value = self.headers.get("rack")
        return RAck.parse(value) if value else None

    @_parsed
    def event(self) -> Token | None:
        """Event (RFC 6665)."""
        value = self.headers.get("event")
        return Token.parse(value, field="event") if value else None

    @_parsed
    def refer_to(self) -> NameAddr | None:
        """Refer-To (RFC 3515)."""
        value = self.headers.get("refer-to")
        return NameAddr.parse(value, field="refer-to") if value else None

    @_parsed
    def supported(self) -> frozenset[str]:
        """Option tags of Supported, lower case."""
        return self.headers.tokens("supported")

    @_parsed
    def require(self) -> frozenset[str]:
        """Option tags of Require, lower case."""
        return self.headers.tokens("require")

    @_parsed
    def allow(self) -> frozenset[str]:
        """Methods of Allow, upper case."""
        return frozenset([method.upper() for method in self.headers.tokens("allow")])

    def defect(self) -> ParseError | None:
        """The first field that cannot be read, of all this class knows; None if there is none."""
        try:
            for name in _ACCESSORS:
                getattr(self, name)
        except ParseError as error:
            return error
        return None

    @property
    def start_line(self) -> str:
        """Without its CRLF."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message as it goes on the wire."""
        text = f"{self.start_line}\r\n{self.headers.to_text()}\r\n"
        return text.encode("utf-8", "surrogateescape") + self.body

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and self.start_line == other.start_line
            and self.headers == other.headers
            and self.body == other.body
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.start_line!r} {self.headers.get('cseq')!r} {len(self.body)} bytes of body>"


class Request(Message):
    """A SIP request."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        """Request-URI, as written."""
        self.headers = headers
        self.body = body

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} SIP/2.0"

    @_parsed
    def request_uri(self) -> SipUri | TelUri:
        """The Request-URI parsed. ParseError, with status 416 for an unknown scheme."""
        return parse_uri(self.uri)

    @_parsed
    def max_forwards(self) -> int:
        """Max-Forwards; 70 if absent. ParseError unless 0 to 255."""
        value = self.headers.get("max-forwards")
        if value is None:
            return _MAX_FORWARDS_IF_ABSENT
        number = parse_number(value)
        if number is None or number > 255:
            raise ParseError(f"not 0 to 255: {value[:20]!r}", field="max-forwards")
        return number

    def defect(self) -> ParseError | None:
        """The first field that cannot be read; the Request-URI and Max-Forwards included."""
        try:
            _ = self.request_uri, self.max_forwards
        except ParseError as error:
            return error
        return super().defect()


class Response(Message):
    """A SIP response."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.reason = reason
        """The phrase, as received."""
        self.headers = headers
        self.body = body

    @property
    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"


_ACCESSORS = [name for name, value in vars(Message).items() if isinstance(value, _parsed)]


def parse_message(data: bytes) -> Request | Response:
    """Parse one datagram or one framed stream message.

    ParseError on anything that cannot be used, with the status to answer and what was readable of a request.
    Bytes behind Content-Length are cut off (§18.3); line ends before the start line are skipped (§7.5).
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ParseError(f"longer than {MAX_MESSAGE_BYTES} bytes", status=513)
    head, separator, body = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    breaks = len(lines) - 1
    if not separator or head.count(b"\n") != breaks or head.count(b"\r") != breaks or data[0] in b"\r\n":
        head, body = _find_head(data)
        lines = head.decode("utf-8", "surrogateescape").split("\r\n")
    start_line = lines.pop(0)
    message: Request | Response
    if start_line[:8] == "SIP/2.0 " or start_line[:8].upper() == "SIP/2.0 ":
        message = _parse_status_line(start_line)
    else:
        message = _parse_request_line(start_line, lines)
    try:
        headers = message.headers = Headers.from_lines(lines)
        length = headers.get("content-length")
        message.body = body if length is None else _cut(body, length)
        _check(message, headers)
    except ParseError as error:
        if isinstance(message, Request):
            if message.headers is _NO_HEADERS:
                message.headers = Headers.from_lines(lines[:MAX_HEADERS])
            error.request = message
        raise
    return message


def _check(message: Request | Response, headers: Headers) -> None:
    """What `parse_message` promises of headers. The hot part of every parse: it leaves what it has read where
    the typed accessors would, and builds no NameAddr unless the text is unusual."""
    repeated = headers.repeated(_ONLY_ONCE)
    if repeated:
        raise ParseError("occurs more than once", field=repeated)
    known = message.__dict__
    get = headers.get
    call_id, cseq_text, from_, to, via = get("call-id"), get("cseq"), get("from"), get("to"), get("via")
    if not (call_id and cseq_text and from_ and to and via):
        missing = next(name for name in ("via", "from", "to", "call-id", "cseq") if not get(name))
        raise ParseError("missing", field=missing)
    known["call_id"] = call_id
    cseq = known["cseq"] = CSeq.parse(cseq_text)
    if isinstance(message, Request) and cseq.method != message.method:
        raise ParseError(f"method {cseq.method[:40]} is not that of the request", field="cseq")
    tag = _find_tag(from_)
    known["from_tag"] = (message.from_.tag or "") if tag is None else tag
    tag = _find_tag(to)
    known["to_tag"] = (message.to.tag or "") if tag is None else tag
    top_via = known["top_via"] = Via.parse(top_of_list(via) if "," in via else via)
    known["branch"] = top_via.branch or ""


def _find_tag(value: str) -> str | None:
    """The tag of `"Name" <uri>;tag=x` or `Name <uri>` ("") without building a NameAddr, which would find the
    same; None if the value looks different from these."""
    left = value.find("<")
    if '"' in value:
        end = value.rfind('"', 1)
        if value[0] != '"' or "\\" in value or value.find('"', 1) != end or value[end + 1 : left].strip():
            return None
        left = value.find("<", end)
    right = value.find(">", left)
    if not 0 <= left < right - 1 or value[left + 1 : right].isspace():
        return None
    rest = value[right + 1 :]
    if not rest:
        return ""
    tag = rest[5:]
    return tag if rest[:5] == ";tag=" and is_token(tag) else None


def _cut(body: bytes, content_length: str) -> bytes:
    length = parse_number(content_length)
    if length is None:
        raise ParseError(f"not a number: {content_length[:40]!r}", field="content-length")
    if len(body) == length:
        return body
    if len(body) < length:
        raise ParseError(
            f"says {content_length[:20]}, the body has {len(body)} bytes", field="content-length"
        )
    return body[:length]


def _find_head(data: bytes) -> tuple[bytes, bytes]:
    """Head and body of a message with an unusual shape: line ends in front, bare LF, no empty line."""
    data = data.lstrip(b"\r\n")
    if not data:
        raise ParseError("nothing but line ends")
    head, separator, body = data.partition(b"\r\n\r\n")
    before_bare = data.find(b"\n\n")
    if before_bare >= 0 and (not separator or before_bare < len(head)):
        head, body = data[:before_bare], data[before_bare + 2 :]
    head = head.replace(b"\r\n", b"\n")
    if b"\r" in head:
        raise ParseError("CR without LF in the header")
    return head.removesuffix(b"\n").replace(b"\n", b"\r\n"), body


def _parse_status_line(line: str) -> Response:
    code, _, reason = line[8:].partition(" ")
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "100" <= code <= "699":
        raise ParseError(f"bad status code in {line[:40]!r}")
    return Response(int(code), reason, _NO_HEADERS)


def _parse_request_line(line: str, lines: list[str]) -> Request:
    parts = line.split(" ")
    if len(parts) == 3 and parts[2] == "SIP/2.0" and parts[1] and is_token(parts[0]):
        return Request(parts[0], parts[1], _NO_HEADERS)
    error = ParseError(f"bad request line {line[:80]!r}")
    if len(parts) < 2 or not is_token(parts[0]):
        raise error  # not even a method: no SIP at all
    version = parts[-1].upper()
    if len(parts) == 3 and parts[1]:
        if version == "SIP/2.0":
            return Request(parts[0], parts[1], _NO_HEADERS)
        if version.startswith("SIP/"):
            error = ParseError(f"version {parts[-1][:20]!r} is not supported", status=505)
    error.request = Request(parts[0], parts[1], Headers.from_lines(lines[:MAX_HEADERS]))
    raise error
