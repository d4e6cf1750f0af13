"""What handlers answer with: Litestar's response without what no answer of ours needs.

Litestar prepares headers, cookies and background tasks for each response, a fifth of the cost of a whole API
request; here a status, a few lines and a body are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, TypeVar, cast

from litestar import Litestar, Request
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.datastructures import Cookie
from litestar.enums import MediaType
from litestar.response import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send, TypeEncodersMap

from engine.json_text import encode_json

__all__ = ["Answer"]

T = TypeVar("T")


class Answer(Response[T]):
    """A struct, a dict or a list as JSON; text and bytes as they are; None as nothing."""

    def to_asgi_response(
        self,
        app: Litestar | None,
        request: Request[Any, Any, Any],
        *,
        background: BackgroundTask | BackgroundTasks | None = None,
        cookies: Iterable[Cookie] | None = None,
        encoded_headers: Iterable[tuple[bytes, bytes]] | None = None,
        headers: dict[str, str] | None = None,
        is_head_response: bool = False,
        media_type: MediaType | str | None = None,
        status_code: int | None = None,
        type_encoders: TypeEncodersMap | None = None,
    ) -> ASGIResponse:
        """Ready to be sent. Cookies, background tasks and HEAD are not for us."""
        content: object = self.content
        kind = self.media_type  # what Litestar infers from annotations is for str only
        if content is None:
            body = b""
        elif isinstance(content, str):
            body, kind = content.encode(), kind or media_type
        else:
            body = content if isinstance(content, bytes) else encode_json(content)
        lines = [(b"content-length", b"%d" % len(body))]
        if content is not None:
            lines.append((b"content-type", _media_type(kind)))
        for name, value in self.headers.items():
            lines.append((name.lower().encode(), value.encode("latin-1", "replace")))
        status = self.status_code or status_code or 200
        if status == 204:
            del lines[0]  # RFC 9110 §8.6
        return cast(ASGIResponse, _Sender(status, lines, body))


class _Sender:
    """An ASGI application."""

    __slots__ = ("body", "lines", "status")

    def __init__(self, status: int, lines: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status = status
        self.lines = lines
        self.body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.lines})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def _media_type(kind: MediaType | str | None) -> bytes:
    if kind is None:
        return b"application/json"
    text = str(kind.value) if isinstance(kind, Enum) else kind
    return (f"{text}; charset=utf-8" if text.startswith("text/") else text).encode()
