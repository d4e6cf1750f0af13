"""Calls created over REST under a document: CPU per call of the engine process, as a user runs it.

    python -m tests.bench.bench_application --rate 100 --count 1000
    python -m tests.bench.bench_application --rate 150 --count 9000

One call: POST creates it, its callee answers, the document in the request dials one target that answers and
is hung up by the time limit, the actionHook is asked, every change of both legs goes to the status hook.
Engine on core 0; SIPp and the web application that creates the calls and gets the hooks on core 1. CPU is
user plus system time of the engine process from the first POST until `tail_s` after the last hook.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from tests.support.engine_process import engine_process
from tests.support.sipp import SippBench

__all__ = ["ApplicationCost", "application_cost"]

_ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
_KEY = "0123456789abcdef"
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_DIALLED = "dialled"
_PARENT = ["trying", "ringing", "in-progress", _DIALLED, "completed"]
_CHILD = ["trying", "ringing", "in-progress", "completed"]


class ApplicationCost(Struct, frozen=True):
    """What `count` calls took."""

    count: int
    cpu_ms: float
    """Per call."""
    core_share: float
    """Of a core while calls were made."""
    hooks: int
    """Per call."""
    failures: int
    """Calls that were refused, failed, or lack a hook."""
    out_of_order: int
    """Legs whose statuses came in another order than they happened."""
    api_median_ms: float
    api_p99_ms: float
    rss_growth_mb: float
    """In the last quarter of the calls."""


class _Customer:
    """Gets the hooks, remembers their order."""

    def __init__(self) -> None:
        self.words: defaultdict[str, list[str]] = defaultdict(list)
        """By leg: call statuses, and `dialled` where the actionHook came."""
        self.parents: set[str] = set()
        self.children: set[str] = set()
        self.ended = 0
        self.hooks = 0
        self.changed = asyncio.Event()

    async def on_hook(self, request: web.BaseRequest) -> web.Response:
        told = msgspec.json.decode(await request.read())
        self.hooks += 1
        sid = told["call_sid"]
        if request.path == "/dialled":
            self.words[sid].append(_DIALLED)
            return web.Response(body=b"[]")
        self.words[sid].append(told["call_status"])
        (self.children if "parent_call_sid" in told else self.parents).add(sid)
        if "parent_call_sid" not in told and told["call_status"] == "completed":
            self.ended += 1
            self.changed.set()
        return web.Response(status=204)


def _config(folder: Path) -> Path:
    file = folder / "engine.toml"
    file.write_text(
        f"""
