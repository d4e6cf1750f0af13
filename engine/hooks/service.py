"""`HookService`: all hooks of the process: one `CallHooks` per call, and what was left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Self

import structlog

from engine.hooks.alerts import AlertKind, Alerts
from engine.hooks.call_hooks import CallHooks
from engine.hooks.client import HookClient
from engine.hooks.courier import FIRST_PAUSE_S, Courier
from engine.hooks.hook import Hook
from engine.hooks.http_hooks import PATIENCE_S, HttpCallHooks
from engine.hooks.outbox import Delivery, DeliveryState, NoOutbox, Outbox
from engine.hooks.websocket import WebSocketCallHooks
from engine.hooks.websocket_messages import Command

__all__ = ["HookService", "OnCommand", "SecretsOf"]

log = structlog.get_logger(__name__)

SecretsOf = Callable[[str], Sequence[str]]
"""The webhook secrets of an account, by its sid."""

OnCommand = Callable[[Command], None]

MAX_BACKLOG = 20_000
"""Hooks queued over all calls; above it notifications are dropped and asks fail at once."""

_DROP_ALERT_EVERY_S = 10.0


class HookService:
    """Owns the client, the tasks that send, and the courier of the outbox.

    `async with HookService(HookClient(), outbox=store, alerts=Alerts(store), secrets_of=...) as hooks`.
    """

    def __init__(
        self,
        client: HookClient,
        *,
        outbox: Outbox | None = None,
        alerts: Alerts | None = None,
        secrets_of: SecretsOf | None = None,
        patience_s: float = PATIENCE_S,
        max_backlog: int = MAX_BACKLOG,
        redelivery_pause_s: float = FIRST_PAUSE_S,
        on_command: OnCommand | None = None,
    ) -> None:
        self.client = client
        self.outbox: Outbox = outbox or NoOutbox()
        self.alerts = alerts or Alerts()
        self.patience_s = patience_s
        self.on_command = on_command
        """Who obeys the commands of applications over WebSocket; None: nobody."""
        self._secrets_of = secrets_of
        self.courier = Courier(
            client, self.outbox, self.alerts, self.secrets_of, first_pause_s=redelivery_pause_s
        )
        self._max_backlog = max_backlog
        self._tasks: set[asyncio.Task[None]] = set()
        self._courier_task: asyncio.Task[None] | None = None
        self._sequence = 0
        self._next_drop_alert = 0.0
        self.backlog = 0
        """Hooks queued or under way, over all calls."""
        self.dropped = 0
        """Notifications given up because too many were queued."""

    async def start(self) -> None:
        """Open the client; begin to deliver what an earlier process left in the outbox."""
        await self.client.open()
        self._courier_task = asyncio.create_task(self.courier.run(), name="hook courier")
        self._courier_task.add_done_callback(_log_mistake)

    async def stop(self, drain_s: float = 10.0) -> None:
        """Let what is queued go out, for at most `drain_s`; what must not be lost stays in the outbox."""
        if self._tasks and drain_s > 0:
            await asyncio.wait(tuple(self._tasks), timeout=drain_s)
        tasks = [*self._tasks, *([self._courier_task] if self._courier_task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._courier_task = None
        await self.client.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def for_call(self, call_sid: str, *, account_sid: str = "", base: Hook | str = "") -> CallHooks:
        """The hooks of one call. A `ws` or `wss` base is one WebSocket for all of them."""
        hook = Hook(base) if isinstance(base, str) else base
        if hook.is_websocket:
            return WebSocketCallHooks(self, call_sid, account_sid, hook)
        return HttpCallHooks(self, call_sid, account_sid, base)

    # For the CallHooks.

    def secrets_of(self, account_sid: str) -> tuple[str, ...]:
        """The webhook secrets of an account; none: its hooks are not signed."""
        return tuple(self._secrets_of(account_sid)) if self._secrets_of is not None else ()

    def new_delivery(
        self,
        *,
        key: str,
        call_sid: str,
        account_sid: str,
        kind: str,
        state: DeliveryState,
        method: str,
        url: str,
        username: str,
        password: str,
        body: bytes,
    ) -> Delivery:
        """A row for the outbox, stamped and numbered."""
        self._sequence += 1
        return Delivery(
            key=key,
            call_sid=call_sid,
            account_sid=account_sid,
            kind=kind,
            state=state,
            sequence=self._sequence,
            created_utc=time.time(),
            method=method,
            url=url,
            username=username,
            password=password,
            body=body,
        )

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run it in a task of ours."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_log_mistake)
        return task

    def admit(self, call_sid: str, account_sid: str) -> bool:
        """One more in the backlog; False: there are too many, and this one is dropped."""
        if self.backlog >= self._max_backlog:
            self.drop(call_sid, account_sid)
            return False
        self.backlog += 1
        return True

    def readmit(self, number: int) -> None:
        """Hooks that were sent are queued again."""
        self.backlog += number

    def release(self) -> None:
        """One less."""
        self.backlog -= 1

    def drop(self, call_sid: str, account_sid: str) -> None:
        """A hook is given up. An alert every ten seconds: where thousands are dropped, one says it."""
        self.dropped += 1
        now = asyncio.get_running_loop().time()
        if now >= self._next_drop_alert:
            self._next_drop_alert = now + _DROP_ALERT_EVERY_S
            self.alerts.report(call_sid, account_sid, AlertKind.HOOKS_DROPPED, "too many hooks are waiting")


def _log_mistake(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("hooks broke", task=task.get_name(), exc_info=error)
