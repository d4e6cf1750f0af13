"""Pairs of UDP ports for RTP and RTCP out of a configured range (RFC 3550 §11: even and the next odd one).

A port that a call gave back rests before it is used again: packets of the old call that are still on their
way, or that a far side goes on sending because it missed the BYE, must not be heard in a new one.
"""

from __future__ import annotations

import errno
import random
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["PortPair", "PortRange", "PortsExhausted"]

_DSCP_EF_TOS = 46 << 2
"""Expedited forwarding, the class of interactive voice (RFC 4594 §4.1)."""

_EPHEMERAL_ATTEMPTS = 100


class PortsExhausted(Exception):
    """No free pair in the range: every one is in use, resting, or taken by another program."""


class PortPair(NamedTuple):
    """Two bound, non-blocking UDP sockets; whoever has the pair has to give it back to its range."""

    rtp: socket.socket
    rtcp: socket.socket
    port: int
    """The RTP port; RTCP is the next one."""


class PortRange:
    """Hands out bound pairs from `first` to `last` inclusive; `first=0`: the kernel chooses (tests, tools).

    `acquire` never waits. The order is shuffled once: neighbours in time are not neighbours in number.
    """

    __slots__ = ("_clock", "_family", "_free", "_in_use", "_quarantine_s", "_resting", "host")

    def __init__(
        self,
        host: str,
        first: int = 0,
        last: int = 0,
        *,
        quarantine_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for a range that cannot be, OSError for an address this machine does not have."""
        if first and not 1024 <= first < last <= 65535:
            raise ValueError(f"RTP ports {first} to {last}: need 1024 <= first < last <= 65535")
        self.host = host
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._quarantine_s = quarantine_s
        self._clock = clock
        self._in_use = 0
        self._resting: deque[tuple[float, int]] = deque()
        self._free: deque[int] | None = None
        if first:
            ports = list(range(first + first % 2, last, 2))
            random.shuffle(ports)
            self._free = deque(ports)
        with self._socket() as probe:  # a wrong address should be known at the start, not at the first call
            probe.bind((host, 0))

    @property
    def in_use(self) -> int:
        """Pairs handed out and not yet given back."""
        return self._in_use

    @property
    def available(self) -> int | None:
        """Pairs that could be handed out now; None when the kernel chooses."""
        if self._free is None:
            return None
        self._wake()
        return len(self._free)

    def acquire(self) -> PortPair:
        """A bound pair. Raises PortsExhausted, also when the process may open no more sockets."""
        try:
            return self._acquire()
        except OSError as error:
            raise PortsExhausted(f"no RTP socket on {self.host}: {error.strerror}") from error

    def _acquire(self) -> PortPair:
        free = self._free
        if free is None:
            pair = self._kernel_chosen()
        else:
            self._wake()
            for _ in range(len(free)):
                port = free.popleft()
                bound = self._bind(port)
                if bound is not None:
                    pair = bound
                    break
                self._rest(port)  # another program's port; it may be ours to use later
            else:
                raise PortsExhausted(f"no free RTP port pair on {self.host}: {self._in_use} in use")
        self._in_use += 1
        return pair

    def release(self, pair: PortPair) -> None:
        """Close both sockets and let the ports rest. To be called once per pair."""
        pair.rtp.close()
        pair.rtcp.close()
        self._in_use -= 1
        if self._free is not None:
            self._rest(pair.port)

    def _rest(self, port: int) -> None:
        self._resting.append((self._clock() + self._quarantine_s, port))

    def _wake(self) -> None:
        resting = self._resting
        if resting and self._free is not None:
            now = self._clock()
            while resting and resting[0][0] <= now:
                self._free.append(resting.popleft()[1])

    def _bind(self, port: int) -> PortPair | None:
        """Both sockets, or None if either port is taken. Raises OSError for any other obstacle."""
        bound: list[socket.socket] = []
        try:
            for each in (port, port + 1):
                bound.append(self._socket())
                bound[-1].bind((self.host, each))
        except OSError as error:
            for each_socket in bound:
                each_socket.close()
            if error.errno == errno.EADDRINUSE:
                return None
            if self._free is not None:
                self._free.append(port)
            raise
        return PortPair(bound[0], bound[1], port)

    def _socket(self) -> socket.socket:
        made = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        if self._family == socket.AF_INET:
            made.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _DSCP_EF_TOS)
        else:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # `::` is not also 0.0.0.0
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _DSCP_EF_TOS)
        return made

    def _kernel_chosen(self) -> PortPair:
        for _ in range(_EPHEMERAL_ATTEMPTS):
            with self._socket() as probe:
                probe.bind((self.host, 0))
                port = probe.getsockname()[1]
            pair = self._bind(port) if port % 2 == 0 and port < 65535 else None
            if pair is not None:
                return pair
        raise PortsExhausted(f"the kernel had no even port with a free neighbour on {self.host}")
