"""`HttpCallHooks`: the hooks of one call over HTTP: one queue, one task while there is something in it.

    notify ──▶ ┌──────────────┐
    deliver ─▶ │ queue, FIFO  │ ─▶ one at a time ─▶ HookClient
    ask ─────▶ └──────────────┘
                  └ after half a second an ask no longer waits for what is before it

An ask belongs to the call, and the call must not wait for a status hook that hangs (WH-09). It starts after
everything queued before it has started, or overtakes; what is queued after it never overtakes it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from engine.hooks.alerts import AlertKind
from engine.hooks.call_hooks import HookKind, Payload
from engine.hooks.hook import Hook, without_secrets
from engine.hooks.outbox import Delivery, DeliveryState
from engine.hooks.reply import HookFailed, HookFailure, HookReply, MalformedReply
from engine.hooks.request import HookRequest, prepare

if TYPE_CHECKING:
    from engine.hooks.service import HookService

__all__ = ["HttpCallHooks", "delivery_key"]

log = structlog.get_logger(__name__)

MAX_QUEUED = 100
"""Per call; above it the oldest notification nobody waits for is dropped."""
PATIENCE_S = 0.5
"""How long an ask waits for what is before it."""


def delivery_key(kind: HookKind, subject: str) -> str:
    """The idempotency key of a delivery: the same for its promise, its retries, and after a restart."""
    return f"{kind.value.replace(':', '-')}-{subject}"


class _Item:
    """One hook in the queue."""

    __slots__ = ("delivery", "kind", "overtaking", "reply", "request")

    def __init__(self, request: HookRequest, kind: HookKind) -> None:
        self.request = request
        self.kind = kind
        self.delivery: Delivery | None = None
        self.reply: asyncio.Future[HookReply] | None = None
        self.overtaking: asyncio.TimerHandle | None = None


class HttpCallHooks:
    """`CallHooks` over HTTP. Made by `HookService.for_call`."""

    __slots__ = (
        "_account_sid",
        "_call_sid",
        "_has_new_promises",
        "_has_reported",
        "_idle",
        "_queue",
        "_sending",
        "_service",
        "_worker",
        "base",
    )

    def __init__(
        self, service: HookService, call_sid: str, account_sid: str = "", base: Hook | str = ""
    ) -> None:
        self.base = base
        self._service = service
        self._call_sid = call_sid
        self._account_sid = account_sid
        self._queue: deque[_Item] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._sending = 0
        self._idle: asyncio.Event | None = None
        self._has_new_promises = False
        self._has_reported = False

    def notify(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.CALL_STATUS) -> None:
        """Queue it; see `CallHooks`."""
        request = self._prepared(hook, payload)
        if request is not None:
            self._enqueue(_Item(request, kind))

    async def ask(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.VERB_HOOK) -> HookReply:
        """Send it in order and return the answer; see `CallHooks`."""
        return await self._asked(_Item(self._prepared_or_raise(hook, payload), kind))

    def promise(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """Keep it for the next process; see `CallHooks`."""
        request = self._prepared(hook, payload)
        if request is not None:
            self._service.outbox.put(self._delivery(request, kind, subject, DeliveryState.PROMISED))
            self._has_new_promises = True

    def withdraw(self, kind: HookKind, subject: str = "") -> None:
        """Take a promise back."""
        self._service.outbox.done(delivery_key(kind, subject or self._call_sid))

    def deliver(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """As `notify`, never lost; see `CallHooks`."""
        request = self._prepared(hook, payload)
        if request is not None:
            self._enqueue(self._durable(request, kind, subject))

    async def ask_durably(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> HookReply:
        """As `ask`, never lost; see `CallHooks`."""
        return await self._asked(self._durable(self._prepared_or_raise(hook, payload), kind, subject))

    async def close(self) -> None:
        """Return when nothing is queued or under way."""
        while self._worker is not None or self._sending:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    # Into the queue.

    def _prepared(self, hook: Hook, payload: Payload) -> HookRequest | None:
        try:
            return self._prepared_or_raise(hook, payload)
        except HookFailed:
            return None  # it has been reported, and there is nobody to tell

    def _prepared_or_raise(self, hook: Hook, payload: Payload) -> HookRequest:
        try:
            return prepare(hook, payload, self.base)
        except HookFailed as failed:
            self._report(failed, hook.url)
            raise

    def _durable(self, request: HookRequest, kind: HookKind, subject: str) -> _Item:
        item = _Item(request, kind)
        item.delivery = self._delivery(request, kind, subject, DeliveryState.DUE)
        self._service.outbox.put(item.delivery)
        return item

    def _delivery(self, request: HookRequest, kind: HookKind, subject: str, state: DeliveryState) -> Delivery:
        return self._service.new_delivery(
            key=delivery_key(kind, subject or self._call_sid),
            call_sid=self._call_sid,
            account_sid=self._account_sid,
            kind=kind.value,
            state=state,
            method=request.method,
            url=request.url,
            username=request.username,
            password=request.password,
            body=request.body,
        )

    def _enqueue(self, item: _Item) -> None:
        if not self._service.admit(self._call_sid, self._account_sid):
            if item.delivery is not None:
                self._service.courier.later(item.delivery)
            if item.reply is not None:
                item.reply.set_exception(
                    HookFailed("too many hooks are waiting", failure=HookFailure.REQUEST)
                )
            return
        self._queue.append(item)
        if len(self._queue) > MAX_QUEUED:
            self._drop_one()
        if self._worker is None:
            self._worker = self._service.spawn(self._work(), f"hooks {self._call_sid}")

    def _drop_one(self) -> None:
        for place, item in enumerate(self._queue):
            if item.reply is None:
                del self._queue[place]
                self._service.release()
                if item.delivery is not None:
                    self._service.courier.later(item.delivery)
                else:
                    self._service.drop(self._call_sid, self._account_sid)
                return

    async def _asked(self, item: _Item) -> HookReply:
        loop = asyncio.get_running_loop()
        item.reply = loop.create_future()
        if self._worker is not None:
            item.overtaking = loop.call_later(self._service.patience_s, self._overtake, item)
        self._enqueue(item)
        return await item.reply

    def _overtake(self, item: _Item) -> None:
        item.overtaking = None
        if item in self._queue:
            self._queue.remove(item)
            self._service.spawn(self._send(item), f"hook {self._call_sid}")

    # Out of the queue.

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._send(self._queue.popleft())
        except asyncio.CancelledError:  # the end of the process: what is durable stays in the outbox
            while self._queue:
                self._give_up(self._queue.popleft())
            raise
        finally:
            self._worker = None
            if self._queue:  # a mistake of ours; it takes one hook with it, not the rest of the call
                self._worker = self._service.spawn(self._work(), f"hooks {self._call_sid}")
            self._wake()

    def _give_up(self, item: _Item) -> None:
        self._service.release()
        if item.overtaking is not None:
            item.overtaking.cancel()
        if item.reply is not None and not item.reply.done():
            item.reply.set_exception(HookFailed("not sent", failure=HookFailure.REQUEST))

    async def _send(self, item: _Item) -> None:
        self._sending += 1
        if item.overtaking is not None:
            item.overtaking.cancel()
            item.overtaking = None
        try:
            if self._has_new_promises:
                # The application must not hear of something whose end is not yet promised on disk.
                self._has_new_promises = False
                await self._service.outbox.settled()
            reply = await self._service.client.perform(
                item.request,
                secrets=self._service.secrets_of(self._account_sid),
                idempotency_key=item.delivery.key if item.delivery is not None else "",
                is_answer_used=item.reply is not None and not item.reply.done(),
            )
        except HookFailed as failed:
            self._failed(item, failed)
        else:
            if item.delivery is not None:
                self._service.outbox.done(item.delivery.key)
            if item.reply is not None and not item.reply.done():
                item.reply.set_result(reply)
        finally:
            self._sending -= 1
            self._give_up(item)  # nothing to give up, unless we were cancelled or made a mistake
            self._wake()

    def _failed(self, item: _Item, failed: HookFailed) -> None:
        if item.delivery is not None:
            self._service.courier.failed(item.delivery, failed)
        self._report(failed, item.request.url, is_asked=item.reply is not None)
        if item.reply is not None and not item.reply.done():
            item.reply.set_exception(failed)

    def _report(self, failed: HookFailed, url: str, *, is_asked: bool = True) -> None:
        """Every failed ask is an alert; of notifications only the first that fails: the rest say the same."""
        if not is_asked:
            if self._has_reported:
                return
            self._has_reported = True
        kind = AlertKind.MALFORMED_DOCUMENT if isinstance(failed, MalformedReply) else AlertKind.HOOK_FAILED
        self._service.alerts.report(
            self._call_sid, self._account_sid, kind, f"{without_secrets(url)}: {failed.reason}"
        )

    def _wake(self) -> None:
        if self._idle is not None and self._worker is None and not self._sending:
            self._idle.set()
            self._idle = None
