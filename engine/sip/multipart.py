"""Multipart bodies (RFC 2046 §5.1, RFC 5621): find the part of one type, above all the SDP."""

from __future__ import annotations

import msgspec

from engine.sip.errors import ParseError
from engine.sip.headers import Headers
from engine.sip.values import Token

__all__ = ["Part", "find_part", "split_multipart"]

_MAX_PARTS = 32
_MAX_DEPTH = 4


class Part(msgspec.Struct, frozen=True):
    """One part of a multipart body."""

    content_type: str
    """The media type in lower case, without parameters; "text/plain" if it does not say (RFC 2046 §5.2)."""
    content_type_header: str
    """The whole Content-Type value, verbatim."""
    body: bytes


def split_multipart(content_type: str, body: bytes) -> list[Part]:
    """The parts of a body with this Content-Type value. ParseError if the boundary is missing in either."""
    boundary = Token.parse(content_type, field="content-type").params.get("boundary")
    if not boundary:
        raise ParseError("multipart without boundary", field="content-type")
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    pieces = (b"\r\n" + body).split(delimiter, _MAX_PARTS)
    if len(pieces) < 2:
        raise ParseError("boundary not found in the body", field="content-type")
    parts = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        # Behind the boundary: optional white space, CRLF, headers, CRLF CRLF, body. No headers: CRLF CRLF.
        _, _, piece = piece.partition(b"\r\n")
        if piece.startswith(b"\r\n"):
            head, content = b"", piece[2:]
        else:
            head, _, content = piece.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "surrogateescape").replace("\r\n ", " ").replace("\r\n\t", " ")
        headers = Headers.from_lines(text.split("\r\n"))
        declared = headers.get("content-type") or "text/plain"
        parts.append(Part(declared.partition(";")[0].strip().lower(), declared, content))
    return parts


def find_part(content_type: str, body: bytes, wanted: str) -> bytes | None:
    """The body of type `wanted` (lower case): itself or the first such part at any depth; None if none.

    A body without any Content-Type counts as SDP, the only body of RFC 2543 times.
    """
    return _find(content_type, body, wanted, 0)


def _find(content_type: str, body: bytes, wanted: str, depth: int) -> bytes | None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == wanted or (not media_type and wanted == "application/sdp"):
        return body
    if not media_type.startswith("multipart/") or depth >= _MAX_DEPTH:
        return None
    for part in split_multipart(content_type, body):
        found = _find(part.content_type_header, part.body, wanted, depth + 1)
        if found is not None:
            return found
    return None
