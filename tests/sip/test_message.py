"""engine.sip.message: what is read, what is refused, what is kept."""

from __future__ import annotations

import time

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from engine.sip.errors import ParseError
from engine.sip.headers import Headers
from engine.sip.message import MAX_MESSAGE_BYTES, Request, Response, parse_message
from engine.sip.values import NameAddr, Reason, SessionExpires, Token

HEAD = [
    "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK776asdhds;rport",
    "Max-Forwards: 70",
    'From: "Alice" <sip:alice@example.com>;tag=1928301774',
    "To: Bob <sip:bob@example.com>",
    "Call-ID: a84b4c76e66710@192.0.2.1",
    "CSeq: 314159 INVITE",
    "Contact: <sip:alice@192.0.2.1:5062>",
]


def invite(
    *more: str, without: str = "", body: bytes = b"", line: str = "INVITE sip:bob@example.com SIP/2.0"
) -> bytes:
    lines = [line, *(h for h in HEAD if not without or not h.startswith(without + ":")), *more]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def parse_request(data: bytes) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def test_an_invite_shows_its_routing_keys() -> None:
    message = parse_request(invite())
    assert (message.method, message.uri, message.branch) == (
        "INVITE",
        "sip:bob@example.com",
        "z9hG4bK776asdhds",
    )
    assert (message.call_id, message.from_tag, message.to_tag) == (
        "a84b4c76e66710@192.0.2.1",
        "1928301774",
        "",
    )
    assert (message.cseq.number, message.cseq.method) == (314159, "INVITE")
    assert message.top_via.wants_rport
    assert message.top_via.rport is None


def test_the_independent_judge_reads_the_same() -> None:
    ours = parse_request(invite("Content-Length: 0"))
    theirs = sipmessage.Message.parse(invite("Content-Length: 0"))
    assert isinstance(theirs, sipmessage.Request)
    assert ours.from_.display_name == theirs.from_address.name
    assert ours.from_.uri == str(theirs.from_address.uri)
    assert ours.branch == theirs.via[0].parameters["branch"]
    assert (ours.cseq.number, ours.cseq.method) == (theirs.cseq.sequence, theirs.cseq.method)
    assert ours.contacts[0].uri == str(theirs.contact[0].uri)


def test_what_we_write_is_read_by_the_independent_judge() -> None:
    again = sipmessage.Message.parse(parse_message(invite("Content-Length: 0")).to_bytes())
    assert isinstance(again, sipmessage.Request)
    assert again.call_id == "a84b4c76e66710@192.0.2.1"


def test_a_message_is_written_as_it_was_read() -> None:
    data = invite("x-Odd-CASE: One  ,  two", "k: 100rel", "Content-Length: 4", body=b"v=0\n")
    assert parse_message(data).to_bytes() == data


def test_order_of_header_fields_does_not_matter() -> None:
    lines = "\r\n".join(["INVITE sip:bob@example.com SIP/2.0", *reversed(HEAD)]).encode() + b"\r\n\r\n"
    assert parse_request(lines).from_ == parse_request(invite()).from_


def test_bytes_that_are_not_utf8_survive() -> None:
    data = invite().replace(b"Alice", b"Ali\xe7e")
    message = parse_request(data)
    assert message.to_bytes() == data
    assert message.from_.display_name == "Ali\udce7e"


def test_bare_line_feeds_are_taken_for_line_ends() -> None:
    message = parse_request(invite("Content-Length: 3", body=b"a\nb").replace(b"\r\n", b"\n"))
    assert (message.call_id, message.body) == ("a84b4c76e66710@192.0.2.1", b"a\nb")


def test_line_ends_in_front_and_a_missing_empty_line_are_forgiven() -> None:
    assert parse_request(b"\r\n\r\n" + invite()).call_id == "a84b4c76e66710@192.0.2.1"
    assert parse_request(invite().removesuffix(b"\r\n")).body == b""
    assert parse_request(invite().removesuffix(b"\r\n\r\n")).body == b""


def test_a_bare_carriage_return_is_refused_since_it_would_be_echoed() -> None:
    with pytest.raises(ParseError, match="CR without LF"):
        parse_message(invite("X: a\rb"))


