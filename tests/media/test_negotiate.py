"""Offer and answer between two negotiators, and between one and what real devices write."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.codecs import L16_8K, L16_16K, PCMA, PCMU, CodecSpec
from media.formats import AudioCapabilities
from media.negotiate import Address, NegotiatedMedia, NegotiationFailed, Negotiator
from media.sdp import Direction, SessionDescription

HERE = Address("192.0.2.1", 4000)
THERE = Address("198.51.100.2", 5000)


def negotiator(*codecs: CodecSpec, local: Address = HERE, **options: bool | int) -> Negotiator:
    capabilities = AudioCapabilities(codecs=codecs or (PCMU, PCMA), **options)  # type: ignore[arg-type]
    return Negotiator(capabilities, local, session_id=17)


def described(*lines: str, host: str = "198.51.100.2") -> bytes:
    """A peer's description with these media lines."""
    head = ["v=0", f"o=bob 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0"]
    return "\r\n".join([*head, *lines, ""]).encode()


def agree(offerer: Negotiator, answerer: Negotiator) -> tuple[NegotiatedMedia, NegotiatedMedia]:
    answer, answered = answerer.receive_offer(offerer.create_offer())
    return offerer.receive_answer(answer), answered


def version_of(sdp: bytes) -> int:
    return int(SessionDescription.parse(sdp).origin.version)


def test_the_usual_offer_reads_well() -> None:
    assert negotiator().create_offer().decode().split("\r\n") == [
        "v=0",
        "o=- 17 1 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP4 192.0.2.1",
        "t=0 0",
        "m=audio 4000 RTP/AVP 0 8 101",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
        "",
    ]


def test_two_of_us_agree_on_the_offerers_first_codec() -> None:
    alice, bob = agree(negotiator(PCMA, PCMU), negotiator(PCMU, PCMA, local=THERE))
    assert alice.codec is bob.codec is PCMA
    assert alice.remote == THERE
    assert bob.remote == HERE
    assert alice.remote_rtcp == Address("198.51.100.2", 5001)
    assert alice.direction is bob.direction is Direction.SENDRECV
    assert alice.dtmf_send_payload_type == bob.dtmf_receive_payload_type == 101


def test_the_answerer_may_prefer_its_own_order() -> None:
    alice, bob = agree(negotiator(PCMA, PCMU), negotiator(PCMU, PCMA, local=THERE, prefer_ours=True))
    assert alice.codec is bob.codec is PCMU


def test_the_codec_in_use_stays_while_the_peer_offers_it() -> None:
    alice, bob = negotiator(PCMA, PCMU), negotiator(PCMU, PCMA, local=THERE)
    agree(alice, bob)
    ours, theirs = agree(bob, alice)
    assert ours.codec is theirs.codec is PCMA
    _, only_other = alice.receive_offer(described("m=audio 5000 RTP/AVP 0"))
    assert only_other.codec is PCMU


def test_an_answer_names_one_codec_unless_all_are_wanted() -> None:
    offer = negotiator().create_offer()
    one, _ = negotiator(local=THERE).receive_offer(offer)
    every, media = negotiator(local=THERE, answer_all=True).receive_offer(offer)
    assert SessionDescription.parse(one).media[0].formats == ("0", "101")
    assert SessionDescription.parse(every).media[0].formats == ("0", "8", "101")
    assert dict(media.receive_codecs) == {0: PCMU, 8: PCMA}


def test_dynamic_numbers_are_the_offerers_and_each_side_receives_with_its_own() -> None:
    offer = described(
        "m=audio 5000 RTP/AVP 111 97 100",
        "a=rtpmap:111 l16/16000",
        "a=rtpmap:97 telephone-event/16000",
        "a=rtpmap:100 telephone-event/8000",
    )
    answer, media = negotiator(L16_16K).receive_offer(offer)
    assert SessionDescription.parse(answer).media[0].formats == ("111", "97")
    assert (media.send_payload_type, media.receive_payload_type) == (111, 111)
    assert (media.dtmf_send_payload_type, media.dtmf_receive_payload_type) == (97, 97)


def test_an_answer_with_other_numbers_is_followed_when_sending() -> None:
    alice = negotiator(L16_8K)
    assert b"a=rtpmap:96 L16/8000" in alice.create_offer()
    media = alice.receive_answer(
        described("m=audio 5000 RTP/AVP 120 99", "a=rtpmap:120 L16/8000", "a=rtpmap:99 telephone-event/8000")
    )
    assert (media.send_payload_type, media.receive_payload_type) == (120, 96)
    assert (media.dtmf_send_payload_type, media.dtmf_receive_payload_type) == (99, 101)