[sip]
listen = ["udp:127.0.0.1:0"]
[media]
ports = "10000-29999"
codecs = ["PCMU"]
[logs]
level = "warning"
[http]
listen = "127.0.0.1:0"
[store]
url = "sqlite:///{folder}/calls.sqlite"
[[account]]
sid = "{_ACCOUNT}"
name = "example"
api_keys = ["{_KEY}"]
"""
    )
    return file


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _pid_listening(port: int) -> int:
    """Of the process that has this TCP port."""
    wanted = f"0100007F:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:])
    inode = next(row[9] for row in rows if row[1] == wanted and row[3] == "0A")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == f"socket:[{inode}]":
                return int(link.parts[2])
        except OSError:
            continue
    raise RuntimeError(f"nobody listens on port {port}")


async def application_cost(*, rate: float, count: int, tail_s: float = 40.0) -> ApplicationCost:
    """Make the calls; about count / rate + tail_s seconds."""
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory(prefix="dial-engine-bench-") as name:
        folder = Path(name)
        customer = _Customer()
        server = web.ServerRunner(web.Server(customer.on_hook), access_log=None)
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", 0).start()
        hooks = f"http://127.0.0.1:{server.addresses[0][1]}"
        async with (
            SippBench(folder) as bench,
            engine_process("serve", "--config", str(_config(folder))) as engine,
        ):
            http = (await engine.read_until("ready")).split()[-1]
            pid = _pid_listening(int(http.rpartition(":")[2]))
            os.sched_setaffinity(pid, {0})
            patience = int(count / rate + tail_s + 120)
            sipp = await bench.callee("load_callee", calls=2 * count, trace=False, timeout_s=patience)
            os.sched_setaffinity(sipp.pid, {1})
            document = [
                {
                    "verb": "dial",
                    "target": [{"type": "sip", "sipUri": sipp.uri}],
                    "timeLimit": 0.2,
                    "actionHook": f"{hooks}/dialled",
                }
            ]
            body = msgspec.json.encode(
                {
                    "from": "+15550100",
                    "to": {"type": "sip", "sipUri": sipp.uri},
                    "app_json": json.dumps(document),
                    "call_status_hook": f"{hooks}/status",
                }
            )
            headers = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json"}
            url = f"{http}/v1/Accounts/{_ACCOUNT}/Calls"
            loop = asyncio.get_running_loop()
            answers: Counter[int] = Counter()
            waits: list[float] = []

            async def create() -> None:
                at = loop.time()
                async with session.post(url, data=body) as response:
                    await response.read()
                    answers[response.status] += 1
                waits.append((loop.time() - at) * 1000)

            async with aiohttp.ClientSession(headers=headers) as session:
                await create()  # imports, pools and caches are paid for before the first call that counts
                await _until(customer, 1)
                cpu_before, began_at, late_mb = _cpu_s(pid), loop.time(), 0.0
                async with asyncio.TaskGroup() as group:
                    for i in range(count - 1):
                        await asyncio.sleep(max(0.0, began_at + i / rate - loop.time()))
                        group.create_task(create())
                        if i == count * 3 // 4:
                            late_mb = _rss_mb(pid)
                    grown_mb = _rss_mb(pid) - late_mb
                await _until(customer, count)
                busy_s, busy_cpu = loop.time() - began_at, _cpu_s(pid) - cpu_before
                # The timers that clean up are paid for, too.
                await asyncio.sleep(tail_s)
                cpu_s = _cpu_s(pid) - cpu_before
        await server.cleanup()
    right = sum(_is_right(customer.words[sid], _PARENT) for sid in customer.parents)
    complete = sum(sorted(customer.words[sid]) == sorted(_PARENT) for sid in customer.parents)
    right_children = sum(_is_right(customer.words[sid], _CHILD) for sid in customer.children)
    return ApplicationCost(
        count=count,
        cpu_ms=cpu_s * 1000 / (count - 1),
        core_share=busy_cpu / busy_s,
        hooks=round(customer.hooks / count),
        failures=count - complete + (count - answers[201]) + (count - len(customer.children)),
        out_of_order=complete - right + len(customer.children) - right_children,
        api_median_ms=statistics.median(waits),
        api_p99_ms=statistics.quantiles(waits, n=100)[98],
        rss_growth_mb=grown_mb,
    )


def _is_right(words: list[str], wanted: list[str]) -> bool:
    return words == wanted


async def _until(customer: _Customer, count: int) -> None:
    """All calls have told their end; TimeoutError when nothing comes any more."""
    async with asyncio.timeout(60.0):
        while customer.ended < count:
            customer.changed.clear()
            await customer.changed.wait()


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(
        description="CPU per call created over REST, with a dial, its actionHook and status hooks.",
        epilog="example: python -m tests.bench.bench_application --rate 150 --count 9000",
    )
    parser.add_argument("--rate", type=float, default=100.0, help="calls per second")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--tail", type=float, default=40.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cost = asyncio.run(application_cost(rate=arguments.rate, count=arguments.count, tail_s=arguments.tail))
    if arguments.json:
        print(msgspec.json.encode(cost).decode())
        return
    for field, value in msgspec.structs.asdict(cost).items():
        print(f"{field:<16} {value:.3f}" if isinstance(value, float) else f"{field:<16} {value}")


if __name__ == "__main__":
    main()
