"""Why a received text is not SIP.

One exception for everything the parsers refuse. It never leaves `engine.sip`: the stack answers a refused
request from what could be read of it, and drops a refused response (RFC 3261 §8.1.3, §18.2.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.sip.message import Request

__all__ = ["ParseError"]


class ParseError(ValueError):
    """Received text that cannot be used. `str(error)` names the field and what is wrong with it."""

    def __init__(self, why: str, *, field: str = "", status: int = 400) -> None:
        super().__init__(f"{field}: {why}" if field else why)
        self.why = why
        self.field = field
        """The header field (long name) that is at fault, "" for the start line, framing or the whole."""
        self.status = status
        """What to answer if the text was a request: 400, 505 (version) or 513 (too large)."""
        self.request: Request | None = None
        """What could be read of a refused request, for `build.error_response`; its accessors may raise."""
