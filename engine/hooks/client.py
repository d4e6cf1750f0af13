"""`HookClient`: one pool of connections for all hooks over HTTP (WH-01 to WH-08, WH-10).

Redirects, retries and time-outs are ours, not aiohttp's: the rules are those of the contract, and doing less
per request is what keeps a hook at a quarter of a millisecond.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from engine.hooks.hook import Hook
from engine.hooks.hosts import HostGates
from engine.hooks.reply import (
    MAX_REPLY_BYTES,
    HookFailed,
    HookFailure,
    HookReply,
    MalformedReply,
    parse_reply,
)
from engine.hooks.request import Destination, HookRequest, basic_auth, destination_of, prepare
from engine.hooks.signature import SIGNATURE_HEADER, sign
from engine.ids import random_bytes

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

__all__ = ["HookClient"]

_MAX_REDIRECTS = 3
_KEEP_ALIVE_S = 4.0
"""Shorter than the 5 s after which servers of Node close: no connection is reused that is being closed."""
_SUCCESS = frozenset({200, 202, 204})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class _Attempt:
    """How far one attempt has come; the connector tells."""

    __slots__ = ("has_connected", "is_fresh")

    def __init__(self) -> None:
        self.has_connected = False
        self.is_fresh = False


_attempt: ContextVar[_Attempt | None] = ContextVar("hook attempt", default=None)


class _Connector(aiohttp.TCPConnector):
    """Tells the attempt it works for whether it has to connect, and whether it got that far."""

    async def _create_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's signature)
    ) -> ResponseHandler:
        attempt = _attempt.get()
        if attempt is not None:
            attempt.is_fresh, attempt.has_connected = True, False
        protocol = await super()._create_connection(req, traces, timeout)
        if attempt is not None:
            attempt.has_connected = True
        return protocol


class HookClient:
    """Sends hooks over HTTP. `async with HookClient() as client`, or open() and close().

    timeout_s: for each attempt, redirects included (WH-05). max_connections: open at once, over all hosts.
    has_tracing: pass the trace id of a call on in the header `b3` (WH-10).
    """

    __slots__ = (
        "_clock",
        "_gates",
        "_has_tracing",
        "_headers",
        "_max_connections",
        "_session",
        "_sleep",
        "_timeout_s",
        "attempts",
        "failures",
    )

    def __init__(
        self,
        *,
        user_agent: str = "dial-engine",
        timeout_s: float = 10.0,
        max_connections: int = 100,
        has_tracing: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._headers = {"User-Agent": user_agent}
        self._timeout_s = timeout_s
        self._max_connections = max_connections
        self._has_tracing = has_tracing
        self._sleep = sleep
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._gates = HostGates(max_connections)
        self.attempts = 0
        """Requests made, retries included."""
        self.failures = 0
        """Attempts without a usable answer."""

    async def open(self) -> None:
        """Make the pool; needs the running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(
                    limit=self._max_connections, keepalive_timeout=_KEEP_ALIVE_S, ttl_dns_cache=60
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Compressed answers are rare and cost a decompressor each; nobody is asked for them.
                skip_auto_headers=("Accept", "Accept-Encoding"),
                timeout=_NO_TIMEOUT,
                headers=self._headers,
                trust_env=False,
            )

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The pool, for who speaks something else over it (a WebSocket)."""
        if self._session is None:
            raise RuntimeError("the hook client is not open")
        return self._session

    @property
    def timeout_s(self) -> float:
        """How long an answer may take (WH-05)."""
        return self._timeout_s

    async def send(
        self,
        hook: Hook,
        payload: Mapping[str, object],
        *,
        base: Hook | str = "",
        secrets: Sequence[str] = (),
        idempotency_key: str = "",
    ) -> HookReply:
        """Send one hook, with its retries, and return the answer. HookFailed, MalformedReply."""
        return await self.perform(
            prepare(hook, payload, base), secrets=secrets, idempotency_key=idempotency_key
        )

    async def perform(
        self,
        request: HookRequest,
        *,
        secrets: Sequence[str] = (),
        idempotency_key: str = "",
        is_answer_used: bool = True,
    ) -> HookReply:
        """`send` of a prepared hook. `is_answer_used`: False: any success will do, whatever its body says."""
        destination = destination_of(request.url)
        pauses_s = destination.retries.pauses_s()
        while True:
            try:
                return await self._try_once(
                    request, destination, secrets, idempotency_key, is_answer_used=is_answer_used
                )
            except HookFailed as failed:
                self.failures += 1
                pause_s = next(pauses_s, None) if destination.retries.covers(failed) else None
                if pause_s is None:
                    raise
            await self.pause(pause_s)

    async def pause(self, seconds: float) -> None:
        """Between two attempts, of whoever makes them."""
        await self._sleep(seconds)

    async def _try_once(
        self,
        request: HookRequest,
        destination: Destination,
        secrets: Sequence[str],
        idempotency_key: str,
        *,
        is_answer_used: bool,
    ) -> HookReply:
        if self._session is None:
            raise HookFailed("hooks are not sent any more")  # of a durable one the outbox keeps hold
        self.attempts += 1
        gate = self._gates.of(destination.origin)
        attempt = _Attempt()
        token = _attempt.set(attempt)
        has_entered = False
        has_answered: bool | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await gate.enter()
                has_entered = True
                attempt.has_connected = True  # unless the connector has to make a connection
                headers = self._headers_of(request, destination, secrets, idempotency_key)
                reply = await self._exchange(
                    request, destination.url, headers, attempt, is_answer_used=is_answer_used
                )
                has_answered = True
                return reply
        except TimeoutError:
            has_answered = False
            if attempt.has_connected:
                raise HookFailed(
                    f"no answer within {self._timeout_s:g} s", failure=HookFailure.TIMEOUT
                ) from None
            raise HookFailed(f"no connection within {self._timeout_s:g} s") from None
        except ValueError:  # aiohttp.InvalidURL is one; so is a label of the host that no resolver takes
            raise HookFailed("not a URL that can be requested", failure=HookFailure.REQUEST) from None
        except (aiohttp.ClientError, OSError) as error:
            has_answered = False
            raise HookFailed(_problem(error)) from None
        except HookFailed as failed:
            has_answered = failed.status is not None
            raise
        finally:
            _attempt.reset(token)
            if has_entered:
                gate.leave(has_answered=has_answered)
                self._gates.forget(destination.origin, gate)

    def _headers_of(
        self, request: HookRequest, destination: Destination, secrets: Sequence[str], idempotency_key: str
    ) -> dict[str, str]:
        headers: dict[str, str] = {}
        if request.method == "POST":
            headers["Content-Type"] = "application/json"
        if request.username or request.password:
            headers["Authorization"] = basic_auth(request.username, request.password)
        elif destination.authorization:
            headers["Authorization"] = destination.authorization
        if secrets:
            headers[SIGNATURE_HEADER] = sign(request.body, secrets, self._clock())
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        if b3 := self.b3(request.trace_id):
            headers["b3"] = b3
        return headers

    def b3(self, trace_id: str) -> str:
        """Value of the tracing header for one hook; empty: tracing is off, or the call has no trace."""
        if not self._has_tracing or not trace_id:
            return ""
        return f"{trace_id.replace('-', '')}-{random_bytes(8).hex()}-1"

    async def _exchange(
        self,
        request: HookRequest,
        url: URL,
        headers: dict[str, str],
        attempt: _Attempt,
        *,
        is_answer_used: bool,
    ) -> HookReply:
        """One request, and for GET the redirects it leads to (WH-03)."""
        first = url
        for _ in range(_MAX_REDIRECTS + 1):
            response = await self._request(request, url, headers, attempt)
            try:
                status = response.status
                if status in _SUCCESS:
                    if status == 204 or response.content_length == 0:
                        return HookReply(status)
                    body = await _read(response)
                    return parse_reply(status, body) if is_answer_used else HookReply(status)
                location = response.headers.get("Location", "")
                if not (request.method == "GET" and status in _REDIRECTS and location):
                    raise HookFailed(f"answered with HTTP {status}", status, HookFailure.STATUS)
            finally:
                response.release()  # closes the connection unless the whole answer is there
            url = _redirected(url, location, status)
            if url.origin() != first.origin():
                headers = {
                    name: value
                    for name, value in headers.items()
                    if name not in ("Authorization", SIGNATURE_HEADER)
                }
            if url.user is not None:
                headers = {**headers, "Authorization": basic_auth(url.user, url.password or "")}
                url = url.with_user(None)
        raise HookFailed(f"more than {_MAX_REDIRECTS} redirects", status, HookFailure.REDIRECT)

    async def _request(
        self, request: HookRequest, url: URL, headers: dict[str, str], attempt: _Attempt
    ) -> aiohttp.ClientResponse:
        data = request.body if request.method == "POST" else None
        attempt.is_fresh = False
        try:
            return await self.session.request(
                request.method, url, data=data, headers=headers, allow_redirects=False
            )
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if attempt.is_fresh:
                raise
            # The server had closed a connection we kept: it never read this request (RFC 9112 §9.3.1).
            return await self.session.request(
                request.method, url, data=data, headers=headers, allow_redirects=False
            )


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, as long as it is no larger than a document may be. MalformedReply."""
    length = response.content_length
    if length is None or length < MAX_REPLY_BYTES:
        chunk = await response.content.readany()
        if length is not None and len(chunk) == length:
            return chunk
        chunks, size = [], 0
        while chunk:
            chunks.append(chunk)
            size += len(chunk)
            if size >= MAX_REPLY_BYTES:
                break
            chunk = await response.content.readany()
        else:
            return b"".join(chunks)
    response.close()
    raise MalformedReply(f"the answer has {MAX_REPLY_BYTES} bytes or more", response.status)


def _redirected(url: URL, location: str, status: int) -> URL:
    target: URL | None = None
    with suppress(ValueError):
        target = url.join(URL(location))
    if target is None or target.scheme not in ("http", "https") or not target.host:
        raise HookFailed("redirected to something that is no http URL", status, HookFailure.REDIRECT)
    return target


def _problem(error: Exception) -> str:
    """What to tell the customer: never more than the operating system or the protocol says."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name cannot be resolved"
    if isinstance(error, aiohttp.ClientSSLError):
        return "TLS with the host failed"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return f"no connection: {os.strerror(number) if number else type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection was closed before an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is not HTTP"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection broke in the middle of the answer"
    return f"the connection failed ({type(error).__name__})"
