"""`hangup`: the end of the call; of a screening, a decline."""

from __future__ import annotations

from engine.application.document import HangupVerb
from engine.application.session import Ending, EndingKind, Session

__all__ = ["run"]


async def run(verb: HangupVerb, session: Session) -> None:
    """An unanswered caller gets the final response of section 9."""
    session.end(Ending(EndingKind.HUNG_UP, headers=verb.headers))
