"""RTCP: what is built reads back, what is received never raises (RFC 3550 §6)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtcp import (
    ReportBlock,
    SenderInfo,
    build_report,
    compact_ntp,
    ntp_time,
    parse_compound,
    report_interval_s,
    round_trip_s,
)

BLOCK = ReportBlock(
    ssrc=7, fraction_lost=64, lost=-3, highest=0x10005, jitter=12, last_sr=0xAABBCCDD, delay=65536
)
SENDER = SenderInfo(ntp=ntp_time(1700000000.5), timestamp=0xFFFFFFFF, packets=50, octets=8000)


def test_a_sender_report_reads_back() -> None:
    received = parse_compound(build_report(5, "abc", sender=SENDER, block=BLOCK))
    assert received is not None
    assert (received.ssrc, received.cname, received.is_goodbye) == (5, "abc", False)
    assert received.sender == SENDER
    assert received.blocks == (BLOCK,)


def test_a_receiver_report_with_goodbye_reads_back() -> None:
    received = parse_compound(build_report(5, "", block=BLOCK, is_goodbye=True))
    assert received is not None
    assert received.sender is None
    assert received.is_goodbye
    assert received.blocks == (BLOCK,)


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "abcde", "x" * 300])
def test_every_packet_ends_on_a_word_and_the_lengths_add_up(name: str) -> None:
    data = build_report(5, name, sender=SENDER, is_goodbye=True)
    at, kinds = 0, []
    while at < len(data):
        kinds.append(data[at + 1])
        at += 4 + 4 * struct.unpack_from(">H", data, at + 2)[0]
    assert at == len(data)
    assert kinds == [200, 202, 203]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    received = parse_compound(data)
    assert received is None or 0 <= received.ssrc <= 0xFFFFFFFF


@given(st.integers(0, 80), st.integers(0, 255))
def test_a_report_cut_or_damaged_anywhere_never_raises(at: int, value: int) -> None:
    data = bytearray(build_report(5, "alice", sender=SENDER, block=BLOCK, is_goodbye=True))
    parse_compound(data[:at])
    data[at % len(data)] = value
    parse_compound(data)


def test_unknown_packet_types_are_skipped() -> None:
    extended = struct.pack(">BBHI", 0x80, 207, 1, 5)
    received = parse_compound(extended + build_report(5, "abc", block=BLOCK))
    assert received is not None
    assert received.blocks == (BLOCK,)


def test_the_round_trip_is_arrival_minus_report_minus_delay() -> None:
    sent, arrival = 1700000000.0, 1700000001.25
    block = ReportBlock(1, 0, 0, 0, 0, last_sr=compact_ntp(sent), delay=65536)
    assert round_trip_s(block, arrival) == pytest.approx(0.25, abs=1e-4)


def test_a_block_that_answers_nothing_has_no_round_trip() -> None:
    assert round_trip_s(ReportBlock(1, 0, 0, 0, 0), 1700000001.25) is None


def test_rounding_never_makes_a_round_trip_negative_and_nonsense_gives_none() -> None:
    now = 1700000000.0
    almost = ReportBlock(1, 0, 0, 0, 0, last_sr=compact_ntp(now), delay=2)
    assert round_trip_s(almost, now) == 0.0
    future = ReportBlock(1, 0, 0, 0, 0, last_sr=compact_ntp(now + 1000), delay=0)
    assert round_trip_s(future, now) is None


@given(st.floats(0, 1, exclude_max=True))
def test_reports_come_every_two_to_seven_seconds(draw: float) -> None:
    assert 2.0 < report_interval_s(draw) < 6.2
    assert report_interval_s(draw, is_first=True) == pytest.approx(report_interval_s(draw) / 2)
