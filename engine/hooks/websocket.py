"""`WebSocketCallHooks`: the hooks of one call over one WebSocket (hooks contract, section 7).

One task per call owns the socket: it connects when there is something to say, sends in the order of the
queue, and connects again when the socket breaks, at most five times in a row. Questions without an answer are
asked again then, with the same `msgid`, behind a `session:reconnect`. Hooks that are http URLs go over HTTP.

A socket gives no receipt for what is only told. Such a message counts as delivered when a later one was
acknowledged, or when the application has answered our close: until then a durable one stays in the outbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import aiohttp
import structlog

from engine.hooks.alerts import AlertKind
from engine.hooks.call_hooks import HookKind, Payload
from engine.hooks.hook import Hook, without_secrets
from engine.hooks.http_hooks import HttpCallHooks, delivery_key
from engine.hooks.outbox import Delivery, DeliveryState
from engine.hooks.reply import HookFailed, HookFailure, HookReply, MalformedReply
from engine.hooks.request import destination_of
from engine.hooks.websocket_connect import WebSocket, connect
from engine.hooks.websocket_messages import ANSWERED, Ack, Command, encode_message, parse_message
from engine.ids import random_bytes

if TYPE_CHECKING:
    from engine.hooks.service import HookService

__all__ = ["WebSocketCallHooks"]

log = structlog.get_logger(__name__)

_MAX_QUEUED = 100
_RECONNECT_PAUSES_S = (0.1, 0.5, 1.0, 2.0, 4.0)
_DISCONNECTED = "the application has closed the WebSocket"


class _Message:
    """One message, on its way."""

    __slots__ = ("delivery", "kind", "msgid", "reply", "text")

    def __init__(self, kind: HookKind, msgid: str, text: str) -> None:
        self.kind = kind
        self.msgid = msgid
        self.text = text
        self.reply: asyncio.Future[HookReply] | None = None
        self.delivery: Delivery | None = None


class WebSocketCallHooks:
    """`CallHooks` over a WebSocket. Made by `HookService.for_call` for a `ws` or `wss` call hook."""

    __slots__ = (
        "_account_sid",
        "_call_sid",
        "_first",
        "_has_met",
        "_has_new_promises",
        "_http",
        "_is_closing",
        "_queue",
        "_service",
        "_task",
        "_told",
        "_unanswered",
        "_wake",
        "base",
    )

    def __init__(self, service: HookService, call_sid: str, account_sid: str, call_hook: Hook) -> None:
        self.base: Hook | str = call_hook
        self._service = service
        self._call_sid = call_sid
        self._account_sid = account_sid
        self._first = call_hook
        self._http = HttpCallHooks(service, call_sid, account_sid)
        self._queue: deque[_Message] = deque()
        self._unanswered: dict[str, _Message] = {}
        self._told: list[_Message] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False
        self._has_new_promises = False
        self._has_met = False

    # CallHooks.

    def notify(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.CALL_STATUS) -> None:
        """Tell it; see `CallHooks`."""
        if not (there := hook.against(self.base)).is_websocket:
            self._http.notify(there, payload, kind)
        else:
            self._enqueue(self._message(hook, payload, kind))

    async def ask(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.VERB_HOOK) -> HookReply:
        """Tell it and wait for the ack; see `CallHooks`."""
        if not (there := hook.against(self.base)).is_websocket:
            return await self._http.ask(there, payload, kind)
        return await self._asked(self._message(hook, payload, kind))

    def promise(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """Keep it for the next process; see `CallHooks`."""
        if not (there := hook.against(self.base)).is_websocket:
            self._http.promise(there, payload, kind, subject)
        else:
            message = self._message(hook, payload, kind)
            self._service.outbox.put(self._delivery(message, subject, DeliveryState.PROMISED))
            self._has_new_promises = True

    def withdraw(self, kind: HookKind, subject: str = "") -> None:
        """Take a promise back."""
        self._http.withdraw(kind, subject)

    def deliver(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """As `notify`, never lost; see `CallHooks`."""
        if not (there := hook.against(self.base)).is_websocket:
            self._http.deliver(there, payload, kind, subject)
        else:
            self._enqueue(self._durable(self._message(hook, payload, kind), subject))

    async def ask_durably(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> HookReply:
        """As `ask`, never lost; see `CallHooks`."""
        if not (there := hook.against(self.base)).is_websocket:
            return await self._http.ask_durably(there, payload, kind, subject)
        return await self._asked(self._durable(self._message(hook, payload, kind), subject))

    async def close(self) -> None:
        """Return when everything queued has been sent or has failed, and the socket is closed."""
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait((self._task,))
        await self._http.close()

    # Into the queue.

    def _message(self, hook: Hook, payload: Payload, kind: HookKind) -> _Message:
        msgid = random_bytes(9).hex()
        trace_id = payload.get("trace_id")
        b3 = self._service.client.b3(trace_id) if isinstance(trace_id, str) else ""
        return _Message(kind, msgid, encode_message(kind, msgid, self._call_sid, hook.url, payload, b3))

    def _durable(self, message: _Message, subject: str) -> _Message:
        message.delivery = self._delivery(message, subject, DeliveryState.DUE)
        self._service.outbox.put(message.delivery)
        return message

    def _delivery(self, message: _Message, subject: str, state: DeliveryState) -> Delivery:
        return self._service.new_delivery(
            key=delivery_key(message.kind, subject or self._call_sid),
            call_sid=self._call_sid,
            account_sid=self._account_sid,
            kind=message.kind.value,
            state=state,
            method="WS",
            url=self._first.url,
            username=self._first.username,
            password=self._first.password,
            body=message.text.encode(),
        )

    def _enqueue(self, message: _Message) -> None:
        if len(self._queue) >= _MAX_QUEUED or not self._service.admit(self._call_sid, self._account_sid):
            self._fail(message, HookFailed("too many hooks are waiting", failure=HookFailure.REQUEST))
            return
        self._queue.append(message)
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = self._service.spawn(self._talk(), f"hooks {self._call_sid}")

    async def _asked(self, message: _Message) -> HookReply:
        loop = asyncio.get_running_loop()
        message.reply = loop.create_future()
        self._enqueue(message)
        timer = loop.call_later(self._service.client.timeout_s, self._too_late, message)
        try:
            return await message.reply
        finally:
            if not message.reply.cancelled():  # else the answer is still due, though nobody waits for it
                timer.cancel()

    def _too_late(self, message: _Message) -> None:
        """The answer has not come in time. A call that is over does not wait for it with an open socket."""
        if not self._forget(message):
            return
        reason = f"no answer within {self._service.client.timeout_s:g} s"
        failed = HookFailed(reason, failure=HookFailure.TIMEOUT)
        if message.delivery is not None:
            self._service.courier.failed(message.delivery, failed)
        self._report(failed)
        if message.reply is not None and not message.reply.done():
            message.reply.set_exception(failed)

    def _forget(self, message: _Message) -> bool:
        """True: it was queued, or not answered."""
        self._wake.set()
        if message in self._queue:
            self._queue.remove(message)
            self._service.release()
            return True
        return self._unanswered.pop(message.msgid, None) is not None

    # The task that owns the socket.

    async def _talk(self) -> None:
        """Connect, and again, until the call is over or the application does not come back."""
        try:
            retries = destination_of("http" + self._first.url[2:]).retries
            pauses_s = retries.pauses_s()
            while self._queue or self._unanswered or not self._is_closing:
                try:
                    socket = await connect(self._service.client, self._first)
                except HookFailed as failed:
                    pause_s = next(pauses_s, None) if self._has_met or retries.covers(failed) else None
                    if pause_s is None:
                        self._report(failed)
                        self._fail_all(failed)
                        return
                else:
                    is_first = not self._has_met
                    try:
                        has_heard = await self._converse(socket)
                    finally:
                        await socket.close()
                    if self._is_saying_goodbye():
                        return
                    if has_heard or is_first:
                        pauses_s = iter(_RECONNECT_PAUSES_S)
                    pause_s = next(pauses_s, None)
                    if pause_s is None:
                        gone = HookFailed(_DISCONNECTED)
                        self._report(gone)
                        self._fail_all(gone)
                        return
                if not self._is_closing:
                    await self._service.client.pause(pause_s)
        finally:
            self._fail_all(HookFailed("not sent", failure=HookFailure.REQUEST))

    async def _greet_again(self, socket: WebSocket) -> None:
        await socket.send_str(
            encode_message(HookKind.SESSION_RECONNECT, random_bytes(9).hex(), self._call_sid, "", {})
        )
        again = [*self._told, *self._unanswered.values()]
        self._queue.extendleft(reversed(again))
        self._service.readmit(len(again))
        self._told.clear()
        self._unanswered.clear()

    async def _converse(self, socket: WebSocket) -> bool:
        """Until the socket or the call is over. True: the application said something."""
        sending = asyncio.create_task(self._send_all(socket), name=f"hooks {self._call_sid} out")
        has_heard = False
        try:
            async for frame in socket:
                if frame.type is aiohttp.WSMsgType.TEXT:
                    has_heard = True
                    self._hear(frame.data)
            if self._is_saying_goodbye():
                await asyncio.wait((sending,))
            return has_heard
        finally:
            sending.cancel()
            [outcome] = await asyncio.gather(sending, return_exceptions=True)
            if isinstance(outcome, Exception) and not isinstance(outcome, aiohttp.ClientError | OSError):
                raise outcome

    def _is_saying_goodbye(self) -> bool:
        return self._is_closing and not self._queue and not self._unanswered

    async def _send_all(self, socket: WebSocket) -> None:
        try:
            if self._has_met:
                await self._greet_again(socket)
            self._has_met = True
            while not self._is_saying_goodbye():
                while self._queue:
                    if self._has_new_promises:
                        self._has_new_promises = False
                        await self._service.outbox.settled()
                    await socket.send_str(self._queue[0].text)
                    self._sent(self._queue.popleft())
                if not self._is_saying_goodbye():
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            await socket.close()
        if socket.close_code is not None and socket.close_code != aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
            self._all_told()  # the application has answered our close: it has read what came before

    def _sent(self, message: _Message) -> None:
        self._service.release()
        if message.kind in ANSWERED:
            self._unanswered[message.msgid] = message
        elif message.delivery is not None:
            self._told.append(message)

    def _hear(self, text: str) -> None:
        try:
            heard = parse_message(text, self._call_sid, self._account_sid)
        except MalformedReply as malformed:
            self._report(malformed)
            return
        if isinstance(heard, Command):
            self._obey(heard)
            return
        self._acknowledged(heard)

    def _acknowledged(self, ack: Ack) -> None:
        message = self._unanswered.pop(ack.msgid, None)
        if message is None:
            return  # of something nobody waits for any more
        self._all_told()
        if message.delivery is not None:
            self._service.outbox.done(message.delivery.key)
        if message.reply is not None and not message.reply.done():
            message.reply.set_result(ack.reply)
        self._wake.set()

    def _all_told(self) -> None:
        """What was told before is known to have been read."""
        for message in self._told:
            assert message.delivery is not None
            self._service.outbox.done(message.delivery.key)
        self._told.clear()

    def _obey(self, command: Command) -> None:
        if self._service.on_command is None:
            log.info("a command of an application is ignored", command=command.name, call=self._call_sid)
            return
        self._service.on_command(command)

    # What could not be said.

    def _fail_all(self, failed: HookFailed) -> None:
        for message in self._queue:
            self._service.release()
            self._fail(message, failed)
        for message in (*self._told, *self._unanswered.values()):
            self._fail(message, failed)
        self._queue.clear()
        self._told.clear()
        self._unanswered.clear()

    def _fail(self, message: _Message, failed: HookFailed) -> None:
        if message.delivery is not None:
            self._service.courier.later(message.delivery)
        if message.reply is not None and not message.reply.done():
            message.reply.set_exception(failed)

    def _report(self, failed: HookFailed) -> None:
        kind = AlertKind.MALFORMED_DOCUMENT if isinstance(failed, MalformedReply) else AlertKind.HOOK_FAILED
        text = f"{without_secrets(self._first.url)}: {failed.reason}"
        self._service.alerts.report(self._call_sid, self._account_sid, kind, text)
