"""`confirmHook`: a document that runs on an answered callee before it is connected (section 7).

Implements `engine.dial.parts.Screening` for one dial: any number of callees at the same time (DV-61), each
with a session of its own and the verbs of `SCREENING` only. Whatever goes wrong is a decline; only the end of
a document with the callee still there, or an answer without a document, accepts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from engine.application.digits import Digit
from engine.application.document import SCREENING
from engine.application.party import sendable
from engine.application.services import ApplicationServices, SessionDefaults
from engine.application.session import Ending, EndingKind, Session
from engine.dial.events import DtmfReceived, Screened
from engine.dial.leg import Cause, Inbox, Leg, LegMedia
from engine.hooks.call_hooks import CallHooks, HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts
from engine.hooks.reply import HookFailed
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from engine.legs.sip_leg import SipLeg

if TYPE_CHECKING:
    from engine.application.children import Children

__all__ = ["Callee", "Screenings"]

log = structlog.get_logger(__name__)


class Callee:
    """An answered callee as verbs see it: `PartyLeg`."""

    __slots__ = ("_leg", "is_gone")

    def __init__(self, leg: Leg) -> None:
        self._leg = leg
        self.is_gone = False

    @property
    def id(self) -> CallSid:
        return self._leg.id

    @property
    def media(self) -> LegMedia | None:
        return self._leg.media

    @property
    def has_answered(self) -> bool:
        return not self.is_gone

    def open_early_media(self) -> None:
        """It is answered."""

    def answer(self) -> None:
        """It is answered."""

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        if isinstance(self._leg, CallLeg):
            self._leg.send_dtmf(digits, duration_ms=duration_ms)


class _Screening:
    """One callee: owner of its session."""

    __slots__ = ("_children", "callee", "leg", "session", "task")

    def __init__(self, leg: Leg, children: Children) -> None:
        self.leg = leg
        self.callee = Callee(leg)
        self._children = children
        self.session: Session | None = None
        self.task: asyncio.Task[None] | None = None

    def facts(self) -> CallFacts:
        return self._children.of(self.leg.id)

    def saw_early_media(self) -> None:
        """It is answered."""

    def saw_answer(self) -> None:
        """It was answered before."""

    def tag(self, data: Mapping[str, object]) -> None:
        self._children.learn(self.leg.id, customer_data=data)

    def use_status_hook(self, hook: Hook) -> None:
        """The status of a callee is told to the hook of the call."""


class Screenings:
    """All screenings of one dial. `hooks_by_key` are found by what the `DialRequest` calls them."""

    __slots__ = (
        "_base",
        "_children",
        "_clock",
        "_defaults",
        "_hooks",
        "_hooks_by_key",
        "_running",
        "_services",
        "_tasks",
    )

    def __init__(
        self,
        services: ApplicationServices,
        hooks: CallHooks,
        hooks_by_key: Mapping[str, Hook],
        children: Callable[[], Children],
        *,
        base: Hook | str,
        defaults: SessionDefaults,
        clock: Callable[[], float],
    ) -> None:
        """`base`: the hook that delivered the document with the `dial`."""
        self._services = services
        self._hooks = hooks
        self._hooks_by_key = hooks_by_key
        self._children = children
        self._base = base
        self._defaults = defaults
        self._clock = clock
        self._running: dict[CallSid, _Screening] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, leg: Leg, hook: str, inbox: Inbox) -> None:
        screening = self._running[leg.id] = _Screening(leg, self._children())
        work = self._screen(screening, self._hooks_by_key[hook], inbox)
        task = screening.task = asyncio.get_running_loop().create_task(work, name=f"screening {leg.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self, leg: Leg) -> None:
        screening = self._running.pop(leg.id, None)
        if screening is None:
            return
        screening.callee.is_gone = True
        if screening.session is not None:
            screening.session.leg_gone()
        if screening.task is not None:
            screening.task.cancel()

    def keyed(self, event: DtmfReceived) -> None:
        """A callee pressed a key."""
        screening = self._running.get(event.leg)
        if screening is not None and screening.session is not None:
            screening.session.digits.push(Digit(event.digit, event.at, event.duration_ms))

    @property
    def are_over(self) -> bool:
        """Nothing of them runs."""
        return not self._tasks

    async def close(self) -> None:
        """Stop all, and wait until nothing of them runs."""
        for screening in tuple(self._running.values()):
            self.stop(screening.leg)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _screen(self, screening: _Screening, hook: Hook, inbox: Inbox) -> None:
        leg = screening.leg
        session = screening.session = Session(
            screening.callee,
            self._services,
            screening,
            self._hooks,
            base=self._base,
            defaults=self._defaults,
            only=SCREENING,
            is_strict=True,
        )
        try:
            try:
                ending = await self._judge(session, hook)
            except Exception:
                log.exception("screening failed", leg=leg.id)
                ending = Ending(EndingKind.FAILED, reason="engine error")
            if self._running.pop(leg.id, None) is not None:
                if ending.kind is EndingKind.HUNG_UP and ending.headers:
                    _say_goodbye(leg, ending)
                is_accepted = ending.kind is EndingKind.FINISHED
                inbox.post(Screened(leg.id, self._clock(), is_accepted, ending.reason or ending.kind.value))
        finally:
            await session.close()

    async def _judge(self, session: Session, hook: Hook) -> Ending:
        hook = session.absolute(hook)
        try:
            reply = await self._hooks.ask(hook, session.payload({}), HookKind.DIAL_CONFIRM)
        except HookFailed as error:
            return Ending(EndingKind.FAILED, reason=error.reason)
        if not reply.verbs:
            return Ending(EndingKind.FINISHED)
        document = session.parse(reply.verbs, "confirmHook")
        if document is None:
            return Ending(EndingKind.FAILED, reason="malformed or forbidden document")
        return await session.run(document, base=hook)


def _say_goodbye(leg: Leg, ending: Ending) -> None:
    """The BYE that the decline would bring in a moment, with the headers of `hangup`."""
    if isinstance(leg, SipLeg):
        try:
            leg.hang_up(Cause.DECLINED, headers=sendable(ending.headers, leg.id))
        except ValueError as error:
            log.warning("goodbye without its headers", leg=leg.id, reason=str(error))
