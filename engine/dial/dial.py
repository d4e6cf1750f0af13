"""The shell around a plan: one task, one inbox, one result.

The task begins the dial, waits for its end and is what can be cancelled. The inbox is emptied in the turn of
the event loop in which something was put into it, behind whatever posted it (see `engine.agenda`).

Legs, the caller, timers, screening and the API post events; the plan says what to do; this file does it. It
decides nothing by itself except what must hold even when a plan or a leg has a bug: every leg is let go, the
caller's leg is handed back, and there is exactly one result.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TypeAlias

import structlog

from engine.agenda import Agenda
from engine.dial.branch import BranchNotes
from engine.dial.bridge import CallerAudio, SilentAudio
from engine.dial.caller import CallerSide
from engine.dial.deadlines import Deadlines
from engine.dial.events import (
    AnswerCaller,
    CallerAnswered,
    CallerCommand,
    CallerGone,
    Command,
    Connect,
    Connected,
    Deadline,
    DeadlinePassed,
    DialEvent,
    Disconnect,
    Finish,
    HandOverRequested,
    HangUpLeg,
    HangUpRequested,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegRinging,
    LegTrying,
    MusicFailed,
    OpenCallerEarlyMedia,
    PlayMusic,
    PlayRingback,
    PresentEarlyMedia,
    ReleaseLeg,
    RingCaller,
    Screen,
    SetDeadline,
    StartLeg,
)
from engine.dial.failure import internal_error
from engine.dial.handover import HandOvers, NewOwner
from engine.dial.leg import Cause, EndedBy, Leg, ParentLeg
from engine.dial.outcome import BranchEnd, DialStatus, How, StatusMap, TerminationReason, Verdict
from engine.dial.parts import LegFactory, PlanFactory, Screening, ring_all
from engine.dial.plan import Plan
from engine.dial.progress import CallerProgress
from engine.dial.request import DialRequest, InvalidRequest, Target
from engine.dial.result import DialResult, LegRecord
from engine.dial.unrouted import UnroutedLeg
from engine.ids import CallSid, DialId, new_call_sid, new_dial_id

__all__ = ["Dial", "DialState", "Happening", "Observer"]

log = structlog.get_logger(__name__)

Happening: TypeAlias = DialEvent | Command | LegRecord | DialResult
"""What an observer is told: every event, every command carried out, the record of each branch when it is
final (DV-31), and in the end the result."""

Observer = Callable[[Happening], None]


class DialState(StrEnum):
    """For counting and for display."""

    RINGING = "ringing"
    TALKING = "talking"
    ENDING = "ending"
    ENDED = "ended"


_LEG_EVENTS = (LegTrying, LegRinging, LegEarlyMedia, LegAnswered, LegEnded)
_DEFAULT_STATUS_MAP = StatusMap()


class Dial:
    """One request to reach somebody, from `run` to its result.

    `parent` is the caller's leg, or None to originate. `post`, `hang_up` and `observe` may be called from the
    event loop's thread at any time, also before and after `run`.
    """

    __slots__ = (
        "__weakref__",
        "_agenda",
        "_branches",
        "_caller",
        "_connected_at",
        "_deadlines",
        "_decided_at",
        "_error",
        "_factory",
        "_hand_overs",
        "_inbox",
        "_is_expected",
        "_is_joining",
        "_loop",
        "_observers",
        "_over",
        "_parent",
        "_plan",
        "_plan_factory",
        "_progress",
        "_result",
        "_screening",
        "_started_at",
        "_started_at_utc",
        "_status_map",
        "_waiters",
        "_warnings",
        "_winner",
        "id",
        "request",
    )

    def __init__(
        self,
        request: DialRequest,
        *,
        legs: LegFactory,
        parent: ParentLeg | None = None,
        audio: CallerAudio | None = None,
        screening: Screening | None = None,
        status_map: StatusMap | None = None,
        plan: PlanFactory = ring_all,
        dial_id: DialId | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        """Raises InvalidRequest if the request asks for screening and there is none.

        `agenda`: shared with those who post, so that an event is handled in the turn in which it came.
        """
        if screening is None and request.needs_screening:
            raise InvalidRequest("confirm_hook", "this engine has no screening to run it")
        self.id = dial_id or new_dial_id()
        self.request = request
        self._factory = legs
        self._parent = parent
        self._caller = None if parent is None else CallerSide(parent, audio or SilentAudio())
        self._screening = screening
        self._status_map = status_map or _DEFAULT_STATUS_MAP
        self._plan_factory = plan
        self._plan: Plan | None = None
        self._progress: CallerProgress | None = None
        self._branches: dict[CallSid, BranchNotes] = {}
        self._inbox: deque[DialEvent] = deque()
        self._agenda = agenda
        self._is_expected = True  # somebody will look into the inbox: `run`, or the agenda
        self._over: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: Deadlines | None = None
        self._winner: Leg | None = None
        self._hand_overs: HandOvers | None = None
        self._is_joining = False
        self._started_at = 0.0
        self._started_at_utc = 0.0
        self._connected_at: float | None = None
        self._decided_at: float | None = None
        self._warnings: tuple[str, ...] = ()
        self._error = ""
        self._result: DialResult | None = None
        self._waiters: list[asyncio.Future[DialResult]] = []
        self._observers: list[Observer] = []

    # --- for everybody

    @property
    def state(self) -> DialState:
        if self._result is not None:
            return DialState.ENDED
        if self._decided_at is not None:
            return DialState.ENDING
        return DialState.RINGING if self._connected_at is None else DialState.TALKING

    @property
    def result(self) -> DialResult | None:
        """None until it is final."""
        return self._result

    @property
    def winner(self) -> Leg | None:
        """The callee that was selected."""
        return self._winner

    def leg(self, leg: CallSid) -> Leg:
        """A branch by its id; KeyError if this dial has no such branch."""
        return self._branches[leg].leg

    def target_of(self, leg: CallSid) -> Target:
        """Whom a branch rings; KeyError if this dial has no such branch."""
        return self._branches[leg].target

    def post(self, event: DialEvent) -> None:
        """Put an event into the inbox; returns at once. After the result it is dropped."""
        if self._result is not None:
            return
        if type(event) is CallerGone:
            # Overtakes, so that nobody is joined to a caller known to be gone (DV-34).
            self._inbox.appendleft(event)
        else:
            self._inbox.append(event)
        if not self._is_expected and self._agenda is not None:
            self._is_expected = True
            self._agenda.add(self._work)

    def hang_up(self, cause: Cause = Cause.REQUESTED) -> None:
        """Ask the dial to end (DV-85). Returns at once; the result follows in the ordinary way."""
        self.post(HangUpRequested(asyncio.get_running_loop().time(), cause))

    def hand_over(self, new_owner: NewOwner) -> asyncio.Future[bool]:
        """Ask the dial to give its connected callee to `new_owner` and to end, reason `replaced`.

        The caller stays, the callee stays, nobody is hung up; `new_owner(leg)` is called in the step in which
        the dial lets go. The future says whether that happened: False if nobody was talking (any more), and
        then the dial goes on as it was. Nothing has to wait for it.
        """
        if self._hand_overs is None:
            self._hand_overs = HandOvers()
        asked = self._hand_overs.ask(new_owner)
        if self._result is None:
            self.post(HandOverRequested(asyncio.get_running_loop().time()))
        else:
            self._hand_overs.refuse_all()
        return asked

    def observe(self, observer: Observer) -> None:
        """Call `observer` for everything that happens from now on, the result last."""
        self._observers.append(observer)

    async def wait(self) -> DialResult:
        """The result, for others than the task that runs the dial; any number may wait."""
        if self._result is not None:
            return self._result
        waiter: asyncio.Future[DialResult] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return await waiter

    def give_up(self) -> None:
        """For a dial whose task was cancelled before its first step: the result it still owes."""
        if self._result is None and self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._started_at = self._loop.time()
            self._started_at_utc = time.time()
            self._let_go()

    # --- the task

    async def run(self) -> DialResult:
        """Carry the dial from start to result. Called once; raises nothing but its own cancellation."""
        loop = self._loop = asyncio.get_running_loop()
        agenda = self._agenda = self._agenda or Agenda(loop)
        self._started_at = loop.time()
        self._started_at_utc = time.time()
        self._over = loop.create_future()
        try:
            agenda.run(self._work)
            await self._over
        except asyncio.CancelledError:
            self._stop_now(loop.time())
            self._let_go()
            raise
        assert self._result is not None
        return self._result

    def _work(self) -> None:
        """Handle what is in the inbox, in order, until the result is there."""
        inbox, over = self._inbox, self._over
        assert over is not None
        if over.cancelled():
            return  # and so is the task: it is about to end the dial
        try:
            if self._plan is None:
                self._begin()
            while inbox and self._result is None:
                self._handle(inbox.popleft())
        except Exception as error:  # noqa: BLE001  a bug of ours fails this dial and takes nothing else down
            self._fail(error)
        self._is_expected = False
        if self._result is not None:
            try:
                self._let_go()
            finally:
                if not over.done():  # an observer of ours may have cancelled the task
                    over.set_result(None)

    def _begin(self) -> None:
        caller, request = self._caller, self.request
        assert self._loop is not None
        self._deadlines = Deadlines(self._loop, self._on_deadline)
        self._warnings = request.warnings
        if self._warnings:
            # Only the names of the fields: what is in them may say who somebody is.
            fields = [warning.partition(":")[0] for warning in self._warnings]
            log.warning("dial request has flaws", dial=self.id, fields=fields)
        for target in request.effective_targets:
            for leg in self._make_legs(target):
                self._branches[leg.id] = BranchNotes(leg, target)
        if caller is not None:
            self._progress = CallerProgress(
                answer_on_bridge=request.answer_on_bridge,
                dial_music=request.dial_music,
                branches=len(self._branches),
                is_caller_answered=caller.has_answered,
                is_screened=request.needs_screening,
            )
            caller.attach(self)
        self._plan = self._plan_factory(
            request, [(leg, notes.target) for leg, notes in self._branches.items()], self._status_map
        )
        inbox = self._inbox
        if inbox and type(inbox[0]) is CallerGone:
            self._never_ring(inbox.popleft())
            return
        if self._progress is not None:
            self._carry_out(self._progress.begin())
        self._carry_out(self._plan.begin(self._started_at))

    def _never_ring(self, event: DialEvent) -> None:
        """The caller left before the dial could begin: an INVITE now would ring phones for nobody."""
        if self._observers:
            self._publish(event)
        for notes in self._branches.values():
            notes.cause = Cause.CALLER_GONE
        leg = next(iter(self._branches), None)
        self._finish(Verdict(DialStatus.NO_ANSWER, 487, TerminationReason.CALLER_GONE, leg, EndedBy.CALLER))

    def _make_legs(self, target: Target) -> Sequence[Leg]:
        try:
            legs = self._factory.legs_for(target, self.request, self._parent)
            if legs:
                return legs
            problem = "no legs were made for the target"
        except Exception as error:
            log.exception("cannot make legs", dial=self.id, to=target.address)
            problem = repr(error)
        assert self._loop is not None
        return (UnroutedLeg(new_call_sid(), internal_error(problem), self._loop.time),)

    def _handle(self, event: DialEvent) -> None:
        if isinstance(event, _LEG_EVENTS):
            notes = self._branches[event.leg]
            notes.note(event)
            if self._screening is not None and isinstance(event, LegEnded):
                self._screening.stop(notes.leg)
        elif isinstance(event, CallerAnswered):
            self._on_caller_answered()
        elif isinstance(event, MusicFailed):
            log.warning("dial music failed", dial=self.id, reason=event.reason)
        elif isinstance(event, Connected) and self._decided_at is None:
            self._connected_at = event.at
        if self._observers:
            self._publish(event)
        if self._progress is not None:
            self._carry_out(self._progress.handle(event))
        assert self._plan is not None
        self._carry_out(self._plan.handle(event))
        if self._hand_overs is not None and isinstance(event, HandOverRequested):
            self._hand_overs.next()
        if self._observers and isinstance(event, LegEnded):
            self._publish_record(event.leg)

    # --- commands

    def _carry_out(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case SetDeadline():
                    assert self._deadlines is not None
                    self._deadlines.set(command.deadline, command.at)
                case StartLeg():
                    self._start(self._branches[command.leg].leg)
                case HangUpLeg():
                    self._hang_up_leg(self._branches[command.leg], command.cause)
                case ReleaseLeg():
                    self._release(self._branches[command.leg])
                case Connect():
                    self._connect(self._branches[command.leg].leg)
                case Screen():
                    self._screen(self._branches[command.leg])
                case Disconnect():
                    self._progress = None
                    self._decided_at = self._now()
                    if self._caller is not None:
                        # Callees may take their time to say goodbye; the caller need not wait for that.
                        self._caller.release()
                case Finish():
                    self._finish(command.verdict)
                case _:
                    self._to_caller(command)
            if self._observers:
                self._publish(command)

    def _start(self, leg: Leg) -> None:
        try:
            leg.start(self)
        except Exception as error:
            log.exception("leg failed to start", dial=self.id, leg=leg.id)
            self.post(LegEnded(leg.id, self._now(), EndedBy.ENGINE, failure=internal_error(repr(error))))

    def _hang_up_leg(self, notes: BranchNotes, cause: Cause) -> None:
        if notes.cause is None:
            notes.cause = cause
        if self._screening is not None:
            self._screening.stop(notes.leg)
        try:
            notes.leg.hang_up(cause)
        except Exception:
            log.exception("leg failed to hang up", dial=self.id, leg=notes.leg.id)

    def _release(self, notes: BranchNotes) -> None:
        assert self._hand_overs is not None, "a plan gave a leg away, and nobody asked for it"
        leg = notes.leg
        leg.detach()
        notes.is_handed_over = self._hand_overs.grant(leg)
        if not notes.is_handed_over:
            self._hang_up_leg(notes, Cause.ENGINE_ERROR)

    def _screen(self, notes: BranchNotes) -> None:
        assert self._screening is not None
        self._screening.begin(notes.leg, notes.target.confirm_hook or self.request.confirm_hook, self)

    def _connect(self, leg: Leg) -> None:
        self._winner = leg
        self._progress = None
        caller = self._caller
        if caller is not None and not caller.has_answered:
            self._is_joining = True
            caller.answer()
            if not caller.has_answered:
                return  # CallerAnswered, or CallerGone, follows
        self._join(leg)

    def _join(self, leg: Leg) -> None:
        self._is_joining = False
        if self._caller is not None:
            self._caller.hear(lambda audio, parent: audio.join(parent, leg))
        self.post(Connected(leg.id, self._now()))

    def _on_caller_answered(self) -> None:
        if self._is_joining and self._winner is not None and self._decided_at is None:
            self._join(self._winner)
        elif self._caller is not None:
            self._caller.hear_what_waits()

    def _to_caller(self, command: CallerCommand) -> None:
        caller = self._caller
        assert caller is not None, "a plan ordered something for a caller, and there is none"
        match command:
            case RingCaller():
                caller.ring()
            case OpenCallerEarlyMedia():
                caller.open_early_media()
            case AnswerCaller():
                caller.answer()
            case PlayRingback():
                caller.hear(lambda audio, parent: audio.ringback(parent))
            case PlayMusic(url=url):
                caller.hear(lambda audio, parent: audio.music(parent, url, self._on_music_failed))
            case PresentEarlyMedia():
                leg = self._branches[command.leg].leg
                caller.hear(lambda audio, parent: audio.join(parent, leg))

    def _on_music_failed(self, reason: str) -> None:
        self.post(MusicFailed(self._now(), reason))

    def _finish(self, verdict: Verdict) -> None:
        if self._result is not None:
            return
        ends = self._ends()
        legs = tuple(self._record(notes, ends) for notes in self._branches.values())
        now = self._now()
        decided_at = now if self._decided_at is None else self._decided_at
        connected_at = decided_at if self._connected_at is None else self._connected_at
        self._result = DialResult(
            dial_id=self.id,
            dial_status=verdict.dial_status,
            dial_sip_status=verdict.sip_status,
            termination_reason=verdict.termination_reason,
            legs=legs,
            leg=verdict.leg,
            ended_by=verdict.ended_by,
            started_at_utc=self._started_at_utc,
            ring_s=connected_at - self._started_at,
            talk_s=decided_at - connected_at,
            warnings=self._warnings,
            error=self._error,
        )
        log.info(
            "dial ended",
            dial=self.id,
            status=verdict.dial_status,
            sip_status=verdict.sip_status,
            reason=verdict.termination_reason,
            legs=len(legs),
        )

    def _ends(self) -> dict[CallSid, BranchEnd]:
        """What the plan made of the branches; nothing if the plan cannot be trusted any more."""
        return {} if self._plan is None or self._error else {end.leg: end for end in self._plan.ends()}

    def _record(self, notes: BranchNotes, ends: dict[CallSid, BranchEnd]) -> LegRecord:
        end = ends.get(notes.leg.id) or BranchEnd(notes.leg.id, How.INTERNAL, 500)
        return notes.record(end, self._status_map)

    def _publish_record(self, leg: CallSid) -> None:
        made = None if self._result is None else self._result.record_of(leg)
        self._publish(made or self._record(self._branches[leg], self._ends()))

    # --- time

    def _now(self) -> float:
        assert self._loop is not None
        return self._loop.time()

    def _on_deadline(self, deadline: Deadline) -> None:
        self.post(DeadlinePassed(deadline, self._now()))

    # --- the end, in every case

    def _stop_now(self, at: float) -> None:
        """The task is being cancelled: the same as a request to hang up, without waiting for goodbyes."""
        if self._result is not None or self._plan is None:
            return
        try:
            self._handle(HangUpRequested(at, Cause.SHUTDOWN))
            self._handle(DeadlinePassed(Deadline.SETTLE, at))
        except Exception as error:  # noqa: BLE001  the cancellation goes on in any case
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._result is not None:
            return
        log.error("dial failed by a bug", dial=self.id, exc_info=error)
        self._error = repr(error)
        leg = self._winner.id if self._winner is not None else next(iter(self._branches), None)
        self._finish(Verdict(DialStatus.FAILED, 500, TerminationReason.ALL_FAILED, leg))

    def _let_go(self) -> None:
        """Leave nothing behind: no timer, no sound, no leg, no waiter."""
        if self._deadlines is not None:
            self._deadlines.clear()
            self._deadlines = None  # it knows us: a finished dial should not wait for the garbage collector
        cause = Cause.ENGINE_ERROR if self._error else Cause.NORMAL
        for notes in self._branches.values():
            if notes.end is None and notes.cause is None and not notes.is_handed_over:
                self._hang_up_leg(notes, cause)
        if self._caller is not None:
            try:
                self._caller.release()
            except Exception:  # the result must get out all the same
                log.exception("caller's leg not handed back", dial=self.id)
        result = self._result
        if result is None:  # cancelled before there was a plan
            self._finish(Verdict(DialStatus.NO_ANSWER, 487, TerminationReason.CALLER_GONE, None))
            result = self._result
        assert result is not None
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(result)
        self._waiters.clear()
        if self._hand_overs is not None:
            self._hand_overs.refuse_all()
        if self._observers:
            for record in result.legs:
                if record.is_abandoned:
                    self._publish(record)
            self._publish(result)
            self._observers.clear()
        self._inbox.clear()

    def _publish(self, happening: Happening) -> None:
        for observer in self._observers:
            try:
                observer(happening)
            except Exception:
                log.exception("observer failed", dial=self.id)