def test_the_numbers_of_the_peer_stay_in_our_own_later_offer() -> None:
    bob = negotiator(PCMU, L16_8K)
    bob.receive_offer(
        described(
            "m=audio 5000 RTP/AVP 110 0 96", "a=rtpmap:110 L16/8000", "a=rtpmap:96 telephone-event/8000"
        )
    )
    again = SessionDescription.parse(bob.create_offer()).media[0]
    assert again.formats == ("0", "110", "96")
    assert again.rtpmaps()[96].name == "telephone-event"


def test_numbers_of_a_session_stay_when_our_codecs_change() -> None:
    alice, bob = negotiator(L16_8K), negotiator(L16_8K, local=THERE)
    agree(alice, bob)
    alice.capabilities = AudioCapabilities(codecs=(L16_16K, L16_8K))
    again = SessionDescription.parse(alice.create_offer()).media[0].rtpmaps()
    assert (again[96].name, again[96].clock_rate_hz) == ("L16", 8000)
    assert (again[97].name, again[97].clock_rate_hz) == ("L16", 16000)


def test_events_are_left_out_when_the_peer_has_none_at_the_codecs_clock_rate() -> None:
    _, media = negotiator().receive_offer(
        described("m=audio 5000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/48000")
    )
    assert media.dtmf_send_payload_type is None
    assert media.dtmf_receive_payload_type is None


def test_comfort_noise_is_agreed_by_its_static_number() -> None:
    answer, media = negotiator(comfort_noise=True).receive_offer(described("m=audio 5000 RTP/AVP 0 13"))
    assert media.cn_send_payload_type == media.cn_receive_payload_type == 13
    assert SessionDescription.parse(answer).media[0].formats == ("0", "13")
    _, without = negotiator().receive_offer(described("m=audio 5000 RTP/AVP 0 13"))
    assert without.cn_send_payload_type is None


def test_other_media_are_refused_with_port_0_in_their_order() -> None:
    offer = described(
        "m=video 6000 RTP/AVP 31",
        "m=audio 7000 RTP/SAVP 0",
        "m=audio 5000 RTP/AVP 0",
        "m=audio 5002 RTP/AVP 8",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    )
    bob = negotiator()
    answer, media = bob.receive_offer(offer)
    lines = SessionDescription.parse(answer).media
    assert [(line.kind, line.port, line.protocol) for line in lines] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/SAVP"),
        ("audio", 4000, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
        ("application", 0, "UDP/DTLS/SCTP"),
    ]
    assert media.remote == THERE
    assert [line.port for line in SessionDescription.parse(bob.create_offer()).media] == [0, 0, 4000, 0, 0]


@pytest.mark.parametrize(
    ("asked", "wish", "ours"),
    [
        ("a=sendrecv", Direction.SENDRECV, Direction.SENDRECV),
        ("", Direction.SENDRECV, Direction.SENDRECV),
        ("a=sendonly", Direction.SENDRECV, Direction.RECVONLY),
        ("a=recvonly", Direction.SENDRECV, Direction.SENDONLY),
        ("a=inactive", Direction.SENDRECV, Direction.INACTIVE),
        ("a=sendrecv", Direction.SENDONLY, Direction.SENDONLY),
        ("a=sendonly", Direction.SENDONLY, Direction.INACTIVE),
        ("a=recvonly", Direction.SENDONLY, Direction.SENDONLY),
        ("a=sendrecv", Direction.INACTIVE, Direction.INACTIVE),
    ],
)
def test_the_answers_direction_is_what_both_want(asked: str, wish: Direction, ours: Direction) -> None:
    bob = negotiator()
    bob.direction = wish
    answer, media = bob.receive_offer(described("m=audio 5000 RTP/AVP 0", *filter(None, [asked])))
    session = SessionDescription.parse(answer)
    assert session.direction_of(session.media[0]) is media.direction is ours


