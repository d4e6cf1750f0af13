"""Calls that begin with us: the callee is reached by a dial without caller, and then runs the document.

The dial brings everything the contract wants of such a call: the ring timer, the table of 6.2 (DV-50), all
registrations of a user, the races. When somebody answers, the dial gives the leg away (`Dial.hand_over`) and
a `Call` takes it, with the hooks and the journal it has had from its first moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from amd import AmdDetector, AmdEvent
from engine.application.amd_hook import AmdHook, amd_params
from engine.application.amd_words import AmdWords
from engine.application.applications import Application
from engine.application.call import Call
from engine.application.journal import Journal
from engine.application.party import OutboundParty
from engine.application.schema.dial import Amd
from engine.application.services import ApplicationServices
from engine.detection import StreamDetector
from engine.dial.callstatus import CallStatus, CallStatuses
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, LegTrying
from engine.dial.leg import Cause, EndedBy, Leg
from engine.dial.request import DialRequest
from engine.dial.result import DialResult
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from engine.legs.caller_leg import CallerLeg
from engine.legs.notes import LegGone, LegNote
from engine.legs.sip_leg import SipLeg

__all__ = ["OutboundCall"]

log = structlog.get_logger(__name__)


class OutboundCall:
    """One call created over REST. `run` is its task, from the first INVITE to the last hook."""

    def __init__(
        self,
        request: DialRequest,
        application: Application,
        services: ApplicationServices,
        facts: CallFacts,
        *,
        time_limit_s: float | None = None,
        amd: Amd | None = None,
        adopt: Callable[[Call], None] | None = None,
        on_end: Callable[[CallSid], None] = lambda sid: None,
    ) -> None:
        """`request`: one target, without time limit. `adopt`: see `Call`."""
        self.sid = CallSid(facts.call_sid)
        self.application = application
        self.call: Call | None = None
        """None: nobody has answered yet."""
        self.invited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Call-ID of the first INVITE; empty: there was none."""
        self._request = request
        self._services = services
        self._time_limit_s = time_limit_s
        self._amd = amd
        self._adopt = adopt
        self._on_end = on_end
        self._clock = asyncio.get_running_loop().time
        self._hooks = services.make_hooks(
            facts.call_sid, account_sid=facts.account_sid, base=application.call_hook or application.base
        )
        self.journal = Journal(
            facts, self._hooks, services.records, self._clock, application.call_status_hook
        )
        self._statuses = CallStatuses()
        self._dial: Dial | None = None
        self._taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Somebody has answered: `call` is there."""
        self._redirected: Hook | None = None
        self._limit: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Send the INVITE. Raises Overloaded or InvalidRequest: there is no call then."""
        self._dial = self._services.dials.start(self._request, observer=self._observe)

    def stop(self, cause: Cause = Cause.REQUESTED) -> None:
        """End the call, in any state."""
        if self.call is not None:
            self.call.stop(cause)
        elif self._dial is not None:
            self._dial.hang_up(cause)

    def redirect(self, hook: Hook) -> None:
        """While it rings: the hook that will be asked for the document."""
        self._redirected = hook

    async def run(self) -> None:
        """After `start`. Cancelled, it ends the call all the same."""
        dial = self._dial
        assert dial is not None
        over = asyncio.get_running_loop().create_task(dial.wait(), name=f"dial of call {self.sid}")
        try:
            try:
                # Whoever answered does not wait for other phones of his that are still being cancelled.
                await asyncio.wait((over, self._taken), return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if self.call is not None:  # it was answered in that moment
                    self.call.stop(Cause.SHUTDOWN)
                    await self.call.run()
                raise
            if self.call is not None:
                await self.call.run()
                await over
        finally:
            over.cancel()
            if self._limit is not None:
                self._limit.cancel()
            if not self.invited.done():
                self.invited.set_result("")
            if self.call is None:
                dial.hang_up(Cause.SHUTDOWN)  # nothing, unless we are being cancelled
                self._finish(dial.result)
                self._on_end(self.sid)
        if self.call is None:
            await self._hooks.close()

    def _observe(self, happening: Happening) -> None:
        if isinstance(happening, LegTrying) and not self.invited.done():
            self.journal.learn(call_id=happening.sip_call_id, sbc_callid=happening.sip_call_id)
            self.journal.begin()
            self.invited.set_result(happening.sip_call_id)
        if isinstance(happening, Connected) and self._dial is not None:
            self.journal.progress(CallStatus.IN_PROGRESS, 200, "OK")
            self._dial.hand_over(self._answered)
            return
        change = self._statuses.of(happening)
        if change is not None and change.record is None and change.status is not CallStatus.IN_PROGRESS:
            self.journal.progress(change.status, change.sip_status, change.sip_reason)

    def _answered(self, leg: Leg) -> None:
        """The dial gives us its callee."""
        assert isinstance(leg, SipLeg), f"{leg!r} cannot be given a document"
        application = self.application
        if self._redirected is not None:
            application = msgspec.structs.replace(application, call_hook=self._redirected)
        self.journal.learn(call_id=leg.sip_call_id, sbc_callid=leg.sip_call_id)
        call = self.call = Call(
            OutboundParty(CallerLeg(leg)),
            application,
            self._services,
            self.journal.facts,
            hooks=self._hooks,
            journal=self.journal,
            adopt=self._adopt,
            on_end=lambda call: self._on_end(call.sid),
        )
        if self._time_limit_s is not None:
            self._limit = asyncio.get_running_loop().call_later(
                self._time_limit_s, call.stop, Cause.TIME_LIMIT
            )
        if self._amd is not None:
            _detect(call, leg, self._amd)
        self._taken.set_result(None)

    def _finish(self, result: DialResult | None) -> None:
        """`result` None: it was not waited for."""
        if self.journal.status is None:
            self.journal.begin()
        if result is None:
            self.journal.finish(CallStatus.NO_ANSWER, 487, "Request Terminated", by=EndedBy.ENGINE)
            return
        record = result.record_of(result.leg)
        self.journal.finish(
            CallStatus.FAILED
            if result.dial_status.value == "queued"
            else CallStatus(result.dial_status.value),
            result.dial_sip_status,
            record.sip_reason if record is not None else "",
            by=EndedBy.CALLEE if record is not None and record.ended_by is EndedBy.CALLEE else EndedBy.ENGINE,
            reason_header=record.reason_header if record is not None else "",
        )


def _detect(call: Call, leg: CallLeg, amd: Amd) -> None:
    """Who answered? Told from the answer on, until there is nothing more to say or the leg has gone."""
    hook = AmdHook(amd, call.session, call.facts)
    stream = leg.media
    if stream is None:
        hook.fail("the callee has no audio")
        return
    words = AmdWords.of(amd, call.session, hook, call.facts)
    say = hook.tell if words is None else words.tell

    def tell(event: AmdEvent) -> None:
        say(event)
        call.journal.note_result(amd=hook.verdict)

    params = amd_params(amd) if words is None else words.params
    detector = StreamDetector(stream, AmdDetector(params), tell)
    if words is not None:
        words.begin(stream)

    def watch(note: LegNote) -> None:
        if isinstance(note, LegGone):
            detector.finish()
            if words is not None:
                words.close()

    leg.watch(watch)
