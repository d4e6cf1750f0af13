"""Real durations on a machine that may be busy: never early, late only by what scheduling can cost."""

from __future__ import annotations

__all__ = ["is_on_time"]

_EARLY_S = 0.05
"""Two clocks are read in two processes, and SIPp counts in whole milliseconds."""


def is_on_time(took_s: float, due_s: float, *, late_s: float = 0.8) -> bool:
    """Whether something that is due after `due_s` seconds took about so long."""
    return due_s - _EARLY_S <= took_s <= due_s + late_s
