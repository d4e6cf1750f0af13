"""Request and Response: one fast pass that indexes lines; everything else is parsed when asked and cached.

What `parse_message` guarantees of a message it returns, so that the stack can route it without any `try`:
`method`/`status`, `call_id`, `cseq`, `top_via`, `from_`, `to` and their tags are there and readable, fields
that may occur once do, and the body has the length Content-Length says. All other typed accessors raise
ParseError when asked for a field that cannot be read; `defect()` tries them all.

A message is not edited once a typed accessor has been used: derive a new one (`build.py`).
Text is UTF-8 with surrogateescape, so bytes that are not UTF-8 survive a round trip.
"""

from __future__ import annotations

from engine.sip.errors import ParseError
from engine.sip.fields import Message, find_tag, parsed
from engine.sip.headers import MAX_HEADERS, Headers
from engine.sip.syntax import is_token, parse_number, remember
from engine.sip.values import CSeq, SipUri, TelUri, Via, find_branch, parse_uri, top_of_list

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Message",
    "Request",
    "Response",
    "WrittenRequest",
    "WrittenResponse",
    "parse_message",
]

MAX_MESSAGE_BYTES = 65536
_ONLY_ONCE = ("call-id", "cseq", "from", "to", "content-length", "max-forwards")
_MAX_FORWARDS_IF_ABSENT = 70
_NO_HEADERS = Headers()  # of a message whose headers are not indexed yet


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

    @parsed
    def request_uri(self) -> SipUri | TelUri:
        """The Request-URI parsed. ParseError, with status 416 for an unknown scheme."""
        return parse_uri(self.uri)

    @parsed
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


class _Written(Message):
    """A message of ours, which is its text: the fields are indexed only if somebody asks for them."""

    __slots__ = ()
    _data: bytes

    @parsed
    def headers(self) -> Headers:
        head = self._data.partition(b"\r\n\r\n")[0]
        return Headers.from_lines(head.decode("utf-8", "surrogateescape").split("\r\n")[1:])

    def to_bytes(self) -> bytes:
        return super().to_bytes() if "headers" in self.__dict__ else self._data


class WrittenRequest(_Written, Request):
    """A request of ours. It waits for as long as its transaction does, with thousands of others: one object,
    not twenty."""

    __slots__ = ("_data",)

    def __init__(self, method: str, uri: str, data: bytes, body: bytes) -> None:
        self.method = method
        self.uri = uri
        self.body = body
        self._data = data


class WrittenResponse(_Written, Response):
    """A response of ours."""

    __slots__ = ("_data",)

    def __init__(self, status: int, reason: str, data: bytes, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.body = body
        self._data = data


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
        length = headers.first.get("content-length")
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
    get = headers.first.get
    call_id, cseq_text, from_, to, via = get("call-id"), get("cseq"), get("from"), get("to"), get("via")
    if not (call_id and cseq_text and from_ and to and via):
        missing = next(name for name in ("via", "from", "to", "call-id", "cseq") if not get(name))
        raise ParseError("missing", field=missing)
    known["call_id"] = call_id
    cseq = known["cseq"] = CSeq.parse(cseq_text)
    tag = find_tag(from_)
    known["from_tag"] = (message.from_.tag or "") if tag is None else tag
    tag = find_tag(to)
    known["to_tag"] = (message.to.tag or "") if tag is None else tag
    top = top_of_list(via) if "," in via else via
    branch = None
    if isinstance(message, Request):
        if cseq.method != message.method:
            raise ParseError(f"method {cseq.method[:40]} is not that of the request", field="cseq")
    else:
        # Our own Via has come back: nobody will ask for more of it than the branch.
        branch = find_branch(top)
    if branch is None:
        top_via = known["top_via"] = Via.parse(top)
        branch = top_via.branch or ""
    known["branch"] = branch


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
    status, reason = _status_and_reason(line)
    return Response(status, reason, _NO_HEADERS)


@remember
def _status_and_reason(line: str) -> tuple[int, str]:
    code, _, reason = line[8:].partition(" ")
    if len(code) != 3 or not (code.isascii() and code.isdigit()) or not "100" <= code <= "699":
        raise ParseError(f"bad status code in {line[:40]!r}")
    return int(code), reason


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
