"""Refusals as HTTP: problem+json (RFC 9457) for our own API, `{"msg", "errors"}` for the family's.

    ApiError          what a handler refuses with
     └── Invalid      400, names the fields

Exceptions of the engine are translated here, once: InvalidRequest, Rejected, Overloaded, StoreError.
"""

from __future__ import annotations

import http
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from litestar import Request
from litestar.exceptions import HTTPException
from msgspec import Struct

from engine.api.answer import Answer
from engine.dial.request import InvalidRequest
from engine.errors import Overloaded, Rejected
from engine.store import StoreError

__all__ = [
    "FAMILY_PREFIX",
    "ApiError",
    "FamilyError",
    "Flaw",
    "Invalid",
    "Problem",
    "Rendered",
    "api_error",
    "handle_exception",
    "render",
]

FAMILY_PREFIX = "/v1/Accounts"
"""Paths that begin so answer errors in the family's shape."""

_log = structlog.get_logger(__name__)
_STORE_RETRY_S = 5.0
_json = msgspec.json.Encoder()


class Flaw(Struct, frozen=True):
    """What is wrong with one field of a request."""

    field: str
    """Path as written by the client: `targets[0].number`."""
    problem: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details; the type is `about:blank`, the title the phrase of the status."""

    title: str
    status: int
    detail: str = ""
    errors: Sequence[Flaw] = ()
    """Which fields are to blame."""


class FamilyError(Struct, frozen=True, omit_defaults=True):
    """The family's error body."""

    msg: str
    errors: Sequence[Flaw] = ()


class ApiError(Exception):
    """A request is refused."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        flaws: Sequence[Flaw] = (),
        retry_after_s: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.flaws = flaws
        self.headers = tuple(headers)
        if retry_after_s is not None:
            self.headers += (("Retry-After", str(max(1, math.ceil(retry_after_s)))),)


class Invalid(ApiError):
    """A field of the request cannot be used."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(400, f"{field}: {problem}", flaws=(Flaw(field, problem),))


class Rendered(Struct, frozen=True):
    """An error, ready to be sent."""

    status: int
    media_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(path: str, error: ApiError) -> Rendered:
    """In the shape that the API at `path` promises."""
    if path.startswith(FAMILY_PREFIX):
        media_type = "application/json"
        body = _json.encode(FamilyError(error.detail, error.flaws))
    else:
        media_type = "application/problem+json"
        body = _json.encode(Problem(_phrase(error.status), error.status, error.detail, error.flaws))
    return Rendered(error.status, media_type, error.headers, body)


def api_error(error: Exception) -> ApiError | None:
    """What an exception means to the client; None: it is a bug of ours."""
    match error:
        case ApiError():
            return error
        case InvalidRequest():
            return Invalid(error.field, error.problem)
        case StoreError():
            return ApiError(503, str(error), retry_after_s=_STORE_RETRY_S)
        case Overloaded():
            return ApiError(503, error.reason, retry_after_s=error.retry_after_s)
        case Rejected():
            return ApiError(error.status if 400 <= error.status < 600 else 500, error.reason)
        case HTTPException() if error.status_code < 500:
            return _from_litestar(error)
        case HTTPException() if error.detail == "client disconnected prematurely":
            return ApiError(400, "the request was not completed")  # nobody is there to read it
        case _:
            return None


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Answer[bytes]:
    """Litestar's exception handler for everything."""
    path = request.scope["path"]
    known = api_error(error)
    if known is None:
        _log.error("request failed by a bug", method=request.scope["method"], exc_info=error)
        known = ApiError(500, "the engine made a mistake; its log tells more")
    rendered = render(path, known)
    return Answer(
        rendered.body,
        media_type=rendered.media_type,
        status_code=rendered.status,
        headers=dict(rendered.headers),
    )


def _from_litestar(error: HTTPException) -> ApiError:
    """Not found, wrong method, body too large, parameters that do not fit."""
    extra = error.extra if isinstance(error.extra, list) else []
    flaws = tuple(
        Flaw(str(each.get("key", "")), str(each.get("message", "")))
        for each in extra
        if isinstance(each, dict)
    )
    headers = tuple((error.headers or {}).items())
    if any(flaw.field == "data" for flaw in flaws):
        return ApiError(400, "a JSON body is needed", headers=headers)
    detail = "; ".join(f"{flaw.field}: {flaw.problem}" for flaw in flaws)
    return ApiError(error.status_code, detail or _phrase(error.status_code), flaws=flaws, headers=headers)


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return _PHRASES.get(status, "Error")


_PHRASES = {480: "Temporarily Unavailable"}
"""Statuses of SIP that the family's API uses over HTTP."""
