"""`HookClient`: one pool of connections for all hooks over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.hooks.hook import Hook
from engine.hooks.reply import HookReply

__all__ = ["HookClient"]


class HookClient:
    """Sends hooks over HTTP (WH-01 to WH-10). `async with HookClient() as client`, or open() and close()."""

    def __init__(
        self, *, user_agent: str = "dial-engine", timeout_s: float = 10.0, max_connections: int = 100
    ) -> None:
        self._user_agent = user_agent
        self._timeout_s = timeout_s
        self._max_connections = max_connections

    async def send(
        self,
        hook: Hook,
        payload: Mapping[str, object],
        *,
        base: Hook | str = "",
        secrets: Sequence[str] = (),
        idempotency_key: str = "",
    ) -> HookReply:
        """Send one hook, with its retries, and return the answer. HookFailed, MalformedReply."""
        raise NotImplementedError
