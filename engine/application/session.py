"""One leg under a document: verbs run one after the other until replaced, finished, or the leg is gone.

Used by a `Call` for its own leg and by screening for a callee. The session knows nothing of SIP: who owns it
feeds it with digits and tells it when the leg is gone; it says in the end how the document ended.

A document is replaced by a hook's answer or by live control. Each source of instructions takes a ticket when
it is *asked*; what was asked for later wins, whatever the order in which the answers arrive, and an answer to
an older question than the one that gave the running document is discarded (hooks contract, section 9).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

import structlog

from engine.application.digits import DigitFeed
from engine.application.document import DocumentError, Verb, parse_document
from engine.application.ending import (
    Ending,
    EndingKind,
    LegGone,
    PartyLeg,
    SessionOwner,
    StreamControl,
)
from engine.application.scope import CancelScope
from engine.application.services import ApplicationServices, SessionDefaults
from engine.application.verbs import runner_of
from engine.hooks.alerts import AlertKind
from engine.hooks.call_hooks import CallHooks, HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts
from engine.hooks.reply import HookFailed
from media import MediaStream

__all__ = [
    "MAX_IDLE_DOCUMENTS",
    "MAX_QUEUED_VERBS",
    "Ending",
    "EndingKind",
    "LegGone",
    "PartyLeg",
    "Session",
    "SessionDefaults",
    "SessionOwner",
    "StreamControl",
    "VerbRunner",
]

log = structlog.get_logger(__name__)

MAX_IDLE_DOCUMENTS = 20
"""Documents in a row without media activity; one more is a loop (hooks contract, section 9, case 7)."""

MAX_QUEUED_VERBS = 10_000
"""Of one call, for instructions that are put behind the running ones: nothing else bounds those."""

_BREATH = 50
"""Verbs after which other calls have their turn, at the latest."""


class Session:
    """One leg under a document. All methods belong to the event loop's thread."""

    __slots__ = (
        "_answered",
        "_asking",
        "_background",
        "_ending",
        "_idle_documents",
        "_in_force",
        "_is_strict",
        "_kept",
        "_next",
        "_only",
        "_redirecting",
        "_scope",
        "_streams",
        "_tickets",
        "_verb",
        "_verbs",
        "base",
        "defaults",
        "digits",
        "hooks",
        "leg",
        "owner",
        "services",
        "superseded",
    )

    def __init__(
        self,
        leg: PartyLeg,
        services: ApplicationServices,
        owner: SessionOwner,
        hooks: CallHooks,
        *,
        base: Hook | str = "",
        defaults: SessionDefaults | None = None,
        only: frozenset[type[Verb]] | None = None,
        is_strict: bool = False,
    ) -> None:
        """`only`: the verbs that may run here; None: all. `is_strict`: a hook that fails, or a document that
        may not run, ends the session as FAILED.
        """
        self.leg = leg
        self.services = services
        self.owner = owner
        self.hooks = hooks
        self.defaults = defaults or SessionDefaults()
        """`config` puts another one here."""
        self.digits = DigitFeed()
        """Every digit this party keys."""
        self.base = base
        """The hook that delivered the running document (WH-02)."""
        self._only = only
        self._is_strict = is_strict
        self._ending: Ending | None = None
        self._scope: CancelScope | None = None
        self._verb: Verb | None = None
        self._verbs: deque[Verb] = deque()
        """Those of the running document that have not begun."""
        self._next: tuple[Sequence[Verb], Hook | str] | None = None
        self._tickets = 0
        self._in_force = -1
        """Ticket of the document that runs or comes next."""
        self._idle_documents = 0
        self._background: set[asyncio.Task[Any]] = set()
        self._asking: set[asyncio.Task[bool]] = set()
        self._redirecting: set[asyncio.Future[bool]] = set()
        self._kept: dict[str, asyncio.Task[Any]] = {}
        """What `config` runs in the background, by the verb's name."""
        self._streams: dict[str, list[StreamControl]] = {}
        self._answered = asyncio.Event()
        self.superseded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done as soon as the session has ended, or has a document to run: whoever still fetches the first
        one need not wait any longer."""

    # --- for verbs

    @property
    def facts(self) -> CallFacts:
        """The common call properties, as they are now."""
        return self.owner.facts()

    @property
    def ending(self) -> Ending | None:
        """None while the session is not over."""
        return self._ending

    async def ensure_media(self, *, early: bool = False) -> MediaStream:
        """The leg's audio: answers the caller, or opens early media if `early` and the leg is unanswered.

        A caller whose INVITE made no offer cannot hear early media, and is answered. Raises LegGone.
        """
        leg = self.leg
        if leg.is_gone:
            raise LegGone
        if early and not leg.has_answered:
            leg.open_early_media()
            if leg.media is not None:
                self.owner.saw_early_media()
        if leg.media is None or not (early or leg.has_answered):
            await self.answer()
        if leg.is_gone or leg.media is None:
            raise LegGone
        self.saw_media()
        return cast(MediaStream, leg.media)

    async def answer(self) -> None:
        """200 to an unanswered caller; returns when its media is known. Raises LegGone."""
        leg = self.leg
        if not leg.has_answered and not leg.is_gone:
            leg.answer()
            if not leg.has_answered:
                await self._answered.wait()
        if leg.is_gone:
            raise LegGone
        self.owner.saw_answer()

    def saw_media(self) -> None:
        """The party hears, says or keys something, or somebody rings: this is no loop of empty documents."""
        self._idle_documents = 0

    async def ask(
        self,
        hook: Hook | None,
        extra: Mapping[str, object],
        *,
        replaces: bool = True,
        verb_id: str | None = None,
        facts: CallFacts | None = None,
        kind: HookKind = HookKind.VERB_HOOK,
    ) -> bool:
        """A hook whose answer counts: with `replaces`, verbs in it replace the rest of the document.

        `extra` is added to the common properties (`facts`; None: this leg's), and `verb_id` (None: the
        running verb's `id`, if it has one). `hook` None: nobody asked to be told. True if the document was
        replaced: the calling verb is being cancelled then. A hook that fails is an alert and False. The hook
        is delivered, and its answer counts, also if the asking verb is cancelled meanwhile.
        """
        if hook is None:
            return False
        asking = self.start_asking(hook, extra, replaces=replaces, verb_id=verb_id, facts=facts, kind=kind)
        return await asyncio.shield(asking)

    def start_asking(
        self,
        hook: Hook,
        extra: Mapping[str, object],
        *,
        replaces: bool = True,
        verb_id: str | None = None,
        facts: CallFacts | None = None,
        kind: HookKind = HookKind.VERB_HOOK,
        durable_subject: str | None = None,
    ) -> asyncio.Future[bool]:
        """As `ask`, without waiting. `durable_subject`: it must not be lost, and what it is about.

        When the session is over the hook is delivered and its answer ignored (WH-11).
        """
        hook = self.absolute(hook)
        payload = self.payload(extra, verb_id=verb_id, facts=facts)
        if self._ending is not None:
            if durable_subject is None:
                self.hooks.notify(hook, payload, kind)
            else:
                self.hooks.deliver(hook, payload, kind, durable_subject)
            ignored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
            ignored.set_result(False)
            return ignored
        ticket = self.ticket()
        if durable_subject is None:
            reply = self.hooks.ask(hook, payload, kind)
        else:
            reply = self.hooks.ask_durably(hook, payload, kind, durable_subject)
        work = self._take_reply(reply, hook, ticket, replaces=replaces)
        return self._task(work, f"hook {kind}", self._asking)

    def notify(
        self,
        hook: Hook | None,
        extra: Mapping[str, object],
        *,
        verb_id: str | None = None,
        facts: CallFacts | None = None,
    ) -> None:
        """A hook whose answer is ignored; returns at once, delivered in order with the others."""
        if hook is not None:
            self.hooks.notify(
                self.absolute(hook), self.payload(extra, verb_id=verb_id, facts=facts), HookKind.VERB_HOOK
            )

    def payload(
        self, extra: Mapping[str, object], *, verb_id: str | None = None, facts: CallFacts | None = None
    ) -> dict[str, object]:
        """What a hook of this leg says: see `ask`."""
        payload = (facts or self.facts).to_dict()
        payload.update(extra)
        if verb_id is None and self._verb is not None:
            verb_id = self._verb.id
        if verb_id:
            payload["verb_id"] = verb_id
        return payload

    def absolute(self, hook: Hook) -> Hook:
        """The hook as seen from the running document (WH-02)."""
        base = self.base if isinstance(self.base, Hook) else Hook(self.base)
        # Over one WebSocket hooks are named, not addressed.
        return hook if base.is_websocket else hook.against(base)

    def alert(self, kind: str, text: str, path: str = "") -> None:
        """One line in the log and in the records (DV-04): `kind` is a word, `path` a JSON path."""
        facts = self.facts
        self.services.alerts.report(facts.call_sid, facts.account_sid, kind, text, path)

    def background(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Something that goes on beside the verbs and ends (is cancelled) with the session at the latest."""
        return self._task(work, name, self._background)

    def add_stream(self, what: str, stream: StreamControl) -> None:
        """`listen` and `transcribe` say what live control can reach, by their names."""
        self._streams.setdefault(what, []).append(stream)

    def remove_stream(self, what: str, stream: StreamControl) -> None:
        """Unknown is fine."""
        if stream in self._streams.get(what, ()):
            self._streams[what].remove(stream)

    def control(self, what: str, status: str) -> bool:
        """`listen_status`, `transcribe_status` of live control: pause, silence, resume. False: none runs."""
        streams = tuple(self._streams.get(what, ()))
        for stream in streams:
            stream(status)
        return bool(streams)

    def keep_running(self, what: str, verb: Verb | None) -> None:
        """Run `verb` beside the document, in place of what ran as `what` before; None: nothing."""
        before = self._kept.pop(what, None)
        if before is not None:
            before.cancel()
        if verb is not None:
            self._kept[what] = self.background(self._run_beside(verb), name=f"background {what}")

    def end(self, ending: Ending) -> None:
        """The document is over: nothing of it runs any more. The first call counts."""
        if self._ending is None:
            self._ending = ending
            self._answered.set()
            self._supersede()
            if self._scope is not None:
                self._scope.cancel()

    # --- for the owner

    async def run(self, document: Sequence[Verb], *, base: Hook | str = "", ticket: int = 0) -> Ending:
        """Run `document`, and whatever replaces it, to the end. Called once."""
        self.replace(document, ticket=ticket, base=base)
        executed = 0
        while self._ending is None:
            if self._next is not None:
                self._install(*self._next)
                continue
            if self._verbs:
                await self._run_verb(self._verbs.popleft())
                executed += 1
                if executed % _BREATH == 0:
                    await asyncio.sleep(
                        0
                    )  # thousands of verbs that wait for nothing must not stop the others
            elif self._redirecting:
                await self._wait_for_redirect()
            else:
                self.end(Ending(EndingKind.FINISHED))
        return self._ending

    def ticket(self) -> int:
        """Taken when instructions are asked for; shown when they are put in force."""
        self._tickets += 1
        return self._tickets

    def replace(self, document: Sequence[Verb], *, ticket: int, base: Hook | str = "") -> bool:
        """Put a document in the place of the running one. False: newer instructions are in force."""
        if self._ending is not None or ticket < self._in_force:
            return False
        self._in_force = ticket
        self._next = (document, base)
        self._supersede()
        if self._scope is not None:
            self._scope.cancel()
        return True

    def take_over(self, document: Sequence[Verb], *, is_queued: bool = False) -> None:
        """Instructions that nobody asked for: in place of the running ones, or (`is_queued`) behind them.

        Raises ValueError if there is no room behind them any more.
        """
        if is_queued and self._next is None and self._ending is None and self._in_force >= 0:
            if len(self._verbs) + len(document) > MAX_QUEUED_VERBS:
                raise ValueError(f"more than {MAX_QUEUED_VERBS} verbs wait for their turn")
            self._verbs.extend(document)
        else:
            self.replace(document, ticket=self.ticket(), base=self.base)

    def redirect(self, hook: Hook) -> None:
        """Ask `hook` for a document that replaces the running one; one that ends meanwhile is not the end."""
        if self._ending is not None:
            return
        asking = self.start_asking(hook, {}, verb_id="", kind=HookKind.SESSION_REDIRECT)
        self._redirecting.add(asking)
        asking.add_done_callback(self._redirecting.discard)

    def leg_gone(self) -> None:
        """The party has left."""
        self.end(Ending(EndingKind.GONE))

    def leg_answered(self) -> None:
        """The answer we gave has brought media."""
        if self.leg.has_answered:
            self._answered.set()

    def parse(
        self, raw: object, source: str, *, only: frozenset[type[Verb]] | None = None
    ) -> Sequence[Verb] | None:
        """A document that may run here; None, with an alert, if it may not (DV-04). `only`: in place of the
        session's own restriction."""
        try:
            return parse_document(raw, only=only or self._only)
        except DocumentError as error:
            self.alert(AlertKind.MALFORMED_DOCUMENT, f"{source}: {error.problem}", error.path)
            return None

    async def close(self) -> None:
        """End what is in the background. Hooks that are being asked are still delivered."""
        tasks = [task for task in self._background if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._asking:
            await asyncio.wait(self._asking)

    # --- inside

    def _supersede(self) -> None:
        if not self.superseded.done():
            self.superseded.set_result(None)

    async def _run_verb(self, verb: Verb) -> None:
        scope = self._scope = CancelScope()
        self._verb = verb
        try:
            async with scope:
                await runner_of(verb)(verb, self)
        except LegGone:
            self.end(Ending(EndingKind.GONE))
        except Exception as error:  # a bug of ours costs this verb and takes nothing else down
            log.exception("verb failed", call=self.leg.id, verb=verb.name())
            self.alert("engine-error", f"{verb.name()} failed: {type(error).__name__}")
            if self._is_strict:
                self.end(Ending(EndingKind.FAILED))
        finally:
            self._scope = self._verb = None

    async def _wait_for_redirect(self) -> None:
        scope = self._scope = CancelScope()
        try:
            async with scope:
                await asyncio.wait(tuple(self._redirecting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._scope = None

    async def _run_beside(self, verb: Verb) -> None:
        try:
            await runner_of(verb)(verb, self)
        except LegGone:
            log.debug("leg gone beside the document", call=self.leg.id, verb=verb.name())

    def _install(self, document: Sequence[Verb], base: Hook | str) -> None:
        self._next = None
        self._verbs = deque(document)
        self.base = base
        self._idle_documents += 1
        if self._idle_documents > MAX_IDLE_DOCUMENTS:
            self.alert(
                AlertKind.APPLICATION_LOOP, f"{MAX_IDLE_DOCUMENTS} documents in a row without media activity"
            )
            self.end(Ending(EndingKind.LOOPED))

    async def _take_reply(
        self, asked: Coroutine[Any, Any, Any], hook: Hook, ticket: int, *, replaces: bool
    ) -> bool:
        try:
            reply = await asked
        except HookFailed as error:
            if self._is_strict:
                self.end(Ending(EndingKind.FAILED, reason=error.reason))
            return False
        if not replaces or not reply.verbs or self._ending is not None:
            return False
        document = self.parse(reply.verbs, hook.url)
        if document is None:
            if self._is_strict:
                self.end(Ending(EndingKind.FAILED, reason="malformed or forbidden document"))
            return False
        return self.replace(document, ticket=ticket, base=hook)

    def _task(
        self, work: Coroutine[Any, Any, Any], name: str, group: set[asyncio.Task[Any]]
    ) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        group.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            group.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a part of the call failed", call=self.leg.id, part=name, exc_info=error)

        task.add_done_callback(ended)
        return task


VerbRunner = Callable[[Any, Session], Coroutine[Any, Any, None]]
"""`async def run(verb, session)`: cancelled when the document is replaced or the leg is gone."""
