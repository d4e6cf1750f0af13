"""A few verbs for one party's ear only, while everything else goes on: `whisper`, music on hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.application.document import Verb
from engine.application.screening import Callee
from engine.application.session import PartyLeg, Session
from engine.dial.leg import Leg
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts
from engine.legs.call_leg import CallLeg
from engine.legs.notes import LegGone, LegNote

if TYPE_CHECKING:
    from engine.application.call import Call

__all__ = ["Aside", "whisper"]


class Aside:
    """Owner of a session beside the call's own: hears of nothing, changes nothing."""

    __slots__ = ("_facts",)

    def __init__(self, facts: CallFacts) -> None:
        self._facts = facts

    def facts(self) -> CallFacts:
        return self._facts

    def saw_early_media(self) -> None:
        """The call's own business."""

    def saw_answer(self) -> None:
        """The call's own business."""

    def tag(self, data: Mapping[str, object]) -> None:
        """Not here."""

    def use_status_hook(self, hook: Hook) -> None:
        """Not here."""


async def whisper(
    call: Call,
    verbs: Sequence[Verb],
    leg: Leg | None,
    *,
    base: Hook | str | None = None,
) -> None:
    """Run `verbs` for the call's own party, or for `leg`, a callee of its dial; returns when they are over.

    `base`: the hook that delivered them; None: the one that delivered the running document.
    """
    dialling = call.dialling
    party: PartyLeg = call.party.leg if leg is None else Callee(leg)
    facts = call.facts() if leg is None or dialling is None else dialling.facts_of(leg.id)
    session = Session(party, call.services, Aside(facts), call.hooks, defaults=call.session.defaults)
    line = leg if isinstance(leg, CallLeg) else call.party.line

    def watch(note: LegNote) -> None:
        if isinstance(note, LegGone):
            session.leg_gone()

    line.watch(watch)
    try:
        await session.run(verbs, base=call.session.base if base is None else base)
    finally:
        line.unwatch(watch)
        await session.close()
