"""SIP over stream transports: TCP now; TLS is the same link with an `ssl` context, WebSocket another framing.

A `StreamLink` is a listener and every connection of its flows, inbound or opened on demand. A connection has
one owner, the link; a peer that stalls, floods or trickles loses its connection and delays nobody.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from engine.sip.errors import ParseError
from engine.sip.message import parse_message
from engine.sip.types import Address, Flow, Transport
from engine.transport.config import StreamLimits
from engine.transport.connection import StreamConnection
from engine.transport.link import Counters, LinkUser, describe_flow

__all__ = ["StreamLink"]

_DEFAULT_PORT = 5060
_FLUSH_S = 0.5  # how long closing waits for bytes already written


class StreamLink:
    """One TCP listener with its connections. Create with `await StreamLink.open`."""

    def __init__(
        self,
        sock: socket.socket,
        user: LinkUser,
        counters: Counters,
        limits: StreamLimits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take over a bound, non-blocking stream socket that does not listen yet."""
        self.user = user
        self.counters = counters
        self.limits = limits
        self.loop = loop
        self._socket = sock
        host, port = sock.getsockname()[:2]
        self._bound = Address(host, port)
        self._server: asyncio.Server | None = None
        self._by_remote: dict[Address, StreamConnection] = {}
        self._connections: set[StreamConnection] = set()
        self._inbound_of: dict[str, int] = {}
        self._connecting: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event = asyncio.Event()
        self._emptied.set()
        self._is_closed = False

    @classmethod
    async def open(
        cls, address: Address, user: LinkUser, counters: Counters, limits: StreamLimits | None = None
    ) -> StreamLink:
        """Bind and listen. Raises OSError when the address cannot be bound."""
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
            link = cls(sock, user, counters, limits or StreamLimits(), asyncio.get_running_loop())
            link._server = await link.loop.create_server(
                lambda: StreamConnection(link, None), sock=sock, backlog=1024
            )
        except BaseException:
            sock.close()
            raise
        return link

    @property
    def transport(self) -> Transport:
        return Transport.TCP

    @property
    def bound(self) -> Address:
        return self._bound

    @property
    def connection_count(self) -> int:
        return len(self._connections)

    def send(self, data: bytes, flow: Flow) -> None:
        """Write to the flow's connection; open one first if there is none."""
        if self._is_closed:
            self.counters.dropped += 1
            return
        connection = self._by_remote.get(flow.remote)
        if connection is None:
            remote = _reply_address(data, flow.remote) if data.startswith(b"SIP/2.0 ") else flow.remote
            connection = self._by_remote.get(remote) or self._connect(remote)
        connection.send(data)

    def close(self) -> None:
        """Stop listening and close every connection; what is written already still leaves."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in self._connecting:
            task.cancel()
        for connection in tuple(self._connections):
            connection.close()

    async def wait_closed(self) -> None:
        """After `close`: return when no connection, task or timer is left, within half a second."""
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._emptied.wait()
        except TimeoutError:
            for connection in tuple(self._connections):
                connection.abort(None)
            await self._emptied.wait()
        if self._connecting:
            await asyncio.gather(*self._connecting, return_exceptions=True)

    def __contains__(self, connection: object) -> bool:
        return connection in self._connections

    def describe(self) -> str:
        return "\n".join(f"connection {describe_flow(each.flow)}" for each in self._connections)

    # --- what connections tell their link ---

    def admit(self, connection: StreamConnection) -> bool:
        """Register an inbound connection, or refuse it by a limit."""
        host = connection.flow.remote.host
        inbound = self._inbound_of.get(host, 0)
        if (
            self._is_closed
            or len(self._connections) >= self.limits.max_connections
            or inbound >= self.limits.max_inbound_per_peer
        ):
            self.counters.connections_refused += 1
            return False
        self._inbound_of[host] = inbound + 1
        self.counters.connections_accepted += 1
        self._register(connection)
        return True

    def retire(self, connection: StreamConnection) -> None:
        """The connection is about to close: what is sent from now on needs another one."""
        remote = connection.flow.remote
        if self._by_remote.get(remote) is connection:
            del self._by_remote[remote]

    def forget(self, connection: StreamConnection) -> None:
        """The connection is gone."""
        self.retire(connection)
        self._connections.discard(connection)
        remote = connection.flow.remote
        if connection.is_inbound:
            left = self._inbound_of[remote.host] - 1
            if left:
                self._inbound_of[remote.host] = left
            else:
                del self._inbound_of[remote.host]
        if not self._connections:
            self._emptied.set()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None

    def _register(self, connection: StreamConnection) -> None:
        # Two connections of one remote address (it reuses its port) are both read; the newer is written to.
        self._connections.add(connection)
        self._by_remote[connection.flow.remote] = connection
        self._emptied.clear()
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self._sweep_interval_s(), self._sweep)

    def _connect(self, remote: Address) -> StreamConnection:
        connection = StreamConnection(self, Flow(self.transport, self._bound, remote))
        self._register(connection)
        task = self.loop.create_task(
            self._open_connection(connection), name=f"sip connect {describe_flow(connection.flow)}"
        )
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return connection

    async def _open_connection(self, connection: StreamConnection) -> None:
        remote = connection.flow.remote
        is_wildcard = self._bound.host in ("0.0.0.0", "::")
        try:
            async with asyncio.timeout(self.limits.connect_timeout_s):
                await self.loop.create_connection(
                    lambda: connection,
                    remote.host,
                    remote.port,
                    local_addr=None if is_wildcard else (self._bound.host, 0),
                )
        except TimeoutError:
            connection.connect_failed(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        except OSError as error:
            connection.connect_failed(error)
        except asyncio.CancelledError:
            connection.connect_failed(None)
            raise
        else:
            self.counters.connections_opened += 1

    def _sweep_interval_s(self) -> float:
        limits = self.limits
        shortest = min(limits.idle_timeout_s, limits.partial_timeout_s, limits.stall_timeout_s)
        if limits.keep_alive_s:
            shortest = min(shortest, limits.keep_alive_s, limits.pong_timeout_s)
        return min(5.0, max(0.01, shortest / 4))

    def _sweep(self) -> None:
        """One timer looks after all connections: idle, trickling, stalled, silent after a ping."""
        self._sweeper = self.loop.call_later(self._sweep_interval_s(), self._sweep)
        now = self.loop.time()
        for connection in tuple(self._connections):
            connection.check(now)


def _reply_address(response: bytes, came_from: Address) -> Address:
    """Where a response goes when the connection of its request is gone: the sent-by port (RFC 3261 §18.2.2).

    The host is the one the request came from, as `received` would say, never what a Via only claims.
    """
    try:
        return Address(came_from.host, parse_message(response).top_via.port or _DEFAULT_PORT)
    except ParseError:
        return came_from
