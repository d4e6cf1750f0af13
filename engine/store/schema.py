"""The tables, their version, and how a database is brought to it.

Times are seconds since the epoch; structured columns hold JSON text. `node` names the engine that owns a row:
several may share one PostgreSQL database, and each closes only what it left open itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

from engine.errors import EngineError

__all__ = ["Migration", "StoreError", "alerts", "calls", "legs", "outbox", "prepare_schema"]


class StoreError(EngineError):
    """The store cannot be opened or read: no such place, somebody else's schema, in use by another engine."""


_metadata = MetaData()

_version = Table("store_version", _metadata, Column("version", Integer, nullable=False))


def _text(name: str, key: str = "") -> Column[str]:
    return Column(name, Text, key=key or name, nullable=False)


def _open_only(name: str) -> Index:
    """Over the rows that a restart has to close: small, however many there are."""
    is_open = text("ended_utc IS NULL")
    return Index(name, "node", sqlite_where=is_open, postgresql_where=is_open)


# SQLite keeps these tables in the order of their keys: one tree to write instead of two.
calls = Table(
    "calls",
    _metadata,
    Column("call_sid", Text, primary_key=True),
    _text("node"),
    _text("direction"),
    _text("caller", key="from_"),
    _text("callee", key="to"),
    _text("account_sid"),
    _text("application_sid"),
    _text("parent_call_sid"),
    _text("call_id"),
    _text("trunk"),
    _text("originating_ip"),
    _text("call_status"),
    Column("sip_status", Integer, nullable=False),
    _text("sip_reason"),
    _text("reason_header"),
    _text("ended_by"),
    Column("started_utc", Double, nullable=False),
    Column("answered_utc", Double),
    Column("ended_utc", Double),
    Column("duration_s", Double),
    _text("statuses"),
    _text("codec"),
    Column("rtp", Text),
    _text("amd"),
    _text("dial_status"),
    _text("customer_data"),
    Index("calls_by_account", "account_sid", "started_utc"),
    Index("calls_by_start", "started_utc"),
    _open_only("calls_open"),
    sqlite_with_rowid=False,
)

legs = Table(
    "legs",
    _metadata,
    Column("leg_sid", Text, primary_key=True),
    _text("node"),
    _text("call_sid"),
    _text("dial_id"),
    _text("account_sid"),
    _text("type"),
    _text("caller", key="from_"),
    _text("callee", key="to"),
    _text("call_id"),
    _text("trunk"),
    _text("call_status"),
    Column("sip_status", Integer, nullable=False),
    _text("sip_reason"),
    _text("reason_header"),
    _text("ended_by"),
    Column("is_answered_elsewhere", Boolean, nullable=False),
    Column("started_utc", Double, nullable=False),
    Column("ringing_utc", Double),
    Column("answered_utc", Double),
    Column("ended_utc", Double),
    Column("duration_s", Double),
    _text("statuses"),
    _text("codec"),
    Column("rtp", Text),
    _text("amd"),
    Index("legs_by_call", "call_sid", "started_utc"),
    _open_only("legs_open"),
    sqlite_with_rowid=False,
)

alerts = Table(
    "alerts",
    _metadata,
    Column("alert_sid", Text, primary_key=True),
    Column("at_utc", Double, nullable=False),
    _text("kind"),
    _text("text"),
    _text("path"),
    _text("call_sid"),
    _text("account_sid"),
    Index("alerts_by_account", "account_sid", "at_utc"),
    Index("alerts_by_time", "at_utc"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    _metadata,
    Column("key", Text, primary_key=True),
    _text("node"),
    _text("run"),
    _text("call_sid"),
    _text("account_sid"),
    _text("kind"),
    _text("state"),
    Column("sequence", Integer, nullable=False),
    Column("created_utc", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    _text("method"),
    _text("url"),
    _text("username"),
    _text("password"),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

Migration = Callable[[Connection], None]

_MIGRATIONS: Sequence[Migration] = ()


def prepare_schema(connection: Connection, migrations: Sequence[Migration] = _MIGRATIONS) -> None:
    """Create the tables, or bring older ones to this version, in the transaction of `connection`.

    `migrations`: the n-th brings version n + 1 to n + 2. StoreError: the database was written by a newer
    version of this program.
    """
    ours = len(migrations) + 1
    if connection.dialect.name == "postgresql":
        # Two engines starting on an empty database: one creates, the other waits and finds.
        connection.execute(text("SELECT pg_advisory_xact_lock(7465131)"))
    if not inspect(connection).has_table(_version.name):
        _metadata.create_all(connection)
        connection.execute(insert(_version), {"version": ours})
        return
    version = connection.execute(select(_version.c.version)).scalar_one()
    if version > ours:
        raise StoreError(f"the database has version {version}, this program knows {ours}")
    for migrate in migrations[version - 1 :]:
        migrate(connection)
    if version < ours:
        connection.execute(update(_version), {"version": ours})
