"""The jitter buffer: order, concealment, delay. Time is the arrival that is told and the count of pulls."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.jitter import JitterBuffer, Nothing

FRAME = 160


class Talk:
    """A sender whose n-th packet is item n, heard through a buffer that is pulled once per frame."""

    def __init__(self, *, first: int = 65530, max_ms: float = 200) -> None:
        self.buffer: JitterBuffer[int] = JitterBuffer(max_ms=max_ms)
        self.first = first

    def arrive(self, number: int, at: float | None = None) -> bool:
        """`at` in frames; on time by default."""
        arrival = (number if at is None else at) * FRAME
        return self.buffer.push((self.first + number) & 0xFFFF, number * FRAME & 0xFFFFFFFF, number, arrival)

    def hear(self, pulls: int) -> list[int | Nothing]:
        return [self.buffer.pull() for _ in range(pulls)]


def test_packets_on_time_come_out_one_by_one_without_delay() -> None:
    talk = Talk()
    for number in range(200):
        assert talk.arrive(number)
        assert talk.buffer.pull() == number
    assert talk.buffer.lost == talk.buffer.late == talk.buffer.discarded == 0


def test_nothing_to_hear_is_said_as_wait() -> None:
    assert Talk().hear(3) == [Nothing.WAIT] * 3


def test_a_missing_packet_is_lost_when_later_ones_are_there() -> None:
    talk = Talk()
    for number in (0, 1, 3, 4):
        talk.arrive(number)
    assert talk.hear(5) == [0, 1, Nothing.LOST, 3, 4]
    assert talk.buffer.lost == 1


def test_overtaken_packets_come_out_in_order() -> None:
    talk = Talk()
    for number in (1, 0, 3, 2, 4):
        assert talk.arrive(number)
    assert talk.hear(5) == [0, 1, 2, 3, 4]


def test_duplicates_and_packets_after_their_time_are_refused() -> None:
    talk = Talk()
    for number in (0, 1, 2):
        talk.arrive(number)
    assert not talk.arrive(1)
    talk.hear(2)
    assert not talk.arrive(1)
    assert talk.buffer.late == 2


def test_a_pause_of_the_sender_is_silence_of_its_length() -> None:
    talk = Talk()
    talk.buffer.push(0, 0, 0, 0)
    talk.buffer.push(1, 5 * FRAME, 5, 5 * FRAME)
    assert talk.hear(6) == [0, *[Nothing.SILENCE] * 4, 5]


def test_after_an_outage_the_delay_is_as_before() -> None:
    talk = Talk()
    talk.arrive(0)
    assert talk.hear(50) == [0, *[Nothing.WAIT] * 49]
    for number in range(50, 60):
        talk.arrive(number)
        assert talk.buffer.pull() == number


def test_the_delay_grows_with_the_jitter_until_nothing_is_late() -> None:
    talk = Talk()
    rng = random.Random(5)
    arrivals = sorted((number + rng.uniform(0, 2.5), number) for number in range(1000))
    heard: list[int | Nothing] = []
    for now in range(1010):
        while arrivals and arrivals[0][0] <= now:
            at, number = arrivals.pop(0)
            talk.arrive(number, at)
        heard.append(talk.buffer.pull())
    assert 60 <= talk.buffer.target_ms <= 80
    tail = [item for item in heard[300:1000] if not isinstance(item, int)]
    assert len(tail) < 7


def test_the_delay_shrinks_again_when_the_network_has_calmed_down() -> None:
    talk = Talk()
    for number in range(8):
        talk.arrive(number, at=8)
    for number in range(8, 3000):
        talk.arrive(number)
        talk.buffer.pull()
    assert talk.buffer.target_ms < 25
    assert talk.buffer.depth <= 2
    assert talk.buffer.discarded >= 5


def test_a_burst_beyond_the_limit_keeps_the_newest() -> None:
    talk = Talk(max_ms=100)
    for number in range(40):
        talk.arrive(number, at=40)
    assert talk.buffer.depth <= 6
    heard = [item for item in talk.hear(6) if isinstance(item, int)]
    assert heard[-1] == 39


def test_the_packet_time_is_learnt_from_the_packets() -> None:
    buffer: JitterBuffer[int] = JitterBuffer()
    for number in range(4):
        buffer.push(number, number * 240, number, number * 240)
    assert buffer.step == 240


def test_a_restart_of_the_numbers_is_followed() -> None:
    talk = Talk()
    talk.arrive(0)
    talk.hear(2)
    talk.buffer.push(40000, 7, 1, 300)
    assert Nothing.LOST not in talk.hear(5)
    talk.buffer.push(40001, 7 + FRAME, 2, 460)
    assert 2 in talk.hear(5)


Arrivals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=80)


@settings(deadline=None)
@given(Arrivals, st.integers(0, 65535))
def test_whatever_arrives_comes_out_at_most_once_and_in_order(
    arrivals: list[tuple[int, int]], first: int
) -> None:
    """Each arrival is a packet number and how many pulls happen after it."""
    talk = Talk(first=first)
    heard: list[int] = []
    accepted = 0
    for number, pulls in arrivals:
        accepted += talk.arrive(number)
        heard += [item for item in talk.hear(pulls) if isinstance(item, int)]
        assert talk.buffer.depth <= 12
    heard += [item for item in talk.hear(200) if isinstance(item, int)]
    assert heard == sorted(set(heard))
    assert talk.buffer.depth == 0
    assert len(heard) + talk.buffer.discarded == accepted


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=5, max_size=200))
def test_time_is_kept_whatever_is_lost(arrives: list[bool]) -> None:
    """Between two packets heard lie as many pulls as frames, when all came on time and two are in stock."""
    talk = Talk()
    arrives = [True, True, *arrives, True, True, True]
    heard: list[int | Nothing] = []
    for number, arrived in enumerate(arrives):
        if arrived:
            talk.arrive(number)
        if number >= 2:
            heard.append(talk.buffer.pull())
    heard += talk.hear(10)
    places = {item: place for place, item in enumerate(heard) if isinstance(item, int)}
    assert len(places) + talk.buffer.discarded + talk.buffer.late == sum(arrives)
    longest_gap = max((len(run) for run in "".join("x" if a else " " for a in arrives).split("x")), default=0)
    if longest_gap <= 1 and not talk.buffer.discarded:
        assert all(place - item == places[0] for item, place in places.items())


@pytest.mark.parametrize("seed", range(5))
def test_wild_networks_never_break_it(seed: int) -> None:
    rng = random.Random(seed)
    buffer: JitterBuffer[int] = JitterBuffer()
    for _ in range(5000):
        if rng.random() < 0.6:
            buffer.push(rng.getrandbits(16), rng.getrandbits(32), 1, rng.uniform(0, 1e9))
        else:
            assert buffer.pull() is not None
        assert buffer.depth <= 1000
