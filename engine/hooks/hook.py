"""Where a hook goes: URL, method, credentials; how a relative URL becomes an absolute one (WH-01, 02, 06)."""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

__all__ = ["Hook", "origin_of", "resolve", "without_secrets"]


class Hook(Struct, frozen=True):
    """A hook of an application: an URL, or the object form with method and basic authentication.

    A fragment `#rc=..&rp=..` in the URL says how it is retried (WH-08).
    """

    url: str
    method: Literal["POST", "GET"] = "POST"
    username: str = ""
    password: str = ""

    @property
    def is_websocket(self) -> bool:
        """`ws:` or `wss:`, section 7."""
        return self.url[:6].lower().startswith(("ws://", "wss://"))

    def against(self, base: Hook | str) -> Hook:
        """This hook with an absolute URL.

        A relative URL belongs to the application that gave it: without credentials of its own it has those of
        `base`. An absolute one never inherits any.
        """
        if isinstance(base, str):
            base = Hook(base)
        try:
            parts = urlsplit(self.url)
            url = resolve(base.url, self.url)
        except ValueError:
            return self  # not a URL; sending says so
        if not base.url or (parts.scheme and parts.netloc):
            return self
        if parts.netloc or self.username or self.password:
            return msgspec.structs.replace(self, url=url)
        return msgspec.structs.replace(self, url=url, username=base.username, password=base.password)

    def __repr__(self) -> str:
        return f"Hook({self.method} {without_secrets(self.url)})"


def resolve(base: str, url: str) -> str:
    """`url` as seen from `base`, the URL of the hook that delivered the current document (RFC 3986 §5.2).

    The fragment is that of `url`: how the call hook is retried says nothing about the others.
    """
    return urljoin(base, url)


def origin_of(url: str) -> str:
    """`https://app.example.com:8443`: as much of a URL as a log line may show."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def without_secrets(url: str) -> str:
    """The URL without user info, query and fragment: what its owner may read in an alert."""
    parts = _split(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "not a URL", "", "")