def test_hold_and_resume_in_both_ways_end_where_they_began() -> None:
    alice, bob = negotiator(), negotiator(local=THERE)
    agree(alice, bob)
    alice.direction = Direction.SENDONLY
    held, holding = agree(alice, bob)
    assert (held.direction, holding.direction) == (Direction.SENDONLY, Direction.RECVONLY)
    assert holding.is_held_by_remote
    assert not held.is_held_by_remote
    bob.direction = Direction.SENDONLY
    theirs, ours = agree(bob, alice)
    assert theirs.direction is ours.direction is Direction.INACTIVE
    alice.direction = Direction.SENDRECV
    assert agree(alice, bob)[0].direction is Direction.RECVONLY
    bob.direction = Direction.SENDRECV
    assert agree(bob, alice)[0].direction is Direction.SENDRECV


@pytest.mark.parametrize("where", ["0.0.0.0", "::"])
def test_the_unspecified_address_is_hold(where: str) -> None:
    bob = negotiator()
    family = "IP6" if ":" in where else "IP4"
    answer, media = bob.receive_offer(
        described("m=audio 5000 RTP/AVP 0", f"c=IN {family} {where}", "a=sendrecv")
    )
    assert media.remote is None
    assert not media.can_send
    assert media.is_held_by_remote
    assert media.direction is Direction.RECVONLY
    assert b"a=recvonly" in answer


def test_the_version_of_o_grows_only_with_a_change() -> None:
    alice = negotiator()
    offer = alice.create_offer()
    assert alice.create_offer() == offer
    assert version_of(offer) == 1
    alice.receive_answer(described("m=audio 5000 RTP/AVP 0"))
    assert alice.create_offer() == offer
    alice.direction = Direction.SENDONLY
    assert version_of(alice.create_offer()) == 2
    alice.direction = Direction.SENDRECV
    assert version_of(alice.create_offer()) == 3


@pytest.mark.parametrize(
    ("lines", "ptime_ms"),
    [
        ([], 20),
        (["a=ptime:30"], 30),
        (["a=ptime:25"], 20),
        (["a=ptime:5"], 10),
        (["a=ptime:500"], 120),
        (["a=ptime:40", "a=maxptime:30"], 30),
        (["a=maxptime:10"], 10),
        (["a=ptime:x"], 20),
    ],
)
def test_we_send_the_packet_time_the_peer_wants(lines: list[str], ptime_ms: int) -> None:
    _, media = negotiator().receive_offer(described("m=audio 5000 RTP/AVP 0", *lines))
    assert media.ptime_ms == ptime_ms


@pytest.mark.parametrize(
    ("lines", "rtcp"),
    [
        ([], ("198.51.100.2", 5001)),
        (["a=rtcp:6000"], ("198.51.100.2", 6000)),
        (["a=rtcp:6000 IN IP4 192.0.2.99"], ("192.0.2.99", 6000)),
        (["a=rtcp:6000 IN IP4 nonsense"], ("198.51.100.2", 6000)),
        (["a=rtcp:6000 IN IP6 2001:db8::9"], ("198.51.100.2", 6000)),
        (["a=rtcp:x"], ("198.51.100.2", 5001)),
        (["a=rtcp:99999"], ("198.51.100.2", 5001)),
        (["a=rtcp-mux"], ("198.51.100.2", 5001)),
    ],
)
def test_rtcp_goes_where_the_peer_says(lines: list[str], rtcp: tuple[str, int]) -> None:
    answer, media = negotiator().receive_offer(described("m=audio 5000 RTP/AVP 0", *lines))
    assert media.remote_rtcp == rtcp
    assert b"rtcp-mux" not in answer


def test_rtcp_mux_is_used_if_both_want_it() -> None:
    alice, bob = agree(negotiator(rtcp_mux=True), negotiator(local=THERE, rtcp_mux=True))
    assert alice.rtcp_mux
    assert bob.rtcp_mux
    assert alice.remote_rtcp == alice.remote
    alice, bob = agree(negotiator(rtcp_mux=True), negotiator(local=THERE))
    assert not alice.rtcp_mux
    assert not bob.rtcp_mux
    assert alice.remote_rtcp == Address("198.51.100.2", 5001)


def test_an_odd_rtcp_port_of_ours_is_said() -> None:
    ours = Negotiator(AudioCapabilities(), HERE, session_id=1, rtcp_port=4007)
    assert b"a=rtcp:4007\r\n" in ours.create_offer()
    assert (
        b"a=rtcp:" not in Negotiator(AudioCapabilities(), HERE, session_id=1, rtcp_port=4001).create_offer()
    )


