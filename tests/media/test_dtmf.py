"""RFC 4733 events: octets, packets of a press, and reception under loss, repetition and disorder."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.dtmf import (
    DIGITS,
    DigitHeard,
    DtmfReceiver,
    TelephoneEvent,
    decode_event,
    digit_packets,
    encode_event,
)


def received(*packets: tuple[str, int, bool, int]) -> list[str]:
    """Feed (digit, duration, is_end, timestamp); the digits reported."""
    receiver = DtmfReceiver()
    heard = [
        receiver.push(encode_event(TelephoneEvent(DIGITS.index(digit), is_end, 10, duration)), timestamp)
        for digit, duration, is_end, timestamp in packets
    ]
    return [each.digit for each in heard if each]


def test_the_octets_are_those_of_the_rfc() -> None:
    event = TelephoneEvent(event=9, is_end=True, volume=7, duration=1600)
    assert encode_event(event) == bytes.fromhex("09870640")
    assert decode_event(bytes.fromhex("09870640")) == event
    assert decode_event(memoryview(bytearray.fromhex("0b0a00a0ff"))) == TelephoneEvent(11, False, 10, 160)
    assert decode_event(b"\x01\x02\x03") is None


@settings(deadline=None)
@given(st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 65535))
def test_events_survive_the_wire(event: int, is_end: bool, volume: int, duration: int) -> None:
    packet = TelephoneEvent(event, is_end, volume, duration)
    assert decode_event(encode_event(packet)) == packet


@pytest.mark.parametrize("event", [(256, False, 0, 0), (0, False, 64, 0), (0, False, 0, 65536)])
def test_what_does_not_fit_is_refused(event: tuple[int, bool, int, int]) -> None:
    with pytest.raises(ValueError, match="not a telephone event"):
        encode_event(TelephoneEvent(*event))


def test_a_press_is_sent_with_growing_duration_one_marker_and_three_ends() -> None:
    packets = list(digit_packets("5", duration_ms=100))
    events = [decode_event(packet.payload) for packet in packets]
    assert [event.duration for event in events if event] == [160, 320, 480, 640, 800, 800, 800]
    assert [event.is_end for event in events if event] == [False] * 4 + [True] * 3
    assert [packet.marker for packet in packets] == [True] + [False] * 6
    assert [packet.at_ms for packet in packets] == [0, 20, 40, 60, 80, 100, 120]
    assert {packet.timestamp_offset for packet in packets} == {0}


def test_a_second_press_has_its_own_timestamp_after_the_gap() -> None:
    packets = list(digit_packets("1#", duration_ms=90, gap_ms=50, clock_rate_hz=16000))
    second = packets[7]
    assert (second.marker, second.at_ms, second.timestamp_offset) == (True, 160, 160 * 16)
    assert packets[6].at_ms < second.at_ms


def test_what_is_no_digit_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="'x'"):
        digit_packets("12x")
    with pytest.raises(ValueError, match="9000 ms"):
        digit_packets("1", duration_ms=9000)


def test_a_press_is_reported_once_with_its_duration() -> None:
    receiver = DtmfReceiver()
    heard = [receiver.push(packet.payload, 5000) for packet in digit_packets("#", duration_ms=120)]
    assert [each for each in heard if each] == [DigitHeard("#", 120.0)]


def test_the_same_digit_twice_is_two_presses() -> None:
    assert received(("7", 800, True, 0), ("7", 800, True, 0), ("7", 800, True, 1600)) == ["7", "7"]


def test_a_lost_beginning_does_not_matter() -> None:
    assert received(("3", 800, True, 0)) == ["3"]


def test_lost_ends_are_made_up_for_by_the_next_press() -> None:
    assert received(
        ("3", 160, False, 0), ("3", 320, False, 0), ("4", 160, False, 1600), ("4", 160, True, 1600)
    ) == [
        "3",
        "4",
    ]


def test_two_presses_with_one_packet_each_are_both_reported() -> None:
    assert received(("3", 320, False, 0), ("4", 800, True, 1600), ("4", 800, True, 1600)) == ["3", "4"]


def test_lost_ends_are_made_up_for_by_audio_but_not_by_audio_beside_the_event() -> None:
    receiver = DtmfReceiver()
    receiver.push(encode_event(TelephoneEvent(1, False, 10, 320)), 1000)
    assert receiver.audio_resumed(900) is None
    assert receiver.audio_resumed(1320) is None
    assert receiver.audio_resumed(1800) is None
    assert receiver.audio_resumed(1960) == DigitHeard("1", 40.0)
    assert receiver.audio_resumed(2120) is None
    assert receiver.push(encode_event(TelephoneEvent(1, True, 10, 800)), 1000) is None


def test_late_packets_of_an_earlier_press_are_ignored() -> None:
    assert received(
        ("1", 800, True, 0), ("2", 160, False, 1600), ("1", 800, True, 0), ("2", 800, True, 1600)
    ) == [
        "1",
        "2",
    ]


def test_the_timestamp_may_wrap_around() -> None:
    assert received(("1", 800, True, 0xFFFFFF00), ("2", 800, True, 0x300)) == ["1", "2"]


def test_a_new_stream_with_any_timestamp_is_heard() -> None:
    assert received(("1", 800, True, 0x70000000), ("2", 800, True, 0x100)) == ["1", "2"]


def test_a_long_press_in_segments_is_one() -> None:
    receiver = DtmfReceiver()
    for duration in (160, 30000, 65535):
        assert receiver.push(encode_event(TelephoneEvent(0, False, 10, duration)), 0) is None
    assert receiver.push(encode_event(TelephoneEvent(0, False, 10, 160)), 65535) is None
    last = receiver.push(encode_event(TelephoneEvent(0, True, 10, 14465)), 65535)
    assert last == DigitHeard("0", 10000.0)


def test_a_phone_that_gives_every_packet_its_own_timestamp_is_understood() -> None:
    receiver = DtmfReceiver()
    durations = (160, 320, 480, 640, 800)
    heard = [
        receiver.push(encode_event(TelephoneEvent(6, step == 4, 10, duration)), 1000 + 160 * step)
        for step, duration in enumerate(durations)
    ]
    assert heard[:4] == [None] * 4
    assert heard[4] == DigitHeard("6", 100.0)


def test_flash_and_other_signals_are_no_digits() -> None:
    receiver = DtmfReceiver()
    assert receiver.push(encode_event(TelephoneEvent(16, True, 10, 800)), 0) is None
    assert receiver.push(encode_event(TelephoneEvent(36, True, 10, 800)), 0) is None


@settings(deadline=None)
@given(st.data(), st.text(DIGITS, min_size=1, max_size=8))
def test_presses_arrive_complete_in_order_and_once_if_one_packet_of_each_does(
    data: st.DataObject, digits: str
) -> None:
    sent = list(digit_packets(digits, duration_ms=100, gap_ms=100))
    per_press = len(sent) // len(digits)
    receiver, heard = DtmfReceiver(), []
    for press in range(len(digits)):
        packets = sent[press * per_press : (press + 1) * per_press]
        kept = data.draw(st.lists(st.sampled_from(packets), min_size=1, max_size=12))
        heard += [
            receiver.push(packet.payload, 0xFFFFF000 + packet.timestamp_offset & 0xFFFFFFFF)
            for packet in kept
        ]
        # The audio of the pause; without it a press whose ends are lost waits for the next one.
        heard.append(receiver.audio_resumed(0xFFFFF000 + packets[0].timestamp_offset + 1500 & 0xFFFFFFFF))
    assert "".join(each.digit for each in heard if each) == digits


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 0xFFFFFFFF))))
def test_any_packets_are_survived(packets: list[tuple[bytes, int]]) -> None:
    receiver = DtmfReceiver()
    for payload, timestamp in packets:
        heard = receiver.push(payload, timestamp) or receiver.audio_resumed(timestamp)
        assert heard is None or (heard.digit in DIGITS and heard.duration_ms >= 0)
