"""`answer`: 200 OK to a caller who was not answered before."""

from __future__ import annotations

from engine.application.document import AnswerVerb
from engine.application.session import Session

__all__ = ["run"]


async def run(verb: AnswerVerb, session: Session) -> None:
    """Returns when the caller's audio is known. Raises LegGone."""
    await session.answer()
