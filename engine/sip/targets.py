"""The contacts of redirects: tried by q, never one twice, and not too many (RFC 3261 §8.1.3.4, DV-24)."""

from __future__ import annotations

from engine.sip.errors import ParseError
from engine.sip.message import Response
from engine.sip.uri import SipUri

__all__ = ["Targets"]

_MOST_TARGETS = 10
"""So many contacts are tried in all: a 3xx must not make us call half the world."""


class Targets:
    """Where one call may still be tried."""

    __slots__ = ("_is_secure", "_redirects_left", "_visited", "_waiting")

    def __init__(self, first: str, max_redirects: int) -> None:
        """`first`: the Request-URI the call began with. A sips call is not redirected to plain sip."""
        self._is_secure = first.startswith("sips:")
        self._redirects_left = max_redirects
        self._visited = {first}
        self._waiting: list[str] = []

    def take(self) -> str | None:
        """The next one to try."""
        return self._waiting.pop(0) if self._waiting else None

    def redirect(self, response: Response) -> str | None:
        """Take in the contacts of a 3xx, before those an earlier one left; the next one to try.

        None if there is no new one, or too many redirects were followed.
        """
        if self._redirects_left <= 0:
            return None
        self._redirects_left -= 1
        fresh = []
        for uri in _contacts_by_q(response):
            if len(self._visited) > _MOST_TARGETS:
                break
            if uri not in self._visited and not (self._is_secure and not uri.startswith("sips:")):
                self._visited.add(uri)
                fresh.append(uri)
        self._waiting[:0] = fresh
        return self.take() if fresh else None


def _contacts_by_q(response: Response) -> list[str]:
    """The SIP URIs among the contacts, best first, without what a Request-URI must not have."""
    try:
        contacts = sorted(response.contacts, key=lambda contact: -contact.q)
    except ParseError:
        return []
    uris = []
    for contact in contacts:
        try:
            uri = str(SipUri.parse(contact.uri).without_headers())
        except ParseError:
            continue
        if uri.isprintable():
            uris.append(uri)
    return uris
