"""Port pairs: even and odd, quarantine, exhaustion, other people's ports."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator

import pytest

from media.ports import PortPair, PortRange, PortsExhausted
from tests.support.ports import free_port


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Range(PortRange):
    """Three pairs of free ports with a clock of its own; whatever is left open is closed at the end."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.first = free_port(consecutive=6)
        super().__init__("127.0.0.1", self.first, self.first + 5, quarantine_s=10.0, clock=self.clock)
        self.out: list[PortPair] = []

    def acquire(self) -> PortPair:
        pair = super().acquire()
        self.out.append(pair)
        return pair


@pytest.fixture
def ports() -> Iterator[Range]:
    made = Range()
    yield made
    for pair in made.out:
        pair.rtp.close()
        pair.rtcp.close()


def test_a_pair_is_an_even_port_and_the_next(ports: Range) -> None:
    pair = ports.acquire()
    assert pair.port % 2 == 0
    assert pair.rtp.getsockname() == ("127.0.0.1", pair.port)
    assert pair.rtcp.getsockname() == ("127.0.0.1", pair.port + 1)
    assert not pair.rtp.getblocking()
    assert not pair.rtcp.getblocking()


def test_every_pair_of_the_range_is_handed_out_once_and_then_it_is_exhausted(ports: Range) -> None:
    assert ports.available == 3
    assert {ports.acquire().port for _ in range(3)} == {ports.first, ports.first + 2, ports.first + 4}
    assert (ports.available, ports.in_use) == (0, 3)
    with pytest.raises(PortsExhausted):
        ports.acquire()


def test_a_port_given_back_rests_before_it_is_used_again(ports: Range) -> None:
    pair = ports.acquire()
    ports.acquire()
    ports.acquire()
    ports.release(pair)
    assert ports.in_use == 2
    ports.clock.now = 9.9
    with pytest.raises(PortsExhausted):
        ports.acquire()
    ports.clock.now = 10.0
    assert ports.acquire().port == pair.port


@pytest.mark.parametrize("offset", [0, 1])
def test_a_pair_with_a_port_of_another_program_is_skipped_and_tried_later(ports: Range, offset: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", ports.first + 2 + offset))
        got = {ports.acquire().port, ports.acquire().port}
        assert got == {ports.first, ports.first + 4}
        with pytest.raises(PortsExhausted):
            ports.acquire()
    ports.clock.now = 20.0
    assert ports.acquire().port == ports.first + 2


def test_the_sockets_are_closed_when_the_pair_is_released(ports: Range) -> None:
    pair = ports.acquire()
    ports.release(pair)
    assert pair.rtp.fileno() == pair.rtcp.fileno() == -1


def test_the_kernel_may_choose() -> None:
    ports = PortRange("127.0.0.1")
    pair = ports.acquire()
    assert pair.port % 2 == 0
    assert ports.available is None
    ports.release(pair)
    assert ports.in_use == 0


def test_ipv6_works_like_ipv4() -> None:
    ports = PortRange("::1")
    pair = ports.acquire()
    assert pair.rtcp.getsockname()[:2] == ("::1", pair.port + 1)
    ports.release(pair)


@pytest.mark.parametrize(("first", "last"), [(80, 90), (20000, 20000), (20000, 19000), (60000, 65536)])
def test_a_range_that_cannot_be_is_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="RTP ports"):
        PortRange("127.0.0.1", first, last)


def test_an_odd_first_port_is_left_out() -> None:
    first = free_port(consecutive=4)
    ports = PortRange("127.0.0.1", first + 1, first + 3)
    assert ports.available == 1
    pair = ports.acquire()
    assert pair.port == first + 2
    ports.release(pair)


def test_an_address_of_another_machine_is_refused_at_the_start() -> None:
    with pytest.raises(OSError, match="assign"):
        PortRange("192.0.2.1", 20000, 20010)


def test_a_process_without_free_descriptors_is_exhausted_and_loses_no_port(ports: Range) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        lowest = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, hard))  # room for one socket, not for two
    try:
        with pytest.raises(PortsExhausted, match="open files"):
            ports.acquire()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (ports.available, ports.in_use) == (3, 0)
    assert ports.acquire().port
