from __future__ import annotations

import os
from pathlib import Path

from engine.transport.hosts import HostsFile


def test_names_and_aliases_are_found_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(
        "# a comment\n"
        "192.0.2.1  pbx.example.com pbx   # the first\n"
        "2001:0DB8::0001 pbx\n"
        "192.0.2.2\tPBX\n"
        "192.0.2.1 pbx\n"
        "not-an-address broken\n"
        "\n"
    )
    hosts = HostsFile(path)
    assert hosts.lookup("pbx") == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
    assert hosts.lookup("PBX.example.com.") == ["192.0.2.1"]
    assert hosts.lookup("broken") == []
    assert hosts.lookup("unknown.example.com") == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("192.0.2.1 pbx\n")
    hosts = HostsFile(path)
    assert hosts.lookup("pbx") == ["192.0.2.1"]
    path.write_text("192.0.2.9 pbx\n")
    os.utime(path, ns=(1, 1))  # a different stamp however coarse the clock of the file system
    assert hosts.lookup("pbx") == ["192.0.2.9"]
    path.unlink()
    assert hosts.lookup("pbx") == []


def test_localhost_needs_no_file_but_the_file_wins(tmp_path: Path) -> None:
    assert HostsFile(tmp_path / "missing").lookup("localhost") == ["127.0.0.1", "::1"]
    assert HostsFile(tmp_path / "missing").lookup("phone.localhost") == ["127.0.0.1", "::1"]
    path = tmp_path / "hosts"
    path.write_text("127.0.0.2 localhost\n")
    assert HostsFile(path).lookup("localhost") == ["127.0.0.2"]
