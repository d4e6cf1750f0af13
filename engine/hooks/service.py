"""`HookService`: all hooks of the process: one `CallHooks` per call, and what was left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.hooks.alerts import Alerts
from engine.hooks.call_hooks import CallHooks
from engine.hooks.client import HookClient
from engine.hooks.hook import Hook
from engine.hooks.outbox import Outbox

__all__ = ["HookService", "SecretsOf"]

SecretsOf = Callable[[str], Sequence[str]]
"""The webhook secrets of an account, by its sid."""


class HookService:
    """Owns the client, the tasks that send, and the courier of the outbox."""

    def __init__(
        self,
        client: HookClient,
        *,
        outbox: Outbox | None = None,
        alerts: Alerts | None = None,
        secrets_of: SecretsOf | None = None,
    ) -> None:
        self.client = client
        self.alerts = alerts or Alerts()

    async def start(self) -> None:
        """Begin to deliver what an earlier process left in the outbox."""

    async def stop(self, drain_s: float = 10.0) -> None:
        """Let what is queued go out, for at most `drain_s`; what must not be lost stays in the outbox."""

    def for_call(self, call_sid: str, *, account_sid: str = "", base: Hook | str = "") -> CallHooks:
        """The hooks of one call. A `ws` or `wss` base makes one WebSocket of them."""
        raise NotImplementedError
