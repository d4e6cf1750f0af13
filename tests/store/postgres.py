"""A PostgreSQL server of our own: in a temporary folder, as an unprivileged user, on a free port.

Needs Debian's package `postgresql` (its binaries; no cluster of the system is touched).
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.tools import missing

__all__ = ["PostgresServer", "postgres_server"]


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = str(found[-1]) if found else shutil.which("initdb")
    if path is None:
        missing("PostgreSQL is not installed (Debian and Ubuntu: apt-get install postgresql)")
    return Path(path).parent


def _unprivileged() -> dict[str, object]:
    """PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class PostgresServer:
    """`start` and `stop` as often as a test likes; the data stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._binaries = _binaries()
        self._process: subprocess.Popen[str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        password = folder / "password"
        password.write_text("secret")
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (folder, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run(
            *("initdb", "--pgdata", str(self._data), "--username", "engine", "--pwfile", str(password)),
            *("--auth", "scram-sha-256", "--no-sync", "--locale", "C", "--encoding", "UTF8"),
        )

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(  # type: ignore[call-overload]
            [self._binaries / name, *arguments],
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            **_unprivileged(),
        )

    def url(self, database: str = "postgres", password: str = "secret") -> str:
        """What `[store] url` would say."""
        return f"postgresql://engine:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when it accepts connections."""
        self._process = subprocess.Popen(  # type: ignore[call-overload]
            [
                *(self._binaries / "postgres", "-D", self._data, "-p", str(self.port), "-k", self._folder),
                *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=20"),
                *("-c", "shared_buffers=16MB", "-c", "log_min_messages=warning", "-c", "autovacuum=off"),
            ],
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
            **_unprivileged(),
        )
        assert self._process is not None
        assert self._process.stderr is not None
        said = ""
        for line in self._process.stderr:
            said += line
            if "ready to accept connections" in line:
                return
        raise AssertionError(f"the server did not start: {said}")

    def freeze(self) -> None:
        """It stays, and does nothing, as a machine that swaps."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        server = self._process.pid
        # Each backend is in a session of its own.
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for pid in (server, *map(int, children)):
            os.kill(pid, number)

    def stop(self) -> None:
        """At once, connections and all, as a machine that crashes."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.communicate(timeout=20)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running server; gone with all its data afterwards."""
    _binaries()
    with tempfile.TemporaryDirectory(prefix="store-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
