"""The judge of all other lab tests finds what it should find."""

from __future__ import annotations

import pytest

from tests.support.judge import assert_well_formed

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n"
)
INVITE = (
    "INVITE sip:bob@192.0.2.4 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds\r\n"
    "Max-Forwards: 70\r\n"
    "To: <sip:bob@example.com>\r\n"
    "From: <sip:alice@example.com>;tag=1928301774\r\n"
    "Call-ID: a84b4c76e66710\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Contact: <sip:alice@192.0.2.1>\r\n"
    "Content-Type: application/sdp\r\n"
    f"Content-Length: {len(SDP)}\r\n"
    f"\r\n{SDP}"
)
OK = (
    "SIP/2.0 200 OK\r\n"
    "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds\r\n"
    "To: <sip:bob@example.com>;tag=a6c85cf\r\n"
    "From: <sip:alice@example.com>;tag=1928301774\r\n"
    "Call-ID: a84b4c76e66710\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Contact: <sip:bob@192.0.2.4>\r\n"
    "Content-Length: 0\r\n"
    "\r\n"
)


@pytest.mark.parametrize("message", [INVITE, OK])
def test_good_messages_pass(message: str) -> None:
    assert_well_formed(message)


@pytest.mark.parametrize(
    ("message", "old", "new", "complaint"),
    [
        (INVITE, "Max-Forwards: 70\r\n", "", "Max-Forwards is mandatory"),
        (INVITE, "Contact: <sip:alice@192.0.2.1>\r\n", "", "exactly one Contact"),
        (INVITE, ";tag=1928301774", "", "From has no tag"),
        (INVITE, "branch=z9hG4bK776asdhds", "branch=1", "branch"),
        (INVITE, "CSeq: 314159 INVITE", "CSeq: 314159 BYE", "CSeq"),
        (INVITE, "CSeq: 314159 INVITE", "CSeq: INVITE", "cannot read"),
        (INVITE, "To: <sip:bob@example.com>\r\n", "", "cannot read"),
        (INVITE, "To: <sip:bob", "To: <sip:carol@example.com>\r\nTo: <sip:bob", "only once"),
        (INVITE, f"Content-Length: {len(SDP)}", "Content-Length: 3", "Content-Length is not"),
        (INVITE, "s=-\r\nc=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.1\r\ns=-", "out of order"),
        (INVITE, "c=IN IP4 192.0.2.1", "i=IN IP4 192.0.2.1", "no c= line"),
        (OK, ";tag=a6c85cf", "", "no To tag"),
        (OK, "Contact: <sip:bob@192.0.2.4>\r\n", "", "needs a Contact"),
    ],
)
def test_a_fault_is_named(message: str, old: str, new: str, complaint: str) -> None:
    assert old in message
    with pytest.raises(AssertionError, match=complaint):
        assert_well_formed(message.replace(old, new, 1))
