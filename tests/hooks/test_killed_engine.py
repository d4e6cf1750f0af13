"""`kill -9` of the whole engine, with a hundred SIP calls up: ringing, talking, over."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store import CallQuery, Store
from tests.support.application import WebApplication
from tests.support.engine_process import EngineProcess, engine_process
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab

_CALLS = 100
_TERMINAL = frozenset({"completed", "failed", "busy", "no-answer"})
_ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"


def _config(folder: Path, app: WebApplication) -> Path:
    file = folder / "engine.toml"
    file.write_text(
        f"""
        [sip]
        listen = ["udp:127.0.0.1:0"]
        [media]
        ports = ""
        [logs]
        level = "error"
        [store]
        url = "sqlite:///{folder / "engine.sqlite"}"
        [[source]]
        name = "pbx"
        addresses = ["127.0.0.1"]
        [[account]]
        sid = "{_ACCOUNT}"
        name = "lab"
        webhook_secrets = ["secret"]
        [[application]]
        sid = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
        name = "lab"
        account = "lab"
        call_hook = "{app.url("/call")}"
        call_status_hook = "{app.url("/status")}"
        [[route]]
        number = "*"
        application = "lab"
        """
    )
    return file


@asynccontextmanager
async def _serving(file: Path) -> AsyncIterator[tuple[EngineProcess, int]]:
    async with engine_process("serve", "--config", str(file), "--json") as process:
        ready = json.loads(await process.read_line())
        yield process, int(ready["listen"][0].rpartition(":")[2])


def _terminal(payloads: list[dict[str, Any]]) -> set[str]:
    return {each["call_sid"] for each in payloads if each["call_status"] in _TERMINAL}


async def test_a_killed_engine_loses_no_final_hook_no_action_hook_and_no_record(tmp_path: Path) -> None:
    async with WebApplication() as app, SippBench(tmp_path) as sipp:
        callee = await sipp.callee("load_callee", calls=_CALLS, trace=False)
        target = {"type": "sip", "sipUri": callee.uri}
        app.on("/call", [{"verb": "dial", "target": [target], "actionHook": "/dial", "answerOnBridge": True}])
        app.on("/status")
        app.on("/dial")
        file = _config(tmp_path, app)
        async with _serving(file) as (engine, port):
            caller = await sipp.caller(
                "load_caller", ("127.0.0.1", port), calls=_CALLS, rate=50, hold_ms=1000, trace=False
            )
            # By then some are over, most are talking, the last are just being rung.
            await app.until(lambda: len(app.asked("/call")) >= _CALLS * 8 // 10, "80 calls")
            await engine.kill()
        await caller.stop()
        await callee.stop()
        heard_of = {each["call_sid"] for each in app.payloads("/call")}
        legs = {each["call_sid"] for each in app.payloads("/status") if "parent_call_sid" in each}
        dialled = {each["parent_call_sid"] for each in app.payloads("/status") if "parent_call_sid" in each}
        open_then = (heard_of | legs) - _terminal(app.payloads("/status"))
        undialled_then = dialled - {each["call_sid"] for each in app.payloads("/dial")}
        assert len(open_then) > 50
        assert len(undialled_then) > 20

        async with _serving(file) as (engine, _):
            await app.until(
                lambda: (
                    open_then <= _terminal(app.payloads("/status"))
                    and undialled_then <= {each["call_sid"] for each in app.payloads("/dial")}
                ),
                "every final hook",
            )
            engine.signal(signal.SIGTERM)
            assert (await engine.finished()).exit_code == 0

        late = [each for each in app.asked("/dial") if each.payload["call_sid"] in undialled_then]
        assert {each.payload["dial_status"] for each in late} <= {"failed", "completed"}
        assert all("jambonz-signature" in each.headers for each in late)
        keys = [each.headers["idempotency-key"] for each in app.asked("/dial")]
        assert len(set(keys)) >= len(dialled)

    async with Store(f"sqlite:///{tmp_path / 'engine.sqlite'}") as store:
        assert await store.pending() == []
        rows = {row.call_sid: row for row in await store.calls(CallQuery(limit=10_000))}
        assert heard_of <= set(rows)
        assert all(row.ended_utc is not None and row.call_status in _TERMINAL for row in rows.values())
        known = {leg.leg_sid: leg for sid in rows for leg in await store.legs(sid)}
        assert legs <= set(known)
        assert all(leg.ended_utc is not None and leg.call_status in _TERMINAL for leg in known.values())
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
