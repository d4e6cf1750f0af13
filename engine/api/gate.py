"""Before a request is looked at: whose is it, is it one too many, is it too large. Then it is counted, and
logged at level debug: at any other one a request costs no line.

The gate is the outermost ASGI application, so that a stranger's request costs a hash and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import cast

import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from engine.api.errors import ApiError, render
from engine.api.keys import Keys

__all__ = ["Gate"]

log = structlog.get_logger(__name__)


class Gate:
    """Authorises, limits and counts; what passes has its account in `scope["auth"]`."""

    __slots__ = ("_app", "_keys", "_max_body_bytes", "_public", "answered")

    def __init__(self, app: ASGIApp, keys: Keys, *, max_body_bytes: int, public: frozenset[str]) -> None:
        """`public`: paths that need no key."""
        self._app = app
        self._keys = keys
        self._max_body_bytes = max_body_bytes
        self._public = public
        self.answered: Counter[int] = Counter()
        """Responses begun, by status."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope = cast(HTTPScope, scope)  # the server speaks nothing else
        answered = self.answered

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered[message["status"]] += 1
                # Without the query, which may say who calls whom.
                log.debug("api request", method=scope["method"], path=scope["path"], status=message["status"])
            await send(message)

        try:
            self._check(scope)
        except ApiError as error:
            await _refuse(scope["path"], error, count)
        else:
            await self._app(scope, receive, count)

    def _check(self, scope: HTTPScope) -> None:
        authorization = content_type = b""
        length = 0
        has_body = False
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"content-length":
                length = int(value) if value.isdigit() else 0
                has_body = length > 0
            elif name == b"transfer-encoding":
                has_body = True
            elif name == b"content-type":
                content_type = value
        if scope["path"] not in self._public:
            self._authorise(scope, authorization)
        if length > self._max_body_bytes:
            raise ApiError(413, f"the body may have at most {self._max_body_bytes} bytes")
        if has_body and content_type and not _is_json(content_type):
            raise ApiError(415, "the body must be application/json")

    def _authorise(self, scope: HTTPScope, authorization: bytes) -> None:
        key = self._keys.find(authorization)
        if key is None:
            raise ApiError(
                401,
                "a valid API key is needed: Authorization: Bearer …",
                headers=[("WWW-Authenticate", "Bearer")],
            )
        wait_s = key.take(time.monotonic())
        if wait_s:
            raise ApiError(429, "too many requests with this key", retry_after_s=wait_s)
        if not key.account.active:
            raise ApiError(403, "the account is inactive")
        scope["auth"] = key.account


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


async def _refuse(path: str, error: ApiError, send: Send) -> None:
    rendered = render(path, error)
    headers = [
        (b"content-type", rendered.media_type.encode()),
        (b"content-length", str(len(rendered.body)).encode()),
    ]
    headers += [(name.lower().encode(), value.encode()) for name, value in rendered.headers]
    await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
    await send({"type": "http.response.body", "body": rendered.body, "more_body": False})
