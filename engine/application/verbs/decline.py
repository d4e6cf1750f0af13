"""`sip:decline`: a final response of the application's choice; nothing for a caller who was answered."""

from __future__ import annotations

from engine.application.document import DeclineVerb
from engine.application.session import Ending, EndingKind, Session

__all__ = ["run"]


async def run(verb: DeclineVerb, session: Session) -> None:
    """Overrides what section 9 says."""
    if session.leg.has_answered:
        session.alert("decline-ignored", "sip:decline: the call was answered before")
        return
    session.end(Ending(EndingKind.DECLINED, verb.status, verb.reason, verb.headers))
