"""Whose packets are believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.latch import Latch

PHONE = ("192.0.2.1", 4000)
NAT = ("198.51.100.7", 61000)
STRANGER = ("203.0.113.9", 5000)


class Ear:
    """A latch driven as a port drives it."""

    def __init__(self) -> None:
        self.latch = Latch(relatch_after_s=5.0)
        self.latch.signal(PHONE, 0.0)

    def hears(self, source: tuple[str, int], sequence: int, now: float, ssrc: int = 1) -> bool:
        if source != self.latch.source and not self.latch.admit(source, ssrc, sequence, now):
            return False
        self.latch.last_at = now
        return True


def test_the_address_in_the_sdp_is_believed_at_once() -> None:
    assert Ear().hears(PHONE, 1, 0.1)


def test_another_sender_is_believed_after_two_packets_in_sequence() -> None:
    ear = Ear()
    assert not ear.hears(NAT, 65535, 0.1)
    assert ear.hears(NAT, 0, 0.12)
    assert ear.latch.source == NAT


def test_packets_out_of_sequence_or_of_several_streams_are_not_believed() -> None:
    ear = Ear()
    assert not ear.hears(NAT, 1, 0.1)
    assert not ear.hears(NAT, 3, 0.12)
    assert not ear.hears(NAT, 4, 0.14, ssrc=2)


def test_a_stranger_cannot_take_over_a_living_stream() -> None:
    ear = Ear()
    ear.hears(PHONE, 1, 0.0)
    for number in range(200):
        now = number * 0.02
        assert ear.hears(PHONE, number, now)
        assert not ear.hears(STRANGER, number, now)


def test_the_signalled_address_takes_over_from_whoever_came_first() -> None:
    ear = Ear()
    ear.hears(STRANGER, 1, 0.0)
    assert ear.hears(STRANGER, 2, 0.02)
    assert ear.hears(PHONE, 1, 0.04)
    assert not ear.hears(STRANGER, 3, 0.06)


def test_after_silence_the_same_stream_may_come_from_elsewhere_at_once() -> None:
    ear = Ear()
    ear.hears(PHONE, 1, 0.0)
    assert not ear.hears(NAT, 2, 4.9)
    assert ear.hears(NAT, 3, 5.1)


def test_after_silence_another_stream_has_to_show_two_packets() -> None:
    ear = Ear()
    ear.hears(PHONE, 1, 0.0)
    assert not ear.hears(NAT, 2, 5.1, ssrc=9)
    assert ear.hears(NAT, 3, 5.12, ssrc=9)


def test_a_signalled_change_opens_the_choice_but_not_for_the_former_sender() -> None:
    ear = Ear()
    ear.hears(PHONE, 1, 0.0)
    assert ear.latch.signal(NAT, 1.0)
    assert not ear.hears(PHONE, 2, 1.02)
    assert not ear.hears(PHONE, 3, 1.04)
    assert ear.hears(NAT, 1, 1.06)


def test_the_former_sender_may_come_back_when_nobody_else_came() -> None:
    ear = Ear()
    ear.hears(NAT, 1, 0.0)
    ear.hears(NAT, 2, 0.02)
    ear.latch.signal(("192.0.2.1", 4002), 1.0)
    assert not ear.hears(NAT, 3, 5.9)
    assert not ear.hears(NAT, 4, 6.1)
    assert ear.hears(NAT, 5, 6.12)


def test_the_same_address_signalled_again_changes_nothing() -> None:
    ear = Ear()
    ear.hears(NAT, 1, 0.0)
    ear.hears(NAT, 2, 0.02)
    assert not ear.latch.signal(PHONE, 0.5)
    assert ear.hears(NAT, 3, 0.52)


def test_who_was_replaced_for_his_silence_is_believed_again_when_his_stream_goes_on() -> None:
    ear = Ear()
    ear.hears(NAT, 1, 0.0)
    assert ear.hears(NAT, 2, 0.02)
    assert not ear.hears(STRANGER, 1, 30.0, ssrc=66)  # the call was on hold for half a minute
    assert ear.hears(STRANGER, 2, 30.02, ssrc=66)
    assert not ear.hears(NAT, 3, 30.04, ssrc=67)
    assert ear.hears(NAT, 3, 30.04)
    assert not ear.hears(STRANGER, 3, 30.06, ssrc=66)
    assert not ear.hears(STRANGER, 4, 30.08, ssrc=66)
    assert ear.hears(NAT, 4, 30.1)


def test_signalling_forgets_who_was_replaced() -> None:
    ear = Ear()
    ear.hears(NAT, 1, 0.0)
    ear.hears(NAT, 2, 0.02)
    ear.hears(STRANGER, 1, 30.0, ssrc=66)
    ear.hears(STRANGER, 2, 30.02, ssrc=66)
    ear.latch.signal(("192.0.2.1", 4002), 31.0)
    assert not ear.hears(NAT, 3, 31.02)
    assert ear.hears(NAT, 4, 31.04)


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 3)), max_size=100))
def test_no_flood_of_strangers_moves_a_latch_that_is_fed(flood: list[tuple[int, int]]) -> None:
    ear = Ear()
    ear.hears(PHONE, 0, 0.0)
    for number, (sequence, ssrc) in enumerate(flood):
        now = number * 0.02
        assert ear.hears(PHONE, number, now)
        assert not ear.hears(STRANGER, sequence, now, ssrc)
    assert ear.latch.source == PHONE
