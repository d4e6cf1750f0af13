"""Databases of other versions: older ones are brought up, in one transaction; newer ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from engine.store import StoreError
from engine.store.database import Database
from engine.store.schema import prepare_schema


def engine_in(folder: Path) -> Engine:
    return Database(f"sqlite:///{folder / 'some.sqlite'}", "").writer


def version_in(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT version FROM store_version")).scalar_one())


def add_a_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE calls ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm'"))


def fill_it(connection: Connection) -> None:
    connection.execute(text("UPDATE calls SET mood = 'merry'"))


def fail(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE no_such_table ADD COLUMN mood TEXT"))


def test_an_empty_database_is_of_this_version_at_once_and_stays_so(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    for _ in range(2):
        with engine.begin() as connection:
            prepare_schema(connection)
        assert version_in(engine) == 1


def test_an_older_database_takes_every_step_it_has_not_taken_once(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    with engine.begin() as connection:
        prepare_schema(connection)
    with engine.begin() as connection:
        prepare_schema(connection, [add_a_column])
    assert version_in(engine) == 2
    with engine.begin() as connection:
        prepare_schema(connection, [add_a_column, fill_it])
    assert version_in(engine) == 3
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(mood) FROM calls")).scalar_one() == 0


def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    with engine.begin() as connection:
        prepare_schema(connection)
    with pytest.raises(OperationalError), engine.begin() as connection:
        prepare_schema(connection, [add_a_column, fail])
    assert version_in(engine) == 1
    assert "mood" not in {column["name"] for column in inspect(engine).get_columns("calls")}


def test_a_process_that_dies_while_it_creates_the_tables_leaves_none(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    connection = engine.connect()
    connection.begin()
    prepare_schema(connection)
    connection.invalidate()  # closed without a commit, as by the death of the process
    connection.close()
    assert inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        prepare_schema(connection)
    assert version_in(engine) == 1


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    with engine.begin() as connection:
        prepare_schema(connection, [add_a_column])
    with pytest.raises(StoreError, match="version 2"), engine.begin() as connection:
        prepare_schema(connection)
