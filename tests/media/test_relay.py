"""The relay's arithmetic: the fast one and the readable one, same tests, equal packet for packet."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from media.codecs import L16_8K, PCMA, PCMU, CodecSpec, ulaw_to_alaw
from media.negotiate import Address, NegotiatedMedia
from media.port import RtpPort
from media.relay import Relay, translation
from media.relay_plain import PlainRelay
from media.rtp import Sending
from media.sdp import Direction
from media.transports import PacketHandler, SocketAddress

BOTH = pytest.mark.parametrize("kind", [Relay, PlainRelay])


class Outbox:
    """A `PacketTransport` that keeps what is sent."""

    def __init__(self) -> None:
        self.port = 4000
        self.sent: list[bytes] = []

    def open(self, on_rtp: PacketHandler, on_rtcp: PacketHandler) -> None:
        self.on_rtp = on_rtp

    def send_rtp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        self.sent.append(bytes(packet))
        return True

    def send_rtcp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        return True

    def close(self) -> None: ...


def agreement(codec: CodecSpec, *, dtmf: int | None = 101, noise: int | None = None) -> NegotiatedMedia:
    number = codec.static_payload_type or 0
    return NegotiatedMedia(
        remote=Address("192.0.2.1", 5000),
        remote_rtcp=Address("192.0.2.1", 5001),
        codec=codec,
        send_payload_type=number,
        receive_payload_type=number,
        receive_codecs=((number, codec),),
        direction=Direction.SENDRECV,
        remote_direction=Direction.SENDRECV,
        ptime_ms=20,
        dtmf_send_payload_type=dtmf,
        dtmf_receive_payload_type=dtmf,
        cn_send_payload_type=noise,
        cn_receive_payload_type=noise,
    )


class Sent:
    """One packet that came out."""

    def __init__(self, data: bytes) -> None:
        self.first, second, self.sequence, self.timestamp, self.ssrc = struct.unpack_from(">BBHII", data)
        self.payload_type, self.marker, self.payload = second & 0x7F, bool(second & 0x80), data[12:]


class Line:
    """A relay between two ports; packets are pushed in at chosen times and looked at as they come out."""

    def __init__(
        self, kind: type[Relay], heard: NegotiatedMedia | None = None, said: NegotiatedMedia | None = None
    ) -> None:
        self.inbox, self.outbox = Outbox(), Outbox()
        self.source, self.target = self._port(self.inbox), self._port(self.outbox)
        heard, said = heard or agreement(PCMU), said or agreement(PCMU)
        self.source.configure(heard, 0.0)
        self.target.configure(said, 0.0)
        self.target.sending = Sending(rng=random.Random(7))
        self.observed: list[int] = []
        self.relay = kind(self.source, self.target, heard, said, self._observe)

    @staticmethod
    def _port(transport: Outbox) -> RtpPort:
        return RtpPort(transport, on_latched=lambda source, at: None, on_goodbye=lambda at: None)

    def _observe(
        self, buffer: bytearray, start: int, end: int, marked: int, sequence: int, timestamp: int, at: float
    ) -> None:
        self.observed.append(marked & 0x7F)

    def push(
        self,
        sequence: int,
        *,
        at: float | None = None,
        payload_type: int = 0,
        payload: bytes = b"\xff" * 160,
        marker: bool = False,
        ssrc: int = 5,
        timestamp: int | None = None,
    ) -> Sent | None:
        at = sequence * 0.02 if at is None else at
        timestamp = sequence * 160 if timestamp is None else timestamp
        buffer = bytearray(b"\0" * 12 + payload)
        before = len(self.outbox.sent)
        if self.source.reception.packet(ssrc, sequence & 0xFFFF, timestamp, len(payload), at):
            marked = payload_type | marker << 7
            timestamp &= 0xFFFFFFFF
            self.relay.packet(buffer, 12, len(buffer), marked, sequence & 0xFFFF, timestamp, at)
        sent = self.outbox.sent[before:]
        return Sent(sent[0]) if sent else None

    def must(self, sequence: int, at: float | None = None, **how: int) -> Sent:
        sent = self.push(sequence, at=at, **how)  # type: ignore[arg-type]
        assert sent is not None
        return sent


@BOTH
def test_the_stream_goes_on_after_other_audio_by_the_time_that_passed(kind: type[Relay]) -> None:
    line = Line(kind)
    sending = line.target.sending
    timestamp = sending.anchor("ringback", 0.0)
    line.target.send("ringback", b"\xff" * 160, 0, timestamp, 0.0)
    last = Sent(line.outbox.sent[-1])
    first = line.must(500, at=1.0)
    assert first.marker
    assert first.sequence == (last.sequence + 1) & 0xFFFF
    assert first.timestamp == (last.timestamp + 8000) & 0xFFFFFFFF
    assert first.ssrc == last.ssrc
    assert not line.must(501, at=1.02).marker


@BOTH
def test_sequence_and_timestamp_wrap_cleanly(kind: type[Relay]) -> None:
    line = Line(kind)
    packets = [line.must(number) for number in range(65500, 65600)]
    pairs = list(zip(packets, packets[1:], strict=False))  # noqa: RUF007 - both fields of a pair are compared
    assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairs)
    assert all((b.timestamp - a.timestamp) & 0xFFFFFFFF == 160 for a, b in pairs)


@BOTH
def test_a_jump_of_the_source_is_not_seen_behind_it(kind: type[Relay]) -> None:
    line = Line(kind)
    before = line.must(10)
    assert line.push(30000, at=0.22, timestamp=7) is None
    after = line.must(30001, at=0.24, timestamp=167)
    assert after.sequence == (before.sequence + 1) & 0xFFFF
    assert after.timestamp == (before.timestamp + round(0.04 * 8000)) & 0xFFFFFFFF


@BOTH
def test_a_packet_from_before_the_take_over_is_left_out(kind: type[Relay]) -> None:
    line = Line(kind)
    line.target.send("ringback", b"\xff" * 160, 0, line.target.sending.anchor("ringback", 0.0), 0.0)
    line.must(500)
    assert line.push(499) is None
    assert line.must(501).payload == b"\xff" * 160


@BOTH
def test_noise_nobody_agreed_on_is_left_out_without_a_gap(kind: type[Relay]) -> None:
    line = Line(kind, agreement(PCMU, noise=13), agreement(PCMU))
    before = line.must(1)
    assert line.push(2, payload_type=13, payload=b"\x40") is None
    assert line.must(3).sequence == (before.sequence + 1) & 0xFFFF
    assert line.observed == [13]


@BOTH
def test_agreed_noise_crosses_untranslated(kind: type[Relay]) -> None:
    line = Line(kind, agreement(PCMU, noise=13), agreement(PCMA, noise=13))
    line.push(1)
    noise = line.push(2, payload_type=13, payload=b"\x40")
    assert noise is not None
    assert (noise.payload_type, noise.payload) == (13, b"\x40")


@BOTH
def test_payloads_are_translated_between_the_two_laws(kind: type[Relay]) -> None:
    line = Line(kind, agreement(PCMU), agreement(PCMA))
    sent = line.push(1, payload=bytes(range(256)))
    assert sent is not None
    assert sent.payload_type == 8
    assert sent.payload == ulaw_to_alaw(bytes(range(256)))


@BOTH
@pytest.mark.parametrize("said", [PCMU, PCMA])
def test_a_peer_that_changes_among_the_codecs_of_its_answer_is_heard_all_the_same(
    kind: type[Relay], said: CodecSpec
) -> None:
    heard = structs.replace(agreement(PCMU), receive_codecs=((0, PCMU), (8, PCMA)))
    line = Line(kind, heard, agreement(said))
    payload = bytes(range(256))
    for number, codec in enumerate((PCMU, PCMA, PCMA, PCMU)):
        sent = line.push(number, payload_type=codec.static_payload_type or 0, payload=payload)
        assert sent is not None
        assert sent.payload_type == said.static_payload_type
        translate = translation(codec, said)
        assert sent.payload == (payload if translate is None else translate(bytearray(payload)))
    assert line.observed == []


@BOTH
def test_a_left_out_packet_that_comes_late_or_twice_costs_no_number(kind: type[Relay]) -> None:
    line = Line(kind, agreement(PCMU, noise=13), agreement(PCMU))
    before = line.must(1)
    for number in (2, 2):
        assert line.push(number, payload_type=13, payload=b"\x40") is None
    assert line.must(4).sequence == (before.sequence + 2) & 0xFFFF  # number 3 is still on its way
    assert line.push(3, payload_type=13, payload=b"\x40") is None
    assert line.must(5).sequence == (before.sequence + 3) & 0xFFFF


@BOTH
def test_a_taken_or_absent_target_gets_nothing(kind: type[Relay]) -> None:
    line = Line(kind)
    line.target.is_taken = True
    assert line.push(1) is None
    line.target.is_taken = False
    line.target.remote = None
    assert line.push(2) is None
    assert line.target.sending.packets == 0


@BOTH
def test_audio_is_shown_only_while_watched(kind: type[Relay]) -> None:
    line = Line(kind)
    line.push(1)
    assert line.observed == []
    line.source.is_watched = True
    line.push(2)
    assert line.observed == [0]


@BOTH
def test_what_cannot_be_translated_is_refused(kind: type[Relay]) -> None:
    with pytest.raises(ValueError, match="cannot be relayed"):
        Line(kind, agreement(PCMU), agreement(L16_8K))


Steps = st.lists(
    st.tuples(
        st.sampled_from([-3, -1, 0, 1, 1, 1, 1, 2, 5, 400, 30000]),
        st.sampled_from([0, 0, 0, 0, 101, 13, 77]),
        st.booleans(),
        st.sampled_from([5, 5, 5, 5, 6]),
        st.sampled_from(["", "", "", "", "taken", "free", "watched", "speech"]),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(Steps, st.integers(0, 65535), st.sampled_from([(PCMU, PCMU), (PCMU, PCMA), (PCMA, PCMU)]))
def test_both_relays_are_equal_packet_for_packet(
    steps: list[tuple[int, int, bool, int, str]], first: int, codecs: tuple[CodecSpec, CodecSpec]
) -> None:
    other = PCMA if codecs[0] == PCMU else PCMU
    heard, said = agreement(codecs[0], noise=13), agreement(codecs[1], dtmf=96)
    heard = structs.replace(heard, receive_codecs=(*heard.receive_codecs, (77, other)))
    lines = [Line(kind, heard, said) for kind in (Relay, PlainRelay)]
    audio = heard.receive_payload_type
    for line in lines:
        sequence, at = first, 0.0
        for step, payload_type, marker, ssrc, change in steps:
            sequence, at = sequence + step, at + 0.02
            line.target.is_taken = (line.target.is_taken or change == "taken") and change != "free"
            line.source.is_watched = change == "watched"
            if change == "speech":
                timestamp = line.target.sending.anchor("speech", at)
                line.target.send("speech", b"\xd5" * 160, said.send_payload_type, timestamp, at)
            number = payload_type or audio
            line.push(
                sequence,
                at=at,
                payload_type=number,
                payload=bytes([step & 0xFF]) * 8,
                marker=marker,
                ssrc=ssrc,
            )
    assert lines[0].outbox.sent == lines[1].outbox.sent
    assert lines[0].observed == lines[1].observed
    assert lines[0].target.sending.packets == lines[1].target.sending.packets
