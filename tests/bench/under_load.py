"""The engine as the measured process: pinned to one core, told by one JSON line what to do, reports its cost.

    python -m tests.bench.under_load '{"kind": "dial", "targets": ["sip:winner@127.0.0.1:5070"], "rate": 100,
                                      "count": 1000, "tail_s": 40, "core": 0}'

CPU is user plus system time of this process from just before the first INVITE until `tail_s` after the last
dial ended, so that the timers that clean up are paid for.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from collections import Counter
from collections.abc import Callable

import msgspec
from msgspec import Struct

from engine.app import Engine
from engine.collector import tune_gc
from engine.config import (
    Config,
    LimitsConfig,
    MediaConfig,
    RouteConfig,
    SipConfig,
    SourceConfig,
    TargetConfig,
)
from engine.dial.dial import Dial, Happening, Observer
from engine.dial.events import Connected, LegRinging
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from engine.logs import configure_logging

__all__ = ["Order", "Report"]


class Order(Struct, frozen=True, kw_only=True):
    """What to measure."""

    kind: str
    """`dial`: originate; `serve`: take inbound calls; `ring`, `bridge`: hold ringing legs, bridged calls."""
    targets: tuple[str, ...]
    count: int
    rate: float = 100.0
    tail_s: float = 40.0
    core: int = 0
    hold_s: float = 0.0
    """How long a connected dial lasts before we hang up."""


class Report(Struct, frozen=True, kw_only=True):
    """What it cost."""

    cpu_s: float
    wall_s: float
    results: dict[str, int]
    """`completed/200` and the like, to how often."""
    rss_before_kb: int
    rss_peak_kb: int
    rss_after_kb: int
    rss_late_kb: int = 0
    """After three quarters of the dials: from here on memory should be flat (timers run 32 s)."""
    rss_end_kb: int = 0
    """When the last dial had been started."""
    rss_held_kb: int = 0
    """While everything was held at once (`ring`, `bridge`)."""
    left_over: int = 0
    """Lines of `Engine.describe()` in the end."""


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _rss_kb() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def _config(order: Order) -> Config:
    return Config(
        sip=SipConfig(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0")),
        media=MediaConfig(listen="127.0.0.1", ports="10000-29999", codecs=("PCMU",)),
        limits=LimitsConfig(max_dials=100_000),
        source=(SourceConfig(name="loopback", addresses=("127.0.0.1",)),),
        route=(
            RouteConfig(
                number="*",
                targets=tuple(TargetConfig(sip_uri=uri) for uri in order.targets),
                answer_on_bridge=True,
            ),
        ),
    )


class _Load:
    """Counts what happens and knows when it is over."""

    def __init__(self, order: Order, loop: asyncio.AbstractEventLoop) -> None:
        self.order = order
        self._loop = loop
        self.results: Counter[str] = Counter()
        self.reached = 0
        """Dials that got as far as the order holds them: ringing or connected."""
        self.rss_late_kb = 0
        self.rss_end_kb = 0
        self.changed = asyncio.Event()

    def observer(self, dial: Dial) -> Observer:
        order, loop = self.order, self._loop

        def observe(happening: Happening) -> None:
            # By exact type: this is called for everything that happens, and is no part of what is measured.
            kind = type(happening)
            if kind is Connected:
                self.reached += 1
                self.changed.set()
                if order.kind == "dial":
                    if order.hold_s:
                        loop.call_later(order.hold_s, dial.hang_up)
                    else:
                        dial.hang_up()
            elif kind is LegRinging and order.kind == "ring":
                self.reached += 1
                self.changed.set()
            elif kind is DialResult:
                assert isinstance(happening, DialResult)
                self.results[f"{happening.dial_status.value}/{happening.dial_sip_status}"] += 1
                self.changed.set()

        return observe

    async def until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    @property
    def finished(self) -> int:
        return self.results.total()


async def _originate(engine: Engine, load: _Load) -> None:
    loop = asyncio.get_running_loop()
    order = load.order
    request = DialRequest(targets=tuple(Target.sip(uri) for uri in order.targets), timeout_s=600.0)
    begin = loop.time()
    for index in range(order.count):
        due = begin + index / order.rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        dial = engine.start_dial(request)
        dial.observe(load.observer(dial))
        if index == order.count * 3 // 4:
            load.rss_late_kb = _rss_kb()


async def _run(order: Order) -> Report:
    configure_logging(level="warning", is_final=True)
    os.sched_setaffinity(0, {order.core})
    loop = asyncio.get_running_loop()
    load = _Load(order, loop)
    engine = Engine(_config(order))
    await engine.start()
    held = 0
    try:
        if order.kind in ("serve", "bridge"):
            engine.dials.observe_all(load.observer)
        address = engine.endpoint.listeners[0].bound
        tune_gc()  # as `serve` does
        before, cpu, at = _rss_kb(), _cpu_s(), loop.time()
        print(json.dumps({"port": address.port}), flush=True)
        patience = order.count / order.rate + 120.0
        if order.kind in ("dial", "ring"):
            await _originate(engine, load)
            load.rss_end_kb = _rss_kb()
        if order.kind in ("ring", "bridge"):
            wanted = order.count * (len(order.targets) if order.kind == "ring" else 1)
            await load.until(lambda: load.reached >= wanted, patience)
            held = _rss_kb()
            cpu, at = _cpu_s(), loop.time()
            await asyncio.sleep(order.hold_s)
            cpu, at = _cpu_s() - cpu, loop.time() - at
            for dial in engine.dials:
                dial.hang_up()
            await load.until(lambda: load.finished >= order.count, 60.0)
            await asyncio.sleep(order.tail_s)
        else:
            await load.until(lambda: load.finished >= order.count, patience)
            await asyncio.sleep(order.tail_s)
            cpu, at = _cpu_s() - cpu, loop.time() - at
        gc.collect()
        after = _rss_kb()
        left = len(engine.describe().splitlines())
    finally:
        await engine.stop()
    return Report(
        cpu_s=cpu,
        wall_s=at,
        results=dict(load.results),
        rss_before_kb=before,
        rss_peak_kb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        rss_after_kb=after,
        rss_late_kb=load.rss_late_kb,
        rss_end_kb=load.rss_end_kb,
        rss_held_kb=held,
        left_over=left,
    )


def main() -> None:
    """Read the order, print the port when ready, print the report at the end."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    report = asyncio.run(_run(order))
    print(msgspec.json.encode(report).decode(), flush=True)


if __name__ == "__main__":
    main()
