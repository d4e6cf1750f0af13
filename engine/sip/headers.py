"""Headers: the header fields of one message, ordered, verbatim, found by name without case.

Compact forms (RFC 3261 §7.3.3 and the IANA registry) are the same fields as their long forms. What was
received is kept as it was written, name included, so that it can be echoed; only folding (§7.3.1) becomes one
space, which §25.1 allows before forwarding. What we add ourselves is checked: no control character gets in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.sip.errors import ParseError
from engine.sip.syntax import is_token, split_list

__all__ = ["MAX_HEADERS", "Headers", "canonical_name", "to_lines"]

MAX_HEADERS = 256
_MAX_LINES = 4 * MAX_HEADERS  # folded lines included
_WHITE_SPACE = (" ", "\t")
_AS_THEY_ARE: Mapping[str, str] = {}

_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_USUAL_NAMES = """
    Via From To Call-ID CSeq Contact Max-Forwards Content-Type Content-Length Allow Supported Require
    User-Agent Server Record-Route Route Proxy-Authenticate Proxy-Authorization WWW-Authenticate
    Authorization Authentication-Info Session-Expires Min-SE Expires Reason Accept Accept-Encoding
    Accept-Language Allow-Events Event Subscription-State Refer-To Referred-By Replaces RSeq RAck Date
    Timestamp Subject Organization Warning Retry-After Unsupported Privacy P-Asserted-Identity
    P-Preferred-Identity Remote-Party-ID Diversion
    History-Info P-Early-Media Content-Disposition Content-Encoding Content-Language MIME-Version Alert-Info
    Call-Info Error-Info In-Reply-To Min-Expires Priority Proxy-Require Reply-To Path Service-Route Refer-Sub
    Target-Dialog Identity Join SIP-ETag SIP-If-Match User-to-User Session-ID
