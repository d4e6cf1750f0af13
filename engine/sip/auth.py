"""Credentials of one call: answers challenges (RFC 3261 §22), at most once per request and nonce (DV-23)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.sip import digest
from engine.sip.message import Response
from engine.sip.types import Credentials

__all__ = ["Authenticator"]


class Authenticator:
    """What a call knows of its realms. Shared by all requests of the call, so that nonces are used again
    with a higher count and later requests carry credentials unasked."""

    __slots__ = ("_client", "_credentials", "_entropy")

    def __init__(self, credentials: Iterable[Credentials], entropy: Callable[[int], bytes]) -> None:
        self._credentials = tuple(
            digest.Credentials(c.username, c.password, c.realm or "") for c in credentials
        )
        self._entropy = entropy
        self._client: digest.DigestClient | None = None

    def answer(self, response: Response, *, is_first: bool) -> bool:
        """Whether a 401 or 407 is worth another attempt.

        `is_first`: this request was not challenged before. Then a challenge is taken as new whatever was used
        preemptively; afterwards only a stale nonce or another realm is (a fresh nonce after our answer
        means that the password is wrong).
        """
        if is_first or self._client is None:
            self._client = digest.DigestClient(*self._credentials, entropy=self._entropy)
        return self._client.challenge(response)

    def learn(self, response: Response) -> None:
        """A request was accepted: take over nextnonce."""
        if self._client is not None:
            self._client.accepted(response)

    def fields(self, method: str, uri: str, body: bytes) -> list[tuple[str, str]]:
        """Authorization and Proxy-Authorization for the next request."""
        return [] if self._client is None else self._client.authorize(method, uri, body)
