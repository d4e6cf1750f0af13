"""SIP over UDP: one bound socket per listener, read in batches through one buffer.

No `DatagramProtocol`: a transport object with a call per packet costs three times as much as `add_reader`
with a loop over `recvfrom_into`. After a batch the user is told once, so the core is pumped once.
"""

from __future__ import annotations

import asyncio
import errno
import math
import socket
import sys
from collections import deque
from contextlib import suppress

from engine.sip.types import Address, Flow, Transport
from engine.transport import errqueue
from engine.transport.link import Counters, LinkUser

__all__ = ["UdpLink"]

_BATCH = 64  # datagrams per turn of the loop: others get their turn after about a millisecond
_BUSY_S = 0.0003  # a socket that is ready again within this time is busy
_MAX_DATAGRAM = 65536
_SOCKET_BUFFER = 4 * 1024 * 1024
_SO_RCVBUFFORCE = 33
_LONGEST_KEEP_ALIVE = 4  # CRLF CRLF, or the single byte some send to keep a NAT open: not answered over UDP
_MAX_QUEUED = 1024
_MAX_FLOWS = 8192
# Errors of a send that say nothing about the peer: the message is lost as on any bad day, and retransmitted.
_TRANSIENT = frozenset({errno.ENOBUFS, errno.ENOMEM, errno.EINTR})


class UdpLink:
    """One UDP listener (RFC 3261 §18). Create with `UdpLink.open`."""

    __slots__ = (
        "_bound",
        "_buffer",
        "_busy_until",
        "_counters",
        "_flows",
        "_loop",
        "_queue",
        "_socket",
        "_user",
        "_view",
    )

    def __init__(
        self,
        sock: socket.socket,
        user: LinkUser,
        counters: Counters,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take over a bound, non-blocking datagram socket."""
        self._socket = sock
        self._user = user
        self._counters = counters
        self._loop = loop
        host, port = sock.getsockname()[:2]
        self._bound = Address(host, port)
        self._buffer = bytearray(_MAX_DATAGRAM)
        self._view = memoryview(self._buffer)
        self._flows: dict[tuple[str, int], Flow] = {}
        self._queue: deque[tuple[bytes, Flow]] = deque()
        self._busy_until = -math.inf
        loop.add_reader(sock, self._read)

    @classmethod
    def open(cls, address: Address, user: LinkUser, counters: Counters) -> UdpLink:
        """Bind and start reading. Raises OSError when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _enlarge_buffers(sock)
            errqueue.enable(sock)
            sock.bind(address)
            return cls(sock, user, counters, asyncio.get_running_loop())
        except BaseException:
            sock.close()
            raise

    @property
    def transport(self) -> Transport:
        return Transport.UDP

    @property
    def bound(self) -> Address:
        return self._bound

    def send(self, data: bytes, flow: Flow) -> None:
        """Send one datagram; wait in a bounded queue while the socket's buffer is full."""
        if self._queue:
            self._enqueue(data, flow)
            return
        try:
            self._socket.sendto(data, flow.remote)
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            self._enqueue(data, flow)
        except OSError as error:
            self._send_failed(data, flow, error)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._queue.clear()
        self._socket.close()

    async def wait_closed(self) -> None:
        """A datagram socket has nothing to wait for."""

    def describe(self) -> str:
        return f"{len(self._queue)} datagrams wait on {self._bound}" if self._queue else ""

    def _read(self) -> None:
        """One datagram where they come one by one, all there are from a socket that is ready again at once.

        To find a socket empty costs as much as a datagram; what is left makes the loop call again.
        """
        receive = self._socket.recvfrom_into
        user = self._user
        for count in range(_BATCH if self._loop.time() < self._busy_until else 1):
            try:
                size, peer = receive(self._buffer)
            except BlockingIOError:
                if not count:  # woken without data: errors are waiting
                    self._drain_errors()
                break
            except OSError:  # a queued error, reported once; it says nothing about what there is to read
                self._drain_errors()
                continue
            if size <= _LONGEST_KEEP_ALIVE:
                self._counters.keep_alives += 1
                continue
            user.message_received(bytes(self._view[:size]), self._flow_of(peer))
            if self._socket.fileno() < 0:  # the user closed us
                return
        user.batch_ended()
        self._busy_until = self._loop.time() + _BUSY_S

    def _flow_of(self, peer: tuple[str, int]) -> Flow:
        flow = self._flows.get(peer)
        if flow is None:
            if len(self._flows) >= _MAX_FLOWS:
                self._flows.clear()
            flow = Flow(Transport.UDP, self._bound, Address(peer[0], peer[1]))
            self._flows[peer] = flow
        return flow

    def _drain_errors(self) -> None:
        for remote, error in errqueue.drain(self._socket):
            self._counters.transport_errors += 1
            self._user.flow_failed(Flow(Transport.UDP, self._bound, remote), error)

    def _send_failed(self, data: bytes, flow: Flow, error: OSError) -> None:
        """An error of a send may be about an earlier datagram to somebody else: drain, then ask again."""
        self._drain_errors()
        try:
            self._socket.sendto(data, flow.remote)
        except BlockingIOError:
            self._loop.add_writer(self._socket, self._flush)
            self._enqueue(data, flow)
        except OSError as second:
            error = second
            if error.errno in _TRANSIENT:
                self._counters.dropped += 1
                return
            self._counters.transport_errors += 1
            self._user.flow_failed(flow, error)

    def _enqueue(self, data: bytes, flow: Flow) -> None:
        if len(self._queue) < _MAX_QUEUED:
            self._queue.append((data, flow))
        else:
            self._counters.dropped += 1

    def _flush(self) -> None:
        queue = self._queue
        while queue:
            data, flow = queue[0]
            try:
                self._socket.sendto(data, flow.remote)
            except BlockingIOError:
                return
            except OSError as error:
                queue.popleft()
                self._send_failed(data, flow, error)
                continue
            queue.popleft()
        self._loop.remove_writer(self._socket)
        self._user.batch_ended()


def _enlarge_buffers(sock: socket.socket) -> None:
    """A burst of a thousand calls must fit. Beyond net.core.rmem_max only for who may (CAP_NET_ADMIN)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
    if sys.platform == "linux":
        with suppress(PermissionError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _SOCKET_BUFFER)
