"""`onHoldHook` of `dial` (DV-83): what a party hears while the other one holds it.

The hold itself is answered by the leg. Here: who is held by whom, asking the hook, running what it returns on
the held party, and stopping at once when it is resumed. When a document has ended and the hold goes on, the
hook is asked again, as long as the document took any time; an empty one ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog

from engine.application.schema.base import Verb
from engine.application.schema.sound import PauseVerb, PlayVerb, SayVerb
from engine.hooks.reply import HookFailed, HookReply
from engine.ids import CallSid
from engine.legs.notes import LegGone, LegNote, PeerHeld, Watcher
from engine.routing.identity import user_of

__all__ = ["HOLD_VERBS", "HeldLeg", "HoldDocuments", "hold_detail"]

log = structlog.get_logger(__name__)

HOLD_VERBS: frozenset[type[Verb]] = frozenset({PauseVerb, PlayVerb, SayVerb})
"""What a document for a held party may contain."""

_SHORTEST_ROUND_S = 1.0
"""A document that is over sooner (nothing could be played) is not asked for again."""


class HeldLeg(Protocol):
    """`engine.legs.CallLeg`, as far as it is needed here."""

    @property
    def id(self) -> CallSid: ...

    @property
    def is_held(self) -> bool: ...

    @property
    def from_(self) -> str: ...

    @property
    def to(self) -> str: ...

    @property
    def invite(self) -> object | None: ...

    def watch(self, watcher: Watcher) -> None: ...

    def unwatch(self, watcher: Watcher) -> None: ...


def hold_detail(holder: HeldLeg) -> dict[str, str]:
    """`hold_detail` of the onHoldHook: From and To of the holder's re-INVITE, as users or numbers."""
    asked, other = user_of(holder.from_), user_of(holder.to)
    # A party we called is the To of our INVITE and the From of its own requests.
    return {"from": asked, "to": other} if holder.invite is not None else {"from": other, "to": asked}


class HoldDocuments:
    """The two parties of one dial; made when they are joined, closed when they are parted.

    holds = HoldDocuments(caller, callee, ask=ask_the_hook, play=run_on_leg)
    ...
    await holds.close()
    """

    __slots__ = ("_ask", "_legs", "_play", "_playing", "_watchers")

    def __init__(
        self,
        caller: HeldLeg,
        callee: HeldLeg,
        *,
        ask: Callable[[HeldLeg, dict[str, str]], Awaitable[HookReply]],
        play: Callable[[HeldLeg, Sequence[object]], Awaitable[Any]],
    ) -> None:
        """`ask(holder, hold_detail)` calls the hook (HookFailed). `play(held, verbs)` checks a document (only
        HOLD_VERBS), runs it on the held party and returns when it is over; it is cancelled with the hold.
        """
        self._ask = ask
        self._play = play
        self._legs = (caller, callee)
        self._playing: dict[CallSid, asyncio.Task[None]] = {}
        """What each held party hears, by its leg."""
        self._watchers: tuple[Watcher, ...] = ()
        for leg in self._legs:
            leg.watch(self._on_note)
        self._look()

    async def close(self) -> None:
        """Stop everything, and return when it has stopped. Idempotent."""
        for leg in self._legs:
            leg.unwatch(self._on_note)
        tasks = tuple(self._playing.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_note(self, note: LegNote) -> None:
        match note:
            case PeerHeld():
                self._look()
            case LegGone():
                for task in self._playing.values():
                    task.cancel()  # there is nobody left to wait for, or nobody left to hear
            case _:
                pass

    def _look(self) -> None:
        """Who holds whom now. Two who hold each other both hear nothing: neither listens."""
        caller, callee = self._legs
        for held, holder in ((caller, callee), (callee, caller)):
            wanted = holder.is_held and not held.is_held
            playing = self._playing.get(held.id)
            if wanted and playing is None:
                task = asyncio.get_running_loop().create_task(
                    self._entertain(held, holder), name=f"hold {held.id}"
                )
                self._playing[held.id] = task
                task.add_done_callback(partial(self._over, held.id))
            elif not wanted and playing is not None:
                del self._playing[held.id]
                playing.cancel()

    def _over(self, held: CallSid, task: asyncio.Task[None]) -> None:
        # A document that ended by itself stays noted, so that the same hold does not begin another one.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("document for a held party failed", leg=held, exc_info=error)

    async def _entertain(self, held: HeldLeg, holder: HeldLeg) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                reply = await self._ask(holder, hold_detail(holder))
            except HookFailed as failure:
                log.info("no document for a held party", leg=held.id, reason=failure.reason)
                return
            if not reply.verbs:
                return
            began = loop.time()
            await self._play(held, reply.verbs)
            if loop.time() - began < _SHORTEST_ROUND_S:
                return
