"""How packets leave and arrive: the transport protocol, plain UDP, and the one epoll underneath.

Nothing here knows RTP. SRTP and ICE/DTLS are further `PacketTransport`s around or beside `UdpTransport`.

Why an epoll of our own inside the loop's: asyncio charges a handle, a context run and a selector key for
every ready socket, and three times a dial's port budget for registering one. Here a ringing leg costs one
epoll entry, a ready packet one dictionary lookup. Where there is no epoll, `LoopPoller` does the same job
in the loop's own way.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import Protocol

from media.ports import PortPair, PortRange

__all__ = [
    "BUFFER_SIZE",
    "EpollPoller",
    "LoopPoller",
    "PacketHandler",
    "PacketTransport",
    "Poller",
    "SocketAddress",
    "UdpTransport",
    "make_poller",
]

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""As the socket module gives and takes it: (host, port), for IPv6 with flow information and scope."""

PacketHandler = Callable[[bytearray, int, SocketAddress], None]
"""Called with (buffer, size, source). The packet is buffer[:size], valid and writable until the call
returns.
"""

BUFFER_SIZE = 4096
"""More than any RTP or RTCP packet that crosses an ordinary network; a longer datagram is cut and then
dropped.
"""

_BATCH = 512
_DISCARD_LIMIT = 2000
_ROUNDS = 4
_INTERVAL_S = 0.003
_HURRIES = 4


class Poller(Protocol):
    """Tells transports that a socket can be read."""

    buffer: bytearray
    """The one buffer all sockets of this loop read into."""

    def add(self, fd: int, readable: Callable[[], None]) -> None: ...

    def remove(self, fd: int) -> None: ...

    def close(self) -> None: ...


