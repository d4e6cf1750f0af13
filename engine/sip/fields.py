"""Message: the header fields every request and response can have, typed, parsed when asked and cached.

Which of them may raise is said in `engine.sip.message`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from engine.sip.errors import ParseError
from engine.sip.headers import Headers
from engine.sip.multipart import find_part
from engine.sip.syntax import is_token
from engine.sip.values import (
    CSeq,
    NameAddr,
    RAck,
    Reason,
    RetryAfter,
    SessionExpires,
    Token,
    Via,
    parse_seconds,
    split_name_addrs,
    top_of_list,
)

__all__ = ["Message", "find_tag", "parsed"]

T = TypeVar("T")


class parsed(Generic[T]):  # noqa: N801 - reads as the decorator it is
    """A property computed once: its value then lies in the instance's `__dict__` and is found before this."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> parsed[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> parsed[T] | T:
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

    @parsed
    def call_id(self) -> str:
        """Call-ID, verbatim."""
        return self._required("call-id")

    @parsed
    def cseq(self) -> CSeq:
        """CSeq."""
        return CSeq.parse(self._required("cseq"))

    @parsed
    def from_(self) -> NameAddr:
        """From."""
        return NameAddr.parse(self._required("from"), field="from")

    @parsed
    def to(self) -> NameAddr:
        """To."""
        return NameAddr.parse(self._required("to"), field="to")

    @parsed
    def from_tag(self) -> str:
        """The tag of From, "" if it has none (RFC 2543 peers)."""
        tag = find_tag(self._required("from"))
        return (self.from_.tag or "") if tag is None else tag

    @parsed
    def to_tag(self) -> str:
        """The tag of To, "" if it has none."""
        tag = find_tag(self._required("to"))
        return (self.to.tag or "") if tag is None else tag

    @parsed
    def top_via(self) -> Via:
        """The first Via."""
        return Via.parse(top_of_list(self._required("via")))

    @parsed
    def branch(self) -> str:
        """The branch of the first Via, "" if it has none."""
        return self.top_via.branch or ""

    # May raise ParseError.

    @parsed
    def vias(self) -> list[Via]:
        """All Vias, the topmost first."""
        return [Via.parse(piece) for piece in self.headers.values("via")]

    @parsed
    def contacts(self) -> list[NameAddr]:
        """All Contacts; for `Contact: *` one NameAddr with the uri "*"."""
        lines = self.headers.get_all("contact")
        if lines == ["*"]:
            return [NameAddr("*")]
        return split_name_addrs(lines, "contact")

    @parsed
    def routes(self) -> list[NameAddr]:
        """All Routes in order."""
        return split_name_addrs(self.headers.get_all("route"), "route")

    @parsed
    def record_routes(self) -> list[NameAddr]:
        """All Record-Routes in the order of the message."""
        return split_name_addrs(self.headers.get_all("record-route"), "record-route")

    @parsed
    def content_type(self) -> str:
        """The media type in lower case, without parameters; "" if absent."""
        return (self.headers.get("content-type") or "").partition(";")[0].strip().lower()

    @parsed
    def sdp(self) -> bytes | None:
        """The application/sdp body, also as a part of a multipart body; None if there is none."""
        if not self.body:
            return None
        return find_part(self.headers.get("content-type") or "", self.body, "application/sdp")

    @parsed
    def reasons(self) -> list[Reason]:
        """All values of Reason (RFC 3326)."""
        return [Reason.parse(piece) for piece in self.headers.values("reason")]

    @parsed
    def retry_after(self) -> RetryAfter | None:
        """Retry-After."""
        value = self.headers.get("retry-after")
        return RetryAfter.parse(value) if value else None

    @parsed
    def session_expires(self) -> SessionExpires | None:
        """Session-Expires (RFC 4028)."""
        value = self.headers.get("session-expires")
        return SessionExpires.parse(value) if value else None

    @parsed
    def min_se_s(self) -> int | None:
        """Min-SE in seconds (RFC 4028)."""
        value = self.headers.get("min-se")
        return parse_seconds(value.partition(";")[0], "min-se") if value else None

    @parsed
    def expires_s(self) -> int | None:
        """Expires in seconds."""
        value = self.headers.get("expires")
        return parse_seconds(value, "expires") if value else None

    @parsed
    def rseq(self) -> int | None:
        """RSeq (RFC 3262)."""
        value = self.headers.get("rseq")
        return parse_seconds(value, "rseq") if value else None

    @parsed
    def rack(self) -> RAck | None:
        """RAck (RFC 3262)."""
        value = self.headers.get("rack")
        return RAck.parse(value) if value else None

    @parsed
    def event(self) -> Token | None:
        """Event (RFC 6665)."""
        value = self.headers.get("event")
        return Token.parse(value, field="event") if value else None

    @parsed
    def refer_to(self) -> NameAddr | None:
        """Refer-To (RFC 3515)."""
        value = self.headers.get("refer-to")
        return NameAddr.parse(value, field="refer-to") if value else None

    @parsed
    def supported(self) -> frozenset[str]:
        """Option tags of Supported, lower case."""
        return self.headers.tokens("supported")

    @parsed
    def require(self) -> frozenset[str]:
        """Option tags of Require, lower case."""
        return self.headers.tokens("require")

    @parsed
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


_ACCESSORS = [name for name, value in vars(Message).items() if isinstance(value, parsed)]


def find_tag(value: str) -> str | None:
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
