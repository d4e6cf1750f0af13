"""A port without a network: nothing received raises, everything is counted, reports find their way."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.codecs import PCMU
from media.negotiate import Address, NegotiatedMedia
from media.port import RtpPort, socket_address
from media.rtcp import ReportBlock, SenderInfo, build_report, parse_compound
from media.sdp import Direction
from media.transports import PacketHandler, SocketAddress

PEER: SocketAddress = ("192.0.2.1", 5000)
PEER_RTCP: SocketAddress = ("192.0.2.1", 5001)
STRANGER: SocketAddress = ("203.0.113.9", 5000)


SIGNALLED = Address("192.0.2.1", 5000)


def agreement(*, mux: bool = False, remote: Address | None = SIGNALLED) -> NegotiatedMedia:
    return NegotiatedMedia(
        remote=remote,
        remote_rtcp=Address("192.0.2.7", 7001) if remote else None,
        codec=PCMU,
        send_payload_type=0,
        receive_payload_type=0,
        receive_codecs=((0, PCMU),),
        direction=Direction.SENDRECV,
        remote_direction=Direction.SENDRECV,
        ptime_ms=20,
        dtmf_send_payload_type=101,
        dtmf_receive_payload_type=101,
        rtcp_mux=mux,
    )


class Network:
    """A `PacketTransport` without one: what is sent is kept, what arrives is pushed by the test."""

    def __init__(self, *, mux: bool = False) -> None:
        self.port = 4000
        self.rtp: list[tuple[bytes, SocketAddress]] = []
        self.rtcp: list[tuple[bytes, SocketAddress]] = []
        self.heard: list[tuple[int, bytes]] = []
        self.latched: list[SocketAddress] = []
        self.goodbyes: list[float] = []
        self.buffer = bytearray(4096)
        self.wall = 1700000000.0
        self.rtp_port = RtpPort(
            self,
            on_latched=lambda source, at: self.latched.append(source),
            on_goodbye=self.goodbyes.append,
            cname="abc",
            wall_utc=lambda: self.wall,
        )
        self.rtp_port.sink = self._sink
        self.rtp_port.configure(agreement(mux=mux), 0.0)

    def open(self, on_rtp: PacketHandler, on_rtcp: PacketHandler) -> None:
        self.on_rtp, self.on_rtcp = on_rtp, on_rtcp

    def send_rtp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        self.rtp.append((bytes(packet), remote))
        return True

    def send_rtcp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        self.rtcp.append((bytes(packet), remote))
        return True

    def close(self) -> None: ...

    def arrive(self, data: bytes, source: SocketAddress = PEER, *, rtcp: bool = False) -> None:
        self.buffer[: len(data)] = data
        (self.on_rtcp if rtcp else self.on_rtp)(self.buffer, len(data), source)

    def _sink(
        self, buffer: bytearray, start: int, end: int, marked: int, sequence: int, timestamp: int, at: float
    ) -> None:
        assert start >= 12
        self.heard.append((marked, bytes(buffer[start:end])))


def packet(sequence: int, payload_type: int = 0, payload: bytes = b"abc", ssrc: int = 9) -> bytes:
    return struct.pack(">BBHII", 0x80, payload_type, sequence & 0xFFFF, sequence * 160, ssrc) + payload


Datagrams = st.lists(
    st.tuples(
        st.one_of(
            st.binary(max_size=40),
            st.builds(packet, st.integers(0, 70000), st.sampled_from([0, 0, 101, 13, 72, 200])),
        ),
        st.sampled_from([PEER, PEER, STRANGER, ("192.0.2.1", 6000)]),
        st.booleans(),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(Datagrams, st.booleans())
def test_nothing_received_raises_and_every_rtp_datagram_is_counted_once(
    datagrams: list[tuple[bytes, SocketAddress, bool]], mux: bool
) -> None:
    network = Network(mux=mux)
    for data, source, rtcp in datagrams:
        network.arrive(data, source, rtcp=rtcp)
    statistics = network.rtp_port.statistics()
    assert statistics.packets_received == len(network.heard)
    counted = statistics.packets_received + statistics.malformed + statistics.strangers
    assert counted <= len(datagrams)
    assert statistics.lost >= 0


def test_a_packet_reaches_the_sink_with_its_payload() -> None:
    network = Network()
    network.arrive(packet(1, 0x80 | 101, b"\5\0\0\xa0"))
    assert network.heard == [(0x80 | 101, b"\5\0\0\xa0")]
    assert network.latched == [PEER]


def test_the_report_goes_to_the_address_of_the_sdp_until_the_peers_own_is_seen() -> None:
    network = Network()
    network.arrive(packet(1))
    network.rtp_port.report(1.0)
    assert network.rtcp[-1][1] == ("192.0.2.7", 7001)
    network.arrive(build_report(9, "x"), PEER_RTCP, rtcp=True)
    network.rtp_port.report(2.0)
    assert network.rtcp[-1][1] == PEER_RTCP


def test_multiplexed_reports_use_the_rtp_port_both_ways() -> None:
    network = Network(mux=True)
    network.arrive(packet(1))
    network.arrive(build_report(9, "x", is_goodbye=True))
    assert len(network.goodbyes) == 1
    network.rtp_port.report(1.0)
    assert network.rtcp == []
    assert network.rtp[-1][1] == PEER


def test_reports_of_strangers_are_not_believed() -> None:
    network = Network()
    network.arrive(packet(1))
    network.arrive(build_report(9, "x", is_goodbye=True), STRANGER, rtcp=True)
    assert network.goodbyes == []
    assert network.rtp_port.statistics().strangers == 1


def test_what_is_no_report_is_counted_as_malformed() -> None:
    network = Network()
    network.arrive(packet(1))
    network.arrive(b"\x80", PEER_RTCP, rtcp=True)
    assert network.rtp_port.statistics().malformed == 1


def test_a_report_tells_when_the_peers_last_one_came() -> None:
    network = Network()
    network.arrive(packet(1))
    sender = SenderInfo(ntp=0x11112222_33334444, timestamp=0, packets=1, octets=160)
    network.arrive(build_report(9, "x", sender=sender), PEER_RTCP, rtcp=True)
    network.rtp_port.report(network.rtp_port.last_heard_at + 2.5)
    received = parse_compound(network.rtcp[-1][0])
    assert received is not None
    (block,) = received.blocks
    assert block.last_sr == 0x22223333
    assert block.delay / 65536 == pytest.approx(2.5, abs=0.2)


def test_a_peer_that_nat_put_on_the_last_port_gets_no_reports_until_it_sends_some() -> None:
    network = Network()
    last: SocketAddress = ("198.51.100.7", 65535)
    network.arrive(packet(1), last)
    network.arrive(packet(2), last)
    network.rtp_port.report(1e9)
    assert network.rtp_port.remote == last
    assert network.rtcp == []
    network.arrive(build_report(9, "x"), ("198.51.100.7", 40001), rtcp=True)
    network.rtp_port.report(1e9)
    assert [address for _, address in network.rtcp] == [("198.51.100.7", 40001)]


def test_the_goodbye_of_another_source_ends_nothing() -> None:
    network = Network()
    network.arrive(packet(1, ssrc=9))
    network.arrive(build_report(77, "x", is_goodbye=True), PEER_RTCP, rtcp=True)
    assert network.goodbyes == []
    network.arrive(build_report(9, "x", is_goodbye=True), PEER_RTCP, rtcp=True)
    assert len(network.goodbyes) == 1


def test_a_report_block_names_no_sender_report_of_a_source_before_this_one() -> None:
    network = Network()
    network.arrive(packet(1, ssrc=9))
    sender = SenderInfo(0x1234567800000000, 0, 1, 1)
    network.arrive(build_report(9, "x", sender=sender), PEER_RTCP, rtcp=True)
    last_srs = []
    for ssrc in (9, 10):
        network.arrive(packet(2, ssrc=ssrc))
        network.rtp_port.report(1e9)
        received = parse_compound(network.rtcp[-1][0])
        assert received is not None
        last_srs.append(received.blocks[0].last_sr)
    assert last_srs == [0x56780000, 0]


def test_the_round_trip_is_the_time_the_peer_did_not_keep_our_report() -> None:
    network = Network()
    network.arrive(packet(1))
    ours = network.rtp_port.sending.ssrc
    last_sr = int((network.wall + 2208988800) * 65536) & 0xFFFFFFFF
    network.wall += 1.25
    block = ReportBlock(ours, 0, 3, 0, 160, last_sr=last_sr, delay=65536)
    network.arrive(build_report(9, "x", block=block), PEER_RTCP, rtcp=True)
    statistics = network.rtp_port.statistics()
    assert statistics.rtt_ms == pytest.approx(250, abs=1)
    assert (statistics.remote_lost, statistics.remote_jitter_ms) == (3, 20.0)


def test_reports_keep_their_interval() -> None:
    network = Network()
    network.arrive(packet(1))
    times = []
    for tick in range(200):
        before = len(network.rtcp)
        network.rtp_port.report_if_due(tick * 0.5)
        if len(network.rtcp) > before:
            times.append(tick * 0.5)
    assert 15 <= len(times) <= 50
    assert times[0] <= 4.0


def test_a_port_that_heard_and_said_nothing_reports_nothing() -> None:
    network = Network()
    network.rtp_port.report_if_due(100.0)
    network.rtp_port.say_goodbye(100.0)
    assert network.rtcp == []


def test_hold_at_zero_sends_nothing_and_ends_where_the_peer_was_latched() -> None:
    network = Network()
    nat: SocketAddress = ("198.51.100.7", 61000)
    network.arrive(packet(1), nat)
    network.arrive(packet(2), nat)
    went_to = [network.rtp_port.remote]
    for address in (Address("0.0.0.0", 5000), SIGNALLED):
        network.rtp_port.configure(agreement(remote=address), 1.0)
        went_to.append(network.rtp_port.remote)
    assert went_to == [nat, None, nat]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address("192.0.2.1", 5000), ("192.0.2.1", 5000)),
        (Address("2001:DB8:0:0::1", 5000), ("2001:db8::1", 5000, 0, 0)),
        (Address("0.0.0.0", 5000), None),
        (Address("::", 5000), None),
        (Address("192.0.2.1", 0), None),
        (Address("phone.example.com", 5000), None),
        (None, None),
    ],
)
def test_only_a_numeric_address_and_a_port_can_be_sent_to(
    address: Address | None, expected: SocketAddress | None
) -> None:
    assert socket_address(address) == expected
