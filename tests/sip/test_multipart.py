"""engine.sip.multipart: the SDP among other parts."""

from __future__ import annotations

import pytest

from engine.sip.errors import ParseError
from engine.sip.multipart import find_part, split_multipart

SDP = b"v=0\r\ns=-\r\n"
TYPE = 'multipart/mixed; boundary="b 1"'


def part(head: str, body: bytes, boundary: bytes = b"b 1") -> bytes:
    return b"--" + boundary + b"\r\n" + head.encode() + b"\r\n" + body + b"\r\n"


def test_a_plain_body_is_its_own_part() -> None:
    assert find_part("Application/SDP;x=y", SDP, "application/sdp") == SDP
    assert find_part("", SDP, "application/sdp") == SDP
    assert find_part("text/plain", SDP, "application/sdp") is None


def test_the_sdp_is_found_among_other_parts() -> None:
    body = (
        b"preamble\r\n" + part("content-TYPE: text/plain\r\n", b"hello") + part("c: application/sdp\r\n", SDP)
    )
    assert find_part(TYPE, body + b"--b 1--\r\nepilogue", "application/sdp") == SDP
    assert find_part(TYPE, body, "application/isup") is None


def test_a_part_without_headers_is_text() -> None:
    parts = split_multipart(TYPE, part("", b"hello") + b"--b 1--")
    assert [(p.content_type, p.body) for p in parts] == [("text/plain", b"hello")]


def test_parts_may_nest_but_not_without_end() -> None:
    inner = part("Content-Type: application/sdp\r\n", SDP, b"in") + b"--in--\r\n"
    body = part("Content-Type: multipart/alternative;\r\n boundary=in\r\n", inner) + b"--b 1--"
    assert find_part(TYPE, body, "application/sdp") == SDP
    for depth in range(6):
        inner = part(f"Content-Type: multipart/mixed;boundary=n{depth}\r\n", inner, b"n%d" % (depth + 1))
        if depth == 0:
            inner = part("Content-Type: application/sdp\r\n", SDP, b"n0")
    assert find_part("multipart/mixed;boundary=n6", inner, "application/sdp") is None


@pytest.mark.parametrize(
    "content_type", ["multipart/mixed", 'multipart/mixed;boundary=""', "multipart/mixed;boundary=x"]
)
def test_a_boundary_that_is_missing_or_not_there_is_refused(content_type: str) -> None:
    with pytest.raises(ParseError, match="boundary"):
        find_part(content_type, b"--b\r\n\r\n", "application/sdp")
