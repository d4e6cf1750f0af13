"""The writer's statements, compiled once to the driver's own SQL.

Executing a SQLAlchemy statement many times a second costs more in parameters looked at one by one than in the
database; what is given to the driver here is what `values_of` has made storable already.
"""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import Dialect, Table, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Delete, Insert

__all__ = ["Upsert", "Values", "deletion_of", "upsert_of"]

Values = tuple[object, ...]


class Upsert(Struct, frozen=True):
    """INSERT, or UPDATE of the row that has the same key."""

    sql: str
    names: tuple[str, ...]
    """Of the parameters, in their order."""


def upsert_of(table: Table, dialect: Dialect) -> Upsert:
    """For every column of the table."""
    key = next(iter(table.primary_key))
    statement: Insert
    if dialect.name == "sqlite":
        lite = sqlite_insert(table)
        statement = lite.on_conflict_do_update(
            index_elements=[key], set_={c.key: lite.excluded[c.key] for c in table.c if c is not key}
        )
    else:
        full = postgresql_insert(table)
        statement = full.on_conflict_do_update(
            index_elements=[key], set_={c.key: full.excluded[c.key] for c in table.c if c is not key}
        )
    compiled = _compiled(statement, dialect)
    assert compiled.positiontup is not None
    return Upsert(compiled.string, tuple(compiled.positiontup))


def deletion_of(table: Table, dialect: Dialect) -> str:
    """By its key, the only parameter."""
    key = next(iter(table.primary_key))
    return _compiled(delete(table).where(key == bindparam("gone")), dialect).string


def _compiled(statement: Insert | Delete, dialect: Dialect) -> SQLCompiler:
    positional = (
        sqlite.dialect(paramstyle="qmark")
        if dialect.name == "sqlite"
        else postgresql.psycopg.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    )
    compiled = statement.compile(dialect=positional)
    assert isinstance(compiled, SQLCompiler)
    return compiled
