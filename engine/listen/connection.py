"""The WebSocket of a listen stream: how it is opened, and which failures are worth another try."""

from __future__ import annotations

import asyncio
import base64
import socket
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp

from engine.listen.options import ListenOptions
from engine.listen.protocol import SUBPROTOCOLS

__all__ = ["ConnectionFailed", "Socket", "connect", "host_of"]

Socket = aiohttp.ClientWebSocketResponse[bool]

_CONNECT_S = 10.0
_HEARTBEAT_S = 30.0
_MOST_MESSAGE = 16 * 1024 * 1024
"""A minute of audio at 48 kHz in base64 is half of it."""
_SEND_BUFFER = 64 * 1024
"""In the kernel: without a limit it would hold minutes of audio that a slow server gets late."""
_MOST_UNREAD_MS = 45_000
"""A server that reads nothing for so long is gone. A socket that is closed waits for it no longer either: the
kernel keeps it until what was sent has been read."""
_TRY_AGAIN = frozenset({408, 425, 429})


class ConnectionFailed(Exception):
    """No connection; the message says why, without the URL's secrets."""

    def __init__(self, reason: str, *, may_retry: bool) -> None:
        super().__init__(reason)
        self.may_retry = may_retry


def host_of(url: str) -> str:
    """What may be written into logs and alerts."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "?"
    return f"{host}:{port}" if port else host


async def connect(session: aiohttp.ClientSession, options: ListenOptions) -> Socket:
    """Open it. Raises ConnectionFailed."""
    url, headers = _target(options)
    try:
        async with asyncio.timeout(_CONNECT_S):
            ws = await session.ws_connect(
                url,
                protocols=SUBPROTOCOLS,
                headers=headers,
                heartbeat=_HEARTBEAT_S,
                max_msg_size=_MOST_MESSAGE,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
    except aiohttp.WSServerHandshakeError as error:
        may_retry = error.status >= 500 or error.status in _TRY_AGAIN
        raise ConnectionFailed(f"the server answered {error.status}", may_retry=may_retry) from error
    except TimeoutError as error:
        raise ConnectionFailed(f"no connection within {_CONNECT_S:g} s", may_retry=True) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise ConnectionFailed(_plain(error), may_retry=False) from error
    except (aiohttp.InvalidURL, ValueError) as error:
        raise ConnectionFailed("the URL cannot be used", may_retry=False) from error
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionFailed(_plain(error), may_retry=True) from error
    raw = ws.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _MOST_UNREAD_MS)
    return ws


def _target(options: ListenOptions) -> tuple[str, dict[str, str]]:
    """The URL without user information, and what it or the options say for authentication (WH-35).

    Basic authentication in UTF-8 (RFC 7617 §2.1).
    """
    try:
        parts = urlsplit(options.url)
        username, password = options.username, options.password
        if not username and parts.username:
            username, password = unquote(parts.username), unquote(parts.password or "")
        is_usable = parts.scheme in ("ws", "wss") and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConnectionFailed("the URL is not ws:// or wss://", may_retry=False)
    url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if not username:
        return url, {}
    token = base64.b64encode(f"{username}:{password}".encode()).decode()
    return url, {"Authorization": f"Basic {token}"}


def _plain(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