class EpollPoller:
    """All media sockets of one loop in one epoll, which is itself a single reader of the loop.

    A wake-up costs more than a packet. Where they come fast the sockets are looked at every `_INTERVAL_S`
    instead, as network drivers do (NAPI), until there is hardly anything to find.
    """

    __slots__ = ("_epoll", "_hurries", "_loop", "_readable", "_timer", "_woken_at", "buffer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.buffer = bytearray(BUFFER_SIZE)
        self._loop = loop
        self._epoll = select.epoll()
        self._readable: dict[int, Callable[[], None]] = {}
        self._woken_at = 0.0
        self._hurries = 0  # wake-ups in a row that came within the interval
        self._timer: asyncio.TimerHandle | None = None  # armed while looking at intervals
        loop.add_reader(self._epoll.fileno(), self._woken)

    @property
    def looks_at_intervals(self) -> bool:
        """Packets come so fast that nobody is woken for each."""
        return self._timer is not None

    def add(self, fd: int, readable: Callable[[], None]) -> None:
        self._readable[fd] = readable
        self._epoll.register(fd, select.EPOLLIN)

    def remove(self, fd: int) -> None:
        """Before the socket is closed: a closed one would leave the epoll by itself, but not the table."""
        if self._readable.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Idempotent. Sockets still in it are no longer read."""
        if not self._epoll.closed:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._readable.clear()

    def _woken(self) -> None:
        """There is a packet; whether to wait for the next one or to look for it later."""
        now = self._loop.time()
        self._hurries = self._hurries + 1 if now - self._woken_at < _INTERVAL_S else 0
        self._woken_at = now
        self._read()
        if self._hurries >= _HURRIES and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._timer = self._loop.call_later(_INTERVAL_S, self._look)

    def _look(self) -> None:
        """The interval is over."""
        packets = self._read()
        if self._epoll.closed:
            return
        if packets > 1:
            self._timer = self._loop.call_later(_INTERVAL_S, self._look)
        else:
            self._timer = None
            self._hurries = 0
            self._loop.add_reader(self._epoll.fileno(), self._woken)

    def _read(self) -> int:
        """One packet of every ready socket, a few rounds; what is left waits for the loop's other work.

        Reading each socket until it is empty would cost a failing system call per packet: in a voice call
        there is nearly always exactly one.

        Returns how many there were. Measured and left out: connected sockets save 1 µs of 12, but the kernel
        would hide the packets of a peer that moved.
        """
        poll, readable = self._epoll.poll, self._readable
        packets = 0
        for _ in range(_ROUNDS):
            events = poll(0, _BATCH)
            packets += len(events)
            for fd, _mask in events:
                read = readable.get(fd)  # an earlier packet of the batch may have closed this one
                if read is None:
                    continue
                try:
                    read()
                except Exception as error:  # noqa: BLE001 - one leg's bug must not cost the others'
                    self._loop.call_exception_handler(
                        {"message": "the handler of a media packet failed", "exception": error}
                    )
            if len(events) < 2 or self._epoll.closed:
                break
        return packets


class LoopPoller:
    """The readable twin of EpollPoller for platforms without epoll."""

    __slots__ = ("_fds", "_loop", "buffer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.buffer = bytearray(BUFFER_SIZE)
        self._loop = loop
        self._fds: set[int] = set()

    def add(self, fd: int, readable: Callable[[], None]) -> None:
        self._fds.add(fd)
        self._loop.add_reader(fd, readable)

    def remove(self, fd: int) -> None:
        if fd in self._fds:
            self._fds.discard(fd)
            self._loop.remove_reader(fd)

    def close(self) -> None:
        for fd in list(self._fds):
            self.remove(fd)


def make_poller(loop: asyncio.AbstractEventLoop) -> Poller:
    """The best one this platform has."""
    return EpollPoller(loop) if hasattr(select, "epoll") else LoopPoller(loop)


class PacketTransport(Protocol):
    """Carries the packets of one leg, RTP and RTCP apart (or told apart by the port when multiplexed)."""

    @property
    def port(self) -> int:
        """The local RTP port; RTCP is on the next one."""
        ...

    def open(self, on_rtp: PacketHandler, on_rtcp: PacketHandler) -> None:
        """Begin to receive. At most once."""
        ...

    def send_rtp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        """False if the network refused it; never raises for that."""
        ...

    def send_rtcp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool: ...

    def close(self) -> None:
        """Idempotent; gives the ports back."""
        ...


class UdpTransport:
    """Plain RTP and RTCP over a pair of UDP sockets."""

    __slots__ = (
        "_closed",
        "_on_rtcp",
        "_on_rtp",
        "_pair",
        "_poller",
        "_ports",
        "_recv_rtcp",
        "_recv_rtp",
        "_send_rtcp",
        "_send_rtp",
        "port",
        "refused",
    )

    def __init__(self, ports: PortRange, poller: Poller) -> None:
        """Takes a pair out of the range. Raises PortsExhausted."""
        pair = ports.acquire()
        self._pair: PortPair = pair
        self._ports = ports
        self._poller = poller
        self._closed = False
        self._recv_rtp = pair.rtp.recvfrom_into
        self._recv_rtcp = pair.rtcp.recvfrom_into
        self._send_rtp = pair.rtp.sendto
        self._send_rtcp = pair.rtcp.sendto
        self._on_rtp: PacketHandler = _drop
        self._on_rtcp: PacketHandler = _drop
        self.port = pair.port
        self.refused = 0
        """Packets the network stack would not take: no route, full buffer, a firewall's refusal."""

    def open(self, on_rtp: PacketHandler, on_rtcp: PacketHandler) -> None:
        """What came before is discarded: audio that waited for its agreement is too old to be heard."""
        _discard(self._pair.rtp, self._poller.buffer)
        _discard(self._pair.rtcp, self._poller.buffer)
        self._on_rtp, self._on_rtcp = on_rtp, on_rtcp
        self._poller.add(self._pair.rtp.fileno(), self._rtp_readable)
        self._poller.add(self._pair.rtcp.fileno(), self._rtcp_readable)

    def send_rtp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        try:
            self._send_rtp(packet, remote)
        except OSError:
            self.refused += 1
            return False
        return True

    def send_rtcp(self, packet: bytes | bytearray | memoryview, remote: SocketAddress) -> bool:
        try:
            self._send_rtcp(packet, remote)
        except OSError:
            self.refused += 1
            return False
        return True

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._poller.remove(self._pair.rtp.fileno())
        self._poller.remove(self._pair.rtcp.fileno())
        self._on_rtp = self._on_rtcp = _drop
        self._ports.release(self._pair)

    def _rtp_readable(self) -> None:
        buffer = self._poller.buffer
        try:
            size, source = self._recv_rtp(buffer)
        except OSError:  # nothing there after all, or an ICMP error about a packet of ours
            return
        if size < BUFFER_SIZE:
            self._on_rtp(buffer, size, source)

    def _rtcp_readable(self) -> None:
        buffer = self._poller.buffer
        try:
            size, source = self._recv_rtcp(buffer)
        except OSError:
            return
        if size < BUFFER_SIZE:
            self._on_rtcp(buffer, size, source)


def _discard(sock: socket.socket, buffer: bytearray) -> None:
    """Empty the socket, within a limit that no sender can push up."""
    for _ in range(_DISCARD_LIMIT):
        try:
            sock.recv_into(buffer)
        except BlockingIOError:
            return
        except OSError:
            continue  # an ICMP error stands in the queue like a packet


def _drop(buffer: bytearray, size: int, source: SocketAddress) -> None:
    """The handler before `open` and after `close`."""
