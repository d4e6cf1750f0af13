"""Live control of calls (hooks contract, 8.3), in every state: ringing, talking, with a document or without.

A sid names a call, or a child of one: the callee of a dial in progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import msgspec
import structlog
from msgspec import Struct

from engine.application.applications import Application
from engine.application.call import Call
from engine.application.commands import brings_document, update_of
from engine.application.dialling import Dialling
from engine.application.document import RedirectVerb, Verb, parse_document
from engine.application.dub import parse_dub
from engine.application.orders import CallUpdate, NoSuchCall, SipReply, SipRequest, WrongCallState
from engine.application.outbound import OutboundCall
from engine.application.party import Line, sendable
from engine.application.schema.dial import Dub
from engine.application.whisper import whisper
from engine.dial.leg import Cause, Leg
from engine.dial.request import InvalidRequest
from engine.errors import EngineError
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts
from engine.hooks.websocket_messages import Command
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from media import MediaStream

__all__ = ["Control"]

log = structlog.get_logger(__name__)

_GIVEN_UP = 503
"""What an unanswered caller is told when live control gives up on it (family behaviour)."""
_INCOMPATIBLE = "current call state is incompatible with requested action"


class _Child(Struct, frozen=True):
    """A callee of a dial in progress."""

    call: Call
    dialling: Dialling
    leg: Leg

    @property
    def facts(self) -> CallFacts:
        return self.dialling.facts_of(self.leg.id)


class Control:
    """Of all calls of a process."""

    __slots__ = ("_calls", "_find")

    def __init__(
        self,
        find: Callable[[CallSid], Call | OutboundCall | None],
        calls: Callable[[], Iterable[Call | OutboundCall]],
    ) -> None:
        self._find = find
        self._calls = calls

    def facts_of(self, account_sid: str, sid: CallSid) -> CallFacts | None:
        """None: the account has no such call in progress."""
        subject = self._subject(account_sid, sid)
        if subject is None:
            return None
        return subject.facts if isinstance(subject, _Child) else subject.journal.facts

    def hang_up(self, account_sid: str, sid: CallSid) -> None:
        """In any state. Raises NoSuchCall."""
        self._complete(self._existing(account_sid, sid))

    async def update(self, account_sid: str, sid: CallSid, change: CallUpdate) -> SipReply | None:
        """Everything that is set, in the order of its fields. Raises NoSuchCall, WrongCallState,
        InvalidRequest; what came before in that order has been done then."""
        subject = self._existing(account_sid, sid)
        if change.call_status == "completed":
            self._complete(subject)
            return None
        if change.call_status == "no-answer":
            self._give_up(subject)
            return None
        await self._redirect(subject, change)
        if isinstance(subject, OutboundCall):
            if change.tag is not None:
                subject.journal.learn(customer_data=change.tag)
            if _wants_conversation(change):
                raise WrongCallState(_INCOMPATIBLE)
            return None
        if change.mute is not None:
            _media(subject).is_muted = change.mute
        session = (subject.call if isinstance(subject, _Child) else subject).session
        for what, status in (("listen", change.listen_status), ("transcribe", change.transcribe_status)):
            if status is not None and not session.control(what, status.value):
                raise WrongCallState(_INCOMPATIBLE)
        if change.whisper:
            self._whisper(subject, change.whisper)
        if change.dtmf is not None:
            _media(subject)  # without any, nothing would be sent
            _line(subject).send_dtmf(change.dtmf.digit, duration_ms=change.dtmf.duration_ms)
        reply = await _request(_line(subject), change.sip_request) if change.sip_request is not None else None
        if change.dub is not None:
            self._dub(subject, parse_dub(change.dub))
        if change.record is not None:
            await self._record(subject, change.record)
        if change.tag is not None:
            if isinstance(subject, _Child):
                subject.dialling.learn(subject.leg.id, customer_data=change.tag)
            else:
                subject.tag(change.tag)
        if change.boost_audio_signal_db is not None:
            _media(subject).gain_db = change.boost_audio_signal_db
        if change.media_path is not None:
            await self._media_path(subject, change.media_path)
        return reply

    async def obey(self, command: Command) -> None:
        """A command of an application over its WebSocket. What cannot be done is an alert."""
        subject = self._subject(command.account_sid, CallSid(command.call_sid))
        call = subject.call if isinstance(subject, (_Child, OutboundCall)) else subject
        if subject is None or call is None:
            log.info("command for a call that is not there", command=command.name, call=command.call_sid)
            return
        try:
            if brings_document(command.name, command.data) and not isinstance(subject, _Child):
                document: Sequence[Verb] = parse_document(command.data)
                call.session.take_over(document, is_queued=command.is_queued)
                return
            change = update_of(command.name, command.data)
            hook = change.call_hook
            if command.is_queued and hook is not None and change.child_call_hook is None and subject is call:
                # Later, as the verb of the same name.
                document = (RedirectVerb(action_hook=hook, status_hook=change.call_status_hook),)
                call.session.take_over(document, is_queued=True)
            else:
                await self.update(command.account_sid, CallSid(command.call_sid), change)
        except (msgspec.MsgspecError, ValueError, EngineError) as error:
            call.session.alert("command-failed", f"{command.name}: {error}")

    # --- finding

    def _subject(self, account_sid: str, sid: CallSid) -> Call | OutboundCall | _Child | None:
        subject: Call | OutboundCall | _Child | None = self._find(sid) or self._child(sid)
        if subject is None:
            return None
        facts = subject.facts if isinstance(subject, _Child) else subject.journal.facts
        return subject if facts.account_sid == account_sid else None

    def _child(self, sid: CallSid) -> _Child | None:
        for call in self._calls():
            if isinstance(call, OutboundCall):
                if call.call is None:
                    continue
                call = call.call
            dialling = call.dialling
            leg = dialling.leg(sid) if dialling is not None else None
            if dialling is not None and leg is not None:
                return _Child(call, dialling, leg)
        return None

    def _existing(self, account_sid: str, sid: CallSid) -> Call | OutboundCall | _Child:
        subject = self._subject(account_sid, sid)
        if subject is None:
            raise NoSuchCall("call session is gone")
        return subject

    # --- doing

    def _complete(self, subject: Call | OutboundCall | _Child) -> None:
        if isinstance(subject, _Child):
            subject.leg.hang_up(Cause.REQUESTED)
        else:
            subject.stop(Cause.REQUESTED)

    def _give_up(self, subject: Call | OutboundCall | _Child) -> None:
        match subject:
            case OutboundCall():
                subject.stop(Cause.REQUESTED)
            case Call() if not subject.journal.was_answered:
                subject.stop(Cause.REQUESTED, status=_GIVEN_UP)
            case _Child() if subject.dialling.conversation is None:
                subject.leg.hang_up(Cause.REQUESTED)
            case _:
                raise WrongCallState(_INCOMPATIBLE)

    async def _redirect(self, subject: Call | OutboundCall | _Child, change: CallUpdate) -> None:
        if change.call_hook is None and change.child_call_hook is None:
            return
        if isinstance(subject, OutboundCall):
            if change.child_call_hook is not None:
                raise WrongCallState(_INCOMPATIBLE)
            if change.call_status_hook is not None:
                subject.journal.status_hook = change.call_status_hook
            if change.call_hook is not None:
                subject.redirect(change.call_hook)
            return
        if isinstance(subject, _Child):
            if change.call_hook is None or change.child_call_hook is not None:
                raise WrongCallState(_INCOMPATIBLE)
            await self._part(subject.dialling, change.call_hook, change.call_status_hook, is_replaced=False)
            return
        dialling = subject.dialling
        if change.child_call_hook is not None and (dialling is None or dialling.conversation is None):
            raise WrongCallState(_INCOMPATIBLE)
        if change.call_status_hook is not None:
            subject.use_status_hook(subject.session.absolute(change.call_status_hook))
        # First: the document of the parent may end with its dial, and that must not be the end of the call.
        if change.call_hook is not None:
            subject.redirect(change.call_hook)
        if change.child_call_hook is not None and dialling is not None:
            is_replaced = change.call_hook is not None
            await self._part(
                dialling, change.child_call_hook, change.call_status_hook, is_replaced=is_replaced
            )

    async def _part(
        self, dialling: Dialling, hook: Hook, status_hook: Hook | None, *, is_replaced: bool
    ) -> None:
        """The callee goes its own way under `hook`; the dial ends."""
        application = Application(call_hook=hook, call_status_hook=status_hook)
        if not await dialling.call.make_independent(dialling, application, is_replaced=is_replaced):
            raise WrongCallState(_INCOMPATIBLE)

    def _whisper(self, subject: Call | _Child, verbs: Sequence[Verb]) -> None:
        call = subject.call if isinstance(subject, _Child) else subject
        leg = subject.leg if isinstance(subject, _Child) else None
        _media(subject)
        if leg is None and not call.party.leg.has_answered:
            raise WrongCallState(_INCOMPATIBLE)  # nobody is answered for an aside (DV-40)
        call.session.background(whisper(call, verbs, leg), name="whisper")

    def _dub(self, subject: Call | _Child, dub: Dub) -> None:
        call = subject.call if isinstance(subject, _Child) else subject
        conversation = call.dialling.conversation if call.dialling is not None else None
        if conversation is None:
            raise WrongCallState(_INCOMPATIBLE)
        call.session.background(conversation.dub(dub), name="dub")

    async def _record(self, subject: Call | _Child, record: Mapping[str, object]) -> None:
        call = subject.call if isinstance(subject, _Child) else subject
        conversation = call.dialling.conversation if call.dialling is not None else None
        await call.recorder.act(record, conversation.winner.media if conversation is not None else None)

    async def _media_path(self, subject: Call | _Child, path: str) -> None:
        call = subject.call if isinstance(subject, _Child) else subject
        conversation = call.dialling.conversation if call.dialling is not None else None
        if conversation is None or not await conversation.media_path(is_direct=path == "no-media"):
            raise WrongCallState(_INCOMPATIBLE)


def _wants_conversation(change: CallUpdate) -> bool:
    return any(
        wish is not None
        for wish in (
            change.mute,
            change.listen_status,
            change.transcribe_status,
            change.whisper or None,
            change.dtmf,
            change.sip_request,
            change.record,
            change.dub,
            change.boost_audio_signal_db,
            change.media_path,
        )
    )


def _line(subject: Call | _Child) -> Line:
    if isinstance(subject, Call):
        return subject.party.line
    if isinstance(subject.leg, CallLeg):
        return subject.leg
    raise WrongCallState(_INCOMPATIBLE)


def _media(subject: Call | _Child) -> MediaStream:
    media = (subject.party.leg if isinstance(subject, Call) else subject.leg).media
    if media is None:
        raise WrongCallState(_INCOMPATIBLE)
    return cast(MediaStream, media)


async def _request(line: Line, request: SipRequest) -> SipReply:
    try:
        reply = await line.send_request(
            request.method,
            content_type=request.content_type,
            content=request.content.encode(),
            headers=sendable(request.headers, line.sip_call_id),
        )
    except ValueError as error:
        raise InvalidRequest("sip_request", str(error)) from error
    return SipReply(reply.status, reply.reason)
