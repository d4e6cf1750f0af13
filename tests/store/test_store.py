"""The store on SQLite: what is written is read, in any order of events; and what an earlier process left."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from engine.store import CallQuery, CallRow, DeliveryState, LegRow, Store, StoreError
from tests.store.examples import ACCOUNT, CALL, an_alert, call_row, delivery, leg_row


def url_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'engine.sqlite'}"


def rows_in(folder: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(folder / "engine.sqlite")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_a_call_is_read_as_it_was_written(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        store.call_ended(call_row())
        assert await store.call(CALL) == call_row()  # before it is written
        await store.settled()
        assert await store.call(CALL) == call_row()  # and after
        assert await store.call("nobody") is None
    async with Store(url_in(tmp_path)) as store:
        assert await store.call(CALL) == call_row()


async def test_a_bare_call_is_one_too(tmp_path: Path) -> None:
    row = CallRow(call_sid=CALL, direction="outbound", ended_utc=1.0)
    async with Store(url_in(tmp_path)) as store:
        store.call_started(row)
        await store.settled()
        assert await store.call(CALL) == row


async def test_a_later_version_of_a_row_replaces_the_earlier(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        store.call_started(call_row(call_status="trying", sip_status=100, ended_utc=None))
        await store.settled()
        store.call_changed(call_row(call_status="in-progress", sip_status=200, ended_utc=None))
        await store.settled()
        store.call_ended(call_row())
        assert await store.calls(CallQuery()) == [call_row()]


async def test_legs_are_listed_as_they_were_started(tmp_path: Path) -> None:
    early, late = (
        leg_row("leg-b", started_utc=1000.5),
        leg_row("leg-a", started_utc=1001.5, from_="+15550100"),
    )
    async with Store(url_in(tmp_path)) as store:
        for leg in (late, early, leg_row("other", call_sid="other call")):
            store.leg_ended(leg)
        assert await store.legs(CALL) == [early, late]


async def test_calls_are_listed_newest_first_and_filtered(tmp_path: Path) -> None:
    rows = [
        call_row("a", 1000.0),
        call_row("b", 2000.0, direction="outbound", call_status="busy"),
        call_row("c", 3000.0, from_="sip:bob@example.com", account_sid="other"),
        call_row("d", 4000.0, to="+15550199", ended_utc=None),
    ]

    async with Store(url_in(tmp_path)) as store:
        for row in rows:
            store.call_changed(row)

        async def sids(query: CallQuery) -> str:
            listed = "".join(row.call_sid for row in await store.calls(query))
            assert await store.count_calls(query) >= len(listed)
            return listed

        assert await sids(CallQuery()) == "dcba"
        assert await sids(CallQuery(account_sid=ACCOUNT)) == "dba"
        assert await sids(CallQuery(direction="outbound")) == "b"
        assert await sids(CallQuery(call_status="busy")) == "b"
        assert await sids(CallQuery(from_="sip:bob@example.com")) == "c"
        assert await sids(CallQuery(to="+15550199")) == "d"
        assert await sids(CallQuery(started_from_utc=2000.0, started_before_utc=4000.0)) == "cb"
        assert await sids(CallQuery(is_open=True)) == "d"
        assert await sids(CallQuery(is_open=False)) == "cba"
        assert await sids(CallQuery(limit=2, offset=1)) == "cb"
        assert await store.count_calls(CallQuery(limit=1)) == 4
        assert await store.count_calls(CallQuery(account_sid=ACCOUNT, is_open=False)) == 2


async def test_alerts_are_listed_newest_first(tmp_path: Path) -> None:
    old, new, other = an_alert("a", 1.0), an_alert("b", 2.0), an_alert("c", 3.0, account_sid="other")
    async with Store(url_in(tmp_path)) as store:
        for alert in (old, new, other):
            store.alert(alert)
        assert await store.alerts(ACCOUNT) == [new, old]
        assert await store.alerts(limit=2) == [other, new]


async def test_text_no_database_would_take_is_made_storable(tmp_path: Path) -> None:
    garbled = b"J\xfcrgen\0".decode("utf-8", "surrogateescape")
    async with Store(url_in(tmp_path)) as store:
        store.call_ended(call_row(from_=garbled, customer_data={garbled: [garbled]}))
        await store.settled()
        row = await store.call(CALL)
    assert row is not None
    assert row.from_ == "J\ufffdrgen\ufffd"
    assert row.customer_data == {"J\ufffdrgen\0": ["J\ufffdrgen\0"]}  # JSON text has no NUL, it says \\u0000


async def test_a_row_the_database_refuses_is_given_up_and_does_not_stop_the_others(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with Store(url_in(tmp_path)) as store:
            store.call_ended(call_row("good"))
            store.call_ended(call_row("bad", sip_status=2**70))
            store.leg_ended(leg_row("good leg"))
            store.put(delivery("good delivery"))
            await store.settled()
            assert [row.call_sid for row in await store.calls(CallQuery())] == ["good"]
            assert len(await store.legs(CALL)) == 1
            assert (store.health.dropped, store.health.is_ready) == (1, True)
    assert [line["event"] for line in lines] == ["a row is refused by the database"]
    assert "5550100" not in str(lines)
    assert rows_in(tmp_path, "SELECT key FROM outbox") == [("good delivery",)]


async def test_many_rows_are_written_in_few_transactions(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        for n in range(3000):
            store.call_ended(call_row(f"call-{n}", float(n)))
            store.put(delivery(f"key-{n}"))
        assert store.health.queued > 0
        while store.health.queued:
            await store.settled()
        assert await store.count_calls(CallQuery()) == 3000
        assert store.health == type(store.health)(True, 0, 0)
    assert rows_in(tmp_path, "SELECT count(*) FROM outbox") == [(3000,)]


async def test_writing_never_waits_for_the_database(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        blocker = sqlite3.connect(tmp_path / "engine.sqlite", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")  # the writer now waits
        begun = time.monotonic()
        for n in range(1000):
            store.call_ended(call_row(f"call-{n}"))
        await store.settled()
        assert time.monotonic() - begun < 2
        assert store.health.queued == 1000
        blocker.execute("COMMIT")
        blocker.close()
    assert rows_in(tmp_path, "SELECT count(*) FROM calls") == [(1000,)]


# The outbox, and what an earlier process left.


async def test_a_delivery_done_is_gone_whether_or_not_it_was_written_yet(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        store.put(delivery("quick"))
        store.done("quick")
        store.put(delivery("slow"))
        store.put(delivery("kept"))
        await store.settled()
        store.done("slow")
        store.done("never heard of")
        await store.settled()
    assert rows_in(tmp_path, "SELECT key FROM outbox") == [("kept",)]


async def test_what_an_earlier_process_left_is_pending_due_first_then_promises_from_the_inside_out(
    tmp_path: Path,
) -> None:
    async with Store(url_in(tmp_path)) as store:
        assert await store.pending() == []
        promised = DeliveryState.PROMISED
        store.put(delivery("call ends", state=promised, sequence=1))
        store.put(delivery("leg ends", state=promised, sequence=2))
        store.put(delivery("dial ends", state=promised, sequence=3))
        store.put(delivery("leg two ended", sequence=5))
        store.put(delivery("leg one ended", sequence=4, attempts=2, method="GET", body=b""))
    async with Store(url_in(tmp_path)) as store:
        left = await store.pending()
        assert [row.key for row in left] == [
            "leg one ended",
            "leg two ended",
            "dial ends",
            "leg ends",
            "call ends",
        ]
        assert left[0] == delivery("leg one ended", sequence=4, attempts=2, method="GET", body=b"")
        for row in left:
            store.done(row.key)
    assert rows_in(tmp_path, "SELECT count(*) FROM outbox") == [(0,)]


async def test_deliveries_of_this_process_are_not_pending_to_itself(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        store.put(delivery("mine"))
        await store.settled()
        assert await store.pending() == []


async def test_calls_and_legs_left_open_are_closed_as_failed(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        store.call_changed(call_row("open", call_status="in-progress", ended_utc=None, ended_by=""))
        store.call_ended(call_row("ended"))
        store.leg_changed(leg_row("leg", "open", call_status="ringing", ended_utc=None))
    begun = time.time()
    with capture_logs() as lines:
        async with Store(url_in(tmp_path)) as store:
            row, leg = await store.call("open"), (await store.legs("open"))[0]
            assert await store.call("ended") == call_row("ended")
    assert row is not None
    for closed in (row, leg):
        assert isinstance(closed, CallRow | LegRow)
        assert (closed.call_status, closed.ended_by, closed.sip_reason) == (
            "failed",
            "engine",
            "Engine Restarted",
        )
        assert closed.ended_utc is not None
        assert begun <= closed.ended_utc <= time.time()
    assert [line["calls_and_legs"] for line in lines] == [2]


async def test_the_rows_of_another_node_are_left_alone(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path), node="a") as store:
        store.call_changed(call_row(ended_utc=None))
        store.put(delivery("of a"))
    async with Store(url_in(tmp_path), node="b") as store:
        assert await store.pending() == []
        row = await store.call(CALL)
        assert row is not None
        assert row.ended_utc is None


async def test_two_engines_do_not_share_one_file(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)):
        with pytest.raises(StoreError, match="in use"):
            await Store(url_in(tmp_path)).start()
    async with Store(url_in(tmp_path)) as store:
        assert store.health.is_ready


# Opening.


async def test_the_database_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        async with Store(url_in(tmp_path)) as store:
            store.put(delivery("with a password"))
            await store.settled()
            assert modes_in(tmp_path) == {0o600}
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://u:secret@h/d",
        "nonsense secret",
        "",
        "sqlite:////no/such/x",
    ],
)
async def test_a_place_that_cannot_be_used_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        await Store(url).start()
    assert "secret" not in str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "engine.sqlite").write_bytes(b"This is a text file, and has always been one.\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        await Store(url_in(tmp_path)).start()


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)):
        pass
    connection = sqlite3.connect(tmp_path / "engine.sqlite")
    connection.execute("UPDATE store_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        await Store(url_in(tmp_path)).start()


async def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    assert not store.health.is_ready
    store.call_ended(call_row())
    await store.settled()
    with pytest.raises(StoreError):
        await store.calls(CallQuery())


async def test_stopping_writes_what_waits(tmp_path: Path) -> None:
    store = Store(url_in(tmp_path))
    await store.start()
    for n in range(2000):
        store.call_ended(call_row(f"call-{n}"))
    await store.stop()
    assert rows_in(tmp_path, "SELECT count(*) FROM calls") == [(2000,)]
    assert not [thread for thread in asyncio.all_tasks() if "store" in thread.get_name()]


async def test_all_who_wait_are_told_and_who_stops_waiting_holds_up_nobody(tmp_path: Path) -> None:
    async with Store(url_in(tmp_path)) as store:
        for n in range(200):
            store.put(delivery(f"key-{n}"))
            waiting = [asyncio.create_task(store.settled()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[n % 3].cancel()
            async with asyncio.timeout(5):
                await asyncio.gather(*waiting, return_exceptions=True)
            assert rows_in(tmp_path, f"SELECT count(*) FROM outbox WHERE key = 'key-{n}'") == [(1,)]


async def test_what_ended_long_ago_is_deleted_and_what_goes_on_is_not(tmp_path: Path) -> None:
    now = time.time()
    async with Store(url_in(tmp_path)) as store:
        for n in range(1200):  # more than goes in one transaction
            store.call_ended(call_row(f"old-{n}", now - 2000, ended_utc=now - 1001))
        store.leg_ended(leg_row("old", "old-0", now - 2000, ended_utc=now - 1001))
        store.alert(an_alert("old", now - 1001))
    async with Store(url_in(tmp_path), keep_s=1000.0) as store:
        store.call_changed(call_row("going on", now - 2000, ended_utc=None))
        store.call_ended(call_row("recent", now - 2000, ended_utc=now - 900))
        store.leg_ended(leg_row("recent", "recent", now - 2000, ended_utc=now - 900))
        store.alert(an_alert("recent", now - 900))
        for n in range(3):
            await store.settled()
            store.alert(an_alert(f"another {n}", now))
        assert {row.call_sid for row in await store.calls(CallQuery())} == {"going on", "recent"}
        assert await store.legs("old-0") == []
        assert len(await store.legs("recent")) == 1
        assert [alert.alert_sid for alert in await store.alerts()][-1] == "recent"
