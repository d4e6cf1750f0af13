"""`whisper` of live control: a few verbs for one party's ear only, while everything else goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.application.document import PlayVerb, SayVerb, Verb
from engine.application.screening import Callee
from engine.application.session import PartyLeg, Session
from engine.dial.leg import Leg
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts

if TYPE_CHECKING:
    from engine.application.call import Call

__all__ = ["ASIDE", "Aside", "whisper"]

ASIDE: frozenset[type[Verb]] = frozenset((SayVerb, PlayVerb))
"""What may be whispered."""


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


async def whisper(call: Call, verbs: Sequence[Verb], leg: Leg | None) -> None:
    """Play `verbs` to the call's own party, or to `leg`, a callee of its dial. Returns when they are over."""
    party: PartyLeg = call.party.leg if leg is None else Callee(leg)
    facts = call.facts() if leg is None or call.dialling is None else call.dialling.facts_of(leg.id)
    session = Session(
        party,
        call.services,
        Aside(facts),
        call.hooks,
        base=call.session.base,
        defaults=call.session.defaults,
        only=ASIDE,
    )
    try:
        await session.run(verbs, base=call.session.base)
    finally:
        await session.close()
