"""The hooks of one call: order, patience, durability, limits (WH-09, WH-11; section 9, cases 2 and 4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from structlog.testing import capture_logs

from engine.hooks import (
    Alerts,
    Delivery,
    DeliveryState,
    Hook,
    HookClient,
    HookFailed,
    HookKind,
    HookService,
    MalformedReply,
    NoOutbox,
)
from engine.store.rows import AlertRow
from tests.hooks.host import HookHost, Reply
from tests.hooks.test_client import closed_port
from tests.hooks.ws_application import Application

CALL = "e35d4edf-efd2-424c-8667-c6c5f53b1e1b"
ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"


class Kept(NoOutbox):
    """An outbox in memory, and what was reported."""

    def __init__(self, *left: Delivery) -> None:
        self.rows: dict[str, Delivery] = {}
        self.left = left
        self.alerts: list[AlertRow] = []
        self.is_settled = asyncio.Event()
        self.is_settled.set()
        self.is_empty = asyncio.Event()

    def put(self, delivery: Delivery) -> None:
        self.rows[delivery.key] = delivery

    def done(self, key: str) -> None:
        self.rows.pop(key, None)
        if not self.rows:
            self.is_empty.set()

    async def pending(self) -> list[Delivery]:
        return list(self.left)

    async def settled(self) -> None:
        await self.is_settled.wait()

    def alert(self, row: AlertRow) -> None:
        self.alerts.append(row)


@asynccontextmanager
async def serving(
    *left: Delivery,
    timeout_s: float = 5.0,
    patience_s: float = 0.5,
    max_backlog: int = 20_000,
    redelivery_pause_s: float = 30.0,
    secrets: Sequence[str] = (),
) -> AsyncIterator[tuple[HookHost, HookService, Kept]]:
    kept = Kept(*left)
    service = HookService(
        HookClient(timeout_s=timeout_s),
        outbox=kept,
        alerts=Alerts(kept),
        secrets_of=lambda account: secrets if account == ACCOUNT else (),
        patience_s=patience_s,
        max_backlog=max_backlog,
        redelivery_pause_s=redelivery_pause_s,
    )
    async with HookHost() as host, service:
        yield host, service, kept


async def test_wh09_notifications_of_a_call_are_delivered_in_order_one_at_a_time() -> None:
    async with serving() as (host, service, _):
        calls = [service.for_call(f"call-{n}", account_sid=ACCOUNT) for n in range(5)]
        for step in range(20):
            for call in calls:
                call.notify(Hook(host.url(f"/{calls.index(call)}")), {"step": step})
        for call in calls:
            await call.close()
        assert service.backlog == 0
        for n in range(5):
            assert [seen.json["step"] for seen in host.to(f"/{n}")] == list(range(20))
    assert host.most_active <= 5


async def test_wh09_a_status_hook_that_hangs_does_not_delay_the_call() -> None:
    gate = asyncio.Event()
    async with serving() as (host, service, _):
        host.answers("/status", Reply(after=gate))
        host.answers("/dial", [{"verb": "hangup"}])
        call = service.for_call(CALL)
        begun = asyncio.get_running_loop().time()
        for step in range(5):
            call.notify(Hook(host.url("/status")), {"step": step})
        assert asyncio.get_running_loop().time() - begun < 0.1
        reply = await call.ask(Hook(host.url("/dial")), {})
        assert reply.verbs == [{"verb": "hangup"}]
        assert 0.4 < asyncio.get_running_loop().time() - begun < 2
        assert len(host.to("/status")) == 1
        gate.set()
        await call.close()
        assert [seen.json["step"] for seen in host.to("/status")] == list(range(5))


async def test_wh09_an_action_hook_comes_after_the_status_hooks_before_it_and_before_those_after_it() -> None:
    async with serving() as (host, service, _):
        call = service.for_call(CALL)
        status, dial = Hook(host.url("/status")), Hook(host.url("/dial"))
        call.notify(status, {"n": 0})
        call.notify(status, {"n": 1})
        asked = asyncio.create_task(call.ask(dial, {"n": 2}))
        await asyncio.sleep(0)
        call.notify(status, {"n": 3})
        await asked
        await call.close()
        assert [seen.json["n"] for seen in host.seen] == [0, 1, 2, 3]


async def test_what_is_sent_is_what_was_true_when_it_was_queued() -> None:
    async with serving() as (host, service, _):
        call = service.for_call(CALL, base=host.url("/ivr/call"))
        payload: dict[str, object] = {"call_status": "trying"}
        call.notify(Hook("status"), payload)
        payload["call_status"] = "ringing"
        call.base = host.url("/other/call")
        call.notify(Hook("status"), payload)
        await call.close()
        assert [(seen.path, seen.json["call_status"]) for seen in host.seen] == [
            ("/ivr/status", "trying"),
            ("/other/status", "ringing"),
        ]


async def test_wh07_hooks_are_signed_with_the_secrets_of_their_account() -> None:
    async with serving(secrets=["old", "new"]) as (host, service, _):
        for account in (ACCOUNT, ""):
            call = service.for_call(CALL, account_sid=account)
            call.notify(Hook(host.url()), {})
            await call.close()
        assert host.seen[0].headers["jambonz-signature"].count("v1=") == 2
        assert "jambonz-signature" not in host.seen[1].headers


async def test_wh11_what_is_queued_when_the_call_ends_is_still_delivered() -> None:
    async with serving() as (host, service, _):
        host.answers("/status", [{"verb": "say", "text": "too late"}])
        hooks = service.for_call(CALL)
        for step in ("in-progress", "completed"):
            hooks.notify(Hook(host.url("/status")), {"call_status": step})
        hooks.deliver(Hook(host.url("/status")), {"call_status": "final"}, HookKind.CALL_STATUS)
        del hooks  # the call is gone, and nobody waits
        await host.until(lambda: len(host.seen) == 3)
        assert [seen.json["call_status"] for seen in host.seen] == ["in-progress", "completed", "final"]


async def test_edge_2_cancelling_the_asker_does_not_recall_the_hook() -> None:
    gate = asyncio.Event()
    async with serving() as (host, service, kept):
        host.answers("/dial", Reply(200, b"[]", after=gate))
        call = service.for_call(CALL)
        asked = asyncio.create_task(call.ask_durably(Hook(host.url("/dial")), {}, HookKind.DIAL_ACTION))
        await host.until(lambda: host.active == 1)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        call.notify(Hook(host.url("/status")), {})
        gate.set()
        await call.close()
        assert [seen.path for seen in host.seen] == ["/dial", "/status"]
        assert kept.rows == {}


async def test_wh04_a_malformed_answer_is_an_alert_for_who_asked_and_nothing_for_who_told() -> None:
    async with serving() as (host, service, kept):
        host.answers("/", Reply(200, b"<html>"))
        call = service.for_call(CALL, account_sid=ACCOUNT)
        call.notify(Hook(host.url()), {})
        with pytest.raises(MalformedReply):
            await call.ask(Hook(host.url("/?token=secret")), {})
        [alert] = kept.alerts
    assert (alert.kind, alert.call_sid, alert.account_sid) == ("malformed-document", CALL, ACCOUNT)
    assert "secret" not in alert.text
    assert f"http://127.0.0.1:{host.port}/" in alert.text


async def test_edge_4_an_unreachable_host_is_one_alert_for_all_notifications_and_one_for_each_question() -> (
    None
):
    async with serving() as (_, service, kept):
        dead = Hook(f"http://127.0.0.1:{closed_port()}/")
        call = service.for_call(CALL)
        for _ in range(5):
            call.notify(dead, {})
        with pytest.raises(HookFailed):
            await call.ask(dead, {})
        await call.close()
        assert [alert.kind for alert in kept.alerts] == ["hook-failed", "hook-failed"]


async def test_a_hook_without_a_usable_url_raises_only_into_who_asks() -> None:
    async with serving() as (_, service, kept):
        call = service.for_call(CALL)
        call.notify(Hook("status"), {})
        call.deliver(Hook("status"), {}, HookKind.CALL_STATUS)
        call.promise(Hook("status"), {}, HookKind.CALL_STATUS)
        with pytest.raises(HookFailed):
            await call.ask(Hook("dial"), {})
        await call.close()
        assert kept.rows == {}
        assert kept.alerts


async def test_a_durable_delivery_is_in_the_outbox_until_it_was_answered() -> None:
    gate = asyncio.Event()
    async with serving() as (host, service, kept):
        host.answers("/status", Reply(204, after=gate))
        call = service.for_call(CALL, account_sid=ACCOUNT)
        hook = Hook(host.url("/status"), username="alice", password="secret")
        call.promise(hook, {"call_status": "failed"}, HookKind.CALL_STATUS, "leg-1")
        [promised] = kept.rows.values()
        assert (promised.state, promised.body) == (DeliveryState.PROMISED, b'{"call_status":"failed"}')
        call.deliver(hook, {"call_status": "completed"}, HookKind.CALL_STATUS, "leg-1")
        [due] = kept.rows.values()
        assert due.key == promised.key == "call-status-leg-1"
        assert (due.state, due.call_sid, due.account_sid) == (DeliveryState.DUE, CALL, ACCOUNT)
        assert due.body == b'{"call_status":"completed"}'
        await host.until(lambda: host.active == 1)
        assert host.seen[0].headers["idempotency-key"] == "call-status-leg-1"
        assert kept.rows
        gate.set()
        await call.close()
        assert kept.rows == {}


async def test_a_withdrawn_promise_is_forgotten() -> None:
    async with serving() as (_, service, kept):
        call = service.for_call(CALL)
        call.promise(Hook("http://app.example.com/"), {}, HookKind.DIAL_ACTION, "dial-1")
        call.withdraw(HookKind.DIAL_ACTION, "dial-1")
        assert kept.rows == {}


async def test_the_application_hears_of_a_call_only_when_its_end_is_promised_on_disk() -> None:
    async with serving() as (host, service, kept):
        kept.is_settled.clear()
        call = service.for_call(CALL)
        call.promise(Hook(host.url()), {"call_status": "failed"}, HookKind.CALL_STATUS)
        call.notify(Hook(host.url()), {"call_status": "trying"})
        for _ in range(20):
            await asyncio.sleep(0)
        assert host.seen == []
        kept.is_settled.set()
        await call.close()
        assert [seen.json["call_status"] for seen in host.seen] == ["trying"]


@pytest.mark.parametrize(("status", "is_kept"), [(404, False), (500, True), (503, True)])
async def test_a_refusal_of_the_application_ends_a_delivery_and_an_absence_does_not(
    status: int, *, is_kept: bool
) -> None:
    async with serving() as (host, service, kept):
        host.answers("/", Reply(status))
        call = service.for_call(CALL)
        call.deliver(Hook(host.url()), {}, HookKind.CALL_STATUS)
        await call.close()
        assert bool(kept.rows) is is_kept
        assert service.courier.waiting == int(is_kept)


async def test_what_fails_when_asked_durably_is_raised_and_still_delivered_later() -> None:
    async with serving() as (_, service, kept):
        call = service.for_call(CALL)
        with pytest.raises(HookFailed):
            await call.ask_durably(Hook(f"http://127.0.0.1:{closed_port()}/"), {}, HookKind.DIAL_ACTION, "d")
        assert kept.rows["dial-action-d"].attempts == 1
        assert service.courier.waiting == 1


async def test_a_call_that_notifies_faster_than_it_can_deliver_loses_the_oldest_but_nothing_durable() -> None:
    gate = asyncio.Event()
    async with serving() as (host, service, kept):
        host.answers("/", Reply(after=gate))
        call = service.for_call(CALL)
        call.notify(Hook(host.url()), {"n": -1})
        await host.until(lambda: host.active == 1)
        call.deliver(Hook(host.url()), {"n": "kept"}, HookKind.CALL_STATUS)
        for n in range(150):
            call.notify(Hook(host.url()), {"n": n})
        assert service.backlog == 101
        gate.set()
        await call.close()
        assert service.backlog == 0
        assert [seen.json["n"] for seen in host.seen] == [-1, *range(50, 150)]
        assert [alert.kind for alert in kept.alerts] == ["hooks-dropped"]
        assert service.courier.waiting == 1  # the durable one is delivered later


async def test_above_the_limit_of_all_calls_notifications_are_dropped_and_questions_fail_at_once() -> None:
    gate = asyncio.Event()
    async with serving(max_backlog=3) as (host, service, kept):
        host.answers("/", Reply(after=gate))
        calls = [service.for_call(f"call-{n}") for n in range(6)]
        for call in calls[:5]:
            call.notify(Hook(host.url()), {})
        assert (service.backlog, service.dropped) == (3, 2)
        with pytest.raises(HookFailed, match="too many"):
            await calls[5].ask(Hook(host.url()), {})
        calls[5].deliver(Hook(host.url()), {}, HookKind.CALL_STATUS)
        assert list(kept.rows) == ["call-status-call-5"]
        gate.set()
        for call in calls:
            await call.close()
        assert service.backlog == 0


async def test_stopping_waits_for_what_is_queued_but_not_for_ever() -> None:
    never = asyncio.Event()
    kept = Kept()
    service = HookService(HookClient(), outbox=kept)
    async with HookHost() as host:
        await service.start()
        host.answers("/hang", Reply(after=never))
        quick, slow = service.for_call("quick"), service.for_call("slow")
        quick.deliver(Hook(host.url("/quick")), {}, HookKind.CALL_STATUS)
        slow.deliver(Hook(host.url("/hang")), {}, HookKind.CALL_STATUS)
        asked = asyncio.create_task(slow.ask(Hook(host.url("/never sent")), {}))
        await asyncio.sleep(0)
        await service.stop(drain_s=0.2)
        with pytest.raises(HookFailed, match="not sent"):
            await asked
    assert [seen.path for seen in host.seen] == ["/quick", "/hang"]
    assert list(kept.rows) == ["call-status-slow"]
    assert service.backlog == 0


async def test_what_comes_after_the_end_of_hooks_fails_quietly_and_stays_in_the_outbox() -> None:
    kept = Kept()
    service = HookService(HookClient(), outbox=kept)
    async with HookHost() as host:
        await service.start()
        await service.stop()
        late = service.for_call(CALL)
        late.deliver(Hook(host.url()), {}, HookKind.CALL_STATUS)
        with pytest.raises(HookFailed, match="not sent any more"):
            await late.ask(Hook(host.url()), {})
        await late.close()
        assert list(kept.rows) == [f"call-status-{CALL}"]
        assert host.seen == []


async def test_nothing_of_a_payload_or_a_secret_is_logged() -> None:
    with capture_logs() as lines:
        async with serving(secrets=["hush"]) as (host, service, _):
            host.answers("/", Reply(500))
            call = service.for_call(CALL, account_sid=ACCOUNT)
            hook = Hook(host.url("/?token=abc"), username="alice", password="word")
            call.deliver(hook, {"from": "+15550100", "caller_name": "Bob"}, HookKind.CALL_STATUS)
            await call.close()
    assert [line["event"] for line in lines] == ["alert"]
    for secret in ("hush", "abc", "alice", "word", "5550100", "Bob"):
        assert secret not in str(lines)


async def test_a_host_that_comes_back_gets_what_it_missed() -> None:
    async with serving(redelivery_pause_s=0.05) as (host, service, kept):
        await host.stop()
        call = service.for_call(CALL)
        call.deliver(Hook(host.url("/status")), {"call_status": "completed"}, HookKind.CALL_STATUS)
        await call.close()
        assert service.courier.waiting == 1
        await host.start(host.port)
        async with asyncio.timeout(5):
            await kept.is_empty.wait()
        [seen] = host.seen
        assert seen.json == {"call_status": "completed"}
        assert seen.headers["idempotency-key"] == f"call-status-{CALL}"


async def test_a_silent_host_does_not_hold_up_what_others_are_owed() -> None:
    never = asyncio.Event()
    async with HookHost() as silent, HookHost() as well:
        silent.answers("/", Reply(after=never))
        rows = [left(f"silent-{n}", f"silent-{n}", silent.url()) for n in range(200)]
        rows += [left(f"well-{n}", f"well-{n}", well.url()) for n in range(50)]
        rows = [msgspec.structs.replace(row, created_utc=time.time()) for row in rows]
        async with serving(*rows, timeout_s=0.3) as (_, service, kept):
            kept.rows = {row.key: row for row in rows}
            begun = asyncio.get_running_loop().time()
            await service.courier.caught_up()
            assert asyncio.get_running_loop().time() - begun < 5
            assert len(well.seen) == service.courier.delivered == 50
            assert len(silent.seen) <= 16
            assert service.courier.waiting == len(kept.rows) == 200
        never.set()


async def test_after_a_day_a_delivery_is_given_up_with_an_alert() -> None:
    dead = left("old", CALL, f"http://127.0.0.1:{closed_port()}/")
    assert dead.created_utc == 0.0
    async with serving(dead) as (_, service, kept):
        kept.rows = {dead.key: dead}
        async with asyncio.timeout(5):
            await kept.is_empty.wait()
        assert [alert.kind for alert in kept.alerts] == ["hooks-dropped"]
        assert service.courier.waiting == 0


@asynccontextmanager
async def raw_websocket() -> AsyncIterator[str]:
    """An application over WebSocket; its URL."""
    application = Application()
    await application.start()
    try:
        yield application.url()
    finally:
        await application.stop()


def left(key: str, call_sid: str, url: str) -> Delivery:
    return Delivery(
        key=key, call_sid=call_sid, account_sid=ACCOUNT, url=url, body=b'{"key":"' + key.encode() + b'"}'
    )


async def test_a_delivery_that_cannot_be_sent_does_not_stop_the_courier() -> None:
    async with HookHost() as host:
        rows = [
            left("nowhere", "a", f"http://{'a' * 64}.example.com/"),
            left("well", "b", host.url("/well")),
        ]
        async with serving(*rows) as (_, service, kept):
            kept.rows = {row.key: row for row in rows}
            async with asyncio.timeout(5):
                await service.courier.caught_up()
            assert service.courier.delivered == 1
            assert kept.rows == {}
            assert service.courier.waiting == 0


async def test_a_mistake_with_one_delivery_does_not_stop_the_courier() -> None:
    async with HookHost() as host, raw_websocket() as url:
        broken = msgspec.structs.replace(left("broken", "a", url), method="WS", body=b"\xff")
        rows = [broken, left("well", "b", host.url("/well"))]
        async with serving(*rows) as (_, service, kept):
            kept.rows = {row.key: row for row in rows}
            with capture_logs() as lines:
                async with asyncio.timeout(5):
                    await service.courier.caught_up()
            assert service.courier.delivered == 1
            assert set(kept.rows) == {"broken"}  # for the next process
    assert "a delivery broke" in [line["event"] for line in lines]


async def test_what_an_earlier_process_left_is_delivered_in_the_order_of_each_call() -> None:
    async with HookHost() as old:
        rows = [left(f"{call}-{n}", call, old.url("/left")) for n in range(3) for call in ("a", "b")]
        async with serving(*rows, secrets=["s"]) as (_, service, kept):
            kept.rows = {row.key: row for row in rows}
            async with asyncio.timeout(5):
                await kept.is_empty.wait()
            assert service.courier.delivered == 6
        for call in "ab":
            keys = [seen.headers["idempotency-key"] for seen in old.seen]
            assert [key for key in keys if key.startswith(call)] == [f"{call}-{n}" for n in range(3)]
        assert all("jambonz-signature" in seen.headers for seen in old.seen)
        assert old.seen[0].json == {"key": old.seen[0].headers["idempotency-key"]}
