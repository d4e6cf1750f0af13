"""Which database a URL means, and how it is opened: SQLite in WAL mode, or PostgreSQL by psycopg.

One engine per node and database at a time: a second one would take the calls of the first for left behind.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from zlib import crc32

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, QueuePool

from engine.store.schema import StoreError

__all__ = ["Database", "InUse"]

_PATIENCE_S = 5


class InUse(StoreError):
    """Another engine with this node name has the database."""


class Database:
    """An opened place for the store. `writer` is for one connection that is kept, `readers` for queries."""

    __slots__ = ("_guard", "_node", "_path", "readers", "url", "writer")

    def __init__(self, url: str, node: str) -> None:
        """StoreError: not a URL of a database this program knows."""
        self.url = _url_of(url)
        self._node = node
        self._guard: int | None = None
        self._path = Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None
        self.writer = self._engine(NullPool)
        self.readers = self._engine(QueuePool)

    @property
    def is_sqlite(self) -> bool:
        """A file of ours, not a server."""
        return self._path is not None

    def _engine(self, pool: type[NullPool] | type[QueuePool]) -> Engine:
        options: dict[str, object] = {"pool_size": 1, "pool_pre_ping": True} if pool is QueuePool else {}
        if self.is_sqlite:
            arguments: dict[str, object] = {"timeout": _PATIENCE_S, "check_same_thread": False}
        else:
            # A server that hangs must not hold the writer for as long as TCP would let it.
            arguments = {
                "connect_timeout": _PATIENCE_S,
                "tcp_user_timeout": _PATIENCE_S * 1000,
                "application_name": "dial-engine",
                "options": "-c statement_timeout=30s",
            }
        try:
            engine = create_engine(self.url, poolclass=pool, connect_args=arguments, **options)
        except ModuleNotFoundError as error:
            raise StoreError(f"PostgreSQL needs the package {error.name}: the extra `postgresql`") from None
        if self.is_sqlite:
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin)
        return engine

    def occupy(self) -> None:
        """SQLite: make the file, for its owner only, and hold it against other engines. InUse, StoreError."""
        if self._path is None or self._guard is not None:
            return
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._guard = os.open(f"{self._path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}") from None
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._guard)
            self._guard = None
            raise InUse(f"{self._path} is in use by another engine") from None

    def connect(self) -> Connection:
        """The writer's connection, and the right to write. InUse; OperationalError: not now."""
        connection = self.writer.connect()
        if not self.is_sqlite:
            number = crc32(self._node.encode()) - 2**31
            with connection.begin():
                is_ours = connection.execute(
                    text("SELECT pg_try_advisory_lock(7465132, :node)"), {"node": number}
                ).scalar_one()
            if not is_ours:
                connection.close()
                raise InUse(f"another engine with the node name {self._node!r} uses this database")
        return connection

    def close(self) -> None:
        """Let others have it."""
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None


def _url_of(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not with the text: it may hold a password.
        raise StoreError("the store's url is not the URL of a database") from None
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise StoreError("SQLite needs a file: sqlite:///FILE")
            return parsed
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise StoreError(f"the store knows sqlite and postgresql, not {other!r}")


def _prepare_sqlite(connection: object, _record: object) -> None:
    # Left to itself the driver begins no transaction for CREATE and ALTER: a process that dies between two of
    # them would leave half a schema.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # WAL with NORMAL: a commit survives the death of the process; only a power cut may take the last ones.
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA secure_delete=FAST")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