def test_ipv6_both_ways() -> None:
    alice, bob = agree(
        negotiator(local=Address("2001:db8::1", 4000)), negotiator(local=Address("2001:db8::2", 5000))
    )
    assert alice.remote == ("2001:db8::2", 5000)
    assert bob.remote == ("2001:db8::1", 4000)


@pytest.mark.parametrize(
    ("offer", "status", "reason"),
    [
        (b"junk", 400, "begins with v=0"),
        (described("m=video 5000 RTP/AVP 31"), 488, "no audio"),
        (described(), 488, "no audio"),
        (described("m=audio 5000 RTP/AVP 9 18"), 488, "no common codec"),
        (described("m=audio 5000 RTP/AVP x 999"), 488, "no common codec"),
        (described("m=audio 5000 RTP/AVP 0", "a=rtpmap:0 G722/8000"), 488, "no common codec"),
        (described("m=audio 5000 RTP/SAVP 0"), 488, "RTP/SAVP"),
        (described("m=audio 0 RTP/AVP 0"), 488, "port 0"),
        (described("m=audio 5000 RTP/AVP 0", host="example.com"), 488, "numeric"),
        (described("m=audio 5000 RTP/AVP 0", host="233.252.0.1/127"), 488, "numeric"),
        (described("m=audio 5000 RTP/AVP 0", host="233.252.0.1"), 488, "multicast"),
        (described("m=audio 5000 RTP/AVP 0", host="2001:db8::2"), 488, "cannot be reached"),
        (described("m=audio 5000 RTP/AVP 0", host="1:2:3"), 400, "IPv6"),
        (described("m=audio 5000 RTP/AVP 0", host="192.0.2.300"), 488, "numeric"),
        (b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nm=audio 5000 RTP/AVP 0\r\n", 400, "no c="),
    ],
)
def test_an_unacceptable_offer_is_refused_and_changes_nothing(offer: bytes, status: int, reason: str) -> None:
    alice, bob = negotiator(), negotiator(local=THERE)
    fresh = negotiator()
    with pytest.raises(NegotiationFailed, match=reason) as caught:
        fresh.receive_offer(offer)
    assert caught.value.status == status
    assert fresh.create_offer() == negotiator().create_offer()
    before = agree(alice, bob)[1]
    if reason != "port 0":  # In a session port 0 only pauses the audio.
        with pytest.raises(NegotiationFailed):
            bob.receive_offer(offer)
        assert bob.negotiated == before


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (described(), "0 media lines"),
        (described("m=audio 5000 RTP/AVP 0", "m=audio 5002 RTP/AVP 0"), "2 media lines"),
        (described("m=video 5000 RTP/AVP 0"), "video"),
        (described("m=audio 5000 RTP/SAVP 0"), "RTP/SAVP"),
        (described("m=audio 0 RTP/AVP 0"), "rejects"),
        (described("m=audio 5000 RTP/AVP 18"), "no common codec"),
        (b"", "v=0"),
    ],
)
def test_an_unusable_answer_is_refused_and_a_better_one_may_follow(answer: bytes, reason: str) -> None:
    alice = negotiator()
    alice.create_offer()
    with pytest.raises(NegotiationFailed, match=reason):
        alice.receive_answer(answer)
    assert alice.negotiated is None
    assert alice.receive_answer(described("m=audio 5000 RTP/AVP 8")).codec is PCMA


def test_an_answer_out_of_the_blue_is_refused() -> None:
    with pytest.raises(NegotiationFailed, match="without an offer"):
        negotiator().receive_answer(described("m=audio 5000 RTP/AVP 0"))


def test_each_branch_of_a_fork_may_answer_the_same_offer() -> None:
    alice = negotiator()
    alice.create_offer()
    early = alice.receive_answer(described("m=audio 5000 RTP/AVP 8"))
    final = alice.receive_answer(described("m=audio 6000 RTP/AVP 0"))
    assert (early.codec, early.remote) == (PCMA, THERE)
    assert (final.codec, final.remote) == (PCMU, Address("198.51.100.2", 6000))
    assert alice.negotiated == final


def test_a_withdrawn_offer_leaves_the_agreement_and_the_next_one_a_new_version() -> None:
    alice, bob = negotiator(), negotiator(local=THERE)
    before, _ = agree(alice, bob)
    alice.direction = Direction.INACTIVE
    refused = alice.create_offer()
    pending = [alice.has_pending_offer]
    alice.withdraw_offer()
    assert [*pending, alice.has_pending_offer] == [True, False]
    assert alice.negotiated == before
    with pytest.raises(NegotiationFailed):
        alice.receive_answer(described("m=audio 5000 RTP/AVP 0"))
    alice.direction = Direction.SENDRECV
    assert version_of(alice.create_offer()) == version_of(refused) + 1


