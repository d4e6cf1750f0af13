"""Assertions on recordings; the measuring itself is `engine.softphone.spectrum`, which the demo uses too."""

from __future__ import annotations

import os

from engine.softphone.spectrum import Heard, Pcm, hear, level_dbfs, loudness_dbfs, read_wav

__all__ = [
    "Heard",
    "Pcm",
    "assert_hears",
    "assert_quiet",
    "hear",
    "level_dbfs",
    "loudest_tone",
    "loudness_dbfs",
    "read_wav",
    "stretch",
    "tone_seconds",
]

_WINDOW_S = 0.1


def stretch(path: str | os.PathLike[str], start_s: float, end_s: float | None = None) -> tuple[Pcm, int]:
    """Part of a recording; a negative `start_s` counts from its end."""
    pcm, rate_hz = read_wav(path)
    start = int(start_s * rate_hz) + (pcm.size if start_s < 0 else 0)
    return pcm[max(0, start) : None if end_s is None else int(end_s * rate_hz)], rate_hz


def loudest_tone(path: str | os.PathLike[str], start_s: float = 0.0, end_s: float | None = None) -> Heard:
    """What stands out in this part of the recording."""
    pcm, rate_hz = stretch(path, start_s, end_s)
    return hear(pcm, rate_hz)


def assert_hears(
    path: str | os.PathLike[str],
    hz: float,
    *,
    start_s: float = 0.2,
    end_s: float | None = None,
    dominance_db: float = 15.0,
) -> None:
    """The part is clearly the tone of `hz` and loud enough to be somebody speaking."""
    pcm, rate_hz = stretch(path, start_s, end_s)
    assert pcm.size >= rate_hz // 5, f"{path}: only {pcm.size / rate_hz:.2f} s recorded after {start_s} s"
    heard = hear(pcm, rate_hz)
    assert heard.is_tone(hz, dominance_db=dominance_db), f"{path}: {heard}, expected {hz} Hz"
    assert heard.level_dbfs > -30.0, f"{path}: {heard}, too quiet"


def assert_quiet(
    path: str | os.PathLike[str],
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    below_dbfs: float = -50.0,
) -> None:
    """Nothing but silence (or comfort noise) in this part."""
    pcm, rate_hz = stretch(path, start_s, end_s)
    assert pcm.size >= rate_hz // 20, f"{path}: nothing recorded there"
    assert loudness_dbfs(pcm) < below_dbfs, f"{path}: {loudness_dbfs(pcm):.1f} dBFS, expected silence"


def tone_seconds(path: str | os.PathLike[str], hz: float, *, dominance_db: float = 8.0) -> list[float]:
    """Starts of the 100 ms windows in which `hz` stands out: when a tone was heard."""
    pcm, rate_hz = read_wav(path)
    size = int(_WINDOW_S * rate_hz)
    return [
        start / rate_hz
        for start in range(0, pcm.size - size + 1, size)
        if loudness_dbfs(window := pcm[start : start + size]) > -50.0
        and hear(window, rate_hz).is_tone(hz, tolerance_hz=15.0, dominance_db=dominance_db)
    ]
