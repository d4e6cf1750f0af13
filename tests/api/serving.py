"""The real server over the real engine, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from msgspec import Struct
from msgspec.structs import replace

from engine import Config, Engine
from engine.api import ApiServices, HttpServer, serve_http
from engine.config import AccountConfig, HttpConfig
from tests.support.running_engine import running

__all__ = [
    "ALICE",
    "BOB",
    "KEY",
    "OTHER_KEY",
    "SLEEPING_KEY",
    "Api",
    "Reply",
    "api",
    "asleep_account",
    "services",
    "until",
    "waiting_for",
]

KEY = "alice-0123456789abcdef"
OTHER_KEY = "bob-0123456789abcdef"
SLEEPING_KEY = "carol-0123456789abcdef"
ALICE = AccountConfig(sid="de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11", name="alice", api_keys=(KEY,))
BOB = AccountConfig(sid="33b259c1-303d-486a-a8dd-5d5b1a0c7c55", name="bob", api_keys=(OTHER_KEY,))
asleep_account = AccountConfig(
    sid="e35d4edf-efd2-424c-8667-c6c5f53b1e1b", name="carol", api_keys=(SLEEPING_KEY,), active=False
)

_HTTP = HttpConfig(listen="127.0.0.1:0", requests_per_s=100_000.0)


class Reply(Struct, frozen=True):
    """A whole response."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    json: Any = None
    """Decoded, where the response says that it is JSON."""

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "")


class Api:
    """A client with a key, and what it talks to."""

    def __init__(self, server: HttpServer, engine: Engine, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.engine = engine
        self.session = session

    async def __call__(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        data: Any = None,
        key: str | None = KEY,
        **headers: str,
    ) -> Reply:
        """One request; `headers` with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Authorization"] = f"Bearer {key}"
        async with self.session.request(
            method, self.server.url + path, json=json, data=data, headers=named, allow_redirects=False
        ) as response:
            body = await response.read()
            is_json = "json" in response.headers.get("content-type", "")
            return Reply(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                body,
                await response.json(content_type=None) if is_json else None,
            )


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Returns when it holds; TimeoutError when it does not within the time."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  what others do cannot be waited for
            await asyncio.sleep(0.005)


def waiting_for() -> list[str]:
    """Dials with an event stream, or a request that waits for the result."""
    prefix = "client of "
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def services(**changes: Any) -> ApiServices:
    """Port chosen by the kernel, three accounts, no limit that a test would feel. More: fields to replace."""
    return replace(ApiServices(http=_HTTP, accounts=(ALICE, BOB, asleep_account)), **changes)


@asynccontextmanager
async def api(behind: ApiServices | None = None, config: Config | None = None) -> AsyncIterator[Api]:
    """An engine, a server, a client with connections of its own."""
    async with (
        running(config) as engine,
        serve_http(engine, behind or services()) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield Api(server, engine, session)
