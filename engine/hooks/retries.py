"""Retries as the application asked for them in the URL fragment, `#rc=3&rp=ct,5xx` (WH-08). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs

from msgspec import Struct

from engine.hooks.reply import HookFailed, HookFailure, MalformedReply

__all__ = ["MAX_RETRIES", "RetryPolicy"]

MAX_RETRIES = 5
_KNOWN = frozenset({"ct", "rt", "4xx", "5xx", "all"})


class RetryPolicy(Struct, frozen=True):
    """How often, and after which failures."""

    count: int = 0
    after: frozenset[str] = frozenset({"ct"})
    """`ct` no connection, `rt` connected but no answer in time, `4xx`, `5xx`, `all`."""

    @classmethod
    def parse(cls, fragment: str) -> RetryPolicy:
        """Forgiving: what cannot be read is the default, more than five retries are five."""
        if not fragment:
            return NO_RETRIES
        values = parse_qs(fragment)
        count = values.get("rc", ["0"])[-1]
        wanted = (word.strip().lower() for word in ",".join(values.get("rp", [])).split(","))
        return cls(
            count=min(int(count), MAX_RETRIES) if count.isascii() and count.isdigit() else 0,
            after=frozenset(_KNOWN.intersection(wanted)) or NO_RETRIES.after,
        )

    def covers(self, failed: HookFailed) -> bool:
        """Whether this failure may pass. A document that cannot be used does not improve by asking again."""
        if isinstance(failed, MalformedReply) or failed.failure is HookFailure.REQUEST:
            return False
        if "all" in self.after:
            return True
        match failed.failure:
            case HookFailure.CONNECT:
                return "ct" in self.after
            case HookFailure.TIMEOUT:
                return "rt" in self.after
            case _:
                return failed.status is not None and f"{failed.status // 100}xx" in self.after

    def pauses_s(self) -> Iterator[float]:
        """Seconds before each retry: 0.5, 1, 2, then 2 more each time."""
        pause_s = 0.5
        for _ in range(self.count):
            yield pause_s
            pause_s = pause_s * 2 if pause_s < 2 else pause_s + 2


NO_RETRIES = RetryPolicy()
