"""Fuzz targets of engine.sip's text layer. Each says what may be raised for bytes from the network; all else
fails.

| target | may raise |
|---|---|
| parse_message | ParseError |
| accessors that parse_message vouches for, to_bytes, build.response, error_response | nothing |
| other typed accessors, `Headers.values` | ParseError |
| StreamFramer.feed | FramingError |
| parse_challenges, strongest, next_nonce, DigestClient.challenge, authorize | nothing |
| DigestResponse.parse, split_multipart, values' parse | ParseError |

Inputs are the torture messages with bytes flipped, cut, doubled and mixed, which reaches deeper than noise
does.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.sip import build
from engine.sip.digest import (
    Credentials,
    DigestClient,
    DigestResponse,
    next_nonce,
    parse_challenges,
    strongest,
)
from engine.sip.errors import ParseError
from engine.sip.framing import FramingError, KeepAlive, StreamFramer
from engine.sip.headers import Headers
from engine.sip.message import Request, Response, parse_message
from engine.sip.multipart import find_part, split_multipart
from engine.sip.uri import SipUri, TelUri, parse_uri
from engine.sip.values import CSeq, NameAddr, RAck, Reason, Replaces, RetryAfter, SessionExpires, Token, Via

SEEDS = [path.read_bytes() for path in sorted((Path(__file__).parents[1] / "sip" / "torture").glob("*.dat"))]
PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b",",
    b";",
    b"=",
    b'"',
    b"<",
    b">",
    b"\\",
    b":",
    b"@",
    b"[",
    b"]",
    b"%",
]
PIECES += [
    b"\0",
    b"\xff",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"\x85",
    b"SIP/2.0",
    b"tag",
    b"Via: ",
    b"l: 5",
    b"\r\n ",
]

BOUNDED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Parsed(Protocol):
    @classmethod
    def parse(cls, text: str) -> object: ...


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A torture message with up to five small accidents."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3), st.just(data[at:end] * 2)))
        data = data[:at] + piece + data[end:]
    return data


def try_parse(data: bytes) -> Request | Response | ParseError:
    try:
        return parse_message(data)
    except ParseError as error:
        return error


def check_message(message: Request | Response) -> None:
    """Everything the stack relies on without a `try`."""
    assert message.cseq.method
    assert message.call_id
    assert message.from_tag == (message.from_.tag or "")
    assert message.to_tag == (message.to.tag or "")
    assert message.branch == (message.top_via.branch or "")
    head = message.to_bytes().partition(b"\r\n\r\n")[0]
    assert head.count(b"\r") == head.count(b"\n") == head.count(b"\r\n") == len(message.headers)
    again = parse_message(message.to_bytes())
    assert again == message
    message.defect()
    for name in ("contact", "reason", "via"):
        with suppress(ParseError):
            message.headers.values(name)
    if isinstance(message, Request):
        answer = build.response(message, 200, to_tag="t", source=("192.0.2.77", 5060))
        echoed = parse_message(answer.to_bytes())
        assert echoed.cseq == message.cseq
        assert echoed.call_id == message.call_id
        assert echoed.from_ == message.from_
        assert echoed.to_tag == (message.to_tag or "t")
        assert echoed.branch == message.branch
        if message.method == "INVITE":
            assert parse_message(build.ack(message, answer).to_bytes()).branch == message.branch
            assert parse_message(build.cancel(message).to_bytes()).cseq.method == "CANCEL"


@given(st.binary(max_size=300))
@BOUNDED
def test_any_bytes_give_a_message_or_a_parse_error(data: bytes) -> None:
    result = try_parse(data)
    if not isinstance(result, ParseError):
        check_message(result)


@given(mutated())
@BOUNDED
def test_damaged_messages_are_sound_or_refused_with_an_answer(data: bytes) -> None:
    result = try_parse(data)
    if isinstance(result, ParseError):
        answer = build.error_response(result, ("192.0.2.77", 5060), "t")
        if answer is not None:
            head = answer.to_bytes()
            assert head.count(b"\r") == head.count(b"\n") == len(answer.headers) + 2
    else:
        check_message(result)


@given(st.lists(mutated(), max_size=3), st.integers(1, 50))
@BOUNDED
def test_a_framer_gives_the_same_messages_however_the_stream_is_cut(messages: list[bytes], step: int) -> None:
    stream = b"".join(messages)

    def run(size: int) -> list[bytes | KeepAlive | str]:
        framer = StreamFramer()
        items: list[bytes | KeepAlive | str] = []
        try:
            for at in range(0, len(stream), size):
                items.extend(framer.feed(stream[at : at + size]))
        except FramingError:
            items.append("broken")
        # Where a ping is cut decides whether it is one, see the module; messages do not depend on it.
        return [item for item in items if not isinstance(item, KeepAlive)]

    whole = run(len(stream) or 1)
    assert run(step) == whole
    assert sum(len(item) for item in whole if isinstance(item, bytes)) <= len(stream)


HEADER_TEXT = st.lists(
    st.one_of(
        st.sampled_from([piece.decode("utf-8", "surrogateescape") for piece in PIECES]),
        st.sampled_from(
            ["sip:", "sips:", "tel:", "example.com", "Digest ", "realm", "nonce", "qop", "auth", "stale"]
        ),
        st.sampled_from(
            ["algorithm=MD5", 'realm="r"', 'nonce="n"', "nextnonce", "0", "99999999999", "SIP/2.0/UDP a"]
        ),
        st.text(max_size=4),
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(
    "parser",
    [
        CSeq,
        NameAddr,
        RAck,
        Reason,
        Replaces,
        RetryAfter,
        SessionExpires,
        SipUri,
        TelUri,
        Token,
        Via,
        DigestResponse,
    ],
)
@given(text=HEADER_TEXT)
@settings(max_examples=100, deadline=None)
def test_a_value_is_parsed_and_written_or_refused(parser: type[Parsed], text: str) -> None:
    try:
        value = parser.parse(text)
    except ParseError:
        return
    if parser is not DigestResponse:
        assert parser.parse(str(value)) == value


@given(HEADER_TEXT)
@BOUNDED
def test_any_uri_is_read_or_refused_with_a_status(text: str) -> None:
    uri: SipUri | TelUri | ParseError
    try:
        uri = parse_uri(text)
    except ParseError as error:
        uri = error
    if isinstance(uri, ParseError):
        assert uri.status in (400, 416)
    else:
        assert parse_uri(str(uri)) == uri


@given(HEADER_TEXT, HEADER_TEXT)
@BOUNDED
def test_no_challenge_makes_the_digest_client_raise_or_send_a_control_character(
    first: str, second: str
) -> None:
    lines = [
        f"WWW-Authenticate: {first}",
        f"Proxy-Authenticate: Digest {second}",
        f"Authentication-Info: {second}",
    ]
    response = Response(
        401, "", Headers.from_lines([line.replace("\r", "").replace("\n", "") for line in lines])
    )
    strongest(parse_challenges(response))
    next_nonce(response)
    client = DigestClient(Credentials("bob", "zanzibar"), entropy=bytes)
    client.challenge(response)
    client.accepted(response)
    fields = client.authorize("INVITE", "sip:bob@example.com")
    assert build.request("INVITE", "sip:bob@example.com", fields).to_bytes()


@given(st.text(max_size=40), st.binary(max_size=200))
@BOUNDED
def test_any_multipart_is_split_or_refused(boundary: str, noise: bytes) -> None:
    content_type = f"multipart/mixed;boundary={boundary}"
    body = noise + b"\r\n--" + boundary.encode("utf-8", "surrogateescape") + b"\r\n" + noise
    try:
        parts = split_multipart(content_type, body)
        find_part(content_type, body, "application/sdp")
    except ParseError:
        return
    assert sum(len(part.body) for part in parts) <= len(body)
