"""Files of this machine: from below one configured folder, and from nowhere else. Blocks: for a thread."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from engine.sounds.errors import SoundError

__all__ = ["find_file", "read_file"]


def find_file(url: str, folder: Path | None) -> Path:
    """The file meant by `file:///srv/sounds/a.wav`, `file:a.wav`, `/srv/sounds/a.wav` or `a.wav`.

    Absolute paths have to lie in the folder, relative ones begin there. Raises SoundError: links and dots
    that lead out of it are refused in the same words whether there is something or not.
    """
    if folder is None:
        raise SoundError(url, "there is no folder for sounds")
    text = url
    if url[:5].lower() == "file:":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise SoundError(url, "a file of another host")
        text = unquote(parts.path)
    try:
        root = folder.resolve()
        path = (root / text).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise SoundError(url, "not a usable path") from error
    if not text or not path.is_relative_to(root):
        raise SoundError(url, "outside of the folder for sounds")
    return path


def read_file(url: str, path: Path, known: str, max_bytes: int) -> tuple[bytes | None, str]:
    """Its bytes, and what tells this version from another; None if that is `known`. Raises SoundError."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise SoundError(url, "not a file")
        version = f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}"
        if version == known:
            return None, version
        if status.st_size > max_bytes:
            raise SoundError(url, f"larger than {max_bytes} bytes")
        with open(path, "rb") as file:
            return file.read(max_bytes), version
    except OSError as error:
        raise SoundError(url, error.strerror or "cannot be read") from error