def test_audio_switched_off_in_a_session_pauses_it_and_comes_back() -> None:
    bob = negotiator()
    bob.receive_offer(described("m=audio 5000 RTP/AVP 0"))
    answer, media = bob.receive_offer(described("m=audio 0 RTP/AVP 0"))
    assert SessionDescription.parse(answer).media[0].port == 0
    assert media.remote is None
    assert media.direction is Direction.INACTIVE
    _, media = bob.receive_offer(described("m=audio 5000 RTP/AVP 0"))
    assert media.can_send


def test_audio_may_move_to_another_line_when_its_own_is_switched_off() -> None:
    bob = negotiator()
    bob.receive_offer(described("m=audio 5000 RTP/AVP 0"))
    answer, media = bob.receive_offer(described("m=audio 0 RTP/AVP 0", "m=audio 6000 RTP/AVP 0"))
    assert [line.port for line in SessionDescription.parse(answer).media] == [0, 4000]
    assert media.remote == Address("198.51.100.2", 6000)


CODECS = st.permutations([PCMU, PCMA, L16_8K, L16_16K]).flatmap(
    lambda order: st.integers(2, 4).map(lambda n: tuple(order[:n]))
)
CAPABILITIES = st.builds(
    AudioCapabilities,
    codecs=CODECS,
    ptime_ms=st.sampled_from([10, 20, 40]),
    telephone_event=st.booleans(),
    comfort_noise=st.booleans(),
    prefer_ours=st.booleans(),
    answer_all=st.booleans(),
    rtcp_mux=st.booleans(),
)


@settings(deadline=None)
@given(CAPABILITIES, CAPABILITIES, st.lists(st.tuples(st.booleans(), st.sampled_from(Direction)), max_size=6))
def test_after_any_number_of_offers_either_way_both_sides_mean_the_same(
    ours: AudioCapabilities, theirs: AudioCapabilities, wishes: list[tuple[bool, Direction]]
) -> None:
    alice = Negotiator(ours, HERE, session_id=1)
    bob = Negotiator(theirs, THERE, session_id=2)
    for is_ours, wish in [(True, Direction.SENDRECV), *wishes]:
        offerer, answerer = (alice, bob) if is_ours else (bob, alice)
        offerer.direction = wish
        try:
            agree(offerer, answerer)
        except NegotiationFailed as failure:
            assert not {*ours.codecs} & {*theirs.codecs}, failure  # noqa: PT017
            return
        one, other = alice.negotiated, bob.negotiated
        assert one is not None
        assert other is not None
        assert one.codec == other.codec
        assert one.direction is other.direction.reversed
        assert (one.send_payload_type, one.receive_payload_type) == (
            other.receive_payload_type,
            other.send_payload_type,
        )
        assert one.dtmf_send_payload_type == other.dtmf_receive_payload_type
        assert one.cn_receive_payload_type == other.cn_send_payload_type
        assert one.rtcp_mux == other.rtcp_mux
        assert (one.remote, other.remote) == (THERE, HERE)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_answered_or_refused(data: bytes, is_answer: bool) -> None:
    ours = negotiator()
    ours.create_offer()
    take: Callable[[bytes], object] = ours.receive_answer if is_answer else ours.receive_offer
    for attempt in (data, described() + data, described("m=audio 5000 RTP/AVP 0") + data):
        outcome: object
        try:
            outcome = take(attempt)
        except NegotiationFailed as failure:
            outcome = failure.status
        assert outcome in (400, 488) or ours.negotiated is not None


_FRAGMENTS = [
    b"\r\n",
    b"a=",
    b"m=audio 0 RTP/AVP 0\r\n",
    b"c=IN IP4 0.0.0.0\r\n",
    b"9" * 11,
    b"\0",
    b"-1",
    b" ",
    b"::",
    b"/",
]
DAMAGE = st.tuples(st.floats(0, 1), st.integers(0, 8), st.sampled_from(_FRAGMENTS) | st.binary(max_size=3))


