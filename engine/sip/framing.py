"""Cut a byte stream (TCP, TLS) into SIP messages and keep-alives: RFC 3261 §18.3, RFC 5626 §3.5.1. No I/O.

On a stream every message has a Content-Length; without it nobody can say where the next one begins, so a
missing or unreadable one ends the stream (`FramingError`). Between messages, CRLF CRLF is a ping to be
answered by one CRLF, a single CRLF is the pong to a ping of ours (or a stray line end, which means nothing).
Since TCP may cut a ping in two, a lone CRLF is reported as PONG at once, and one that comes directly behind
it, however much later, as PING: a pong behind a pong reads so as well, and the answer to it harms nobody.

    framer = StreamFramer()
    for item in framer.feed(data):
        match item:
            case bytes():                # one whole message for parse_message
            case KeepAlive.PING: ...     # send KEEP_ALIVE_PONG
            case KeepAlive.PONG: ...     # the peer is alive
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from engine.sip.message import MAX_MESSAGE_BYTES
from engine.sip.syntax import parse_number

__all__ = ["KEEP_ALIVE_PING", "KEEP_ALIVE_PONG", "FramingError", "KeepAlive", "StreamFramer"]

KEEP_ALIVE_PING = b"\r\n\r\n"
KEEP_ALIVE_PONG = b"\r\n"
_CONTENT_LENGTH = (b"content-length", b"l")


class KeepAlive(Enum):
    """What was received between two messages."""

    PING = "ping"
    PONG = "pong"


class FramingError(ValueError):
    """The stream cannot be read any further and has to be closed. `status` is what a request may be told."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class StreamFramer:
    """One direction of one connection. After a FramingError every further `feed` raises it again."""

    __slots__ = ("_broken", "_buffer", "_is_half_ping", "_length", "_limit", "_scanned")

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # up to here the buffer has no end of head
        self._length: int | None = None  # of the message in front, when its head is complete
        self._limit = max_message_bytes
        self._broken: FramingError | None = None
        self._is_half_ping = False  # a lone CRLF was the last that came

    @property
    def pending_bytes(self) -> int:
        """How much of an unfinished message is waiting; not 0 when the connection ends: it was cut off."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | KeepAlive]:
        """Take any number of bytes; yields what has become complete, in order. Drain it before the next call.

        FramingError, behind everything that was complete before, if the stream makes no sense.
        """
        if self._broken is not None:
            raise self._broken
        self._buffer += data
        try:
            while (item := self._next()) is not None:
                yield item
        except FramingError as error:
            self._broken = error
            self._buffer.clear()
            raise

    def _next(self) -> bytes | KeepAlive | None:
        buffer = self._buffer
        if self._length is None:
            if buffer and buffer[0] in b"\r\n" and (keep_alive := self._line_ends()) is not None:
                return keep_alive
            self._length = self._message_length()
            if self._length is None:
                return None
        if len(buffer) < self._length:
            return None
        message = bytes(memoryview(buffer)[: self._length])
        self._drop(self._length)
        self._length = None
        self._is_half_ping = False
        return message

    def _line_ends(self) -> KeepAlive | None:
        """A keep-alive in front of a message; None if there is no whole one. A lone CR or LF is passed
        over."""
        buffer = self._buffer
        while buffer and buffer[0] in b"\r\n":
            if buffer.startswith(KEEP_ALIVE_PING):
                self._drop(4)
                self._is_half_ping = False
                return KeepAlive.PING
            if len(buffer) != 2 and KEEP_ALIVE_PING.startswith(buffer):
                return None
            if buffer.startswith(KEEP_ALIVE_PONG):
                self._drop(2)
                self._is_half_ping = not self._is_half_ping
                return KeepAlive.PONG if self._is_half_ping else KeepAlive.PING
            self._drop(1)
        return None

    def _message_length(self) -> int | None:
        """Bytes of the message in front with its body; None as long as its head is not complete."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", self._scanned)
        if end < 0:
            if len(buffer) > self._limit:
                raise FramingError(f"head longer than {self._limit} bytes", 513)
            self._scanned = max(0, len(buffer) - 3)
            return None
        length = end + 4 + _content_length(bytes(memoryview(buffer)[:end]))
        if length > self._limit:
            raise FramingError(f"message of {length} bytes, the limit is {self._limit}", 513)
        return length

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._scanned = 0


def _content_length(head: bytes) -> int:
    found: int | None = None
    for line in head.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or name.strip(b" \t").lower() not in _CONTENT_LENGTH or line[:1] in (b" ", b"\t"):
            continue
        value = value.strip(b" \t")
        length = parse_number(value.decode("latin-1"))
        if length is None:
            raise FramingError(f"Content-Length is no number: {value[:20]!r}")
        if found is not None and found != length:
            raise FramingError("two different Content-Lengths")
        found = length
    if found is None:
        raise FramingError("no Content-Length, so the end of the message is unknown")
    return found
