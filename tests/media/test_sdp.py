"""Session descriptions as real devices write them, and as nobody should."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.sdp import (
    MAX_SDP_BYTES,
    Connection,
    Direction,
    MediaDescription,
    Origin,
    RtpMap,
    SdpError,
    SessionDescription,
)

USUAL = (
    b"v=0\r\no=alice 2890844526 2890844527 IN IP4 192.0.2.10\r\ns=call\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
    b"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\n"
)
FULL = SessionDescription(
    origin=Origin("1", "2", "2001:db8::1", "bob", "IP6"),
    name="a call",
    connection=Connection("2001:db8::1", "IP6"),
    bandwidths=("AS:84", "CT:128"),
    times=("0 0", "1 2"),
    attributes=(("group", "BUNDLE 0 1"), ("ice-lite", None), ("sendonly", None), ("x-empty", "")),
    media=(
        MediaDescription(
            kind="audio",
            port=4000,
            protocol="UDP/TLS/RTP/SAVPF",
            formats=("0", "96"),
            connection=Connection("198.51.100.7"),
            bandwidths=("TIAS:64000",),
            attributes=(
                ("crypto", "1 AES_CM_128_HMAC_SHA1_80 inline:abc"),
                ("fingerprint", "sha-256 AB:CD"),
                ("candidate", "1 1 UDP 2130706431 192.0.2.1 4000 typ host"),
                ("candidate", "2 1 UDP 1694498815 198.51.100.7 4000 typ srflx"),
                ("inactive", None),
            ),
            extra=("i=the voice",),
        ),
        MediaDescription("video", 0, "RTP/AVP", ("31",)),
        MediaDescription("application", 9, "UDP/DTLS/SCTP", ("webrtc-datachannel",), port_count=2),
    ),
    extra=("i=about", "u=https://example.com/", "e=bob@example.com", "z=0 0", "k=prompt"),
)


def test_the_usual_offer_is_read() -> None:
    session = SessionDescription.parse(USUAL)
    (audio,) = session.media
    assert session.origin == Origin("2890844526", "2890844527", "192.0.2.10", "alice")
    assert session.connection_of(audio) == Connection("192.0.2.10")
    assert (audio.kind, audio.port, audio.protocol) == ("audio", 49170, "RTP/AVP")
    assert audio.formats == ("8", "0", "101")
    assert audio.rtpmaps()[101] == RtpMap(101, "telephone-event", 8000)
    assert audio.fmtp(101) == "0-15"
    assert audio.fmtp(0) == ""
    assert (audio.ptime_ms, audio.max_ptime_ms) == (20, 150)
    assert session.direction_of(audio) is Direction.SENDRECV


def test_reading_and_writing_are_inverse() -> None:
    assert SessionDescription.parse(USUAL).to_bytes() == USUAL
    assert SessionDescription.parse(FULL.to_bytes()) == FULL


def test_media_level_wins_over_session_level() -> None:
    session = SessionDescription.parse(FULL.to_bytes())
    audio, video, _ = session.media
    assert session.connection_of(audio) == Connection("198.51.100.7")
    assert session.connection_of(video) == Connection("2001:db8::1", "IP6")
    assert session.direction_of(audio) is Direction.INACTIVE
    assert session.direction_of(video) is Direction.SENDONLY
    assert video.is_rejected
    assert session.attribute_of(audio, "fingerprint") == "sha-256 AB:CD"
    assert session.attribute_of(audio, "group") == "BUNDLE 0 1"
    assert session.attribute_of(audio, "setup") is None
    assert session.attribute("ice-lite") == ""
    assert len(list(audio.attributes_named("candidate"))) == 2
    assert list(session.attributes_named("group")) == ["BUNDLE 0 1"]


@pytest.mark.parametrize(
    "change",
    [
        lambda sdp: sdp.replace(b"\r\n", b"\n"),
        lambda sdp: sdp.replace(b"\r\n", b"\r"),
        lambda sdp: sdp.removesuffix(b"\r\n"),
        lambda sdp: sdp + b"\r\n\r\n",
        lambda sdp: sdp + b"\0\0\0",
        lambda sdp: sdp.removesuffix(b"\r\n") + b"\0",
        lambda sdp: sdp + b"--boundary42--\r\n",
        lambda sdp: sdp.replace(b"\r\nm=", b"\r\n\r\nm="),
        lambda sdp: sdp.replace(b"a=sendrecv\r\n", b"a=sendrecv \r\n"),
        lambda sdp: sdp.replace(b"m=audio 49170 ", b"m=audio  49170/1 "),
    ],
    ids=[
        "LF",
        "CR",
        "unended",
        "blank lines",
        "NULs",
        "unended and NUL",
        "boundary",
        "blank inside",
        "blank behind",
        "spaces",
    ],
)
def test_harmless_damage_changes_nothing(change: Callable[[bytes], bytes]) -> None:
    assert SessionDescription.parse(change(USUAL)) == SessionDescription.parse(USUAL)


def test_left_out_lines_and_strange_names_are_forgiven() -> None:
    session = SessionDescription.parse(b"v=0\no=My Phone v2 x-1 y IN IP4 192.0.2.1\nm=audio 5004 RTP/AVP 0\n")
    assert session.origin == Origin("x-1", "y", "192.0.2.1", "My Phone v2")
    assert (session.name, session.times) == ("-", ("0 0",))
    assert session.connection_of(session.media[0]) is None


def test_unknown_lines_and_text_that_is_not_utf8_survive() -> None:
    data = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=caf\xe9\r\ny=new\r\nt=0 0\r\na=x:\xff\r\nm=text 9 x 0\r\n"
    assert SessionDescription.parse(data).to_bytes() == data


def test_unreadable_attributes_count_as_absent() -> None:
    head = b"v=0\no=- 1 1 IN IP4 192.0.2.1\nm=audio 9 RTP/AVP 0\n"
    for line in (b"a=rtpmap:x PCMU/8000", b"a=rtpmap:0", b"a=rtpmap:0 PCMU/x", b"a=rtpmap:200 PCMU/8000"):
        assert SessionDescription.parse(head + line).media[0].rtpmaps() == {}
    for line in (b"a=ptime", b"a=ptime:", b"a=ptime:x", b"a=ptime:-20", b"a=ptime:0", b"a=ptime:99999999999"):
        assert SessionDescription.parse(head + line).media[0].ptime_ms is None
    assert SessionDescription.parse(head + b"a=ptime:2.5").media[0].ptime_ms == 2.5
    assert SessionDescription.parse(head + b"a=rtpmap:96 opus/48000/2").media[0].rtpmaps()[96].channels == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "begins with v=0"),
        (b"v=1\r\n", "begins with v=0"),
        (b"o=- 1 1 IN IP4 192.0.2.1\r\nv=0\r\n", "begins with v=0"),
        (b"v=0\r\ns=-\r\n", "no o= line"),
        (b"v=0\r\no=- 1 1\r\n", "o= has fewer"),
        (USUAL.replace(b"s=call", b"s=call\r\ns=again"), "second s="),
        (USUAL.replace(b"c=IN IP4 192.0.2.10", b"c=192.0.2.10"), "c= is not"),
        (USUAL.replace(b"m=audio 49170 ", b"m=audio 70000 "), "port of m="),
        (USUAL.replace(b"m=audio 49170 ", b"m=audio -1 "), "port of m="),
        (USUAL.replace(b"49170", "٤٩".encode()), "port of m="),
        (USUAL.replace(b"49170", b"9" * 5000), "port of m="),
        (USUAL.replace(b"m=audio 49170 RTP/AVP 8 0 101", b"m=audio 49170"), "m= has fewer"),
        (USUAL.replace(b"s=call", b"nonsense"), "line 3 is not"),
        (USUAL.replace(b"s=call", b"s=ca\0ll"), "line 3 is not"),
    ],
)
def test_what_cannot_be_read_is_refused_with_400_and_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(SdpError, match=reason) as caught:
        SessionDescription.parse(data)
    assert caught.value.status == 400


@pytest.mark.parametrize("data", [USUAL + b"a=x\r\n" * 3000, USUAL + b"a=" + b"x" * MAX_SDP_BYTES])
def test_a_huge_description_is_refused_with_488(data: bytes) -> None:
    with pytest.raises(SdpError) as caught:
        SessionDescription.parse(data)
    assert caught.value.status == 488


@pytest.mark.parametrize("text", ["a\r\nm=audio 1 RTP/AVP 0", "a\nb", "a\rb", "a\0b"])
def test_nothing_can_be_injected_into_a_line(text: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        SessionDescription(Origin("1", "1", "192.0.2.1"), name=text).to_bytes()


def test_directions_are_an_algebra() -> None:
    for one in Direction:
        assert one.reversed.reversed is one
        assert one & Direction.SENDRECV is one
        assert one & Direction.INACTIVE is Direction.INACTIVE
        for other in Direction:
            assert (one & other).reversed is one.reversed & other.reversed
    assert Direction.SENDONLY & Direction.RECVONLY is Direction.INACTIVE
    assert Direction.SENDONLY.reversed is Direction.RECVONLY


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_give_a_description_or_an_sdp_error(data: bytes) -> None:
    for attempt in (data, b"v=0\r\n" + data, b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + data):
        try:
            outcome: SessionDescription | SdpError = SessionDescription.parse(attempt)
        except SdpError as error:
            outcome = error
        assert isinstance(outcome, SessionDescription) or outcome.status in (400, 488)


LINES = st.sampled_from(
    [line + b"\r\n" for line in FULL.to_bytes().split(b"\r\n") if line] + [b"\r\n", b"c=x\n"]
)
_TYPES = st.sampled_from([bytes([letter]) for letter in b"acmbtsoikrz"])
NOISE = st.builds(lambda letter, rest: letter + b"=" + rest + b"\r\n", _TYPES, st.binary(max_size=30))


@settings(deadline=None)
@given(st.lists(LINES | NOISE, max_size=20))
def test_what_was_read_can_be_written_and_read_again_unchanged(lines: list[bytes]) -> None:
    try:
        session = SessionDescription.parse(b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n" + b"".join(lines))
    except SdpError:
        return
    # The first writing may move unknown lines to their place in the RFC's order; then nothing moves any more.
    written = session.to_bytes()
    again = SessionDescription.parse(written)
    assert again.to_bytes() == written
    assert again.media == session.media
    assert again.attributes == session.attributes


@settings(deadline=None)
@given(
    name=st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1),
    attributes=st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True),
            st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")),
        )
    ),
    port=st.integers(0, 65535),
    formats=st.lists(st.integers(0, 127).map(str), min_size=1),
)
def test_every_description_survives_writing_and_reading(
    name: str, attributes: list[tuple[str, str | None]], port: int, formats: list[str]
) -> None:
    session = SessionDescription(
        Origin("7", "8", "192.0.2.1"),
        name=name,
        attributes=tuple(attributes),
        media=(MediaDescription("audio", port, "RTP/AVP", tuple(formats), attributes=tuple(attributes)),),
    )
    assert SessionDescription.parse(session.to_bytes()) == session
