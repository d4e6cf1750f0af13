from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.sounds.errors import SoundError
from engine.sounds.folder import find_file, read_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "sounds"
    (root / "en").mkdir(parents=True)
    (root / "welcome.wav").write_bytes(b"welcome")
    (root / "en" / "good bye.wav").write_bytes(b"bye")
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "sounds-of-others").mkdir()
    (tmp_path / "sounds-of-others" / "a.wav").write_bytes(b"other")
    return root


def test_files_are_found_by_every_way_to_write_them(folder: Path) -> None:
    for url in ("welcome.wav", "file:welcome.wav", f"file://{folder}/welcome.wav", f"{folder}/welcome.wav"):
        assert find_file(url, folder) == folder / "welcome.wav"
    assert find_file("file:en/good%20bye.wav", folder) == folder / "en" / "good bye.wav"
    assert find_file("en/../welcome.wav", folder) == folder / "welcome.wav"
    assert find_file(f"file://localhost{folder}/welcome.wav", folder) == folder / "welcome.wav"


@pytest.mark.parametrize(
    "url",
    [
        "../secret.wav",
        "file:../secret.wav",
        "file:%2e%2e/secret.wav",
        "file:///etc/passwd",
        "/etc/passwd",
        "en/../../secret.wav",
        "../sounds-of-others/a.wav",
        "../nothing-there.wav",
        "out.wav",
        "out/secret.wav",
        "",
        "file:",
    ],
)
def test_what_leads_out_of_the_folder_is_refused(folder: Path, url: str) -> None:
    (folder / "out.wav").symlink_to(folder.parent / "secret.wav")
    (folder / "out").symlink_to(folder.parent)
    with pytest.raises(SoundError, match="outside of the folder"):
        find_file(url, folder)


def test_other_hosts_odd_bytes_and_no_folder_are_refused(folder: Path) -> None:
    with pytest.raises(SoundError, match="another host"):
        find_file("file://app.example.com/welcome.wav", folder)
    with pytest.raises(SoundError, match="not a usable path"):
        find_file("file:a%00.wav", folder)
    with pytest.raises(SoundError, match="there is no folder"):
        find_file("welcome.wav", None)


def test_a_file_is_read_once_per_version(folder: Path) -> None:
    path = folder / "welcome.wav"
    body, version = read_file("welcome.wav", path, "", 100)
    assert body == b"welcome"
    assert read_file("welcome.wav", path, version, 100) == (None, version)
    path.write_bytes(b"welcome again")
    assert read_file("welcome.wav", path, version, 100)[0] == b"welcome again"


def test_what_is_no_file_of_a_usable_size_is_refused_without_waiting(folder: Path) -> None:
    with pytest.raises(SoundError, match="larger than 3 bytes"):
        read_file("welcome.wav", folder / "welcome.wav", "", 3)
    with pytest.raises(SoundError, match="No such file"):
        read_file("a.wav", folder / "a.wav", "", 100)
    with pytest.raises(SoundError, match="not a file"):
        read_file("en", folder / "en", "", 100)
    os.mkfifo(folder / "pipe")
    with pytest.raises(SoundError, match="not a file"):
        read_file("pipe", folder / "pipe", "", 100)
