"""Section 7 of the hooks contract: an application over a WebSocket, a real server of `websockets`."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection

from engine.hooks import (
    Alerts,
    CallHooks,
    Command,
    Delivery,
    DeliveryState,
    Hook,
    HookClient,
    HookFailed,
    HookFailure,
    HookKind,
    HookService,
    MalformedReply,
)
from engine.hooks.websocket import WebSocketCallHooks
from tests.hooks.host import HookHost
from tests.hooks.test_client import Pauses, closed_port
from tests.hooks.test_http_hooks import Kept
from tests.hooks.ws_application import Application, Message, ack

CALL = "e35d4edf-efd2-424c-8667-c6c5f53b1e1b"
ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"


@asynccontextmanager
async def serving(
    *left: Delivery, timeout_s: float = 5.0
) -> AsyncIterator[tuple[Application, HookService, Kept]]:
    kept, application = Kept(*left), Application()
    await application.start()
    service = HookService(
        HookClient(timeout_s=timeout_s, has_tracing=True, sleep=Pauses()),
        outbox=kept,
        alerts=Alerts(kept),
        redelivery_pause_s=0.1,
    )
    try:
        async with service:
            yield application, service, kept
    finally:
        await application.stop()


def hooks_of(service: HookService, url: str) -> CallHooks:
    hooks = service.for_call(CALL, account_sid=ACCOUNT, base=url)
    assert isinstance(hooks, WebSocketCallHooks)
    return hooks


async def test_ws_session_new_is_the_first_message_and_its_ack_brings_the_document() -> None:
    async with serving() as (application, service, _):
        application.answers["session:new"] = lambda _, message: [ack(message, [{"verb": "hangup"}])]
        hooks = hooks_of(service, application.url("/call?tenant=a"))
        payload = {"call_sid": CALL, "from": "+15550100", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
        reply = await hooks.ask(Hook(application.url("/call?tenant=a")), payload, HookKind.SESSION_NEW)
        assert reply.verbs == [{"verb": "hangup"}]
        await hooks.close()
        [message] = application.seen
        assert set(message) == {"type", "msgid", "call_sid", "b3", "data"}
        assert (message["type"], message["call_sid"], message["data"]) == ("session:new", CALL, payload)
        [connection] = application.connections
        assert connection.subprotocol == "ws.jambonz.org"
        assert connection.request is not None
        assert connection.request.path == "/call?tenant=a"
        assert connection.request.headers["User-Agent"] == "dial-engine"
        assert connection.close_code == 1000


async def test_ws_hooks_of_a_call_share_one_socket_in_order_and_name_their_hook() -> None:
    async with serving() as (application, service, _):
        application.answers["verb:hook"] = lambda _, message: [ack(message, [])]
        hooks = hooks_of(service, application.url())
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        hooks.notify(Hook(application.url()), {"call_status": "trying"})
        hooks.notify(Hook(application.url()), {"call_status": "ringing"})
        assert (await hooks.ask(Hook("/dial?x=1"), {"n": 1})).verbs == []
        assert (await hooks.ask(Hook("confirm"), {"n": 2}, HookKind.DIAL_CONFIRM)).verbs is None
        await hooks.ask(Hook(application.url("/next?a=b")), {}, HookKind.SESSION_REDIRECT)
        await hooks.ask(Hook("/ended"), {}, HookKind.DIAL_ACTION)
        hooks.notify(Hook(""), {"event": "start-playback"}, HookKind.VERB_STATUS)
        await hooks.close()
        assert [(message["type"], message.get("hook")) for message in application.seen] == [
            ("session:new", None),
            ("call:status", None),
            ("call:status", None),
            ("verb:hook", "/dial?x=1"),
            ("dial:confirm", "confirm"),
            ("session:redirect", "/next?a=b"),
            ("verb:hook", "/ended"),
            ("verb:status", None),
        ]
        assert len({message["msgid"] for message in application.seen}) == 8
        assert len(application.connections) == 1
        assert service.backlog == 0


async def test_ws_a_hook_with_an_http_url_goes_over_http() -> None:
    async with serving() as (application, service, _), HookHost() as host:
        host.answers("/dial", [{"verb": "hangup"}])
        hooks = hooks_of(service, application.url())
        assert (await hooks.ask(Hook(host.url("/dial")), {"a": 1})).verbs == [{"verb": "hangup"}]
        hooks.notify(Hook(host.url("/status")), {})
        await hooks.close()
        assert [seen.path for seen in host.seen] == ["/dial", "/status"]
        assert application.seen == []


@pytest.mark.parametrize("is_in_url", [False, True])
async def test_ws_basic_authentication(*, is_in_url: bool) -> None:
    async with serving() as (application, service, _):
        url = application.url()
        base = Hook(url, username="alice", password="secret")
        if is_in_url:
            base = Hook(url.replace("127.0.0.1", "alice:secret@127.0.0.1"))
        hooks = service.for_call(CALL, base=base)
        await hooks.ask(base, {}, HookKind.SESSION_NEW)
        await hooks.close()
        assert application.connections[0].request is not None
        assert application.connections[0].request.headers["Authorization"] == (
            "Basic " + base64.b64encode(b"alice:secret").decode()
        )


async def test_ws_commands_reach_who_obeys_them() -> None:
    commands: list[Command] = []

    def command_and_ack(_: ServerConnection, message: Message) -> list[str]:
        redirect = {
            "type": "command",
            "command": "redirect",
            "queueCommand": True,
            "data": [{"verb": "hangup"}],
        }
        mute = {
            "type": "command",
            "command": "mute:status",
            "call_sid": "leg",
            "data": {"mute_status": "mute"},
        }
        return [json.dumps(redirect), json.dumps(mute), ack(message)]

    async with serving() as (application, service, _):
        application.answers["session:new"] = command_and_ack
        hooks = hooks_of(service, application.url())
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)  # nobody obeys yet: logged
        service.on_command = commands.append
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        await hooks.close()
    assert commands == [
        Command("redirect", [{"verb": "hangup"}], CALL, ACCOUNT, is_queued=True),
        Command("mute:status", {"mute_status": "mute"}, "leg", ACCOUNT, is_queued=False),
    ]


async def test_ws_an_ack_that_does_not_come_is_a_time_out_and_a_late_one_is_ignored() -> None:
    waiting: list[Message] = []

    def later(_: ServerConnection, message: Message) -> list[str]:
        waiting.append(message)
        return [ack(waiting[0], [{"verb": "hangup"}]), ack(message, [])] if len(waiting) > 1 else []

    async with serving(timeout_s=0.2) as (application, service, kept):
        application.answers["verb:hook"] = later
        hooks = hooks_of(service, application.url())
        with pytest.raises(HookFailed, match="no answer") as caught:
            await hooks.ask(Hook("/dial"), {})
        assert caught.value.failure is HookFailure.TIMEOUT
        assert (await hooks.ask(Hook("/dial"), {})).verbs == []
        await hooks.close()
        assert [alert.kind for alert in kept.alerts] == ["hook-failed"]


@pytest.mark.parametrize("is_durable", [False, True])
async def test_ws_a_question_nobody_waits_for_and_nobody_answers_does_not_keep_the_socket(
    *, is_durable: bool
) -> None:
    async with serving(timeout_s=0.2) as (application, service, kept):
        application.answers["verb:hook"] = lambda _, __: []
        hooks = hooks_of(service, application.url())
        asking = asyncio.create_task(
            hooks.ask_durably(Hook("/dial"), {}, HookKind.DIAL_ACTION, "dial")
            if is_durable
            else hooks.ask(Hook("/dial"), {})
        )
        await application.until(lambda: bool(application.types()))
        asking.cancel()  # the caller hangs up while his application thinks
        async with asyncio.timeout(5):
            await hooks.close()
        assert asking.cancelled()
        assert [alert.kind for alert in kept.alerts] == ["hook-failed"]
        assert service.courier.waiting == int(is_durable)  # what is durable is told again
        assert service.backlog == 0


@pytest.mark.parametrize(
    "text",
    ["<html>", "[]", '{"type":"ack"}', '{"type":"ack","msgid":"x","data":7}', '{"type":"dance"}', "[" * 5000],
)
async def test_ws_what_is_no_message_is_an_alert_and_nothing_else(text: str) -> None:
    async with serving() as (application, service, kept):
        application.answers["session:new"] = lambda _, message: [text, ack(message, [])]
        hooks = hooks_of(service, application.url())
        assert (await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)).verbs == []
        await hooks.close()
        assert [alert.kind for alert in kept.alerts] == ["malformed-document"]


async def test_ws_an_ack_whose_document_is_too_deep_is_malformed() -> None:
    async with serving(timeout_s=0.2) as (application, service, kept):
        application.answers["session:new"] = lambda _, message: [
            f'{{"type":"ack","msgid":"{message["msgid"]}","data":{"[" * 70}{"]" * 70}}}'
        ]
        hooks = hooks_of(service, application.url())
        with pytest.raises(HookFailed):
            await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        await hooks.close()
        assert "malformed-document" in [alert.kind for alert in kept.alerts]


async def test_ws_nobody_listening_fails_the_question_at_once() -> None:
    async with serving() as (_, service, kept):
        url = f"ws://127.0.0.1:{closed_port()}/"
        hooks = hooks_of(service, url)
        with pytest.raises(HookFailed) as caught:
            await hooks.ask(Hook(url), {}, HookKind.SESSION_NEW)
        assert caught.value.failure is HookFailure.CONNECT
        await hooks.close()
        assert [alert.kind for alert in kept.alerts] == ["hook-failed"]
        assert service.backlog == 0


async def test_ws_wh08_the_first_connection_is_tried_as_the_fragment_says() -> None:
    async with serving() as (_, service, _):
        pauses = Pauses()
        patient = HookService(HookClient(sleep=pauses))
        async with patient:
            url = f"ws://127.0.0.1:{closed_port()}/#rc=3"
            hooks = hooks_of(patient, url)
            with pytest.raises(HookFailed):
                await hooks.ask(Hook(url), {}, HookKind.SESSION_NEW)
            await hooks.close()
        assert pauses.seen == [0.5, 1.0, 2.0]
        assert service.backlog == 0


async def test_ws_a_host_that_refuses_the_handshake_is_an_error_with_its_status() -> None:
    async with serving() as (_, service, _), HookHost() as host:
        url = host.url("/call").replace("http", "ws")
        hooks = hooks_of(service, url)
        with pytest.raises(HookFailed) as caught:
            await hooks.ask(Hook(url), {}, HookKind.SESSION_NEW)
        assert caught.value.status == 204
        await hooks.close()


async def test_ws_a_broken_socket_is_replaced_and_the_open_question_is_asked_again() -> None:
    def break_once(connection: ServerConnection, message: Message) -> list[str]:
        if len(application.connections) == 1:
            connection.transport.abort()
            return []
        return [ack(message, [{"verb": "hangup"}])]

    async with serving() as (application, service, kept):
        application.answers["verb:hook"] = break_once
        hooks = hooks_of(service, application.url())
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        assert (await hooks.ask(Hook("/dial"), {"n": 1})).verbs == [{"verb": "hangup"}]
        await hooks.close()
        assert application.types() == ["session:new", "verb:hook", "session:reconnect", "verb:hook"]
        assert application.seen[1]["msgid"] == application.seen[3]["msgid"]
        assert kept.alerts == []


async def test_ws_an_application_that_went_away_for_good_fails_what_waits_and_keeps_what_is_durable() -> None:
    async with serving() as (application, service, kept):
        hooks = hooks_of(service, application.url("/call"))
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        await application.stop()
        hooks.deliver(Hook(application.url()), {"call_status": "completed"}, HookKind.CALL_STATUS)
        with pytest.raises(HookFailed):
            await hooks.ask(Hook("/dial"), {})
        await hooks.close()
        assert list(kept.rows) == [f"call-status-{CALL}"]
        assert service.courier.waiting == 1
        await application.start()


async def test_ws_what_is_told_is_delivered_when_the_application_has_answered_our_close() -> None:
    async with serving() as (application, service, kept):
        hooks = hooks_of(service, application.url())
        hooks.promise(Hook(application.url()), {"call_status": "failed"}, HookKind.CALL_STATUS)
        assert [row.state for row in kept.rows.values()] == [DeliveryState.PROMISED]
        await hooks.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        hooks.deliver(Hook(application.url()), {"call_status": "completed"}, HookKind.CALL_STATUS)
        await application.until(lambda: len(application.seen) == 2)
        assert kept.rows
        await hooks.close()
        assert kept.rows == {}
        assert application.seen[-1]["data"] == {"call_status": "completed"}


async def test_ws_a_socket_on_which_nothing_was_answered_yet_is_replaced_too() -> None:
    def break_once(connection: ServerConnection, _: Message) -> list[str]:
        if len(application.connections) == 1:
            connection.transport.abort()
        return []

    async with serving() as (application, service, kept):
        application.answers["call:status"] = break_once
        hooks = hooks_of(service, application.url())
        hooks.deliver(Hook(application.url()), {"call_status": "completed"}, HookKind.CALL_STATUS)
        expected = ["call:status", "session:reconnect", "call:status"]
        await application.until(lambda: application.types() == expected)
        await hooks.close()
        assert kept.rows == {}
        assert kept.alerts == []


async def test_ws_what_is_told_is_delivered_when_a_later_question_was_answered() -> None:
    async with serving() as (application, service, kept):
        hooks = hooks_of(service, application.url())
        hooks.deliver(Hook(application.url()), {"call_status": "completed"}, HookKind.CALL_STATUS, "leg")
        await hooks.ask_durably(Hook("/dial"), {}, HookKind.DIAL_ACTION, "dial")
        assert kept.rows == {}
        await hooks.close()


async def test_ws_what_an_earlier_process_left_is_delivered_after_a_restart() -> None:
    async with serving() as (application, service, kept):
        hooks = hooks_of(service, application.url())
        hooks.promise(Hook(application.url()), {"call_status": "failed"}, HookKind.CALL_STATUS)
        hooks.promise(Hook("/dial"), {"dial_status": "failed"}, HookKind.DIAL_ACTION, "dial-1")
        left = list(kept.rows.values())
        kept2 = Kept(*left)
        kept2.rows = dict(kept.rows)
        async with HookService(HookClient(), outbox=kept2):
            async with asyncio.timeout(5):
                await kept2.is_empty.wait()
        assert [(message["type"], message.get("hook")) for message in application.seen] == [
            ("call:status", None),
            ("verb:hook", "/dial"),
        ]
        assert application.seen[1]["call_sid"] == CALL
        await hooks.close()


async def test_ws_messages_that_are_no_url_raise_nothing_but_into_who_asks() -> None:
    async with serving() as (application, service, _):
        hooks = hooks_of(service, application.url())
        hooks.notify(Hook("http://[/"), {})
        with pytest.raises((HookFailed, MalformedReply)):
            await hooks.ask(Hook("http://[/"), {})
        await hooks.close()
        assert application.seen == []


async def test_ws_stopping_the_process_ends_every_socket() -> None:
    async with serving() as (application, service, _):
        hooks = [service.for_call(f"call-{n}", base=application.url()) for n in range(20)]
        for call in hooks:
            await call.ask(Hook(application.url()), {}, HookKind.SESSION_NEW)
        await service.stop(drain_s=0.0)
        for call in hooks:
            await call.close()
        assert service.backlog == 0
        for connection in application.connections:
            await connection.wait_closed()
