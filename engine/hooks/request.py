"""A hook as it will travel: encoded when it is queued, so that it says what was true then. Pure.

POST carries JSON; GET the same properties in the query, nested values as JSON text, all UTF-8 (WH-01).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct
from yarl import URL

from engine.hooks.hook import Hook
from engine.hooks.javascript import encode_for_javascript
from engine.hooks.payloads import POST_ONLY
from engine.hooks.reply import HookFailed, HookFailure
from engine.hooks.retries import RetryPolicy
from engine.json_text import readable

__all__ = ["Destination", "HookRequest", "basic_auth", "destination_of", "prepare"]


class HookRequest(Struct, frozen=True):
    """One hook, ready to be sent."""

    url: str
    """Absolute; with the query of a GET; with its fragment."""
    method: str = "POST"
    username: str = ""
    password: str = ""
    body: bytes = b""
    trace_id: str = ""


class Destination(Struct, frozen=True):
    """A URL taken apart: what is sent, and what only tells us how."""

    url: URL
    origin: str
    authorization: str
    """From the user info of the URL; empty: none."""
    retries: RetryPolicy


def prepare(hook: Hook, payload: Mapping[str, object], base: Hook | str = "") -> HookRequest:
    """Encode a hook. HookFailed: its URL cannot be used."""
    hook = hook.against(base)
    trace_id = payload.get("trace_id")
    if hook.method == "GET":
        url, body = _with_query(hook.url, payload), b""
    else:
        url, body = hook.url, encode_for_javascript(payload)
    destination_of(hook.url)
    return HookRequest(
        url, hook.method, hook.username, hook.password, body, trace_id if isinstance(trace_id, str) else ""
    )


def _with_query(url: str, payload: Mapping[str, object]) -> str:
    pairs = [
        f"{quote(name, safe='')}={quote(_text(value), safe='')}"
        for name, value in payload.items()
        if value is not None and name not in POST_ONLY
    ]
    url, mark, fragment = url.partition("#")
    joiner = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return url + joiner + "&".join(pairs) + mark + fragment


def _text(value: object) -> str:
    if isinstance(value, str):
        return cast("str", readable(value))
    return encode_for_javascript(value).decode()


def basic_auth(username: str, password: str) -> str:
    """RFC 7617, in UTF-8."""
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


@lru_cache(maxsize=1024)
def destination_of(url: str) -> Destination:
    """Take a URL apart. HookFailed: not an absolute http(s) URL with a host."""
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme.lower(), parts.port
        host = (
            (parts.hostname or "")
            .encode("idna" if not (parts.hostname or "").isascii() else "ascii")
            .decode()
        )
        target = URL(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl())
    except ValueError as error:
        raise HookFailed(f"not a URL: {error}", failure=HookFailure.REQUEST) from None
    if scheme not in ("http", "https") or not host:
        raise HookFailed("not an absolute http or https URL", failure=HookFailure.REQUEST)
    authorization = ""
    if parts.username is not None:
        authorization = basic_auth(unquote(parts.username), unquote(parts.password or ""))
    return Destination(
        url=target,
        origin=f"{scheme}://{host}:{port or (443 if scheme == 'https' else 80)}",
        authorization=authorization,
        retries=RetryPolicy.parse(parts.fragment),
    )
