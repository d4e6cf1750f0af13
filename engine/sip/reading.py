"""Optional fields of received messages, read forgivingly: what cannot be read is as good as absent.

For responses only, and for fields of requests that may be ignored: a request that needs a field it garbles
gets 400 from the stack instead.
"""

from __future__ import annotations

from engine.sip.errors import ParseError
from engine.sip.message import Request, Response
from engine.sip.types import Body
from engine.sip.values import SessionExpires

__all__ = [
    "body_of",
    "description_of",
    "expires_of",
    "min_se_of",
    "retry_after_of",
    "rseq_of",
    "session_expires_of",
]


def body_of(message: Request | Response) -> Body | None:
    """The body with its type as written; None if empty. Without Content-Type it is taken for SDP (RFC 3261
    §20.15 forbids that, old gateways do it)."""
    if not message.body:
        return None
    return Body(message.headers.get("content-type") or "application/sdp", message.body)


def description_of(message: Request | Response) -> Body | None:
    """The body if it takes part in offer and answer: SDP, or a multipart with SDP in it. Others are none.

    A multipart that cannot be taken apart is given on as it is: its reader says what is wrong with it.
    """
    body = body_of(message)
    if body is None or body.content_type == "application/sdp":
        return body
    kind = message.content_type
    if kind.startswith("multipart/"):
        try:
            return body if message.sdp is not None else None
        except ParseError:
            return body
    return body if kind in ("application/sdp", "") else None


def retry_after_of(response: Response) -> int | None:
    """Retry-After in seconds."""
    try:
        value = response.retry_after
    except ParseError:
        return None
    return None if value is None else value.seconds


def session_expires_of(message: Request | Response) -> SessionExpires | None:
    """Session-Expires."""
    try:
        return message.session_expires
    except ParseError:
        return None


def min_se_of(message: Request | Response) -> int | None:
    """Min-SE in seconds."""
    try:
        return message.min_se_s
    except ParseError:
        return None


def expires_of(request: Request) -> int | None:
    """Expires in seconds; 0 counts as absent: nobody calls to be refused at once."""
    try:
        return request.expires_s or None
    except ParseError:
        return None


def rseq_of(response: Response) -> int | None:
    """RSeq of a response that requires 100rel; None if it is not reliable."""
    if response.status == 100 or "100rel" not in response.require:
        return None
    try:
        return response.rseq
    except ParseError:
        return None
