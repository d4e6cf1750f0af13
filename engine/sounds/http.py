"""One file over HTTP, asked for conditionally if an older copy is there (RFC 9110 §13, RFC 9111).

Pure in `freshness_s`; the rest is a request on the shared session with limits on time, size and redirects.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from msgspec import Struct

from engine.sounds.errors import SoundError

__all__ = ["Fetched", "Validators", "fetch", "freshness_s", "open_session", "shown"]

_MOST_CONNECTIONS = 200
_MOST_PER_HOST = 20
_MOST_REDIRECTS = 5
_CONNECT_S = 5.0
_CHUNK_BYTES = 65536
_LONGEST_FRESH_S = 86400.0
"""Servers like to promise a year; a file that was mistaken should not stay that long."""


class Validators(Struct, frozen=True):
    """What tells one version of a file from another."""

    etag: str = ""
    last_modified: str = ""


class Fetched(Struct, frozen=True):
    """A file as it came, or the news that the one we have is still right."""

    body: bytes | None
    """None: not modified."""
    content_type: str
    validators: Validators
    fresh_s: float
    """For so long nobody has to be asked; negative: it is not to be kept."""


def open_session(user_agent: str) -> aiohttp.ClientSession:
    """For all customers: what one host sets does not travel with another one's request, and a host that does
    not answer holds a few connections, not all of them. To be closed by its owner."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, limit_per_host=_MOST_PER_HOST),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
    )


def shown(url: str) -> str:
    """A URL for messages: without credentials, and without the query, which may sign it."""
    scheme, colon, rest = url.partition("://")
    if not colon:
        return url
    rest = rest.partition("#")[0].partition("?")[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def freshness_s(headers: Mapping[str, str], default_s: float) -> float:
    """Seconds for which a response may be used without asking again (RFC 9111 §4.2.1); negative: no-store."""
    directives: dict[str, str] = {}
    for directive in headers.get("Cache-Control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        directives[name] = value.strip('" ')
    if "no-store" in directives:
        return -1.0
    if "no-cache" in directives:
        return 0.0
    lifetime = default_s
    if directives.get("max-age", "").isdecimal():
        lifetime = float(directives["max-age"][:9])
    elif "Expires" in headers:
        try:
            expires = parsedate_to_datetime(headers["Expires"])
            lifetime = (expires - parsedate_to_datetime(headers["Date"])).total_seconds()
        except (ValueError, TypeError, KeyError):
            lifetime = 0.0  # RFC 9111 §5.3: an invalid date is in the past.
    age = headers.get("Age", "").strip()
    if age.isdecimal():
        lifetime -= float(age[:9])
    return min(max(0.0, lifetime), _LONGEST_FRESH_S)


async def fetch(
    session: aiohttp.ClientSession,
    url: str,
    known: Validators,
    *,
    max_bytes: int,
    timeout_s: float,
    default_fresh_s: float,
) -> Fetched:
    """GET it. `known`: of the copy that is there; empty if there is none. Raises SoundError."""
    headers = {"Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity"}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
    try:
        async with (
            asyncio.timeout(timeout_s),
            session.get(
                url,
                headers=headers,
                max_redirects=_MOST_REDIRECTS,
                timeout=limits,
                auto_decompress=False,  # a thousand bytes of it may be a gigabyte
            ) as response,
        ):
            fresh_s = freshness_s(response.headers, default_fresh_s)
            if response.status == 304 and known != Validators():
                return Fetched(None, "", known, fresh_s)
            if response.status != 200:
                problem = f"the server answered {response.status}"
                raise SoundError(shown(url), problem, is_passing=response.status >= 500)
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                raise SoundError(shown(url), "compressed, which nobody asked for")
            body = await _body(url, response, max_bytes)
            validators = Validators(
                response.headers.get("ETag", ""), response.headers.get("Last-Modified", "")
            )
            return Fetched(body, response.headers.get("Content-Type", ""), validators, fresh_s)
    except TimeoutError as error:
        raise SoundError(shown(url), f"not there within {timeout_s:g} s", is_passing=True) from error
    except aiohttp.TooManyRedirects as error:
        raise SoundError(shown(url), f"more than {_MOST_REDIRECTS} redirects") from error
    except aiohttp.RedirectClientError as error:
        raise SoundError(shown(url), "redirected to what is no HTTP URL") from error
    except ValueError as error:
        raise SoundError(shown(url), "not a usable URL") from error
    except (aiohttp.ClientError, OSError) as error:
        raise SoundError(shown(url), _reason(error), is_passing=True) from error


async def _body(url: str, response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    too_large = SoundError(shown(url), f"larger than {max_bytes} bytes")
    if (response.content_length or 0) > max_bytes:
        raise too_large
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _reason(error: Exception) -> str:
    # The text of aiohttp's errors may repeat the URL with its credentials; that of the socket does not.
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host is unknown"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "its server cannot be trusted (TLS)"
        case OSError(strerror=str(text)) if text:
            return text
        case _:
            return type(error).__name__
