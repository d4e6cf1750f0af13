"""The HTTP server: uvicorn's protocol inside the engine's own event loop, without its signal handlers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from litestar.types import ASGIApp

from engine.api.app import create_app
from engine.api.protocol import LimitedProtocol, limited
from engine.api.services import ApiLimits, ApiServices, DialEngine
from engine.errors import ConfigError

__all__ = ["HttpServer", "serve_http"]

_log = structlog.get_logger(__name__)

_SWEEP_S = 1.0
_BACKLOG = 1024
_LET_GO = "ASGI callable returned without completing response."
"""What uvicorn says when an event stream gives up a client that reads nothing."""


class HttpServer:
    """A running server: `await server.start()`, `await server.stop()`, both once."""

    def __init__(self, app: ASGIApp, host: str, port: int, limits: ApiLimits) -> None:
        self.host = host
        """Numeric address it is bound to."""
        self.port = port
        """Bound port, never 0 after `start`."""
        self._app = app
        self._limits = limits
        self._uvicorn: _Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:8080`, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Returns when connections are accepted. Raises OSError when the address cannot be bound."""
        limits = self._limits
        bound = _bind(self.host, self.port)
        self.port = bound.getsockname()[1]
        logger = logging.getLogger("uvicorn.error")
        logger.handlers = [_ToStructlog(logging.ERROR)]  # below are start, stop and what strangers send
        logger.propagate = False
        config = uvicorn.Config(
            self._app,
            http=limited(
                max_head_bytes=limits.max_head_bytes,
                head_timeout_s=limits.head_timeout_s,
                body_timeout_s=limits.body_timeout_s,
                goodbye_timeout_s=limits.send_timeout_s,
            ),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            limit_concurrency=limits.max_connections,
            timeout_keep_alive=limits.keep_alive_s,  # type: ignore[arg-type]  # any number will do
            timeout_graceful_shutdown=limits.grace_s,  # type: ignore[arg-type]
        )
        self._uvicorn = _Uvicorn(config)
        self._serving = asyncio.create_task(self._uvicorn.serve(sockets=[bound]), name="http server")
        await self._uvicorn.ready
        self._sweep()

    async def stop(self) -> None:
        """Accept nothing more, let open requests finish for `grace_s`, then cancel them. Idempotent."""
        server, serving = self._uvicorn, self._serving
        if server is None or serving is None:
            return
        self._uvicorn = self._serving = None
        server.should_exit = True
        await serving
        leftover = tuple(server.server_state.tasks)
        if leftover:
            await asyncio.wait(leftover)
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _sweep(self) -> None:
        if self._uvicorn is None:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in tuple(self._uvicorn.server_state.connections):
            assert isinstance(connection, LimitedProtocol)
            connection.sweep(now)
        self._sweeping = loop.call_later(_SWEEP_S, self._sweep)


@asynccontextmanager
async def serve_http(engine: DialEngine, services: ApiServices) -> AsyncIterator[HttpServer]:
    """Serve `services.http.listen` until the block is left; open requests may then finish for a moment.

        async with Engine(config) as engine, serve_http(engine, ApiServices(...)) as server:
            print(server.url)

    Leave the block before the engine stops: drain the engine first, and those who wait get their results.
    Raises ConfigError, naming `http.listen` or the key of an account that cannot be used.
    """
    address = services.http.address()
    if address is None:
        raise ConfigError("http.listen", "is empty")
    app = create_app(engine, services)
    server = HttpServer(app, *address, services.limits)
    try:
        await server.start()
    except OSError as error:
        raise ConfigError("http.listen", f"{services.http.listen}: {error.strerror}") from error
    _log.info("http server started", url=server.url)
    try:
        yield server
    finally:
        app.close()
        await server.stop()
        await app.closed()


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol spelled out, for asyncio turns Nagle's algorithm off only then: head and body of a
    # response leave one after the other, and the body would wait 40 ms for the client's delayed ACK.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


class _Uvicorn(uvicorn.Server):
    """Says when it is ready, and leaves the signals to the program it is a part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set_result(None)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _ToStructlog(logging.Handler):
    """What uvicorn has to say about bugs goes where all our lines go."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        problem = record.getMessage().strip()
        if isinstance(error, asyncio.CancelledError):
            return  # we stopped it
        if problem == _LET_GO:
            _log.info("http client reads nothing, connection closed")
        else:
            _log.error("http server", problem=problem, exc_info=error)
