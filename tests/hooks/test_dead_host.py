"""Section 9, case 4, at scale: ten thousand calls whose application does not answer."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from pathlib import Path

import msgspec
from structlog.testing import capture_logs

from engine.hooks import CallFacts, Hook, HookClient, HookFailed, HookKind, HookService
from engine.ids import new_call_sid
from tests.hooks.test_http_hooks import Kept

_CALLS = 10_000


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_edge_4_ten_thousand_calls_with_a_dead_host_take_neither_sockets_nor_memory() -> None:
    kept = Kept()
    service = HookService(HookClient(timeout_s=1.0, max_connections=50), outbox=kept)
    facts = CallFacts(
        call_sid="", direction="inbound", from_="+15550100", to="+15550101", call_status="trying"
    )
    outcomes: list[bool] = []
    most_descriptors = 0

    with socket.socket() as blackhole, capture_logs():
        blackhole.bind(("127.0.0.1", 0))
        blackhole.listen(4096)  # the kernel accepts, nobody answers
        hook = Hook(f"http://127.0.0.1:{blackhole.getsockname()[1]}/status")

        async def a_call() -> None:
            sid = new_call_sid()
            hooks = service.for_call(sid)
            mine = msgspec.structs.replace(facts, call_sid=sid).to_dict()
            for _ in range(3):
                hooks.notify(hook, mine)
            try:
                await hooks.ask(hook, mine)
            except HookFailed:
                outcomes.append(True)
            hooks.deliver(hook, mine, HookKind.CALL_STATUS)
            await hooks.close()

        async def watch() -> None:
            nonlocal most_descriptors
            while True:
                most_descriptors = max(most_descriptors, _descriptors())
                await asyncio.sleep(0.1)

        async with service:
            descriptors, memory = _descriptors(), _resident_bytes()
            watching = asyncio.create_task(watch())
            async with asyncio.timeout(60), asyncio.TaskGroup() as calls:
                for _ in range(_CALLS):
                    calls.create_task(a_call())
            watching.cancel()
            grown = _resident_bytes() - memory
            # Every question was answered with a failure, no call was left waiting, nothing is queued.
            assert len(outcomes) == _CALLS
            assert service.backlog == 0
            # Every final hook is kept; each is at most one row in memory and one in the store.
            assert len(kept.rows) == service.courier.waiting == _CALLS
            assert most_descriptors - descriptors <= 50 + 5
            assert grown < 200_000_000, grown
