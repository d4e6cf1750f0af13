"""A web application that keeps every request it got and answers what the test tells it to.

async with HookHost() as host:
    host.answers("/call", [{"verb": "hangup"}])      # or a Reply, or a list of them, one per request
    ...
    assert host.seen[0].json["call_status"] == "trying"
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self, cast

from aiohttp import web
from msgspec import Struct

__all__ = ["HookHost", "Reply", "Seen", "raw_host"]


class Reply(Struct, frozen=True):
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    after: asyncio.Event | None = None
    """Sent not before this is set."""
    is_cut: bool = False
    """The connection is closed instead."""


class Seen(Struct, frozen=True):
    """One request, as it came."""

    at: float
    method: str
    path: str
    raw_query: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    peer: tuple[str, int]

    @property
    def json(self) -> dict[str, object]:
        """The body, decoded."""
        return cast("dict[str, object]", json.loads(self.body))


class HookHost:
    """Serves on a port of 127.0.0.1 chosen by the kernel. What nobody told it to answer is a 204."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.port = 0
        self.active = 0
        self.most_active = 0
        self._replies: dict[str, list[Reply]] = {}
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Condition()

    def url(self, path: str = "/") -> str:
        """`http://127.0.0.1:<port><path>`"""
        return f"http://127.0.0.1:{self.port}{path}"

    def answers(self, path: str, *replies: Reply | object) -> None:
        """Answer requests for `path`, in order; the last for all that follow. Anything but a Reply is sent
        as JSON with 200."""
        self._replies[path] = [
            reply if isinstance(reply, Reply) else Reply(200, json.dumps(reply).encode()) for reply in replies
        ]

    def to(self, path: str) -> list[Seen]:
        """The requests for one path."""
        return [seen for seen in self.seen if seen.path == path]

    async def until(self, is_enough: Callable[[], bool], limit_s: float = 10.0) -> None:
        """Wait for requests."""
        async with asyncio.timeout(limit_s), self._changed:
            await self._changed.wait_for(is_enough)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        peername = request.transport.get_extra_info("peername") if request.transport else ("", 0)
        self.seen.append(
            Seen(
                asyncio.get_running_loop().time(),
                request.method,
                request.path,
                request.rel_url.raw_query_string,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                body,
                (peername[0], peername[1]),
            )
        )
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        async with self._changed:
            self._changed.notify_all()
        try:
            replies = self._replies.get(request.path, [Reply(204)])
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            if reply.after is not None:
                await reply.after.wait()
        finally:
            self.active -= 1
            async with self._changed:
                self._changed.notify_all()
        if reply.is_cut:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def start(self, port: int = 0) -> None:
        """Listen; again on `port` after `stop`, to come back."""
        app = web.Application(client_max_size=10_000_000)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True)
        await site.start()
        self.port = cast("tuple[str, int]", self._runner.addresses[0])[1]

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


@asynccontextmanager
async def raw_host(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """The URL of a host that speaks as `serve` does, byte by byte."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await server.wait_closed()
        if tasks:
            _, hanging = await asyncio.wait(tasks, timeout=2)
            assert not hanging
