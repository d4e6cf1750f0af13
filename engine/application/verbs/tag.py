"""`tag`: data that comes back as `customerData` in every later hook of the call."""

from __future__ import annotations

from engine.application.document import TagVerb
from engine.application.session import Session

__all__ = ["run"]


async def run(verb: TagVerb, session: Session) -> None:
    """Replaces what was there."""
    session.owner.tag(verb.data)
