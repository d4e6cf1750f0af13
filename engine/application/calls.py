"""`Calls`: every call of this process under an application, by its sid: made, found, counted, stopped.

Implements what the call-control API wants of calls (hooks contract, section 8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

import msgspec
import structlog

from engine.application.applications import Application, Applications
from engine.application.call import Call
from engine.application.control import Control
from engine.application.inbound import facts_of, sip_of
from engine.application.orders import (
    CallOrder,
    CallUpdate,
    Counts,
    CreatedCall,
    NoSuchApplication,
    SipReply,
)
from engine.application.outbound import OutboundCall
from engine.application.party import InboundParty
from engine.application.schema.speech import Recognizer, Synthesizer
from engine.application.services import ApplicationServices, SessionDefaults
from engine.dial.leg import Cause
from engine.dial.request import DialRequest, FromOverride, InvalidRequest, TargetType
from engine.errors import Overloaded
from engine.hooks.payloads import CallFacts
from engine.hooks.websocket_messages import Command
from engine.ids import CallSid, new_call_sid
from engine.legs.inbound_leg import InboundLeg
from engine.store.rows import CallRow

__all__ = ["Calls", "History"]

log = structlog.get_logger(__name__)

_STOP_GRACE_S = 5.0
_FIELDS = {"caller_id": "from", "caller_name": "callerName", "timeout_s": "timeout"}
"""Fields of a dial by their names in the body of a REST call."""

History = Callable[[str], Awaitable[CallRow | None]]
"""`Store.call`: a call that has ended, by its sid."""


class Calls:
    """Owns the task of every call. `async with Calls(...) as calls:`; leaving it stops them all."""

    def __init__(
        self, services: ApplicationServices, applications: Applications, *, history: History | None = None
    ) -> None:
        self._services = services
        self._applications = applications
        self._history = history
        self._calls: dict[CallSid, Call | OutboundCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._is_open = False
        self.control = Control(self.find, self.__iter__)

    async def __aenter__(self) -> Self:
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        try:
            if kind is None:
                await self.stop()
        finally:
            self._is_open = False
            await self._group.__aexit__(kind, error, trace)
            self._group = None

    # --- for whoever takes calls

    @property
    def applications(self) -> Applications:
        """All that can be run."""
        return self._applications

    @property
    def refusal(self) -> str:
        """Why a new call would be refused now; empty: it would not."""
        return "the engine takes no new calls" if not self._is_open else self._services.dials.refusal

    def take(self, leg: InboundLeg, application: Application, *, source: str = "") -> Call:
        """Run `application` on a call that has just come in. `source`: name of the peer that sent it."""
        facts = facts_of(leg, application, source=source, base_url=self._services.api_base_url)
        call = Call(
            InboundParty(leg),
            application,
            self._services,
            facts,
            sip=sip_of(leg.invite),
            adopt=self.adopt,
            on_end=lambda call: self._forget(call.sid),
        )
        self.adopt(call)
        return call

    def adopt(self, call: Call) -> None:
        """Run a call that somebody else has made."""
        self._calls[call.sid] = call
        self._spawn(call.run(), call.sid)

    # --- CallControl

    async def create(self, order: CallOrder) -> CreatedCall:
        """Reach somebody, and run a document when he has answered.

        Raises InvalidRequest (its `field` by the names of the HTTP body), NoSuchApplication, Overloaded.
        """
        if self.refusal:
            raise Overloaded(self.refusal, retry_after_s=1.0)
        application = self._application_of(order)
        target = order.target
        if order.from_host:
            before = target.from_ or FromOverride()
            target = msgspec.structs.replace(target, from_=FromOverride(before.user, order.from_host))
        realm = application.realm or self._services.user_realm
        if target.type is TargetType.USER and realm and "@" not in target.address:
            target = msgspec.structs.replace(target, address=f"{target.address}@{realm}")
        try:
            request = DialRequest(
                [target],
                caller_id=order.from_,
                caller_name=order.caller_name,
                headers=order.headers,
                timeout_s=order.timeout_s,
            )
        except InvalidRequest as error:
            raise InvalidRequest(_FIELDS.get(error.field, error.field), error.problem) from error
        facts = CallFacts(
            call_sid=new_call_sid(),
            direction="outbound",
            from_=order.from_,
            to=target.address,
            caller_id=order.from_,
            caller_name=order.caller_name,
            account_sid=order.account.sid,
            application_sid=application.sid,
            customer_data=order.tag,
            api_base_url=self._services.api_base_url,
        )
        facts = msgspec.structs.replace(facts, trace_id=facts.call_sid.replace("-", ""))
        call = OutboundCall(
            request,
            application,
            self._services,
            facts,
            time_limit_s=order.time_limit_s,
            amd=order.amd,
            adopt=self.adopt,
            on_end=self._forget,
        )
        call.start()
        self._calls[call.sid] = call
        self._spawn(call.run(), call.sid)
        return CreatedCall(call.sid, await asyncio.shield(call.invited))

    async def update(self, account_sid: str, call_sid: str, change: CallUpdate) -> SipReply | None:
        """Live control. The reply only for a `sip_request`.

        Raises NoSuchCall, WrongCallState, InvalidRequest.
        """
        return await self.control.update(account_sid, CallSid(call_sid), change)

    def obey(self, command: Command) -> None:
        """`HookService.on_command`: live control by an application over its WebSocket. Returns at once."""
        if self._group is not None:  # also while draining: calls in progress go on
            self._spawn(self.control.obey(command), CallSid(command.call_sid))

    def hang_up(self, account_sid: str, call_sid: str) -> None:
        """In any state. Raises NoSuchCall."""
        self.control.hang_up(account_sid, CallSid(call_sid))

    async def get(self, account_sid: str, call_sid: str) -> Mapping[str, object] | None:
        """The common call properties under their names on the wire, also of a call that has ended."""
        facts = self.control.facts_of(account_sid, CallSid(call_sid))
        if facts is not None:
            return facts.to_dict()
        row = await self._history(call_sid) if self._history is not None else None
        return _facts_of_row(row).to_dict() if row is not None and row.account_sid == account_sid else None

    def list(self, account_sid: str) -> Iterable[Mapping[str, object]]:
        """Those of every call in progress."""
        return [
            call.journal.facts.to_dict() for call in self if call.journal.facts.account_sid == account_sid
        ]

    def counts(self, account_sid: str) -> Counts:
        """Calls in progress."""
        directions = [
            call.journal.facts.direction for call in self if call.journal.facts.account_sid == account_sid
        ]
        return Counts(directions.count("inbound"), directions.count("outbound"))

    # --- all of them

    def find(self, call_sid: CallSid) -> Call | OutboundCall | None:
        """A call in progress; of one that has been answered, the `Call`."""
        call = self._calls.get(call_sid)
        return call.call or call if isinstance(call, OutboundCall) else call

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call | OutboundCall]:
        return iter(tuple(self._calls.values()))

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Take no new calls and wait for those in progress; False if some are left after `timeout_s`."""
        self._is_open = False
        try:
            async with asyncio.timeout(timeout_s):
                while self._tasks:  # a callee may become a call of its own meanwhile
                    await asyncio.wait(tuple(self._tasks))
        except TimeoutError:
            return False
        return True

    async def stop(self, grace_s: float = _STOP_GRACE_S) -> None:
        """Take no new calls and end those in progress; what does not end in time is cancelled."""
        self._is_open = False
        for call in self:
            call.stop(Cause.SHUTDOWN)
        if not await self.drain(grace_s):
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(tuple(self._tasks), timeout=grace_s)

    # --- inside

    def _spawn(self, work: Awaitable[None], sid: CallSid) -> None:
        assert self._group is not None, "Calls is used before it is entered"
        task = self._group.create_task(_contained(work, sid), name=f"call {sid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _forget(self, sid: CallSid) -> None:
        self._calls.pop(sid, None)

    def _application_of(self, order: CallOrder) -> Application:
        account_sid = order.account.sid
        given = Application(
            account_sid=account_sid,
            call_hook=order.call_hook,
            document=order.document or (),
            call_status_hook=order.call_status_hook,
            realm=order.account.sip_realm,
        )
        if order.application_sid:
            found = self._applications.of_account(account_sid, order.application_sid)
            if found is None:
                raise NoSuchApplication(order.application_sid)
            if order.document is None and order.call_hook is None:
                given = found
            else:
                given = msgspec.structs.replace(
                    found,
                    call_hook=order.call_hook,
                    document=order.document or (),
                    call_status_hook=order.call_status_hook or found.call_status_hook,
                )
        if order.document is not None:
            given = msgspec.structs.replace(given, call_hook=None, base=given.call_hook or "")
        if order.call_status_hook is not None:
            given = msgspec.structs.replace(given, call_status_hook=order.call_status_hook)
        return msgspec.structs.replace(given, defaults=_spoken(order.speech, given.defaults))


async def _contained(work: Awaitable[None], sid: CallSid) -> None:
    """A bug in one call takes no other down: a group would cancel them all."""
    try:
        await work
    except Exception:
        log.exception("a call broke", call=sid)


def _spoken(speech: Mapping[str, str], defaults: SessionDefaults) -> SessionDefaults:
    """`speech_synthesis_*` and `speech_recognizer_*` over what the application says."""
    if not speech:
        return defaults
    voice, ear = defaults.synthesizer, defaults.recognizer
    return msgspec.structs.replace(
        defaults,
        synthesizer=Synthesizer(
            vendor=speech.get("speech_synthesis_vendor", voice.vendor),
            language=speech.get("speech_synthesis_language", voice.language),
            voice=speech.get("speech_synthesis_voice", voice.voice),
        ),
        recognizer=Recognizer(
            vendor=speech.get("speech_recognizer_vendor", ear.vendor),
            language=speech.get("speech_recognizer_language", ear.language),
        ),
    )


def _facts_of_row(row: CallRow) -> CallFacts:
    return CallFacts(
        call_sid=row.call_sid,
        direction="inbound" if row.direction == "inbound" else "outbound",
        from_=row.from_,
        to=row.to,
        call_id=row.call_id,
        sip_status=row.sip_status,
        sip_reason=row.sip_reason,
        sip_reason_header=row.reason_header,
        call_status=row.call_status,
        account_sid=row.account_sid,
        application_sid=row.application_sid,
        parent_call_sid=row.parent_call_sid,
        originating_sip_ip=row.originating_ip,
        originating_sip_trunk_name=row.trunk,
        call_termination_by=None if not row.ended_by else "jambonz" if row.ended_by == "engine" else "caller",
        duration=None if row.duration_s is None else round(row.duration_s),
        customer_data=row.customer_data or None,
    )