def test_a_longer_datagram_is_trimmed_and_a_shorter_one_refused() -> None:
    assert parse_message(invite("Content-Length: 3", body=b"abcdef")).body == b"abc"
    assert parse_message(invite("l: 000000000000000000000000000003", body=b"abcdef")).body == b"abc"
    with pytest.raises(ParseError, match="content-length") as caught:
        parse_message(invite("Content-Length: 7", body=b"abcdef"))
    assert caught.value.status == 400
    assert caught.value.request is not None
    assert caught.value.request.call_id == "a84b4c76e66710@192.0.2.1"


def test_without_content_length_the_body_is_the_rest_of_the_datagram() -> None:
    assert parse_message(invite(body=b"abcdef")).body == b"abcdef"


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_missing_required_field_is_named(name: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_message(invite(without=name))
    assert caught.value.field == name.lower()
    assert caught.value.request is not None


@pytest.mark.parametrize(
    "line", ["Call-ID: other", "i: other", "CSeq: 1 INVITE", "f: <sip:a@b>", "Max-Forwards: 1"]
)
def test_a_field_that_may_occur_once_must_not_occur_twice(line: str) -> None:
    with pytest.raises(ParseError, match="more than once"):
        parse_message(invite(line))


def test_too_long_and_too_many_are_refused_with_513() -> None:
    with pytest.raises(ParseError) as caught:
        parse_message(b"x" * (MAX_MESSAGE_BYTES + 1))
    assert caught.value.status == 513
    with pytest.raises(ParseError) as caught:
        parse_message(invite(*["X: 1"] * 250))
    assert caught.value.status == 513
    assert caught.value.request is not None
    assert caught.value.request.call_id == "a84b4c76e66710@192.0.2.1"
    with pytest.raises(ParseError) as caught:
        parse_message(invite(*[" folded"] * 2000))
    assert caught.value.status == 513


def test_another_version_is_refused_with_505() -> None:
    with pytest.raises(ParseError) as caught:
        parse_message(invite(line="INVITE sip:bob@example.com SIP/3.0"))
    assert caught.value.status == 505


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0\0\0\0", b"HELLO", b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 99 X\r\n\r\n"]
)
def test_what_is_no_sip_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_message(data)


@pytest.mark.parametrize("phrase", ["OK", "", "Всё хорошо", "a  b "])
def test_a_response_keeps_its_phrase(phrase: str) -> None:
    message = parse_message(invite(line=f"SIP/2.0 200 {phrase}"))
    assert isinstance(message, Response)
    assert (message.status, message.reason) == (200, phrase)


def test_a_status_line_may_lack_phrase_and_space() -> None:
    message = parse_message(invite(line="SIP/2.0 200"))
    assert isinstance(message, Response)
    assert message.reason == ""


def test_a_line_without_colon_is_passed_over() -> None:
    assert parse_message(invite("complete nonsense", "X: 1")).headers.get("x") == "1"


def test_contact_star_is_one_address() -> None:
    message = parse_request(invite("Contact: *", without="Contact"))
    assert message.contacts == [NameAddr("*")]


def test_an_unquoted_name_with_a_comma_is_one_address_in_a_list() -> None:
    message = parse_request(
        invite(
            "m: Example, Bob <sip:bob@192.0.2.4>, A, B, C <sip:c@192.0.2.5>, sip:d@192.0.2.6",
            without="Contact",
        )
    )
    assert [(contact.display_name, contact.uri) for contact in message.contacts] == [
        ("Example, Bob", "sip:bob@192.0.2.4"),
        ("A, B, C", "sip:c@192.0.2.5"),
        ("", "sip:d@192.0.2.6"),
    ]
    with pytest.raises(ParseError, match="contact"):
        _ = parse_request(invite("Contact: <sip:bob@192.0.2.4>, x", without="Contact")).contacts


