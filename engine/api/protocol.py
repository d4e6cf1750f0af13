"""One HTTP connection with limits that uvicorn does not have: size and time of a request's head, time of its
body, and of a goodbye that the client does not let us finish.

No timer per connection: `sweep` is called for all of them once a second.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from engine.api.corked import CorkedTransport

__all__ = ["LimitedProtocol", "limited"]

_REFUSALS = {408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class LimitedProtocol(HttpToolsProtocol):
    """Made by `limited`, which gives it its limits."""

    max_head_bytes: int
    head_timeout_s: float
    body_timeout_s: float
    goodbye_timeout_s: float

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head_bytes = 0
        self._is_in_head = False
        self._due_at: float | None = None
        """When the part of the request that is being received must be complete; None: nothing is."""
        self._closing_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(CorkedTransport(transport, self.loop))
        self._due_at = self.loop.time() + self.head_timeout_s

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self._refuse(431)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        self._due_at = self.loop.time() + self.head_timeout_s

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._due_at = self.loop.time() + self.body_timeout_s
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._due_at = None
        super().on_message_complete()

    def sweep(self, now: float) -> None:
        """Close what takes too long."""
        if self.transport.is_closing():
            if self._closing_since is None:
                self._closing_since = now
            elif now - self._closing_since > self.goodbye_timeout_s:
                self.transport.abort()
        elif self._due_at is not None and now > self._due_at:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Say why, unless an answer is under way already; then close."""
        self._due_at = None
        self._is_in_head = False
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            phrase = _REFUSALS[status]
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, phrase)
            )
        self.transport.close()


def limited(
    *, max_head_bytes: int, head_timeout_s: float, body_timeout_s: float, goodbye_timeout_s: float
) -> type[LimitedProtocol]:
    """A protocol class for `uvicorn.Config(http=…)`, which makes its instances itself."""
    limits = {
        "max_head_bytes": max_head_bytes,
        "head_timeout_s": head_timeout_s,
        "body_timeout_s": body_timeout_s,
        "goodbye_timeout_s": goodbye_timeout_s,
    }
    return type("LimitedProtocol", (LimitedProtocol,), limits)
