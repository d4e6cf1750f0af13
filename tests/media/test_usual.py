"""Usual descriptions: what is remembered about them equals what a full reading finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import PCMA, PCMU
from media.formats import AudioCapabilities
from media.negotiate import Address, NegotiatedMedia, NegotiationFailed, Negotiator
from media.sdp import Direction, SdpError, SessionDescription
from media.usual import ANY_PORT, usual_form

HERE = Address("192.0.2.1", 4000)

HEADS = ("v=0", "o=bob 2890844526 7 IN IP4 198.51.100.2", "s=-", "c=IN IP4 198.51.100.2", "t=0 0")
LINES = (
    "m=audio 5000 RTP/AVP 0 8 101",
    "m=audio 65535 RTP/AVP 8",
    "m=audio 65534 RTP/AVP 8",
    "m=audio 0 RTP/AVP 0",
    "m=audio 5000/2 RTP/AVP 0",
    "m=audio 05000 RTP/AVP 0",
    "m=audio x RTP/AVP 0",
    "m=video 5002 RTP/AVP 31",
    "s=m=audio 1 RTP/AVP 0",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 2001:db8::2",
    "c=IN IP4 198.51.100.77",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-15",
    "a=rtcp:5005",
    "a=rtcp-mux",
    "a=sendonly",
    "a=inactive",
    "a=ptime:30",
    "o=second 1 1 IN IP4 198.51.100.2",
    "o=two words 1 1 IN IP4 198.51.100.2",
    "o=short",
    "junk",
    "a=x\0y",
    "\rm=audio 6 RTP/AVP 8",
)
bodies = st.tuples(
    st.lists(st.sampled_from(HEADS + LINES), max_size=4),
    st.lists(st.sampled_from(LINES), max_size=6),
    st.sampled_from(("\r\n", "\r\n", "\r\n", "\n", "\r")),
    st.sampled_from(HEADS),
    st.booleans(),
)


def negotiator(*, mux: bool = False) -> Negotiator:
    return Negotiator(AudioCapabilities(codecs=(PCMU, PCMA), rtcp_mux=mux), HERE, session_id=17)


def in_full(before: Negotiator, sdp: bytes) -> NegotiatedMedia:
    """What the answer means by the reading that nothing is remembered of."""
    assert before._offered is not None
    return before._take_answer(sdp, *before._offered)


def outcome_of_answer(sdp: bytes, *, mux: bool, usual: bool) -> object:
    offerer = negotiator(mux=mux)
    offerer.create_offer()
    try:
        agreed = offerer.receive_answer(sdp) if usual else in_full(offerer, sdp)
    except NegotiationFailed as error:
        return error.status
    return agreed, offerer.create_offer()


def outcome_of_offer(sdp: bytes, *, mux: bool, usual: bool) -> object:
    answerer = negotiator(mux=mux)
    try:
        if usual:
            answer, agreed = answerer.receive_offer(sdp)
        else:
            text, is_rejected = answerer._take_offer(sdp)
            assert answerer.negotiated is not None
            agreed = answerer.negotiated
            answer = answerer._describe(text, agreed.direction, mux=agreed.rtcp_mux, rejected=is_rejected)
    except NegotiationFailed as error:
        return error.status
    return answer, agreed, answerer.create_offer()


@given(bodies)
def test_what_is_remembered_equals_what_is_read_in_full(
    parts: tuple[list[str], list[str], str, str, bool],
) -> None:
    odd, lines, line_end, left_out, mux = parts
    head = [line for line in HEADS if not (odd and line == left_out)]
    at = len(odd) % 5
    sdp = line_end.join([*head[: 2 + at], *odd, *head[2 + at :], *lines, ""]).encode()
    for _ in range(2):
        assert outcome_of_answer(sdp, mux=mux, usual=True) == outcome_of_answer(sdp, mux=mux, usual=False)
        assert outcome_of_offer(sdp, mux=mux, usual=True) == outcome_of_offer(sdp, mux=mux, usual=False)


@given(bodies)
def test_a_usual_form_says_the_same_but_for_origin_and_port(
    parts: tuple[list[str], list[str], str, str, bool],
) -> None:
    odd, lines, line_end, _, _ = parts
    sdp = line_end.join([*HEADS, *odd, *lines, ""]).encode()
    usual = usual_form(sdp)
    if usual is None:
        return
    try:
        told = SessionDescription.parse(sdp)
    except SdpError:
        with pytest.raises(SdpError):
            SessionDescription.parse(usual.sdp)
        return
    form = SessionDescription.parse(usual.sdp)
    assert told.media[0].port == usual.port
    assert form.media[0].port == ANY_PORT
    assert form.media[0].attributes == told.media[0].attributes
    assert form.connection == told.connection


def test_two_calls_of_one_gateway_share_everything_but_their_ports() -> None:
    def answer(session_id: int, port: int) -> bytes:
        lines = ["v=0", f"o=gw {session_id} 1 IN IP4 198.51.100.2", "s=-", "c=IN IP4 198.51.100.2", "t=0 0"]
        return "\r\n".join([*lines, f"m=audio {port} RTP/AVP 8", "a=sendrecv", ""]).encode()

    first, second = usual_form(answer(1, 5000)), usual_form(answer(999, 7000))
    assert first is not None
    assert second is not None
    assert first.sdp == second.sdp
    assert (first.port, second.port) == (5000, 7000)
    offerer = negotiator()
    offerer.create_offer()
    agreed = offerer.receive_answer(answer(1, 7000))
    assert agreed.remote == Address("198.51.100.2", 7000)
    assert agreed.remote_rtcp == Address("198.51.100.2", 7001)
    assert agreed.codec is PCMA
    assert agreed.direction is Direction.SENDRECV


def test_a_refused_offer_leaves_nothing_behind() -> None:
    answerer = negotiator()
    for _ in range(2):
        with pytest.raises(NegotiationFailed):
            answerer.receive_offer(
                b"v=0\r\no=- 1 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n"
                b"m=audio 5000 RTP/AVP 3\r\n"
            )
    assert answerer.negotiated is None
    assert b"m=audio 4000 RTP/AVP 0 8 101" in answerer.create_offer()
