"""The garbage collector of a process that does nothing but dial.

Finished calls are freed by their reference counts alone, so the collector finds nothing; but a full pass
looks at every object there is, and with some thousand calls alive it stops the process for long enough that
phones repeat their messages. Tuned, it still finds whatever a mistake leaves behind, only later.

A library has no business with this: only commands that own their process call it.
"""

from __future__ import annotations

import gc

__all__ = ["tune_gc"]

_THRESHOLDS = (50_000, 20, 100)
"""New objects before the youngest are looked at, and how many such passes before the older ones are."""


def tune_gc() -> None:
    """To be called once the engine has started: what exists now is there to stay and not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
