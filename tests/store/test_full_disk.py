"""A disk that is full, and then is not: in a process whose files may grow no further (RLIMIT_FSIZE)."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

_CHILD = """
import asyncio, json, logging, resource, sys, time
from engine.logs import configure_logging
from engine.store import CallQuery, Store
from tests.store.examples import call_row, delivery

async def main(path):
    said = {}
    async with Store(f"sqlite:///{path}") as store:
        store.call_ended(call_row("first"))
        await store.settled()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        slowest = 0.0
        n = 0
        deadline = time.monotonic() + 30
        while store.health.is_ready and time.monotonic() < deadline:
            for _ in range(100):
                begun = time.monotonic()
                store.call_ended(call_row(f"call-{n}"))
                store.put(delivery(f"key-{n}"))
                slowest = max(slowest, time.monotonic() - begun)
                n += 1
            await store.settled()
        said["full"] = store.health.last_error
        said["queued"] = store.health.queued
        begun = time.monotonic()
        await store.settled()
        said["settled_s"] = time.monotonic() - begun
        said["readable"] = await store.call("first") is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        while store.health.queued or not store.health.is_ready:
            await store.settled()
            await asyncio.sleep(0.01)
        said |= {"calls": await store.count_calls(CallQuery()), "made": n + 1}
        said |= {"dropped": store.health.dropped, "slowest_s": slowest}
    print(json.dumps(said))

configure_logging(level="error")
asyncio.run(main(sys.argv[1]))
"""


def test_a_full_disk_hurts_no_call_is_visible_and_costs_no_row_once_there_is_room(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(tmp_path / "engine.sqlite")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    assert "disk" in said["full"], said
    assert said["queued"] > 0
    assert said["settled_s"] < 1.0
    assert said["readable"]
    assert said["calls"] == said["made"] > 100
    assert said["dropped"] == 0
    assert said["slowest_s"] < 2.0  # a write that waits for the disk waits until it has room
    assert "store fails" in child.stderr
    assert "5550100" not in child.stderr


def test_with_the_disk_full_for_long_the_oldest_records_are_given_up_but_no_delivery(tmp_path: Path) -> None:
    program = _CHILD.replace('Store(f"sqlite:///{path}")', 'Store(f"sqlite:///{path}", max_records=50)')
    program = program.replace("for _ in range(100):", "for _ in range(1000):")
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "engine.sqlite")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout)
    assert said["dropped"] > 0
    assert said["calls"] == said["made"] - said["dropped"]
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    [(deliveries,)] = connection.execute("SELECT count(*) FROM outbox")
    connection.close()
    assert deliveries == said["made"] - 1
