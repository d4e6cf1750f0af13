"""RTP headers, reception statistics and the outgoing stream: RFC 3550 §5.1, appendix A."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp import Reception, Sending, is_rtcp, pack_header, payload_span, unpack_header


def packet(first: int = 0x80, between: bytes = b"", payload: bytes = b"", tail: bytes = b"") -> bytes:
    return struct.pack(">BBHII", first, 0, 1, 2, 3) + between + payload + tail


@pytest.mark.parametrize(
    ("data", "payload"),
    [
        (packet(payload=b"abc"), b"abc"),
        (packet(), b""),
        (packet(0x82, between=b"\0" * 8, payload=b"abc"), b"abc"),
        (packet(0x90, between=b"\xbe\xde\0\1abcd", payload=b"xyz"), b"xyz"),
        (packet(0xA0, payload=b"abc", tail=b"\0\0\0\4"), b"abc"),
        (packet(0xB1, between=b"\0" * 4 + b"\xbe\xde\0\0", payload=b"abc", tail=b"\1"), b"abc"),
    ],
)
def test_the_payload_is_what_is_left_without_sources_extension_and_padding(
    data: bytes, payload: bytes
) -> None:
    span = payload_span(data, len(data))
    assert span is not None
    assert data[span[0] : span[1]] == payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        packet()[:11],
        packet(0x00),
        packet(0x40, payload=b"abc"),
        packet(0xC0),
        packet(0x81),
        packet(0x90),
        packet(0x90, between=b"\xbe\xde\0\2abcd"),
        packet(0xA0, payload=b"\0"),
        packet(0xA0, payload=b"abc\x05"),
    ],
)
def test_what_is_no_rtp_packet_has_no_payload(data: bytes) -> None:
    assert payload_span(data, len(data)) is None


@given(st.binary(max_size=64))
def test_any_bytes_give_a_span_inside_the_packet_or_none(data: bytes) -> None:
    span = payload_span(data, len(data))
    if span is not None:
        assert 12 <= span[0] <= span[1] <= len(data)


def test_rtcp_is_told_apart_by_its_second_byte() -> None:
    assert [number for number in range(256) if is_rtcp(number)] == list(range(192, 224))


def test_a_header_reads_back_as_it_was_written() -> None:
    buffer = bytearray(12)
    pack_header(buffer, 0, 0x80, 0xE5, 65535, 0xFFFFFFFF, 0x80000001)
    assert unpack_header(buffer) == (0x80, 0xE5, 65535, 0xFFFFFFFF, 0x80000001)


class Sender:
    """Numbers packets as a phone would and hands them to a Reception."""

    def __init__(self, sequence: int = 0) -> None:
        self.reception = Reception()
        self.sequence = sequence

    def arrive(self, number: int, *, ssrc: int = 1, late_s: float = 0.0) -> bool:
        return self.reception.packet(
            ssrc, (self.sequence + number) & 0xFFFF, number * 160 & 0xFFFFFFFF, 160, number * 0.02 + late_s
        )


def test_every_packet_counts_and_nothing_is_lost_across_a_wrap() -> None:
    sender = Sender(65000)
    for number in range(1500):
        assert sender.arrive(number)
    assert sender.reception.packets_received == 1500
    assert sender.reception.lost == 0
    assert sender.reception.bytes_received == 1500 * 160
    assert sender.reception.highest == 65000 + 1499
    assert sender.reception.jitter == pytest.approx(0, abs=1e-3)


@given(st.lists(st.booleans(), min_size=2, max_size=300), st.integers(0, 65535))
def test_lost_is_what_is_missing_between_first_and_last(arrives: list[bool], first: int) -> None:
    sender = Sender(first)
    here = [number for number, arrived in enumerate(arrives) if arrived]
    for number in here:
        sender.arrive(number)
    expected = here[-1] - here[0] + 1 if here else 0
    assert sender.reception.lost == expected - len(here)


@given(st.permutations(range(30)), st.integers(0, 65535))
def test_overtaken_packets_are_not_lost(order: list[int], first: int) -> None:
    sender = Sender(first)
    sender.arrive(-40)
    for number in order:
        assert sender.arrive(number)
    assert sender.reception.packets_received == 31
    assert sender.reception.packets_expected == 70


def test_a_jump_is_believed_when_the_next_packet_follows_it() -> None:
    sender = Sender()
    for number in range(10):
        sender.arrive(number)
    generation = sender.reception.generation
    assert not sender.arrive(20000)
    assert sender.arrive(20001)
    assert sender.reception.generation == generation + 1
    assert sender.reception.packets_received == 11
    assert sender.reception.lost == 0


def test_a_single_mad_packet_changes_nothing() -> None:
    sender = Sender()
    for number in range(10):
        sender.arrive(number)
    assert not sender.arrive(20000)
    assert sender.arrive(10)
    assert sender.reception.lost == 0
    assert sender.reception.highest == 10


def test_a_new_ssrc_begins_anew_and_keeps_the_totals() -> None:
    sender = Sender()
    for number in (0, 1, 3):
        sender.arrive(number)
    sender.sequence = 30000
    for number in (0, 1):
        assert sender.arrive(number, ssrc=2)
    assert sender.reception.ssrc_changes == 1
    assert sender.reception.packets_received == 5
    assert sender.reception.lost == 1


def test_jitter_follows_the_formula_of_the_rfc() -> None:
    sender = Sender()
    lates, jitter, before = [0.0, 0.01, 0.0, 0.005, 0.02], 0.0, 0.0
    for number, late in enumerate(lates):
        sender.arrive(number, late_s=late)
        if number:
            jitter += (abs(late - before) * 8000 - jitter) / 16
        before = late
    assert sender.reception.jitter == pytest.approx(jitter)
    assert sender.reception.jitter_ms == pytest.approx(jitter / 8)


def test_a_report_tells_the_fraction_lost_since_the_last_one() -> None:
    sender = Sender()
    for number in (0, 1, 2, 3):
        sender.arrive(number)
    assert sender.reception.report()[:3] == (0, 0, 3)
    for number in (4, 6):
        sender.arrive(number)
    fraction, lost, highest, _ = sender.reception.report()
    assert (fraction, lost, highest) == (256 // 3, 1, 6)
    sender.arrive(7)
    assert sender.reception.report()[0] == 0


def test_duplicates_make_the_report_negative_but_never_the_statistics() -> None:
    sender = Sender()
    for number in (0, 0, 0, 1):
        sender.arrive(number)
    assert sender.reception.report()[1] == -2
    assert sender.reception.lost == 0


def test_a_new_clock_rate_keeps_the_jitter_in_milliseconds() -> None:
    sender = Sender()
    for number in range(50):
        sender.arrive(number, late_s=0.01 * (number % 2))
    before = sender.reception.jitter_ms
    sender.reception.set_clock_rate(16000)
    assert sender.reception.jitter_ms == pytest.approx(before)


def test_a_new_source_goes_on_by_the_time_that_passed() -> None:
    sending = Sending(rng=random.Random(1))
    first = sending.anchor("player", 10.0)
    assert first == sending.last_timestamp
    sending.packets, sending.last_at, sending.step = 1, 10.0, 160
    assert sending.anchor("relay", 11.5) == (first + 12000) & 0xFFFFFFFF
    assert sending.owner == "relay"


def test_a_new_source_in_the_same_moment_is_at_least_one_packet_later() -> None:
    sending = Sending(rng=random.Random(1))
    sending.anchor("player", 10.0)
    sending.packets, sending.last_at, sending.step = 1, 10.0, 160
    assert sending.anchor("relay", 10.001) == (sending.last_timestamp + 160) & 0xFFFFFFFF


def test_the_first_sequence_number_is_in_the_lower_half() -> None:
    assert all(Sending(rng=random.Random(seed)).sequence < 0x8000 for seed in range(50))
