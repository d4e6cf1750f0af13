"""What an application answered (WH-03, WH-04), and how it can fail to.

HookFailed               no usable answer; `status` when there was an HTTP answer at all
 └── MalformedReply      a success, but its body is not a document: not JSON, too large, too deep
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import cast

import msgspec
from msgspec import Struct

from engine.errors import EngineError

__all__ = [
    "MAX_DEPTH",
    "MAX_REPLY_BYTES",
    "HookFailed",
    "HookFailure",
    "HookReply",
    "MalformedReply",
    "check_depth",
    "is_too_deep",
    "parse_reply",
]

MAX_REPLY_BYTES = 1_000_000
"""A document of this size or more is refused."""
MAX_DEPTH = 64
"""Arrays and objects inside each other."""


class HookFailure(StrEnum):
    """How a hook failed; the first two are what the retry policies `ct` and `rt` mean."""

    CONNECT = "connect"
    """No connection: refused, unreachable, no such name, TLS failed, or broken before an answer."""
    TIMEOUT = "timeout"
    """Connected, but no complete answer in time."""
    STATUS = "status"
    """An answer that is no success; see `status`."""
    REDIRECT = "redirect"
    """More than three redirects, or one that leads nowhere."""
    REPLY = "reply"
    """A success whose body cannot be used."""
    REQUEST = "request"
    """Could not be sent at all: not an http URL, or too many hooks are waiting."""


class HookFailed(EngineError):
    """The application gave no usable answer. `status`: its HTTP status, if there was one."""

    def __init__(
        self, reason: str, status: int | None = None, failure: HookFailure = HookFailure.CONNECT
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.failure = failure


class MalformedReply(HookFailed):
    """The answer was a success but its body is not a document."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason, status, HookFailure.REPLY)


class HookReply(Struct, frozen=True):
    """A success."""

    status: int
    verbs: list[object] | None = None
    """The document, not yet validated. None: no instructions (202, 204, empty, `null`, `{}`); `[]` is an
    empty document."""


def parse_reply(status: int, body: bytes) -> HookReply:
    """The answer in a success response. MalformedReply: its text is not JSON, or not an array or object."""
    if status in (202, 204):
        return HookReply(status)
    body = body.strip()
    if not body:
        return HookReply(status)
    if len(body) >= MAX_REPLY_BYTES:
        raise MalformedReply(f"the document has {len(body)} bytes, {MAX_REPLY_BYTES} are too many", status)
    try:
        document = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise MalformedReply("the document is nested too deeply", status) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The decoder says what and where, never what stood there.
        raise MalformedReply(f"the answer is not JSON: {error}", status) from None
    if document is None or document == {}:
        return HookReply(status)
    if isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        raise MalformedReply(f"the answer is a JSON {_KINDS[type(document)]}, not an array of verbs", status)
    check_depth(document, body.count(b"[") + body.count(b"{"), status)
    return HookReply(status, cast("list[object]", document))


_KINDS: dict[type, str] = {str: "string", int: "number", float: "number", bool: "boolean"}


def check_depth(document: object, brackets: int, status: int) -> None:
    """MalformedReply: too deep. `brackets`: how many open in its text; few of them need not be walked."""
    if brackets > MAX_DEPTH and is_too_deep(document):
        raise MalformedReply("the document is nested too deeply", status)


def is_too_deep(document: object) -> bool:
    """More than MAX_DEPTH; level by level, so that a text made to be deep costs no stack."""
    level: list[object] = [document] if isinstance(document, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        level = [
            child for container in level for child in _children(container) if isinstance(child, dict | list)
        ]
    return bool(level)


def _children(container: object) -> Iterable[object]:
    return container.values() if isinstance(container, dict) else cast("list[object]", container)
