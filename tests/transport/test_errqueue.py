from __future__ import annotations

import socket

import pytest

from engine.transport import errqueue

LOCAL, ICMP, ICMP6 = 1, 2, 3


@pytest.mark.parametrize(
    ("what", "origin", "icmp_type", "code", "fails"),
    [
        ("network unreachable", ICMP, 3, 0, True),
        ("host unreachable", ICMP, 3, 1, True),
        ("port unreachable", ICMP, 3, 3, True),
        ("fragmentation needed", ICMP, 3, 4, False),
        ("administratively prohibited", ICMP, 3, 13, True),
        ("source quench", ICMP, 4, 0, False),
        ("time to live exceeded", ICMP, 11, 0, False),
        ("parameter problem", ICMP, 12, 0, True),
        ("no route (IPv6)", ICMP6, 1, 0, True),
        ("port unreachable (IPv6)", ICMP6, 1, 4, True),
        ("packet too big (IPv6)", ICMP6, 2, 0, False),
        ("hop limit exceeded (IPv6)", ICMP6, 3, 0, False),
        ("parameter problem (IPv6)", ICMP6, 4, 1, True),
        ("larger than the known MTU", LOCAL, 0, 0, False),
    ],
)
def test_what_counts_as_a_failed_send(what: str, origin: int, icmp_type: int, code: int, fails: bool) -> None:
    assert errqueue.is_failure(origin, icmp_type, code) is fails, what


def test_an_empty_queue_has_no_failures() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        errqueue.enable(sock)
        assert errqueue.drain(sock) == []
