"""Session descriptions (RFC 8866): what they say, as frozen values, read and written. Pure.

Facts about real descriptions:
- Lines end in CRLF, LF or CR; the last one may not end at all, and NULs or a MIME boundary may follow it.
- s= and t= are left out by some, o= carries a user name with blanks from others. Both are readable.
- Order within a section is not relied on; what we write is in the order of the RFC.
- A line or attribute that we do not know is kept as it was and means nothing.
- Text that is not UTF-8 survives (surrogateescape); a CR, LF or NUL can never be written into a line.

What an attribute means for offer and answer is in `negotiate.py`; crypto, fingerprint, setup, ice-* and
candidate lines stay readable through `attribute` and `attributes_named` on the session and on each media.
"""

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

__all__ = [
    "MAX_SDP_BYTES",
    "Attribute",
    "Connection",
    "Direction",
    "MediaDescription",
    "Origin",
    "RtpMap",
    "SdpError",
    "SessionDescription",
]

MAX_SDP_BYTES = 64 * 1024
_MAX_LINES = 2000

Attribute = tuple[str, str | None]
"""Name and value of an a= line; None for a flag such as a=rtcp-mux."""


class SdpError(ValueError):
    """A description cannot be used. status: 400 for one that cannot be read, 488 for one we cannot serve."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Direction(StrEnum):
    """Which way media flows, from the point of view of the side that wrote it (RFC 8866 §6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.SENDONLY

    @property
    def receives(self) -> bool:
        return self is Direction.SENDRECV or self is Direction.RECVONLY

    @property
    def reversed(self) -> "Direction":
        """The same flow seen from the other side."""
        return _DIRECTIONS[self.receives, self.sends]

    def __and__(self, other: "Direction") -> "Direction":
        """What is left when both have to agree; both from the same point of view."""
        return _DIRECTIONS[self.sends and other.sends, self.receives and other.receives]


_DIRECTIONS = {(each.sends, each.receives): each for each in Direction}
_DIRECTION_OF_NAME = {each.value: each for each in Direction}


class Origin(Struct, frozen=True):
    """o=: who made the description, and its version (§5.2). Numbers stay text: peers send non-numbers."""

    session_id: str
    version: str
    address: str
    username: str = "-"
    address_type: str = "IP4"

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {self.address_type} {self.address}"


class Connection(Struct, frozen=True):
    """c=: where media goes (§5.7)."""

    address: str
    """As written: numeric or a name, a multicast address with its /ttl."""
    address_type: str = "IP4"

    @property
    def is_unspecified(self) -> bool:
        """0.0.0.0 or ::, the old way to put somebody on hold (RFC 3264 §8.4)."""
        return self.address in ("0.0.0.0", "::")

    def __str__(self) -> str:
        return f"IN {self.address_type} {self.address}"


class RtpMap(Struct, frozen=True):
    """a=rtpmap: which encoding a payload number means (§6.6)."""

    payload_type: int
    name: str
    clock_rate_hz: int
    channels: int = 1

    @classmethod
    def parse(cls, value: str) -> "RtpMap | None":
        """The attribute's value, such as `101 telephone-event/8000`; None if it is unreadable."""
        number, _, encoding = value.strip().partition(" ")
        name, _, rates = encoding.strip().partition("/")
        rate, slash, channels = rates.partition("/")
        try:
            return cls(
                payload_type=_number(number, 127, "payload type"),
                name=name,
                clock_rate_hz=_number(rate, 1_000_000, "clock rate"),
                channels=_number(channels, 255, "channels") if slash and channels else 1,
            )
        except SdpError:
            return None


class MediaDescription(Struct, frozen=True):
    """An m= line and what follows it (§5.14)."""

    kind: str
    """audio, video, image, application, …"""
    port: int
    """0: rejected or switched off (RFC 3264 §6)."""
    protocol: str
    """RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF, udptl, …"""
    formats: tuple[str, ...]
    """Payload numbers for RTP, as text, most wanted first."""
    port_count: int = 1
    connection: Connection | None = None
    bandwidths: tuple[str, ...] = ()
    """Values of b= lines, e.g. `AS:64`."""
    attributes: tuple[Attribute, ...] = ()
    extra: tuple[str, ...] = ()
    """Lines that mean nothing to us (i=, k=, further c= lines, unknown types), verbatim."""

    def attribute(self, name: str) -> str | None:
        """Value of the first a=name line; "" for a flag, None if there is none. Case counts (§5.13)."""
        return _attribute(self.attributes, name)

    def attributes_named(self, name: str) -> Iterator[str]:
        """The values of all a=name lines, in order."""
        return (value or "" for key, value in self.attributes if key == name)

    @property
    def is_rejected(self) -> bool:
        return self.port == 0

    def rtpmaps(self) -> dict[int, RtpMap]:
        """The rtpmap lines by payload number; unreadable ones are left out."""
        found: dict[int, RtpMap] = {}
        for key, value in self.attributes:
            if key == "rtpmap" and value and (rtpmap := RtpMap.parse(value)):
                found.setdefault(rtpmap.payload_type, rtpmap)
        return found

    def fmtp(self, payload_type: int) -> str:
        """The format parameters of a payload number, "" if none are given."""
        for key, value in self.attributes:
            if key == "fmtp" and value:
                number, _, parameters = value.partition(" ")
                if number == str(payload_type):
                    return parameters.strip()
        return ""

    @property
    def ptime_ms(self) -> float | None:
        """Packet time the writer wants to receive (§6.4); None if not said or unreadable."""
        return _milliseconds(self.attribute("ptime"))

    @property
    def max_ptime_ms(self) -> float | None:
        """The longest packet the writer can take (§6.5)."""
        return _milliseconds(self.attribute("maxptime"))


class SessionDescription(Struct, frozen=True):
    """A whole description. `parse` and `to_bytes` are inverse up to line ends and the order of sections."""

    origin: Origin
    name: str = "-"
    connection: Connection | None = None
    bandwidths: tuple[str, ...] = ()
    times: tuple[str, ...] = ("0 0",)
    attributes: tuple[Attribute, ...] = ()
    media: tuple[MediaDescription, ...] = ()
    extra: tuple[str, ...] = ()
    """Lines that mean nothing to us (i= u= e= p= r= z= k=, unknown types), verbatim."""

    @classmethod
    def parse(cls, data: bytes) -> "SessionDescription":
        """Read a description. Raises SdpError, for any bytes at all, and nothing else."""
        return _parse(data)

    def to_bytes(self) -> bytes:
        """The description with CRLF. Raises ValueError if a value would break its line."""
        lines = ["v=0", f"o={self.origin}", f"s={self.name}"]
        lines += [line for line in self.extra if line[0] not in _AFTER_TIMES]
        if self.connection is not None:
            lines.append(f"c={self.connection}")
        lines += [f"b={value}" for value in self.bandwidths]
        lines += [f"t={value}" for value in self.times]
        lines += [line for line in self.extra if line[0] in _AFTER_TIMES]
        lines += [f"a={key}" if value is None else f"a={key}:{value}" for key, value in self.attributes]
        for media in self.media:
            port = f"{media.port}/{media.port_count}" if media.port_count != 1 else f"{media.port}"
            lines.append(f"m={media.kind} {port} {media.protocol} {' '.join(media.formats)}")
            lines += [line for line in media.extra if line[0] not in _AFTER_CONNECTION]
            if media.connection is not None:
                lines.append(f"c={media.connection}")
            lines += [line for line in media.extra if line[0] in _AFTER_CONNECTION]
            lines += [f"b={value}" for value in media.bandwidths]
            lines += [f"a={key}" if value is None else f"a={key}:{value}" for key, value in media.attributes]
        lines.append("")
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
            raise ValueError("CR, LF or NUL inside a line of a session description")
        return text.encode("utf-8", "surrogateescape")

    def attribute(self, name: str) -> str | None:
        """Value of the first session-level a=name line; "" for a flag, None if there is none."""
        return _attribute(self.attributes, name)

    def attributes_named(self, name: str) -> Iterator[str]:
        """The values of all session-level a=name lines, in order."""
        return (value or "" for key, value in self.attributes if key == name)

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """The media's own c= line, else the session's."""
        return media.connection or self.connection

    def direction_of(self, media: MediaDescription) -> Direction:
        """The media's own direction, else the session's, else sendrecv (§6.7)."""
        for attributes in (media.attributes, self.attributes):
            for key, value in attributes:
                if value is None and key in _DIRECTION_OF_NAME:
                    return _DIRECTION_OF_NAME[key]
        return Direction.SENDRECV

    def attribute_of(self, media: MediaDescription, name: str) -> str | None:
        """An attribute that may stand on either level, such as fingerprint, setup or ice-ufrag."""
        value = media.attribute(name)
        return value if value is not None else self.attribute(name)


_AFTER_TIMES = frozenset("crzk")
_AFTER_CONNECTION = frozenset("c")


def _attribute(attributes: tuple[Attribute, ...], name: str) -> str | None:
    for key, value in attributes:
        if key == name:
            return value or ""
    return None


class _Draft:
    """The section being read: the session, then each media description."""

    __slots__ = ("attributes", "bandwidths", "connection", "extra", "head")

    def __init__(self, head: str) -> None:
        self.head = head
        self.connection: Connection | None = None
        self.bandwidths: list[str] = []
        self.attributes: list[Attribute] = []
        self.extra: list[str] = []


def _parse(data: bytes) -> SessionDescription:
    if len(data) > MAX_SDP_BYTES:
        raise SdpError(f"session description of {len(data)} bytes", 488)
    text = data.rstrip(b"\0").decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    if not text.startswith("v=0\n"):
        raise SdpError("a session description begins with v=0")
    lines = text.split("\n")
    if len(lines) > _MAX_LINES:
        raise SdpError(f"session description of {len(lines)} lines", 488)
    session = section = _Draft("")
    sections: list[_Draft] = []
    once: dict[str, str] = {}
    times: list[str] = []
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        letter, value = line[0], line[2:]
        if line[1:2] != "=" or "\0" in line:
            if any(later[1:2] == "=" and later[0] in "cmato" for later in lines[number:]):
                raise SdpError(f"line {number} is not <type>=<value>")
            break  # Junk behind the description: NULs, a MIME boundary.
        if letter == "a":
            name, colon, rest = value.partition(":")
            section.attributes.append((name, rest) if colon else (name.rstrip(), None))
        elif letter == "m":
            section = _Draft(value)
            sections.append(section)
        elif letter == "c" and section.connection is None:
            section.connection = _connection(value)
        elif letter == "b":
            section.bandwidths.append(value)
        elif section is not session or letter not in "vost":
            # Further c= lines of a media section are the other addresses of a hierarchical encoding.
            section.extra.append(line)
        elif letter == "t":
            times.append(value)
        elif letter in once or letter == "v":
            raise SdpError(f"second {letter}= line")
        else:
            once[letter] = value
    if "o" not in once:
        raise SdpError("no o= line")
    return SessionDescription(
        origin=_origin(once["o"]),
        name=once.get("s") or "-",
        connection=session.connection,
        bandwidths=tuple(session.bandwidths),
        times=tuple(times) or ("0 0",),
        attributes=tuple(session.attributes),
        media=tuple([_media(section) for section in sections]),
        extra=_in_order(session.extra, _AFTER_TIMES),
    )


def _in_order(extra: list[str], late: frozenset[str]) -> tuple[str, ...]:
    """Lines as they will be written: those of the late types behind the others."""
    return tuple(sorted(extra, key=lambda line: line[0] in late)) if extra else ()


def _origin(value: str) -> Origin:
    fields = value.split()
    if len(fields) < 6:
        raise SdpError("o= has fewer than six fields")
    *username, session_id, version, _network, address_type, address = fields
    return Origin(session_id, version, address, " ".join(username), address_type)


def _connection(value: str) -> Connection:
    fields = value.split()
    if len(fields) < 3 or fields[0].upper() != "IN":
        raise SdpError(f"c= is not IN <type> <address>: {value[:40]!r}")
    return Connection(fields[2], fields[1].upper())


def _media(draft: _Draft) -> MediaDescription:
    fields = draft.head.split()
    if len(fields) < 4:
        raise SdpError("m= has fewer than four fields")
    kind, where, protocol, *formats = fields
    port, slash, count = where.partition("/")
    return MediaDescription(
        kind=kind,
        port=_number(port, 65535, "port of m="),
        protocol=protocol,
        formats=tuple(formats),
        port_count=max(1, _number(count, 65535, "port count of m=")) if slash else 1,
        connection=draft.connection,
        bandwidths=tuple(draft.bandwidths),
        attributes=tuple(draft.attributes),
        extra=_in_order(draft.extra, _AFTER_CONNECTION),
    )


def _number(text: str, highest: int, what: str) -> int:
    # int() takes signs, underscores, other scripts' digits, and raises for more than 4300 of them.
    if text.isascii() and text.isdigit() and len(text) < 11 and (number := int(text)) <= highest:
        return number
    raise SdpError(f"{what} is not a number up to {highest}: {text[:20]!r}")


def _milliseconds(text: str | None) -> float | None:
    """ptime may be fractional on the wire (`ptime:2.5`)."""
    whole, dot, fraction = (text or "").strip().partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit() and len(digits) < 8) or (dot and not whole):
        return None
    return float(f"{whole}.{fraction or 0}") or None
