"""`Call`: one party's leg under an application, from its first hook to its last.

One task runs it: ask for the document, run it, say goodbye. Whatever happens to hooks, documents or our own
code, the task ends in `_end`: all dials are over, the leg is told to hang up, the terminal status and every
owed hook are on their way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import structlog

from engine.application.applications import Application
from engine.application.dialling import Dialling
from engine.application.digits import Digit
from engine.application.document import DialVerb, Verb
from engine.application.journal import Journal
from engine.application.party import OutboundParty, Party
from engine.application.recording import CallRecorder
from engine.application.services import ApplicationServices
from engine.application.session import Ending, EndingKind, Session
from engine.dial.callstatus import CallStatus
from engine.dial.leg import Cause, EndedBy, Leg
from engine.dial.outcome import DialStatus, to_caller
from engine.dial.result import DialResult
from engine.hooks.call_hooks import CallHooks, HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts, first_hook
from engine.hooks.reply import HookFailed, HookReply
from engine.ids import CallSid
from engine.legs.caller_leg import CallerLeg
from engine.legs.notes import DigitKeyed, LegConfirmed, LegGone, LegNote
from engine.legs.sip_leg import SipLeg
from engine.sip.build import REASON_PHRASES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Call"]

log = structlog.get_logger(__name__)

_UNAVAILABLE = 480
"""The document could not be had (DV-03), or somebody outside ended the call before it was answered."""
_SHUTDOWN = 503


class Call:
    """One call. `run` is its task; everything else returns at once and may be called at any time."""

    def __init__(
        self,
        party: Party,
        application: Application,
        services: ApplicationServices,
        facts: CallFacts,
        *,
        sip: Mapping[str, object] | None = None,
        hooks: CallHooks | None = None,
        journal: Journal | None = None,
        first_kind: HookKind = HookKind.SESSION_NEW,
        adopt: Callable[[Call], None] | None = None,
        on_end: Callable[[Call], None] = lambda call: None,
    ) -> None:
        """`sip`: the INVITE, for the first hook. `hooks` and `journal`: of a call that has a past. `adopt`
        runs a callee that becomes a call of its own. `on_end` is called when the leg has been told to hang
        up; hooks may still be on their way then.
        """
        self.sid = CallSid(facts.call_sid)
        self.party = party
        self.application = application
        self.services = services
        self.clock = asyncio.get_running_loop().time
        self.hooks = hooks or services.make_hooks(
            facts.call_sid, account_sid=facts.account_sid, base=application.call_hook or application.base
        )
        self.journal = journal or Journal(
            facts, self.hooks, services.records, self.clock, application.call_status_hook
        )
        self.session = Session(
            party.leg,
            services,
            self,
            self.hooks,
            base=application.call_hook or application.base,
            defaults=application.defaults,
        )
        self.dialling: Dialling | None = None
        """The dial that is being executed, if any."""
        self.on_end = on_end
        self._first_kind = first_kind
        self._adopt = adopt
        self.recorder = CallRecorder(
            services.recordings,
            self.sid,
            lambda: party.leg.media,
            lambda text: self.session.alert("recording-failed", text),
        )
        self._sip = sip
        self._dialled: set[Dialling] = set()
        self._last_result: DialResult | None = None
        self._stop_cause: Cause | None = None

    # --- SessionOwner

    def facts(self) -> CallFacts:
        return self.journal.facts

    def saw_early_media(self) -> None:
        self.journal.progress(CallStatus.EARLY_MEDIA, 183, "Session Progress")

    def saw_answer(self) -> None:
        if self.party.leg.has_answered:
            self.journal.progress(CallStatus.IN_PROGRESS, 200, "OK")

    def tag(self, data: Mapping[str, object]) -> None:
        self.journal.learn(customer_data=data)

    def use_status_hook(self, hook: Hook) -> None:
        self.journal.status_hook = hook
        self.journal.promise()

    # --- for verbs

    @property
    def realm(self) -> str:
        """Of users named without `@`."""
        return self.application.realm or self.services.user_realm

    def dial(self, verb: DialVerb) -> Dialling:
        """Execute a `dial`."""
        self._dialled = {each for each in self._dialled if not each.is_over}
        dialling = self.dialling = Dialling(verb, self)
        self._dialled.add(dialling)
        dialling.start()
        return dialling

    @property
    def why_cancelled(self) -> Cause:
        """Why a verb that is being cancelled is."""
        if self._stop_cause is not None:
            return self._stop_cause
        return Cause.CALLER_GONE if self.party.leg.is_gone else Cause.REPLACED

    def dial_ended(self, dialling: Dialling, result: DialResult, amd: str) -> None:
        """A dial has its result."""
        if self.dialling is dialling:
            self.dialling = None
        self._last_result = result
        self.journal.note_result(dial_status=result.dial_status.value, amd=amd)

    # --- live control

    def stop(
        self, cause: Cause = Cause.REQUESTED, *, status: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        """End the call, in any state. `status`: the final response, if it was not answered."""
        if self._stop_cause is None:
            self._stop_cause = cause
        status = status or (_SHUTDOWN if cause is Cause.SHUTDOWN else _UNAVAILABLE)
        self.session.end(Ending(EndingKind.STOPPED, status, headers=headers or {}))

    def redirect(self, hook: Hook) -> None:
        """Ask `hook` for a document that replaces the running one, whatever that is doing."""
        self.session.redirect(hook)

    async def make_independent(
        self, dialling: Dialling, application: Application, *, is_replaced: bool = False
    ) -> bool:
        """Give the connected callee of a dial a call of its own, with `application`; what that leaves out it
        has from this one. False: nobody is connected (any more), and nothing has changed. `is_replaced`: this
        call is given other instructions at the same time.
        """
        adopt = self._adopt
        if dialling.dial is None or adopt is None:
            return False
        hook, base = application.call_hook, self.session.base
        full = msgspec.structs.replace(
            application,
            call_hook=hook.against(base) if hook is not None else None,
            sid=self.application.sid,
            account_sid=self.application.account_sid,
            call_status_hook=application.call_status_hook or self.journal.status_hook,
            base=application.base or base,
            defaults=self.session.defaults,
            realm=self.application.realm,
        )

        def take(leg: Leg) -> None:
            assert isinstance(leg, SipLeg), f"{leg!r} cannot be given a document"
            facts = dialling.facts_of(leg.id)
            base = full.call_hook or full.base
            hooks = self.services.make_hooks(leg.id, account_sid=facts.account_sid, base=base)
            journal = Journal(facts, hooks, self.services.records, self.clock, full.call_status_hook)
            journal.adopt()
            dialling.release(leg.id)
            call = Call(
                OutboundParty(CallerLeg(leg)),
                full,
                self.services,
                facts,
                hooks=hooks,
                journal=journal,
                first_kind=HookKind.SESSION_ADULTING,
                adopt=adopt,
                on_end=self.on_end,
            )
            adopt(call)

        return await dialling.give_away(take, is_replaced=is_replaced)

    # --- the task

    async def run(self) -> None:
        """Once. Raises nothing but its own cancellation, and even then the call has ended."""
        ending = Ending(EndingKind.FAILED, _UNAVAILABLE)
        line = self.party.line
        try:
            if self.journal.status is None:
                self.journal.begin()
            line.watch(self._on_note)
            ending = await self._run()
        except asyncio.CancelledError:
            self._stop_cause = self._stop_cause or Cause.SHUTDOWN
            ending = Ending(EndingKind.STOPPED, _SHUTDOWN)
            raise
        except Exception:
            log.exception("call failed by a bug", call=self.sid)
            self.session.end(ending)
        finally:
            self._say_goodbye(ending)
            line.unwatch(self._on_note)
            self.on_end(self)
            await self._finish()

    async def _run(self) -> Ending:
        session = self.session
        if session.ending is not None:
            return session.ending  # it was told to stop before it began
        ticket = session.ticket()
        document, base = await self._first_document()
        if document is None:
            if session.ending is not None or not session.superseded.done():
                return session.ending or Ending(EndingKind.FAILED, _UNAVAILABLE)
            document = ()  # live control has brought another one
        return await session.run(document, base=base, ticket=ticket)

    async def _first_document(self) -> tuple[Sequence[Verb] | None, Hook | str]:
        """The document and where it came from. None: there is none, or nobody wants it any more (DV-03)."""
        application = self.application
        hook = application.call_hook
        if hook is None:
            return application.document, application.base
        asking = self.session.background(self._ask_first(hook), name="call hook")
        await asyncio.wait((asking, self.session.superseded), return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            return None, hook
        reply: HookReply | None = asking.result()
        if reply is None:
            return None, hook
        if reply.verbs is None:
            return (), hook
        return self.session.parse(reply.verbs, "call hook"), hook

    async def _ask_first(self, hook: Hook) -> HookReply | None:
        payload = first_hook(
            self.facts(),
            sip=self._sip,
            defaults=self.session.defaults.to_dict(),
            env_vars=self.application.env,
        )
        try:
            return await self.hooks.ask(hook, payload, self._first_kind)
        except HookFailed:
            return None  # the alert has been reported

    def _on_note(self, note: LegNote) -> None:
        match note:
            case DigitKeyed():
                self.session.saw_media()
                self.session.digits.push(Digit(note.digit, note.at, note.duration_ms))
            case LegConfirmed():
                self._confirmed()
                if not self.party.leg.has_answered:
                    # The answer to an offer in our 200 comes with the same ACK, in the next event.
                    asyncio.get_running_loop().call_soon(self._confirmed)
            case LegGone():
                self._leg_gone(note)
            case _:
                pass

    def _confirmed(self) -> None:
        self.session.leg_answered()
        self.saw_answer()

    def _leg_gone(self, note: LegGone) -> None:
        if self.journal.was_answered:
            status, sip_status, sip_reason = CallStatus.COMPLETED, 200, "OK"
        else:
            sip_status, sip_reason = note.sip_status, note.sip_reason
            status = CallStatus(self.services.status_map.of_response(sip_status).value)
        self.journal.finish(
            status,
            sip_status,
            sip_reason,
            by=note.by,
            reason_header=note.reason_header,
            headers=_interesting(note.headers),
            line=self.party.line,
        )
        self.session.leg_gone()

    # --- the end

    def _say_goodbye(self, ending: Ending) -> None:
        """BYE, or the final response of section 9."""
        status = ending.status or self._response()
        try:
            self.party.hang_up(status, ending.reason, ending.headers)
        except Exception:
            log.exception("the leg could not be hung up", call=self.sid)
        # The far side's end has been told already; anything else was our doing.
        answered = self.journal.was_answered
        mapped = DialStatus.COMPLETED if answered else self.services.status_map.of_response(status)
        self.journal.finish(
            CallStatus(mapped.value),
            200 if answered else status,
            "OK" if answered else ending.reason or REASON_PHRASES.get(status, ""),
            by=EndedBy.ENGINE,
            line=self.party.line,
        )

    def _response(self) -> int:
        result, overrides = self._last_result, self.services.response_overrides
        if result is None:
            return to_caller(None, None, overrides)
        return result.response_to_caller(overrides)

    async def _finish(self) -> None:
        """Nothing of the call is left running, and every hook has been handed over for delivery."""
        self.session.end(Ending(EndingKind.STOPPED))
        dialled, self._dialled = self._dialled, set()
        for dialling in dialled:
            dialling.abandon(self._stop_cause or Cause.REQUESTED)
        await self.recorder.stop()
        for dialling in dialled:
            await asyncio.shield(dialling.finished)
        # Last what may wait for hooks that hang: by then nothing else is left.
        await self.session.close()
        for dialling in dialled:
            await dialling.close()
        await self.hooks.close()


def _interesting(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What an application may want to know of a BYE: everything but what carries it."""
    return {name: value for name, value in headers if name.lower() not in _TRANSPORT_HEADERS}


_TRANSPORT_HEADERS = frozenset({"via", "route", "record-route", "max-forwards", "content-length", "v", "l"})
