"""CPU of one hook, from `notify` to the answer, and of one call's rows in the store.

    python -m tests.bench.bench_hooks

The application is another process. Budget: 0.25 ms per POST. Asserts nothing about absolute time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from pathlib import Path

import msgspec

from engine.hooks import CallFacts, Hook, HookClient, HookService
from engine.ids import new_call_sid
from engine.store import CallRow, LegRow, Store
from tests.hooks.host import HookHost

_HOOKS = 5000
_CALLS = 2000
_FACTS = CallFacts(
    call_sid="e35d4edf-efd2-424c-8667-c6c5f53b1e1b",
    direction="outbound",
    from_="+15550100",
    to="+15550101",
    call_id="b770aa5a-2776-123d-a6a1-0a1b2c3d4e5f",
    sip_status=180,
    sip_reason="Ringing",
    call_status="ringing",
    account_sid="de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11",
)


def _serve(urls: Queue[str]) -> None:
    async def main() -> None:
        async with HookHost() as host:
            urls.put(host.url("/status"))
            await asyncio.Event().wait()

    asyncio.run(main())


async def _hooks(url: str) -> None:
    async with HookService(HookClient(), secrets_of=lambda _: ("secret",)) as service:
        hook = Hook(url)

        async def calls(number: int) -> None:
            for _ in range(number // 5):
                sid = new_call_sid()
                call = service.for_call(sid, account_sid="a")
                for _ in range(5):
                    call.notify(hook, msgspec.structs.replace(_FACTS, call_sid=sid).to_dict())
                await call.close()

        await calls(200)
        for at_once in (1, 20):
            begun, begun_cpu = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(calls(_HOOKS // at_once))
            cpu_us = (time.process_time() - begun_cpu) / _HOOKS * 1e6
            rate = _HOOKS / (time.perf_counter() - begun)
            print(
                f"signed POST, {at_once:2} calls at once: {cpu_us:4.0f} µs of CPU each, {rate:.0f} per second"
            )


async def _store(folder: str) -> None:
    async with Store(f"sqlite:///{Path(folder) / 'bench.sqlite'}") as store:
        begun = time.process_time()
        for n in range(_CALLS):
            sid, leg_sid = new_call_sid(), new_call_sid()
            row = CallRow(call_sid=sid, direction="inbound", started_utc=1.0)
            leg = LegRow(leg_sid=leg_sid, call_sid=sid, started_utc=1.0)
            store.call_started(row)
            for status in ("trying", "ringing", "in-progress"):
                store.leg_changed(msgspec.structs.replace(leg, call_status=status))
            store.leg_ended(msgspec.structs.replace(leg, call_status="completed", ended_utc=2.0))
            store.call_ended(msgspec.structs.replace(row, call_status="completed", ended_utc=2.0))
            if n % 10 == 0:
                await asyncio.sleep(0.05)
        await store.settled()
        each_us = (time.process_time() - begun) / _CALLS * 1e6
        print(f"rows of one call with one leg (6 changes), 200 calls per second: {each_us:.0f} µs of CPU")


def main() -> None:
    """Measure and print."""
    urls: Queue[str] = multiprocessing.Queue()
    server = multiprocessing.Process(target=_serve, args=(urls,), daemon=True)
    server.start()
    asyncio.run(_hooks(urls.get(timeout=20)))
    server.terminate()
    server.join()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_store(folder))


if __name__ == "__main__":
    main()
