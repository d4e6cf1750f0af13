"""The HTTP server: uvicorn's protocol inside the engine's own event loop, without its signal handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.api.services import ApiServices, DialEngine

__all__ = ["HttpServer", "serve_http"]


class HttpServer:
    """A running server."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        """Numeric address it is bound to."""
        self.port = port
        """Bound port, never 0."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:8080`, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve_http(engine: DialEngine, services: ApiServices) -> AsyncIterator[HttpServer]:
    """Serve `services.http.listen` until the block is left; open requests may then finish for a moment.

        async with Engine(config) as engine, serve_http(engine, ApiServices(...)) as server:
            print(server.url)

    Raises ConfigError, naming `http.listen`, when the address cannot be bound.
    """
    address = services.http.address()
    assert address is not None
    yield HttpServer(*address)
