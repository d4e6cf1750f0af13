"""engine.sip.build: what is echoed, what is added, and that nothing can be smuggled into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from engine.sip import build
from engine.sip.errors import ParseError
from engine.sip.message import Request, Response, parse_message

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1 ;rport ;x=1 , SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0\r\n"
    b"Via:SIP/2.0/TCP 192.0.2.10;branch=z9hG4bK00\r\n"
    b"Route: <sip:p1.example.com;lr>\r\n"
    b"Record-Route: <sip:p1.example.com;lr>\r\n"
    b'f:   "Al\\"ice"   <sip:alice@example.com> ; tag=a1\r\n'
    b"TO: sip:bob@example.com\r\n"
    b"call-id: c1@192.0.2.1\r\n"
    b"Timestamp: 54\r\n"
    b"CSeq:   0007   INVITE\r\n"
    b"Require: 100rel\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def read(data: bytes = INVITE) -> Request:
    message = parse_message(data)
    assert isinstance(message, Request)
    return message


def lines(message: Request | Response) -> list[str]:
    return message.to_bytes().decode().split("\r\n")


def test_a_response_echoes_byte_for_byte_in_the_order_of_the_request() -> None:
    response = build.response(read(), 180, to_tag="b1", fields=[("Contact", "<sip:bob@192.0.2.4>")])
    assert lines(response) == [
        "SIP/2.0 180 Ringing",
        "v: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1 ;rport ;x=1 , SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0",
        "Via: SIP/2.0/TCP 192.0.2.10;branch=z9hG4bK00",
        "Record-Route: <sip:p1.example.com;lr>",
        'f: "Al\\"ice"   <sip:alice@example.com> ; tag=a1',
        "TO: sip:bob@example.com;tag=b1",
        "call-id: c1@192.0.2.1",
        "CSeq: 0007   INVITE",
        "Contact: <sip:bob@192.0.2.4>",
        "Content-Length: 0",
        "",
        "",
    ]
    assert response.to_tag == "b1"
    assert read().to_tag == ""


def test_a_100_has_no_tag_and_the_timestamp_and_a_failure_no_record_route() -> None:
    trying = build.response(read(), 100, to_tag="b1")
    assert trying.to_tag == ""
    assert trying.headers.get("timestamp") == "54"
    assert "record-route" not in trying.headers
    busy = build.response(read(), 486, to_tag="b1")
    assert "record-route" not in busy.headers
    assert "timestamp" not in busy.headers


def test_a_to_tag_that_is_there_stays() -> None:
    request = read(INVITE.replace(b"TO: sip:bob@example.com", b"To: <sip:bob@example.com>;tag=old"))
    assert build.response(request, 200, to_tag="new").headers.get("to") == "<sip:bob@example.com>;tag=old"


def test_the_first_via_gets_received_and_rport_and_the_others_nothing() -> None:
    via = build.response(read(), 200, source=("198.51.100.7", 40000)).headers.get_all("via")
    assert via == [
        (
            "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1 ;rport=40000;x=1;received=198.51.100.7,"
            " SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK0"
        ),
        "SIP/2.0/TCP 192.0.2.10;branch=z9hG4bK00",
    ]


@pytest.mark.parametrize(
    ("via", "source", "expected"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=b", ("192.0.2.1", 5060), ""),
        ("SIP/2.0/UDP 192.0.2.1;branch=b", ("192.0.2.2", 5060), ";received=192.0.2.2"),
        ("SIP/2.0/UDP example.com;branch=b", ("2001:db8::1", 5060), ";received=[2001:db8::1]"),
        ("SIP/2.0/UDP 192.0.2.1;branch=b;received=192.0.2.3", ("192.0.2.2", 5060), ""),
    ],
)
def test_received_is_added_when_sent_by_is_not_the_source(
    via: str, source: tuple[str, int], expected: str
) -> None:
    data = b"\r\n".join(line for line in INVITE.split(b"\r\n") if not line.startswith((b"v:", b"Via:")))
    request = read(data.replace(b"Route:", f"Via: {via}\r\nRoute:".encode(), 1))
    assert build.response(request, 200, source=source).headers.get("via") == via + expected


def test_rport_makes_received_even_if_the_host_is_the_same() -> None:
    assert build.stamp_via("SIP/2.0/UDP a;RPort", received="192.0.2.1", rport=5) == (
        "SIP/2.0/UDP a;rport=5;received=192.0.2.1"
    )
    stamped = build.response(read(), 200, source=("192.0.2.1", 5062)).top_via
    assert (stamped.received, stamped.rport) == ("192.0.2.1", 5062)


def test_a_body_comes_with_its_type_and_length() -> None:
    response = build.response(read(), 200, body=b"v=0\r\n", content_type="application/sdp")
    assert lines(response)[-5:] == ["Content-Type: application/sdp", "Content-Length: 5", "", "v=0", ""]
    assert parse_message(response.to_bytes()) == response


def test_the_ack_of_a_failure_is_that_of_17_1_1_3() -> None:
    invite = read()
    ack = build.ack(invite, build.response(invite, 486, to_tag="b1"))
    assert lines(ack) == [
        "ACK sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1 ;rport ;x=1",
        "Max-Forwards: 70",
        "Route: <sip:p1.example.com;lr>",
        'f: "Al\\"ice"   <sip:alice@example.com> ; tag=a1',
        "call-id: c1@192.0.2.1",
        "To: sip:bob@example.com;tag=b1",
        "CSeq: 7 ACK",
        "Content-Length: 0",
        "",
        "",
    ]


def test_a_cancel_has_the_branch_and_number_of_its_invite_and_no_require() -> None:
    cancel = build.cancel(read(), [("Reason", 'SIP;cause=200;text="Call completed elsewhere"')])
    assert lines(cancel) == [
        "CANCEL sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bK1 ;rport ;x=1",
        "Max-Forwards: 70",
        "Route: <sip:p1.example.com;lr>",
        'f: "Al\\"ice"   <sip:alice@example.com> ; tag=a1',
        "TO: sip:bob@example.com",
        "call-id: c1@192.0.2.1",
        "CSeq: 7 CANCEL",
        'Reason: SIP;cause=200;text="Call completed elsewhere"',
        "Content-Length: 0",
        "",
        "",
    ]


def test_the_independent_judge_reads_what_is_built() -> None:
    fields = [
        ("Via", "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKx"),
        ("From", '"Älice" <sip:alice@example.com>;tag=1'),
        ("To", "<sip:bob@example.com>"),
        ("Call-ID", "1@x"),
        ("CSeq", "1 INVITE"),
    ]
    request = build.request("INVITE", "sip:bob@[2001:db8::2]", fields, b"v=0\r\n", "application/sdp")
    theirs = sipmessage.Message.parse(request.to_bytes())
    assert isinstance(theirs, sipmessage.Request)
    assert theirs.via[0].host == "[2001:db8::1]"
    assert theirs.body == b"v=0\r\n"
    answer = sipmessage.Message.parse(build.response(request, 200, to_tag="t").to_bytes())
    assert isinstance(answer, sipmessage.Response)
    assert answer.to_address.parameters["tag"] == "t"


# --- nothing can be smuggled in ---

BAD = ["x\r\nX-Evil: 1", "x\nX-Evil: 1", "x\rX-Evil: 1", "x\0"]


@pytest.mark.parametrize("bad", BAD)
def test_line_ends_are_refused_wherever_a_caller_can_put_text(bad: str) -> None:
    invite = read()
    attempts: list[Callable[[], object]] = [
        lambda: build.request("INVITE", "sip:bob@example.com", [("Subject", bad)]),
        lambda: build.request("INVITE", "sip:bob@example.com", [(bad, "x")]),
        lambda: build.request("INVITE", "sip:bob@example.com;" + bad, []),
        lambda: build.request(bad, "sip:bob@example.com", []),
        lambda: build.request("INVITE", "sip:bob@example.com", [], b"x", bad),
        lambda: build.response(invite, 200, bad),
        lambda: build.response(invite, 200, to_tag=bad),
        lambda: build.response(invite, 200, fields=[("Contact", bad)]),
        lambda: build.ack(invite, build.response(invite, 486), [("X", bad)]),
        lambda: build.cancel(invite, [("Reason", bad)]),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=r"control character|not a token|Request-URI"):
            attempt()


def test_mistakes_of_ours_are_refused() -> None:
    for uri in ("", "sip:a b"):
        with pytest.raises(ValueError, match="Request-URI"):
            build.request("INVITE", uri, [])
    for status in (99, 700):
        with pytest.raises(ValueError, match="status"):
            build.response(read(), status)


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_whatever_text_a_caller_gives_the_lines_are_ours(
    method: str, uri: str, name: str, value: str, phrase: str
) -> None:
    try:
        request = build.request(method, uri, [(name, value)])
        response = build.response(read(), 200, phrase)
    except ValueError:
        return
    assert request.to_bytes().count(b"\r") == request.to_bytes().count(b"\n") == 4
    assert response.to_bytes().count(b"\n") == build.response(read(), 200).to_bytes().count(b"\n")


# --- requests that cannot be read ---


def refused(data: bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_message(data)
    return caught.value


def test_an_unreadable_request_is_answered_with_what_could_be_read() -> None:
    error = refused(INVITE.replace(b"0007   INVITE", b"seven INVITE"))
    answer = build.error_response(error, ("198.51.100.7", 40000), "b1")
    assert answer is not None
    assert answer.status == 400
    assert "cseq" in answer.reason
    assert answer.headers.get("cseq") == "seven INVITE"
    assert answer.top_via.rport == 40000
    assert answer.to_tag == "b1"


def test_an_unreadable_via_is_echoed_as_it_came() -> None:
    error = refused(INVITE.replace(b"v: SIP/2.0/UDP ", b"v: SIP/2.0/UDP?"))
    answer = build.error_response(error, ("198.51.100.7", 40000), "b1")
    assert answer is not None
    assert (answer.headers.get("via") or "").startswith("SIP/2.0/UDP?192.0.2.1")


def test_what_was_no_request_gets_no_answer() -> None:
    assert build.error_response(refused(b"hello")) is None
    assert build.error_response(refused(INVITE.replace(b"INVITE sip", b"ACK sip"))) is None
    assert (
        build.error_response(refused(b"OPTIONS sip:a@example.com SIP/2.0\r\nTo: <sip:a@b>\r\n\r\n")) is None
    )


def test_an_odd_error_text_cannot_break_the_status_line() -> None:
    error = refused(INVITE.replace(b"0007   INVITE", b"\x01\xff\xc3\xa4 INVITE"))
    answer = build.error_response(error)
    assert answer is not None
    assert answer.reason.isascii()
    assert answer.reason.isprintable()


def test_a_request_of_ours_says_the_same_before_and_after_somebody_looked_into_it() -> None:
    fields = [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKone"),
        ("From", "<sip:alice@example.com>;tag=1"),
        ("To", "<sip:bob@example.com>"),
        ("Call-ID", "one"),
        ("CSeq", "7 INVITE"),
        ("X-Name", "Zoë"),
    ]
    request = build.request("INVITE", "sip:bob@example.com", fields, b"v=0\r\n", "application/sdp")
    written = request.to_bytes()
    assert list(request.headers.items())[: len(fields)] == fields
    assert (request.cseq.number, request.from_tag, request.branch) == (7, "1", "z9hG4bKone")
    assert request.to_bytes() == written
    request.headers.add("Subject", "later")
    assert b"\r\nSubject: later\r\n" in request.to_bytes()
    assert parse_message(written) == build.request(
        "INVITE", "sip:bob@example.com", fields, b"v=0\r\n", "application/sdp"
    )