@settings(deadline=None)
@given(st.lists(DAMAGE, min_size=1, max_size=5))
def test_a_damaged_offer_is_answered_with_a_readable_description_or_refused(
    damage: list[tuple[float, int, bytes]],
) -> None:
    offer = described(
        "m=video 0 RTP/AVP 31",
        "m=audio 5000 RTP/AVP 111 97 13 0",
        "a=rtpmap:111 L16/16000",
        "a=rtpmap:97 telephone-event/16000",
        "a=rtcp:6000 IN IP4 192.0.2.9",
        "a=ptime:20",
        "a=sendonly",
    )
    for place, removed, put in damage:
        at = round(place * len(offer))
        offer = offer[:at] + put + offer[at + removed :]
    ours = negotiator(PCMU, L16_16K, comfort_noise=True, rtcp_mux=True)
    try:
        answer, media = ours.receive_offer(offer)
    except NegotiationFailed:
        assert ours.negotiated is None
        return
    assert ours.negotiated == media
    assert len(SessionDescription.parse(answer).media) == len(SessionDescription.parse(offer).media)
    assert SessionDescription.parse(ours.create_offer()).media


# -- another party's description in the terms of this session --------------------------------------

_OTHER = (
    b"v=0\r\no=bob 77 3 IN IP4 198.51.100.9\r\ns=Phone\r\nc=IN IP4 198.51.100.9\r\nb=AS:64\r\nt=0 0\r\n"
    b"a=ice-lite\r\nm=video 7000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
    b"m=audio 6000 RTP/AVP 8 101\r\nc=IN IP4 198.51.100.10\r\na=rtpmap:8 PCMA/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=candidate:1 1 UDP 1 x 1\r\n"
    b"a=sendonly\r\n"
)


def _established() -> Negotiator:
    negotiator = Negotiator(AudioCapabilities(), Address("192.0.2.1", 4000), session_id=5)
    offer = negotiator.create_offer()
    negotiator.receive_answer(offer.replace(b"192.0.2.1", b"192.0.2.2"))
    return negotiator


def test_another_partys_audio_is_described_in_this_session() -> None:
    negotiator = _established()
    agreed = negotiator.negotiated
    text = negotiator.describe_other(_OTHER).decode()
    assert text == (
        "v=0\r\no=- 5 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 198.51.100.10\r\nt=0 0\r\n"
        "m=audio 6000 RTP/AVP 8 101\r\nc=IN IP4 198.51.100.10\r\na=rtpmap:8 PCMA/8000\r\n"
        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendonly\r\n"
    )
    assert negotiator.negotiated is agreed, "it stands until we speak for ourselves again"
    assert negotiator.describe_other(_OTHER).decode() == text, "the same again is the same version"
    assert b"o=- 5 3 " in negotiator.create_offer()


def test_as_an_answer_it_has_the_media_lines_of_the_offer() -> None:
    negotiator = _established()
    offer = (
        b"v=0\r\no=a 1 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n"
        b"m=audio 4100 RTP/AVP 0\r\nm=image 4102 udptl t38\r\n"
    )
    lines = [line for line in negotiator.describe_other(_OTHER, offer).split(b"\r\n") if line[:2] == b"m="]
    assert lines == [b"m=audio 6000 RTP/AVP 8 101", b"m=image 0 udptl t38"]
    later = [line[:8] for line in negotiator.create_offer().split(b"\r\n") if line[:2] == b"m="]
    assert later == [b"m=audio ", b"m=image "], "RFC 3264 §8: lines stay"


@pytest.mark.parametrize(
    "sdp",
    [
        b"nonsense",
        _OTHER.replace(b"m=audio", b"m=text"),
        _OTHER.replace(b"RTP/AVP 8", b"RTP/SAVP 8"),
        _OTHER.replace(b"c=IN IP4 198.51.100.10\r\n", b"").replace(b"c=IN IP4 198.51.100.9\r\n", b""),
    ],
    ids=["malformed", "no audio", "encrypted audio", "no address"],
)
def test_what_cannot_be_described_is_refused_and_changes_nothing(sdp: bytes) -> None:
    negotiator = _established()
    before = negotiator.create_offer()
    with pytest.raises(NegotiationFailed):
        negotiator.describe_other(sdp)
    assert negotiator.create_offer() == before


def test_an_offer_without_audio_cannot_be_answered_with_it() -> None:
    offer = (
        b"v=0\r\no=a 1 2 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\nm=video 1 RTP/AVP 9\r\n"
    )
    with pytest.raises(NegotiationFailed, match="no audio"):
        _established().describe_other(_OTHER, offer)
