"""/etc/hosts: names that need no DNS. Read again on change; `localhost` always works (RFC 6761)."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

__all__ = ["HostsFile"]


class HostsFile:
    """The local table of names. A file that cannot be read is an empty one."""

    __slots__ = ("_names", "_path", "_stamp")

    def __init__(self, path: str | Path = "/etc/hosts") -> None:
        self._path = Path(path)
        self._stamp: tuple[int, int] | None = None
        self._names: dict[str, list[str]] = {}

    def lookup(self, name: str) -> list[str]:
        """The addresses of `name` in the order of the file; empty when the name is not in it."""
        self._refresh()
        key = name.lower().rstrip(".")
        found = self._names.get(key, [])
        if not found and (key == "localhost" or key.endswith(".localhost")):
            return ["127.0.0.1", "::1"]
        return found

    def _refresh(self) -> None:
        try:
            status = os.stat(self._path)
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            self._names, self._stamp = {}, None
            return
        self._names, self._stamp = _parse(text), stamp


def _parse(text: str) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *aliases = line.partition("#")[0].split() or [""]
        try:
            host = str(ipaddress.ip_address(address))
        except ValueError:
            continue
        for alias in aliases:
            hosts = names.setdefault(alias.lower().rstrip("."), [])
            if host not in hosts:
                hosts.append(host)
    return names
