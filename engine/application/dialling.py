"""The `dial` verb at work: a document's words become a `DialRequest`, a dial becomes hooks.

`Dialling` follows one dial from its start to its `actionHook`. It outlives the verb that started it: a verb
can be cancelled at any moment, but the dial still owes its result, and the application its `actionHook`,
exactly once (DV-30).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import structlog

from engine.application.amd_hook import AmdHook, amd_params
from engine.application.amd_words import AmdWords
from engine.application.children import Children
from engine.application.conversation import Conversation
from engine.application.document import DialVerb
from engine.application.schema.target import UserTarget
from engine.application.screening import Screenings
from engine.detection import LiveDetector
from engine.dial.callstatus import CallStatus
from engine.dial.dial import Dial, Happening
from engine.dial.events import (
    AnswerCaller,
    CallerAnswered,
    Connected,
    Disconnect,
    DtmfReceived,
    LegAnswered,
    LegEarlyMedia,
    LegRinging,
    MusicFailed,
    OpenCallerEarlyMedia,
    RingCaller,
)
from engine.dial.handover import NewOwner
from engine.dial.leg import Cause, EndedBy, Leg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.request import DialRequest, InvalidRequest, Target
from engine.dial.result import DialResult
from engine.errors import ConfigError, Overloaded
from engine.hooks.alerts import AlertKind
from engine.hooks.call_hooks import HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts, interrupted_dial
from engine.ids import CallSid, DialId, new_dial_id

if TYPE_CHECKING:
    from engine.application.call import Call

__all__ = ["Dialling", "to_request"]

log = structlog.get_logger(__name__)


def to_request(verb: DialVerb, realm: str = "") -> tuple[DialRequest, dict[str, Hook]]:
    """What the dial is asked for, and the screening hooks by the keys that the request calls them by.

    `realm`: of users named without `@`. Raises InvalidRequest.
    """
    hooks: dict[str, Hook] = {}
    if verb.confirm_hook is not None:
        hooks["confirmHook"] = verb.confirm_hook
    targets: list[Target] = []
    for index, each in enumerate(verb.target):
        target = each.to_target()
        if each.confirm_hook is not None:
            key = f"target[{index}].confirmHook"
            hooks[key] = each.confirm_hook
            target = msgspec.structs.replace(target, confirm_hook=key)
        if isinstance(each, UserTarget) and realm and "@" not in each.name:
            target = msgspec.structs.replace(target, address=f"{each.name}@{realm}")
        targets.append(target)
    request = DialRequest(
        targets,
        caller_id=verb.caller_id,
        caller_name=verb.caller_name,
        headers=verb.headers,
        timeout_s=verb.timeout,
        time_limit_s=verb.time_limit,
        answer_on_bridge=verb.answer_on_bridge,
        dial_music=verb.dial_music or "",
        confirm_hook="confirmHook" if verb.confirm_hook is not None else "",
        forward_pai=verb.forward_pai,
        proxy=verb.proxy,
        codecs=verb.codecs,
    )
    return request, hooks


class Dialling:
    """One executed `dial`. Made and started by the call; the verb waits for `finished`."""

    __slots__ = (
        "_amd",
        "_is_abandoned",
        "_is_fading",
        "_screenings",
        "asking",
        "call",
        "children",
        "conversation",
        "dial",
        "finished",
        "hook",
        "id",
        "parted",
        "verb",
    )

    def __init__(self, verb: DialVerb, call: Call) -> None:
        loop = asyncio.get_running_loop()
        self.verb = verb
        self.call = call
        self.id: DialId = new_dial_id()
        self.hook: Hook = call.session.absolute(verb.action_hook)
        self.dial: Dial | None = None
        """None: it could not be started."""
        self.children: Children | None = None
        self.conversation: Conversation | None = None
        """While caller and callee hear each other."""
        self.finished: asyncio.Future[None] = loop.create_future()
        """The dial has its result, and the `actionHook` is on its way."""
        self.parted: asyncio.Future[None] = loop.create_future()
        """The dial has let go of the caller."""
        self.asking: asyncio.Future[bool] | None = None
        """The `actionHook`, if its answer counts."""
        self._is_abandoned = False
        self._is_fading = False
        self._amd: AmdHook | None = None
        self._screenings: Screenings | None = None

    def start(self) -> None:
        """Begin to ring. What cannot be dialled is a failed dial like any other, with its `actionHook`."""
        try:
            self._start()
        except (InvalidRequest, ConfigError) as error:
            self._refuse(400, str(error))
        except Overloaded as error:
            self._refuse(503, str(error))
        except Exception as error:
            log.exception("dial could not be begun", call=self.call.sid)
            self._refuse(500, repr(error))

    def _start(self) -> None:
        call, services = self.call, self.call.services
        promised = self._payload(interrupted_dial(call.facts()))
        call.hooks.promise(self.hook, promised, HookKind.DIAL_ACTION, self.id)
        request, hooks = to_request(self.verb, call.realm)
        if request.codecs and services.codecs is not None:
            services.codecs(request.codecs)
        if hooks:
            self._screenings = Screenings(
                services,
                call.hooks,
                hooks,
                self._children,
                base=call.session.base,
                defaults=call.session.defaults,
                clock=call.clock,
            )
        dial = self.dial = services.dials.start(
            request, call.party.leg, observer=self._observe, screening=self._screenings, dial_id=self.id
        )
        self.children = Children(
            dial,
            call.facts,
            call.hooks,
            services.records,
            lambda: call.journal.status_hook,
            self.verb.tag,
            call.clock,
        )
        self._detect(dial)

    def _refuse(self, sip_status: int, problem: str) -> None:
        """A dial that cannot be begun has failed; one that was begun by then ends with its own result."""
        self.call.session.alert("dial-refused", problem)
        if self.dial is not None:
            self.dial.hang_up(Cause.ENGINE_ERROR)
        else:
            self._finish(_refused(self.id, sip_status, problem))

    def abandon(self, cause: Cause) -> None:
        """The verb is over: the dial ends with all its legs, its `actionHook` is told but not asked."""
        self._is_abandoned = True
        if self.dial is not None:
            self.dial.hang_up(cause)

    @property
    def is_over(self) -> bool:
        """Nothing of it runs. Screenings may go on for a moment when the dial has its result."""
        return self.finished.done() and (self._screenings is None or self._screenings.are_over)

    def give_away(self, new_owner: NewOwner, *, is_replaced: bool) -> asyncio.Future[bool]:
        """Hand the connected callee to `new_owner` and end; False: nobody is connected (any more).

        `is_replaced`: the caller is given other instructions, so that the `actionHook` is told and not asked.
        """
        assert self.dial is not None
        before, self._is_abandoned = self._is_abandoned, self._is_abandoned or is_replaced

        def decided(answer: asyncio.Future[bool]) -> None:
            if not answer.result():
                self._is_abandoned = before

        answer = self.dial.hand_over(new_owner)
        answer.add_done_callback(decided)
        return answer

    def facts_of(self, leg: CallSid) -> CallFacts:
        """Of a callee, as they are now."""
        return self._children().of(leg)

    def release(self, leg: CallSid) -> None:
        """A callee has become a call of its own."""
        self._children().release(leg)

    def learn(self, leg: CallSid, **facts: object) -> None:
        """More is known about a callee."""
        self._children().learn(leg, **facts)

    def leg(self, sid: CallSid) -> Leg | None:
        """A callee by its sid; None: it is not (or no longer) one of this dial's."""
        try:
            return self.dial.leg(sid) if self.dial is not None else None
        except KeyError:
            return None

    async def close(self) -> None:
        """After `finished`: return when nothing of this dial runs any more."""
        if self._screenings is not None:
            await self._screenings.close()

    def _children(self) -> Children:
        assert self.children is not None
        return self.children

    def _payload(self, fields: dict[str, object]) -> dict[str, object]:
        return self.call.session.payload(fields, verb_id=self.verb.id)

    def _detect(self, dial: Dial) -> None:
        amd = self.verb.amd
        if amd is None:
            return
        children, session = self._children(), self.call.session

        def facts() -> CallFacts:
            return children.of(dial.winner.id) if dial.winner is not None else self.call.facts()

        hook = self._amd = AmdHook(amd, session, facts, self.verb.id)
        words = AmdWords.of(amd, session, hook, facts, self.verb.id)
        if words is None:
            LiveDetector(amd_params(amd), on_event=hook.tell).follow(dial)
        else:
            words.follow(dial)
            LiveDetector(words.params, on_event=words.tell).follow(dial)

    # --- what the dial tells

    def _observe(self, happening: Happening) -> None:
        call = self.call
        if self.children is not None:
            self.children.follow(happening)
        match happening:
            case LegRinging() | LegEarlyMedia() | LegAnswered():
                call.session.saw_media()
            case RingCaller():
                call.journal.progress(CallStatus.RINGING, 180, "Ringing")
            case OpenCallerEarlyMedia():
                call.saw_early_media()
            case AnswerCaller() | CallerAnswered():
                call.saw_answer()
            case DtmfReceived() if self._screenings is not None:
                self._screenings.keyed(happening)
            case MusicFailed():
                call.session.alert(AlertKind.SOUND_FAILED, f"dialMusic: {happening.reason}")
            case Connected():
                call.saw_answer()
                self._begin_conversation()
            case Disconnect():
                self._end_conversation()
            case DialResult():
                self._finish(happening)
            case _:
                pass

    def _begin_conversation(self) -> None:
        winner = self.dial.winner if self.dial is not None else None
        if winner is None:
            return
        if self._amd is not None and winner.media is None:
            self._amd.fail("the callee has no audio")
        self.call.recorder.joined(winner.media)
        self.conversation = Conversation(self, winner)
        self.conversation.begin()

    def _end_conversation(self) -> None:
        conversation, self.conversation = self.conversation, None
        fading = conversation.end() if conversation is not None else None
        if fading is not None:
            fading.add_done_callback(lambda _: self._part())
            self._is_fading = True
        elif not self._is_fading:
            self._part()

    def _part(self) -> None:
        self._is_fading = False
        if not self.parted.done():
            self.parted.set_result(None)

    def _finish(self, result: DialResult) -> None:
        if self.finished.done():
            return
        try:
            self._end_conversation()
            self._conclude(result)
        finally:
            # Whatever went wrong there, nobody waits for this dial any more.
            if not self._is_fading:
                self._part()
            self.finished.set_result(None)

    def _conclude(self, result: DialResult) -> None:
        call = self.call
        call.dial_ended(self, result, self._amd.verdict if self._amd is not None else "")
        fields = result.to_dict()
        if self._is_abandoned:
            call.hooks.deliver(self.hook, self._payload(fields), HookKind.DIAL_ACTION, self.id)
        else:
            self.asking = call.session.start_asking(
                self.hook, fields, verb_id=self.verb.id, kind=HookKind.DIAL_ACTION, durable_subject=self.id
            )


def _refused(dial_id: DialId, sip_status: int, problem: str) -> DialResult:
    """A dial that was never begun."""
    return DialResult(
        dial_id=dial_id,
        dial_status=DialStatus.FAILED,
        dial_sip_status=sip_status,
        termination_reason=TerminationReason.ALL_FAILED,
        legs=(),
        leg=None,
        ended_by=EndedBy.ENGINE,
        started_at_utc=0.0,
        ring_s=0.0,
        talk_s=0.0,
        error=problem,
    )
