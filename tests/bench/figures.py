"""The figures of the README: CPU per dial of the engine process, SIPp as the far side on the other core.

Conditions: engine on core 0, SIPp on core 1, loopback, PCMU in the SDP; one target and inbound at 100 per
second, simring of three at 50, of ten at 20; three rounds, median. Shared machines are noisy, so every table
begins with a calibration loop of the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.bench.bench_application import ApplicationCost
from tests.bench.rtp_phones import Heard, PhonesOrder
from tests.bench.under_load import Order, Report
from tests.support.sipp import Sipp, SippBench

__all__ = ["Figure", "measure_all"]

_ALL_TIMERS_S = 40.0
"""After so long every timer of RFC 3261 has fired: 64 T1 and some."""


class Figure(Struct, frozen=True):
    """One line of the table."""

    what: str
    value: float
    unit: str
    target: float
    note: str = ""


def calibration_us() -> float:
    """Median time of a fixed piece of pure Python: what this machine makes of CPython today."""
    rounds = []
    for _ in range(7):
        started = time.process_time()
        table: dict[int, str] = {}
        for index in range(20_000):
            table[index & 255] = f"{index};branch=z9hG4bK{index}"
        rounds.append((time.process_time() - started) * 1e6 / 20_000)
    return statistics.median(rounds)


async def _engine(order: Order) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.under_load",
        msgspec.json.encode(order).decode(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    port = int(json.loads(await process.stdout.readline())["port"])
    return process, port


async def _report(process: asyncio.subprocess.Process) -> Report:
    assert process.stdout is not None
    text = await process.stdout.read()
    assert await process.wait() == 0, "the engine under load failed"
    return msgspec.json.decode(text.splitlines()[-1], type=Report)


def _pin(sipp: Sipp) -> None:
    os.sched_setaffinity(sipp.pid, {1})


def _expect(report: Report, what: str, count: int) -> None:
    assert report.results == {what: count}, f"expected {count} x {what}, got {report.results}"


def _expect_nothing_left(report: Report, tail_s: float) -> None:
    if tail_s >= _ALL_TIMERS_S:
        assert report.left_over == 0, f"{report.left_over} things left over"


async def dial_cost(
    *, targets: int, rate: float, count: int, tail_s: float, folder: Path, scenario: str = "load_simring"
) -> Report:
    """Originate `count` dials of `targets` each; one answers after 100 ms, the others are cancelled."""
    async with SippBench(folder) as bench:
        sipp = await bench.callee(
            scenario, calls=count * targets, trace=False, timeout_s=int(count / rate + tail_s + 120)
        )
        _pin(sipp)
        users = ["winner", *(f"loser{i}" for i in range(1, targets))]
        order = Order(
            kind="dial",
            targets=tuple(sipp.uri_for(user) for user in users),
            count=count,
            rate=rate,
            tail_s=tail_s,
        )
        process, _ = await _engine(order)
        report = await _report(process)
        result = await sipp.finished()
    _expect(report, "completed/200", count)
    assert result.failed == 0, result.errors[:2000]
    _expect_nothing_left(report, tail_s)
    return report


async def inbound_cost(*, rate: float, count: int, tail_s: float, folder: Path) -> Report:
    """SIPp calls in, the engine dials one target at another SIPp, bridges, the caller says BYE."""
    async with SippBench(folder) as bench:
        patience = int(count / rate + tail_s + 120)
        callee = await bench.callee("load_callee", calls=count, trace=False, timeout_s=patience)
        order = Order(kind="serve", targets=(callee.uri,), count=count, rate=rate, tail_s=tail_s)
        process, port = await _engine(order)
        caller = await bench.caller(
            "load_caller",
            ("127.0.0.1", port),
            calls=count,
            rate=rate,
            hold_ms=200,
            trace=False,
            timeout_s=patience,
        )
        _pin(callee)
        _pin(caller)
        report = await _report(process)
        results = [await caller.finished(), await callee.finished()]
    _expect(report, "completed/200", count)
    for result in results:
        assert result.failed == 0, result.errors[:2000]
    _expect_nothing_left(report, tail_s)
    return report


async def memory_per_ringing_leg(*, legs: int, folder: Path) -> float:
    """KB of resident memory that each of `legs` ringing legs takes."""
    async with SippBench(folder) as bench:
        sipp = await bench.callee("load_simring", calls=legs, trace=False, timeout_s=120)
        order = Order(
            kind="ring", targets=(sipp.uri_for("loser"),), count=legs, rate=200, tail_s=1.0, hold_s=1.0
        )
        process, _ = await _engine(order)
        report = await _report(process)
    return (report.rss_held_kb - report.rss_before_kb) / legs


async def memory_per_bridged_call(*, calls: int, folder: Path) -> float:
    """KB of resident memory that each of `calls` bridged calls (two legs) takes."""
    async with SippBench(folder) as bench:
        callee = await bench.callee("load_callee", calls=calls, trace=False, timeout_s=120)
        order = Order(kind="bridge", targets=(callee.uri,), count=calls, rate=100, tail_s=1.0, hold_s=1.0)
        process, port = await _engine(order)
        await bench.caller(
            "load_caller",
            ("127.0.0.1", port),
            calls=calls,
            rate=100,
            hold_ms=60_000,
            trace=False,
            timeout_s=120,
            more=("-l", str(calls + 10)),
        )
        report = await _report(process)
    return (report.rss_held_kb - report.rss_before_kb) / calls


async def bridged_audio(*, calls: int, seconds: float) -> tuple[Report, Heard]:
    """`calls` bridged calls set up by SIP, 50 packets a second both ways in each: cost, loss, added delay."""
    phones = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.rtp_phones",
        msgspec.json.encode(PhonesOrder(calls=calls, seconds=seconds)).decode(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert phones.stdin is not None
    assert phones.stdout is not None
    port = int(await phones.stdout.readline())
    order = Order(
        kind="bridge",
        targets=(f"sip:bob@127.0.0.1:{port}",),
        count=calls,
        rate=100,
        tail_s=1.0,
        hold_s=seconds + 4.0,  # the phones settle before they speak, and wait for what is late
    )
    process, engine_port = await _engine(order)
    phones.stdin.write(f"{engine_port}\n".encode())
    report = await _report(process)
    heard = msgspec.json.decode(await phones.stdout.readline(), type=Heard)
    assert await phones.wait() == 0, "the phones failed"
    return report, heard


async def _audio(seconds: float) -> list[Figure]:
    """One bridged call with audio both ways, as a share of a core; loss and added delay of many."""
    figures = []
    for calls in (100, 300):
        report, heard = await bridged_audio(calls=calls, seconds=seconds)
        share = 100 * report.cpu_s / seconds / calls
        figures.append(Figure("bridged call with audio both ways", share, "% of core", 0.15, f"of {calls}"))
        _say(f"  {calls} bridged calls: {share:.3f} % of a core each, {heard}")
    median, p99, worst = heard.delays_ms
    note = f"with 300 calls; median {median:.2f}, worst {worst:.1f}"
    return [
        *figures,
        Figure("added delay, 99th percentile", p99, "ms", 10, note),
        Figure("packets lost by the engine", heard.sent - heard.received, "packets", 0, f"of {heard.sent}"),
    ]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def measure_all(*, rounds: int = 3, tail_s: float = 40.0, burst_s: float = 60.0) -> list[Figure]:
    """Every figure; progress goes to standard error. About 15 minutes with the defaults."""
    figures = []
    with tempfile.TemporaryDirectory(prefix="dial-engine-bench-") as name:
        folder = Path(name)

        async def median_ms(what: str, count: int, runs: Sequence[Report]) -> float:
            values = [report.cpu_s * 1000 / count for report in runs]
            _say(f"  {what}: {', '.join(f'{value:.3f}' for value in values)} ms")
            return statistics.median(values)

        for what, targets, rate, target in (
            ("dial of one target", 1, 100.0, 0.5),
            ("simring of three", 3, 50.0, 1.5),
            ("simring of ten", 10, 20.0, 3.0),
        ):
            count = int(rate * 10)
            runs = [
                await dial_cost(
                    targets=targets,
                    rate=rate,
                    count=count,
                    tail_s=tail_s,
                    folder=folder / f"{targets}-{i}",
                    scenario="load_callee" if targets == 1 else "load_simring",
                )
                for i in range(rounds)
            ]
            figures.append(
                Figure(what, await median_ms(what, count, runs), "ms CPU", target, f"at {rate:g}/s")
            )
        runs = [
            await inbound_cost(rate=100.0, count=1000, tail_s=tail_s, folder=folder / f"in-{i}")
            for i in range(rounds)
        ]
        what = "inbound parent and one target, bridged"
        figures.append(Figure(what, await median_ms(what, 1000, runs), "ms CPU", 1.0, "at 100/s"))
        for progress in (10, 2000):
            hold_s = progress / 100
            report = await _held_cost(hold_s, tail_s, folder / f"held-{progress}")
            what = f"dial of one target with {progress} in progress"
            figures.append(Figure(what, report.cpu_s * 1000 / 4000, "ms CPU", 0.5, "at 100/s"))
            _say(f"  {what}: {figures[-1].value:.3f} ms")
        ringing = await memory_per_ringing_leg(legs=1000, folder=folder / "ringing")
        figures.append(Figure("memory per ringing leg", ringing, "KB", 40))
        bridged = await memory_per_bridged_call(calls=500, folder=folder / "bridged")
        figures.append(Figure("memory per bridged call", bridged, "KB", 150))
        figures += await _application(rounds, tail_s, burst_s)
        figures += await _audio(burst_s / 3)
        figures += await _burst(burst_s, folder / "burst")
    return figures


async def _application(rounds: int, tail_s: float, burst_s: float) -> list[Figure]:
    """Calls created over REST that dial one target, with actionHook and status hooks."""
    runs = [await _application_cost(100.0, 1000, tail_s) for _ in range(rounds)]
    cpu_ms = statistics.median(run.cpu_ms for run in runs)
    _say(f"  REST call with a dial and hooks: {', '.join(f'{run.cpu_ms:.3f}' for run in runs)} ms")
    load = await _application_cost(150.0, int(150 * burst_s), 5.0)
    _say(f"  150 such calls per second for {burst_s:g} s: {load}")
    note = f"150/s for {burst_s:g} s"
    return [
        Figure(
            "REST call, dial, actionHook, status hooks", cpu_ms, "ms CPU", 2.5, "two legs, 9 hooks, 100/s"
        ),
        Figure("failures of such calls", load.failures, f"of {load.count}", 0, note),
        Figure("legs whose hooks came out of order", load.out_of_order, f"of {2 * load.count}", 0, note),
        Figure("API response, 99th percentile", load.api_p99_ms, "ms", 50, note),
        Figure("core used by such calls", 100 * load.core_share, "%", 100, note),
    ]


async def _application_cost(rate: float, count: int, tail_s: float) -> ApplicationCost:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.bench.bench_application", "--json"),
        *("--rate", str(rate), "--count", str(count), "--tail", str(tail_s)),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, "the application under load failed"
    return msgspec.json.decode(out, type=ApplicationCost)


async def _held_cost(hold_s: float, tail_s: float, folder: Path) -> Report:
    """4000 dials at 100 per second, each held so long that a given number is in progress."""
    async with SippBench(folder) as bench:
        sipp = await bench.callee("load_callee", calls=4000, trace=False, timeout_s=300)
        _pin(sipp)
        order = Order(kind="dial", targets=(sipp.uri,), count=4000, rate=100.0, tail_s=tail_s, hold_s=hold_s)
        process, _ = await _engine(order)
        report = await _report(process)
    _expect(report, "completed/200", 4000)
    return report


async def _burst(seconds: float, folder: Path) -> list[Figure]:
    """800 dials per second: no failure, no retransmission, flat memory."""
    count = int(800 * seconds)
    async with SippBench(folder) as bench:
        sipp = await bench.callee("load_callee", calls=count, trace=False, timeout_s=int(seconds) + 120)
        _pin(sipp)
        order = Order(kind="dial", targets=(sipp.uri,), count=count, rate=800.0, tail_s=5.0)
        process, _ = await _engine(order)
        report = await _report(process)
        result = await sipp.finished(timeout_s=60.0)
    _say(f"  800/s for {seconds:g} s: {report.results}, {result.retransmissions} retransmissions")
    failures = count - report.results.get("completed/200", 0) + result.failed
    return [
        Figure(f"failures at 800 dials/s for {seconds:g} s", failures, "of " + str(count), 0),
        Figure("retransmissions by SIPp in that time", result.retransmissions, "messages", 0),
        Figure("memory growth in its last quarter", (report.rss_end_kb - report.rss_late_kb) / 1024, "MB", 5),
        Figure("core used at 800 dials/s", 100 * report.cpu_s / seconds, "%", 100),
    ]