"""
# Spelling on the wire → key, for usual spellings. Others are computed and never stored: a peer could fill it.
_KEYS: dict[str, str] = {}
for _name in _USUAL_NAMES.split():
    for _spelling in (_name, _name.lower(), _name.title(), _name.upper()):
        _KEYS[_spelling] = _name.lower()
for _compact, _long in _COMPACT.items():
    _KEYS[_compact] = _KEYS[_compact.upper()] = _long
_find_key = _KEYS.get


def canonical_name(name: str) -> str:
    """The lower-case long form of a header field name."""
    key = _find_key(name)
    if key is None:
        lower = name.strip(" \t").lower()
        key = _COMPACT.get(lower, lower)
    return key


def _refuse(name: str, value: str) -> None:
    """ValueError if a field of ours would break the message apart. Tabs and any Unicode text are fine."""
    if not is_token(name):
        raise ValueError(f"header name {name!r} is not a token")
    for character in value:
        if (character < " " and character != "\t") or character == "\x7f":
            raise ValueError(f"header {name}: control character {character!r} in the value")


def to_lines(fields: Iterable[tuple[str, str]]) -> list[str]:
    """Fields of ours as lines, each with its CRLF. ValueError as `Headers.add`."""
    lines = []
    for name, value in fields:
        if name not in _KEYS or not value.isprintable():
            _refuse(name, value)
        lines.append(f"{name}: {value}\r\n")
    return lines


class Headers:
    """Header fields of one message. `name` is any spelling: `Call-ID`, `call-id` and `i` are one field."""

    __slots__ = ("_fields", "first")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        """ValueError as `add`, of which this is the loop."""
        rows: list[tuple[str, str, str]] = []  # key, name as written, value
        first: dict[str, str] = {}  # key → first value
        find_key = _find_key
        for name, value in fields:
            key = find_key(name)
            if key is None or not value.isprintable():
                _refuse(name, value)
                key = canonical_name(name)
            rows.append((key, name, value))
            if key not in first:
                first[key] = value
        self._fields = rows
        self.first = first
        """First values by lower-case long name, for reading only: the parser's short way to `get`."""

    @classmethod
    def from_lines(cls, lines: list[str]) -> Headers:
        """Index received lines, without line ends. ParseError if there are more than 256 fields.

        A line that begins with white space continues the one before (§7.3.1); the break counts as one space.

        A line without a colon says nothing to anybody and is passed over (§16.3: ignore what is malformed and
        not needed); an answerable call is worth more than a clean peer.
        """
        if len(lines) > _MAX_LINES:
            raise ParseError(f"more than {_MAX_LINES} lines", status=513)
        headers = cls.__new__(cls)
        fields = headers._fields = []
        first = headers.first = {}
        find_key = _find_key
        for line in lines:
            name, colon, value = line.partition(":")
            key = find_key(name)
            if key is None:
                if line[:1] in _WHITE_SPACE:
                    headers._continue(line)
                    continue
                if not colon:
                    continue
                name = name.rstrip(" \t")
                key = canonical_name(name)
            value = value.strip(" \t")
            fields.append((key, name, value))
            if key not in first:
                first[key] = value
        if len(fields) > MAX_HEADERS:
            raise ParseError(f"more than {MAX_HEADERS} header fields", status=513)
        return headers

    def _continue(self, line: str) -> None:
        """Append a folded line to the field before it. Behind the start line there is none, and it means
        nothing."""
        more = line.strip(" \t")
        if not more or not self._fields:
            return
        key, name, value = self._fields[-1]
        joined = f"{value} {more}" if value else more
        self._fields[-1] = (key, name, joined)
        if not any(field[0] == key for field in self._fields[:-1]):
            self.first[key] = joined

    def get(self, name: str) -> str | None:
        """The first field line's value, verbatim."""
        return self.first.get(_find_key(name) or canonical_name(name))

    def get_all(self, name: str) -> list[str]:
        """Every field line's value, verbatim, in order."""
        key = _find_key(name) or canonical_name(name)
        if key not in self.first:
            return []
        return [value for k, _, value in self._fields if k == key]

    def values(self, name: str) -> list[str]:
        """The elements of all field lines, comma lists split. ParseError if a quoted string does not end.

        Only for fields that are lists: Subject, Date, the authentication fields and others may have commas.
        """
        return [piece for value in self.get_all(name) for piece in split_list(value, canonical_name(name))]

    def tokens(self, name: str) -> frozenset[str]:
        """The elements in lower case, for Supported, Require, Allow... (Allow: compare in lower case)."""
        lines = self.get_all(name)
        return frozenset(
            [piece for line in lines for raw in line.split(",") if (piece := raw.strip().lower())]
        )

    def add(self, name: str, value: str) -> None:
        """Append a field. ValueError (with the name) if name or value could break the message apart."""
        key = _find_key(name)
        if key is None or not value.isprintable():
            _refuse(name, value)
            key = canonical_name(name)
        self._fields.append((key, name, value))
        if key not in self.first:
            self.first[key] = value

    def set(self, name: str, value: str) -> None:
        """Replace all fields of that name by one, at the place of the first; append if there is none."""
        _refuse(name, value)
        key = canonical_name(name)
        if key not in self.first:
            self.add(name, value)
            return
        at = next(i for i, field in enumerate(self._fields) if field[0] == key)
        self._fields[at] = (key, name, value)
        self._fields[at + 1 :] = [field for field in self._fields[at + 1 :] if field[0] != key]
        self.first[key] = value

    def remove(self, name: str) -> None:
        """Remove all fields of that name; nothing if there is none."""
        key = canonical_name(name)
        if self.first.pop(key, None) is not None:
            self._fields = [field for field in self._fields if field[0] != key]

    def select(self, keys: frozenset[str]) -> Headers:
        """A new Headers of the fields whose lower-case long name is in `keys`, byte for byte and in order.

        Unchecked, for echoing: a NUL inside a quoted string is legal to receive and goes back as it came.
        """
        selected = Headers.__new__(Headers)
        selected._fields = [field for field in self._fields if field[0] in keys]
        selected.first = {key: value for key, value in self.first.items() if key in keys}
        return selected

    def lines(self, keys: frozenset[str], first: Mapping[str, str] = _AS_THEY_ARE) -> list[str]:
        """The lines of the fields `select` would give, each with its CRLF.

        `first`: other values for the first field of a key; derived from received ones, unchecked.
        """
        if not first:
            return [f"{name}: {value}\r\n" for key, name, value in self._fields if key in keys]
        lines = []
        left = dict(first)
        for key, name, value in self._fields:
            if key in keys:
                lines.append(f"{name}: {left.pop(key, value)}\r\n")
        return lines

    def echo(self, name: str, value: str) -> None:
        """Append a received value. ValueError on line ends only, see `select`."""
        if "\r" in value or "\n" in value:
            raise ValueError(f"header {name}: line end in the value")
        key = _find_key(name) or canonical_name(name)
        self._fields.append((key, name, value))
        self.first.setdefault(key, value)

    def extend_first(self, name: str, text: str) -> None:
        """Write `text` behind the first field of that name (KeyError if there is none). ValueError as
        `add`."""
        _refuse(name, text)
        self.echo_first(name, self.first[canonical_name(name)] + text)

    def echo_first(self, name: str, value: str) -> None:
        """Give the first field of that name (KeyError if there is none) a value derived from a received one.

        ValueError on line ends only, see `select`.
        """
        if "\r" in value or "\n" in value:
            raise ValueError(f"header {name}: line end in the value")
        key = _find_key(name) or canonical_name(name)
        self.first[key] = value
        for at, field in enumerate(self._fields):
            if field[0] == key:
                self._fields[at] = (key, field[1], value)
                return

    def repeated(self, keys: Iterable[str]) -> str | None:
        """The first of `keys` (lower-case long names) that occurs more than once, None if none does."""
        if len(self.first) == len(self._fields):
            return None
        seen = [key for key, _, _ in self._fields]
        return next((key for key in keys if seen.count(key) > 1), None)

    def copy(self) -> Headers:
        """An independent copy."""
        copy = Headers.__new__(Headers)
        copy._fields = self._fields.copy()
        copy.first = self.first.copy()
        return copy

    def items(self) -> Iterator[tuple[str, str]]:
        """Names and values as written, in order."""
        return ((name, value) for _, name, value in self._fields)

    def to_text(self) -> str:
        """All lines, each with its CRLF."""
        return "".join([f"{name}: {value}\r\n" for _, name, value in self._fields])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (_find_key(name) or canonical_name(name)) in self.first

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return self.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Headers {[f'{name}: {value}' for name, value in self.items()]}>"
