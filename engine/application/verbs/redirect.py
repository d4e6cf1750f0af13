"""`redirect`: go on with what another hook says."""

from __future__ import annotations

from engine.application.document import RedirectVerb
from engine.application.session import Session
from engine.hooks.call_hooks import HookKind

__all__ = ["run"]


async def run(verb: RedirectVerb, session: Session) -> None:
    """A hook without instructions changes nothing: the rest of the document follows."""
    if verb.status_hook is not None:
        session.owner.use_status_hook(session.absolute(verb.status_hook))
    await session.ask(verb.action_hook, {}, kind=HookKind.SESSION_REDIRECT)
