"""engine.sip.framing: whole, byte by byte, with trailing data; keep-alives; streams that make no sense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sip.framing import FramingError, KeepAlive, StreamFramer

ONE = b"OPTIONS sip:a@example.com SIP/2.0\r\nCSeq: 1 OPTIONS\r\nContent-Length: 5\r\n\r\nab\r\n\r"
TWO = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\nL : 0\r\n\r\n"


def feed(framer: StreamFramer, *chunks: bytes) -> list[bytes | KeepAlive]:
    return [item for chunk in chunks for item in framer.feed(chunk)]


def test_whole_messages_come_out_as_they_went_in() -> None:
    framer = StreamFramer()
    assert feed(framer, ONE) == [ONE]
    assert feed(framer, ONE + TWO + ONE[:20]) == [ONE, TWO]
    assert framer.pending_bytes == 20
    assert feed(framer, ONE[20:]) == [ONE]
    assert framer.pending_bytes == 0


def test_byte_by_byte_is_the_same() -> None:
    assert feed(StreamFramer(), *(bytes([byte]) for byte in ONE + TWO + ONE)) == [ONE, TWO, ONE]


@given(st.lists(st.integers(1, 40), max_size=20))
def test_any_cut_is_the_same(cuts: list[int]) -> None:
    data = ONE + TWO + TWO + ONE
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    assert feed(StreamFramer(), *chunks, data[at:]) == [ONE, TWO, TWO, ONE]


def test_a_double_crlf_is_a_ping_and_a_single_one_a_pong() -> None:
    assert feed(StreamFramer(), b"\r\n\r\n") == [KeepAlive.PING]
    assert feed(StreamFramer(), b"\r\n") == [KeepAlive.PONG]
    assert feed(StreamFramer(), b"\r\n\r\n" + ONE + b"\r\n\r\n\r\n") == [
        KeepAlive.PING,
        ONE,
        KeepAlive.PING,
        KeepAlive.PONG,
    ]
    assert feed(StreamFramer(), b"\r\n" + ONE) == [KeepAlive.PONG, ONE]


def test_a_ping_cut_in_odd_places_is_still_a_ping() -> None:
    assert feed(StreamFramer(), b"\r\n\r", b"\n") == [KeepAlive.PING]
    assert feed(StreamFramer(), b"\r", b"\n\r\n") == [KeepAlive.PING]


def test_a_ping_cut_in_the_middle_ends_as_a_ping_that_can_be_answered() -> None:
    assert feed(StreamFramer(), b"\r\n", b"\r\n") == [KeepAlive.PONG, KeepAlive.PING]
    assert feed(StreamFramer(), b"\r\n", b"\r", b"\n") == [KeepAlive.PONG, KeepAlive.PING]
    assert feed(StreamFramer(), b"\r\n", b"\r\n", b"\r\n") == [
        KeepAlive.PONG,
        KeepAlive.PING,
        KeepAlive.PONG,
    ]
    assert feed(StreamFramer(), b"\r\n", b"\r\n\r\n") == [KeepAlive.PONG, KeepAlive.PING]
    assert feed(StreamFramer(), b"\r\n", ONE, b"\r\n") == [KeepAlive.PONG, ONE, KeepAlive.PONG]


def test_a_lone_cr_or_lf_is_nobodys_keep_alive() -> None:
    assert feed(StreamFramer(), b"\n\r\r" + ONE) == [ONE]
    assert feed(StreamFramer(), b"\n" * 70000, ONE) == [ONE]


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"Via: x", "no Content-Length"),
        (b"Content-Length: x", "no number"),
        (b"Content-Length: -1", "no number"),
        (b"Content-Length: \xb2", "no number"),
        (b"Content-Length: 1\r\nl: 2", "two different"),
        (b"Content-Length: 99999", "the limit"),
    ],
)
def test_a_stream_without_usable_length_is_given_up_after_what_was_good(head: bytes, why: str) -> None:
    framer = StreamFramer()
    items: list[bytes | KeepAlive] = []
    with pytest.raises(FramingError, match=why):
        items.extend(framer.feed(ONE + b"OPTIONS sip:a@example.com SIP/2.0\r\n" + head + b"\r\n\r\n"))
    assert items == [ONE]
    with pytest.raises(FramingError, match=why):
        feed(framer, TWO)


def test_the_same_length_twice_is_one_length() -> None:
    data = TWO.replace(b"L : 0", b"l: 0\r\nContent-Length: 00")
    assert feed(StreamFramer(), data) == [data]


def test_a_head_that_never_ends_is_given_up_at_the_limit() -> None:
    framer = StreamFramer(max_message_bytes=100)
    feed(framer, b"a" * 100)
    with pytest.raises(FramingError) as caught:
        feed(framer, b"a")
    assert caught.value.status == 513
