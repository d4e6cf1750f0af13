"""`kill -9` in the middle of a hundred calls: no final hook is lost, no record, no row is half written."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import psycopg
import pytest

from engine.store import CallQuery, Store
from tests.hooks.host import HookHost, Seen
from tests.store.postgres import postgres_server

_TERMINAL = frozenset({"completed", "failed", "busy", "no-answer"})
_ROOT = Path(__file__).resolve().parents[2]


async def _driver(database: str, host: HookHost, what: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hooks.calls_driver",
        database,
        host.url(""),
        what,
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


@contextmanager
def _place(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'engine.sqlite'}"
    else:
        with postgres_server() as server:
            yield server.url()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_killed_process_loses_no_final_hook_and_no_record(kind: str, tmp_path: Path) -> None:
    with _place(kind, tmp_path) as database:
        async with HookHost() as host:
            # Killed three times, each time into what the time before left behind.
            for hooks_until_death in (900, 1700, 333):
                begun = len(host.seen)
                process = await _driver(database, host, "calls")
                await host.until(lambda: len(host.seen) >= begun + hooks_until_death, 30)  # noqa: B023
                process.kill()
                await process.communicate()
                assert process.returncode == -9
            process = await _driver(database, host, "recover")
            said, _ = await process.communicate()
            assert process.returncode == 0
            assert int(said) > 100  # a hundred calls were open, most with a leg and a dial
            seen = list(host.seen)
        _check_hooks(seen)
        await _check_records(database, seen)
        _check_raw(kind, database)


def _check_hooks(seen: list[Seen]) -> None:
    begun: set[object] = set()
    dials: set[object] = set()
    ended: dict[object, int] = defaultdict(int)
    bodies: dict[str, list[Seen]] = defaultdict(list)
    for hook in seen:
        json = hook.json
        if hook.path == "/dial":
            key = hook.headers["idempotency-key"]
            ended[key.removeprefix("dial-action-")] += 1
        else:
            begun.add(json["call_sid"])
            if "test_dial" in json:
                dials.add(json["test_dial"])
            if json["call_status"] in _TERMINAL:
                ended[json["call_sid"]] += 1
        if "idempotency-key" in hook.headers:
            bodies[hook.headers["idempotency-key"]].append(hook)
    assert len(begun) > 300
    assert len(dials) > 150
    assert {sid for sid in begun | dials if not ended[sid]} == set()
    # At least once means: now and then twice, and then the application can tell.
    twice = {key for key, hooks in bodies.items() if len(hooks) > 1}
    assert len(twice) < len(bodies) / 2
    for key, hooks in bodies.items():
        assert len({cast("str", hook.json["call_sid"]) for hook in hooks}) == 1, key


async def _check_records(database: str, seen: list[Seen]) -> None:
    heard_of = {cast("str", hook.json["call_sid"]) for hook in seen if hook.path == "/call"}
    async with Store(database) as store:
        assert await store.pending() == []
        rows = await store.calls(CallQuery(limit=100_000))
        assert heard_of <= {row.call_sid for row in rows}
        for row in rows:
            assert row.ended_utc is not None
            assert row.ended_utc >= row.started_utc
            assert row.call_status in _TERMINAL
            for leg in await store.legs(row.call_sid):
                assert leg.ended_utc is not None
                assert leg.call_status in _TERMINAL
        legs = {
            cast("str", hook.json["call_sid"])
            for hook in seen
            if hook.path == "/status" and "parent_call_sid" in hook.json
        }
        known = {leg.leg_sid for row in rows for leg in await store.legs(row.call_sid)}
        assert legs <= known


def _check_raw(kind: str, database: str) -> None:
    if kind == "sqlite":
        connection = sqlite3.connect(database.removeprefix("sqlite:///"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM outbox").fetchall() == [(0,)]
        connection.close()
    else:
        with psycopg.connect(database) as server:
            assert server.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
