"""A process that plays the calls of an engine over `CallHooks` and `Store`, to be killed by a test.

    python -m tests.hooks.calls_driver DATABASE_URL HOOK_URL calls      100 at a time, until killed
    python -m tests.hooks.calls_driver DATABASE_URL HOOK_URL recover    deliver what was left, then end

Each call does in the order of the engine: promise, record, tell; then a leg, a dial, their ends.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time

import msgspec

from engine.hooks import (
    CallFacts,
    Hook,
    HookClient,
    HookKind,
    HookService,
    first_hook,
    interrupted,
    interrupted_dial,
)
from engine.ids import new_call_sid, new_dial_id
from engine.logs import configure_logging
from engine.store import CallRow, LegRow, Store

_ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
_AT_ONCE = 100
_STATUS = HookKind.CALL_STATUS


async def _one_call(service: HookService, store: Store, url: str, rng: random.Random) -> None:
    async def some_time() -> None:
        await asyncio.sleep(rng.random() * 0.05)

    status, dial_hook = Hook(f"{url}/status"), Hook(f"{url}/dial")
    facts = CallFacts(
        call_sid=new_call_sid(),
        direction="inbound",
        from_="+15550100",
        to="+15550101",
        call_status="trying",
        account_sid=_ACCOUNT,
    )
    hooks = service.for_call(facts.call_sid, account_sid=_ACCOUNT, base=f"{url}/call")
    row = CallRow(call_sid=facts.call_sid, direction="inbound", account_sid=_ACCOUNT, started_utc=time.time())
    hooks.promise(status, interrupted(facts).to_dict(), _STATUS)
    store.call_started(row)
    await hooks.ask(Hook("call"), first_hook(facts), HookKind.SESSION_NEW)

    leg = msgspec.structs.replace(
        facts, call_sid=new_call_sid(), direction="outbound", parent_call_sid=facts.call_sid
    )
    leg_row = LegRow(leg_sid=leg.call_sid, call_sid=facts.call_sid, started_utc=time.time())
    dial_id = new_dial_id()
    hooks.promise(dial_hook, interrupted_dial(facts), HookKind.DIAL_ACTION, dial_id)
    hooks.promise(status, interrupted(leg).to_dict(), _STATUS, leg.call_sid)
    store.leg_changed(leg_row)
    for step in ("trying", "ringing", "in-progress"):
        hooks.notify(status, {**leg.to_dict(), "call_status": step, "test_dial": dial_id}, _STATUS)
        store.leg_changed(msgspec.structs.replace(leg_row, call_status=step))
        await some_time()
    hooks.deliver(status, {**leg.to_dict(), "call_status": "completed"}, _STATUS, leg.call_sid)
    store.leg_ended(msgspec.structs.replace(leg_row, call_status="completed", ended_utc=time.time()))
    await hooks.ask_durably(
        dial_hook, {**facts.to_dict(), "dial_status": "completed"}, HookKind.DIAL_ACTION, dial_id
    )
    await some_time()
    hooks.deliver(status, {**facts.to_dict(), "call_status": "completed"}, _STATUS)
    store.call_ended(msgspec.structs.replace(row, call_status="completed", ended_utc=time.time()))
    await hooks.close()


async def _calls(service: HookService, store: Store, url: str) -> None:
    rng = random.Random()

    async def one_after_the_other() -> None:
        while True:
            await _one_call(service, store, url, rng)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(one_after_the_other())


async def _main(database: str, url: str, what: str) -> None:
    configure_logging(level="error")
    async with Store(database) as store, HookService(HookClient(), outbox=store) as service:
        if what == "calls":
            await _calls(service, store, url)
        async with asyncio.timeout(30):
            await service.courier.caught_up()
        print(service.courier.delivered)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:4]))
