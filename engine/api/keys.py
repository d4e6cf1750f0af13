"""Bearer keys: whose request is this, and is it one too many."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from engine.config import AccountConfig
from engine.errors import ConfigError

__all__ = ["Key", "Keys"]

_HASHED = "sha256:"
_DIGEST_SIZE = hashlib.sha256().digest_size


class Key:
    """One API key of one account, and how much it has been used (a token bucket)."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens", "account", "digest")

    def __init__(self, account: AccountConfig, digest: bytes, requests_per_s: float) -> None:
        self.account = account
        self.digest = digest
        self._rate = requests_per_s
        self._burst = max(1.0, requests_per_s)
        self._tokens = self._burst
        self._at = 0.0

    def take(self, now: float) -> float:
        """Use the key once: 0.0 when that is allowed, else the seconds until it will be."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


class Keys:
    """All keys of all accounts, kept as SHA-256 digests only."""

    __slots__ = ("_by_digest",)

    def __init__(self, accounts: Sequence[AccountConfig], requests_per_s: float) -> None:
        """Raises ConfigError for a key that is no digest or belongs to two accounts."""
        self._by_digest: dict[bytes, Key] = {}
        for i, account in enumerate(accounts):
            for j, text in enumerate(account.api_keys):
                digest = _digest(text, f"account[{i}].api_keys[{j}]")
                if digest in self._by_digest:
                    raise ConfigError(f"account[{i}].api_keys[{j}]", "is used twice")
                self._by_digest[digest] = Key(account, digest, requests_per_s)

    def find(self, authorization: bytes) -> Key | None:
        """The key in an Authorization header's value.

        No time depends on the secret: what is looked up is a digest, which nobody can steer towards another
        one byte by byte, and the digest found is compared in constant time.
        """
        scheme, _, token = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest = hashlib.sha256(token.strip()).digest()
        key = self._by_digest.get(digest)
        return key if key is not None and hmac.compare_digest(key.digest, digest) else None


def _digest(text: str, where: str) -> bytes:
    if not text.startswith(_HASHED):
        return hashlib.sha256(text.encode()).digest()
    try:
        digest = bytes.fromhex(text.removeprefix(_HASHED))
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST_SIZE:
        raise ConfigError(where, "sha256: must be followed by 64 hexadecimal digits")
    return digest
