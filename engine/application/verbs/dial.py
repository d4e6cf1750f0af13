"""`dial`: reach somebody, and wait until that is over and the `actionHook` has answered."""

from __future__ import annotations

import asyncio
from typing import cast

from engine.application.call import Call
from engine.application.document import DialVerb
from engine.application.scope import finish_despite_cancellation
from engine.application.session import Session

__all__ = ["run"]


async def run(verb: DialVerb, session: Session) -> None:
    """Cancelled: the dial ends in its own time, but has parted from the caller when this returns."""
    call = cast(Call, session.owner)  # a document of a screening has no `dial`
    dialling = call.dial(verb)
    try:
        await asyncio.shield(dialling.finished)
        await asyncio.shield(dialling.parted)
        if dialling.asking is not None:
            await asyncio.shield(dialling.asking)
    except asyncio.CancelledError:
        dialling.abandon(call.why_cancelled)
        await finish_despite_cancellation(dialling.parted)
        raise
