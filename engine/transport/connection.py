"""One stream connection: framing in, bounded writing out, keep-alives. It belongs to its `StreamLink`.

When a connection ends, `flow_failed` is reported if something we sent may be lost: a refused or timed-out
connect, a reset, unsent bytes, or a clean close by a peer that has said nothing since our last request. A
clean close after the peer has reacted is silent: its later responses come over a new connection to our
Via address (RFC 3261 §18.2.2), so a ringing call survives.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from engine.sip.framing import KEEP_ALIVE_PING, KEEP_ALIVE_PONG, FramingError, KeepAlive, StreamFramer
from engine.sip.types import Address, Flow

if TYPE_CHECKING:
    from engine.transport.stream import StreamLink

__all__ = ["StreamConnection"]

_UNANSWERED = (b"SIP/2.0 ", b"ACK ")  # to responses and ACK the peer owes us nothing


class StreamConnection(asyncio.Protocol):
    """One TCP connection: framing in, bounded writing out."""

    __slots__ = (
        "_awaits_pong_since",
        "_error",
        "_framer",
        "_has_pinged",
        "_has_ponged",
        "_heard_at",
        "_is_unanswered",
        "_link",
        "_partial_since",
        "_pending",
        "_pending_bytes",
        "_sent_at",
        "_stalled_since",
        "_transport",
        "flow",
        "is_inbound",
    )

    flow: Flow

    def __init__(self, link: StreamLink, flow: Flow | None) -> None:
        self._link = link
        self.is_inbound = flow is None
        if flow is not None:
            self.flow = flow
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._pending: list[bytes] | None = []
        self._pending_bytes = 0
        self._error: OSError | None = None
        self._heard_at = self._sent_at = link.loop.time()
        self._is_unanswered = False
        self._partial_since: float | None = None
        self._stalled_since: float | None = None
        self._awaits_pong_since: float | None = None
        self._has_pinged = False
        self._has_ponged = False

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        link = self._link
        if self.is_inbound:
            peer = transport.get_extra_info("peername")
            if peer is None:  # gone between accept and here
                transport.abort()
                return
            self.flow = Flow(link.transport, link.bound, Address(peer[0], peer[1]))
            if not link.admit(self):
                transport.abort()
                return
        elif self not in link:  # given up while connecting
            transport.abort()
            return
        transport.set_write_buffer_limits(high=link.limits.max_pending_bytes // 2)
        pending, self._pending = self._pending or [], None
        if pending:
            transport.write(b"".join(pending))

    def data_received(self, data: bytes) -> None:
        link = self._link
        now = link.loop.time()
        self._heard_at = now
        self._is_unanswered = False
        self._partial_since = self._partial_since or now
        try:
            for item in self._framer.feed(data):
                self._partial_since = now
                if isinstance(item, bytes):
                    link.user.message_received(item, self.flow)
                else:
                    self._keep_alive_received(item)
        except FramingError as error:
            link.counters.malformed += 1
            self.abort(OSError(errno.EBADMSG, str(error)))
        if not self._framer.pending_bytes:
            self._partial_since = None
        link.user.batch_ended()

    def pause_writing(self) -> None:
        self._stalled_since = self._link.loop.time()

    def resume_writing(self) -> None:
        self._stalled_since = None

    def eof_received(self) -> None:
        self._link.retire(self)  # asyncio closes the transport next

    def connection_lost(self, exc: Exception | None) -> None:
        link = self._link
        if self not in link:  # refused by a limit, or already given up
            return
        error = self._error
        if error is None and isinstance(exc, OSError):
            error = exc
        if error is None and self._is_unanswered:
            error = ConnectionAbortedError(errno.ECONNABORTED, "closed by the peer without a reaction")
        self._end(error)

    # --- for the link ---

    def send(self, data: bytes) -> None:
        """Write, or keep for the connect in progress. Too much unsent costs the connection."""
        link = self._link
        limit = link.limits.max_pending_bytes
        self._sent_at = link.loop.time()
        if not data.startswith(_UNANSWERED):
            self._is_unanswered = True
        if self._pending is not None:
            self._pending_bytes += len(data)
            self._pending.append(data)
            if self._pending_bytes > limit:
                self._end(TimeoutError(errno.ETIMEDOUT, "too much waits for the connect"))
            return
        transport = self._transport
        assert transport is not None
        transport.write(data)
        if transport.get_write_buffer_size() > limit:
            self.abort(TimeoutError(errno.ETIMEDOUT, "the peer does not read"))

    def connect_failed(self, error: OSError | None) -> None:
        """The connection never came to be; None when we gave up ourselves."""
        self._end(error)

    def close(self) -> None:
        """Close after what is written has left."""
        self._is_unanswered = False
        self._link.retire(self)
        if self._transport is None:
            self._end(None)
        else:
            self._transport.close()

    def abort(self, error: OSError | None) -> None:
        """Drop the connection at once; `error` is what the link's user hears."""
        self._is_unanswered = False
        self._error = self._error or error
        self._link.retire(self)
        if self._transport is not None:
            self._transport.abort()

    def check(self, now: float) -> None:
        """The sweep: close what is idle, drop what stalls, trickles or does not answer pings."""
        if self._transport is None:
            return
        limits = self._link.limits
        if _is_over(self._stalled_since, limits.stall_timeout_s, now):
            self.abort(TimeoutError(errno.ETIMEDOUT, "the peer does not read"))
        elif _is_over(self._partial_since, limits.partial_timeout_s, now):
            self.abort(TimeoutError(errno.ETIMEDOUT, "a message stayed incomplete"))
        elif _is_over(self._awaits_pong_since, limits.pong_timeout_s, now):
            self.abort(TimeoutError(errno.ETIMEDOUT, "no answer to a keep-alive"))
        elif now - max(self._heard_at, self._sent_at) >= limits.idle_timeout_s:
            self.close()
        elif limits.keep_alive_s and now - self._sent_at >= limits.keep_alive_s:
            self._sent_at = now
            self._transport.write(KEEP_ALIVE_PING)
            self._has_pinged = True
            if self._has_ponged and self._awaits_pong_since is None:
                self._awaits_pong_since = now

    # --- inside ---

    def _keep_alive_received(self, kind: KeepAlive) -> None:
        """RFC 5626 §3.5.1: a ping is answered at once; a pong proves that the peer answers pings.

        Either is a sign of life: the framer cannot tell a pong behind a pong from a ping cut in two.
        """
        self._link.counters.keep_alives += 1
        self._awaits_pong_since = None
        if kind is KeepAlive.PONG:
            self._has_ponged = self._has_pinged
        elif self._transport is not None and self._stalled_since is None:
            self._transport.write(KEEP_ALIVE_PONG)

    def _end(self, error: OSError | None) -> None:
        link = self._link
        if self not in link:
            return
        self._pending = []
        link.forget(self)
        if error is not None:
            link.counters.transport_errors += 1
            link.user.flow_failed(self.flow, error)


def _is_over(since: float | None, limit_s: float, now: float) -> bool:
    return since is not None and now - since >= limit_s
