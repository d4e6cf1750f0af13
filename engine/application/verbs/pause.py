"""`pause`: nothing, for a while."""

from __future__ import annotations

import asyncio

from engine.application.document import PauseVerb
from engine.application.session import Session

__all__ = ["run"]

_NO_LOOP_S = 1.0
"""Documents that wait so long between hooks do not go round in circles: they wait for something."""


async def run(verb: PauseVerb, session: Session) -> None:
    """Answers nobody: a call may wait as well as ring."""
    if verb.length >= _NO_LOOP_S:
        session.saw_media()
    await asyncio.sleep(verb.length)