def test_typed_accessors_read_their_fields() -> None:
    message = parse_request(
        invite(
            "x: 1800;refresher=UAC",
            "Min-SE: 90;x=1",
            "Expires: 99999999999999",
            'Reason: SIP;cause=200;text="Call completed, elsewhere", Q.850;cause=16',
            "Retry-After: 18 (busy) ;duration=60",
            "RSeq: 7",
            "RAck: 7 314159 INVITE",
            "o: refer;id=93",
            "r: <sip:carol@example.com?Replaces=1%3Bto-tag%3D2>",
            "k: 100rel, Timer",
            "Supported: ",
            "Allow: INVITE,ack",
            "Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>",
            "Record-Route: <sip:p3.example.com;lr>",
            "c: Application/SDP; charset=utf-8",
            body=b"v=0",
        )
    )
    assert message.session_expires == SessionExpires(1800, "uac")
    assert (message.min_se_s, message.expires_s, message.rseq) == (90, 2**32 - 1, 7)
    assert message.reasons == [Reason("SIP", 200, "Call completed, elsewhere"), Reason("Q.850", 16)]
    assert message.retry_after is not None
    assert (message.retry_after.seconds, message.retry_after.comment) == (18, "busy")
    assert message.rack is not None
    assert (message.rack.rseq, message.rack.cseq, message.rack.method) == (7, 314159, "INVITE")
    assert message.event == Token.parse("refer;id=93")
    assert message.refer_to is not None
    assert message.refer_to.sip_uri.headers == (("Replaces", "1%3Bto-tag%3D2"),)
    assert message.supported == {"100rel", "timer"}
    assert message.allow == {"INVITE", "ACK"}
    assert [str(route.sip_uri.host) for route in message.record_routes] == [
        f"p{n}.example.com" for n in (1, 2, 3)
    ]
    assert message.content_type == "application/sdp"
    assert message.sdp == b"v=0"
    assert message.defect() is None


def test_a_typed_accessor_parses_once() -> None:
    message = parse_request(invite())
    assert message.contacts is message.contacts


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("Max-Forwards: 256", "max-forwards"),
        ("Route: <sip:a", "route"),
        ("Session-Expires: soon", "session-expires"),
        ("RAck: 1 INVITE", "rack"),
        ('Reason: SIP;text="open', "reason"),
    ],
)
def test_a_field_that_cannot_be_read_is_a_defect_but_no_refusal(line: str, field: str) -> None:
    message = parse_message(invite(line, without="Max-Forwards"))
    defect = message.defect()
    assert defect is not None
    assert defect.field == field


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@example.com>;tag=1", "1"),
        ("<sip:a@example.com> ; tag = 1 ", "1"),
        ("<sip:a@example.com>;x=y;TAG=1", "1"),
        ("sip:a@example.com;tag=1", "1"),
        ('"<;tag=2>" <sip:a@example.com>;tag=1', "1"),
        ('"a\\";tag=2" <sip:a@example.com>;tag=1', "1"),
        ("<sip:a@example.com;tag=2>", ""),
        ('<sip:a@example.com>;x=";tag=2"', ""),
        ("<tel:5550100>", ""),
    ],
)
def test_the_tag_is_that_of_the_header_field(value: str, tag: str) -> None:
    message = parse_request(invite(f"From: {value}", without="From"))
    assert message.from_tag == tag
    assert (message.from_.tag or "") == tag


def test_no_message_costs_more_than_its_length_deserves() -> None:
    hostile = [
        'From: "' + "\\a" * 30000 + '" <sip:a@example.com>;tag=1',
        "From: <sip:a@example.com>;tag=1" + ";a" * 30000,
        "From: <sip:a@example.com>;tag=1" + '"' * 60000,
        "From: <sip:a@example.com>;tag=1\r\nContact: " + "<sip:a@b>," * 6000,
        "From: <sip:a@example.com>;tag=1" + "\r\n " + "a" * 60000,
    ]
    started = time.process_time()
    for line in hostile:
        parse_message(invite(line, without="From")).defect()
    assert time.process_time() - started < 5.0


names = st.text("abcdeFGH-", min_size=1, max_size=8).map(lambda name: "X-" + name)
values = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=30)


@given(st.lists(st.tuples(names, values), max_size=20))
def test_header_order_and_text_are_kept(fields: list[tuple[str, str]]) -> None:
    data = invite(*(f"{name}: {value}" for name, value in fields))
    kept = list(parse_message(data).headers.items())[len(HEAD) :]
    assert kept == [(name, value.strip(" \t")) for name, value in fields]
    assert parse_message(data).headers == Headers(
        [(line.partition(": ")[0], line.partition(": ")[2]) for line in HEAD] + kept
    )
