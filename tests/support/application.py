"""A customer's web application: a real HTTP server on a port of the kernel's choice, scripted per path.

    async with WebApplication() as app:
        app.on("/call", [{"verb": "dial", "target": [{"type": "sip", "sipUri": callee.uri}]}])
        app.on("/dial", Answer(status=500), [{"verb": "hangup"}])  # the first time, ever after
        ...  # an engine whose call hook is app.url("/call")
        asked = await app.request("/dial")  # waits for it
        assert asked.payload["dial_status"] == "completed"

Every request is recorded in the order of arrival, with its time, before it is answered. A path without a
script is answered with 404; `unscripted` lists them, so that a test can say that nothing else was asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import web
from msgspec import Struct

__all__ = ["Answer", "HookRequest", "Script", "WebApplication"]

_PATIENCE_S = 15.0
"""Longer than anything a test waits for; only a failing test takes so long."""


class HookRequest(Struct, frozen=True):
    """One request as it came in."""

    at: float
    """Monotonic seconds."""
    method: str
    path: str
    """Without the query."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)

    @property
    def payload(self) -> dict[str, Any]:
        """What was told, either way it can be told (WH-01): the body of a POST, the query of a GET."""
        if self.method == "GET":
            return {name: _decoded(value) for name, value in self.query.items()}
        told = self.json
        assert isinstance(told, dict), f"{self.path}: not an object: {self.body!r}"
        return told


class Answer(Struct, frozen=True):
    """How a request is answered."""

    document: object = None
    """Sent as JSON; None: see `text`."""
    status: int = 200
    text: str | bytes = b""
    """Sent as it is: nothing, garbage, anything."""
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0
    gate: asyncio.Event | None = None
    """Answered only when it is set."""
    cut: bool = False
    """The connection is closed without an answer."""

    @property
    def body(self) -> bytes:
        if self.document is not None:
            return msgspec.json.encode(self.document)
        return self.text.encode() if isinstance(self.text, str) else self.text

    @classmethod
    def redirect(cls, location: str, status: int = 302) -> Answer:
        """To somewhere else."""
        return cls(status=status, headers={"Location": location})


Script = Answer | Sequence[object] | Callable[[HookRequest], Answer]
"""An answer, a document, or a function that makes one from the request."""


class WebApplication:
    """Answers hooks as scripted and remembers them."""

    def __init__(self) -> None:
        self.requests: list[HookRequest] = []
        """All of them, in the order of arrival."""
        self._scripts: dict[str, list[Script]] = {}
        self._arrived = asyncio.Condition()
        self._runner: web.ServerRunner | None = None
        self._address = ("", 0)
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._handle), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self._address = (host, port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Nobody answers any more; what waits for an answer loses its connection."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def base(self) -> str:
        """`http://127.0.0.1:PORT`"""
        host, port = self._address
        return f"http://{host}:{port}"

    def url(self, path: str = "/") -> str:
        """Of a path here."""
        return self.base + path

    def on(self, path: str, *scripts: Script) -> None:
        """Answer requests for `path` with these, one after the other, the last for ever. None: 200, empty."""
        self._scripts[path] = list(scripts) or [Answer()]

    def is_scripted(self, path: str) -> bool:
        """Whether `on` was called for it."""
        return path in self._scripts

    def asked(self, path: str) -> list[HookRequest]:
        """What has come in for a path so far."""
        return [request for request in self.requests if request.path == path]

    def payloads(self, path: str) -> list[dict[str, Any]]:
        """What has been told to a path so far."""
        return [request.payload for request in self.asked(path)]

    @property
    def paths(self) -> list[str]:
        """Of all requests, in the order of arrival."""
        return [request.path for request in self.requests]

    @property
    def unscripted(self) -> list[str]:
        """Paths that were asked for and are not in the script."""
        return [request.path for request in self.requests if request.path not in self._scripts]

    async def request(self, path: str, number: int = 1, *, timeout_s: float = _PATIENCE_S) -> HookRequest:
        """The `number`th request for a path; waits for it. AssertionError: it did not come."""
        await self.until(
            lambda: len(self.asked(path)) >= number, f"request {number} for {path}", timeout_s=timeout_s
        )
        return self.asked(path)[number - 1]

    async def told(self, path: str, timeout_s: float = _PATIENCE_S, **properties: object) -> HookRequest:
        """The first request for a path whose payload has these properties; waits for it."""

        def matching() -> Iterable[HookRequest]:
            return (each for each in self.asked(path) if properties.items() <= each.payload.items())

        await self.until(lambda: any(matching()), f"{path} with {properties}", timeout_s=timeout_s)
        return next(iter(matching()))

    async def until(
        self, condition: Callable[[], bool], what: str, *, timeout_s: float = _PATIENCE_S
    ) -> None:
        """Wait for requests until `condition` holds. AssertionError names `what` and tells what came."""
        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(condition)
        except TimeoutError:
            told = "\n".join(f"  {each.method} {each.path} {each.body[:300]!r}" for each in self.requests)
            raise AssertionError(f"waited {timeout_s} s for {what}; what came:\n{told}") from None

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        request = HookRequest(
            at=time.monotonic(),
            method=http.method,
            path=http.path,
            query=dict(http.query),
            headers={name.lower(): value for name, value in http.headers.items()},
            body=await http.read(),
        )
        script = self._next(request.path)
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        answer = self._answer(script, request)
        if answer.delay_s:
            await self._at_most(asyncio.sleep(answer.delay_s))
        if answer.gate is not None:
            await self._at_most(answer.gate.wait())
        if (answer.cut or self._closing.is_set()) and http.transport is not None:
            http.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def _next(self, path: str) -> Script | None:
        scripts = self._scripts.get(path)
        if not scripts:
            return None
        return scripts.pop(0) if len(scripts) > 1 else scripts[0]

    def _answer(self, script: Script | None, request: HookRequest) -> Answer:
        if script is None:
            return Answer(status=404)
        if isinstance(script, Answer):
            return script
        return script(request) if callable(script) else Answer(document=script)

    async def _at_most(self, waiting: Awaitable[object]) -> None:
        """Wait, but not longer than the application lives."""
        closing = asyncio.ensure_future(self._closing.wait())
        waited = asyncio.ensure_future(waiting)
        try:
            await asyncio.wait((closing, waited), return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            waited.cancel()


def _decoded(value: str) -> Any:
    """A value of a query: nested values are JSON (WH-01), the rest is text."""
    if value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
