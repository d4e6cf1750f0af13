"""What to do when: pure decisions of a dial. No clock, no I/O; events in, commands out.

`RingAll` rings every branch at once (DV-30 to DV-36, DV-60, DV-61). The life of each branch:

    CALLING ──answered──► SCREENING ──accepted──► JOINING ──joined──► TALKING
       │  └────── no screening asked for ────────────┘                   │
       └── failed, given up ──► LEAVING ──► ENDED ◄── goodbye of either ──┘

Decided at most once: after `_decide` nothing but goodbyes is waited for, and for those at most `settle_s`.
A plan that rings one after the other, or in steps, is another class behind the same `Plan` protocol: it
starts fewer legs in `begin` and uses `Deadline.NEXT`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from enum import Enum
from typing import Protocol

from engine.dial.events import (
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
    LegHeldBack,
    LegRinging,
    LegTrying,
    ReleaseLeg,
    Screen,
    Screened,
    SetDeadline,
    StartLeg,
)
from engine.dial.failure import Trouble
from engine.dial.leg import Cause, EndedBy
from engine.dial.outcome import (
    BranchEnd,
    DialStatus,
    How,
    StatusMap,
    TerminationReason,
    Verdict,
    how_it_failed,
    without_winner,
)
from engine.ids import CallSid

__all__ = ["SETTLE_S", "Plan", "RingAll"]

SETTLE_S = 3.0
"""How long a decided dial waits for the ends of its branches (DV-30)."""


class Plan(Protocol):
    """The decisions of one dial. Both methods only compute; the commands are carried out in order."""

    def begin(self, at: float) -> Iterable[Command]: ...

    def handle(self, event: DialEvent) -> Iterable[Command]: ...

    def ends(self) -> Sequence[BranchEnd]:
        """How every branch ended, in the order in which the branches were given; complete after `Finish`."""


class _Stage(Enum):
    CALLING = 1
    SCREENING = 2
    JOINING = 3
    TALKING = 4
    LEAVING = 5
    ENDED = 6


class _Branch:
    __slots__ = ("end", "is_held_back", "is_screened", "is_started", "leg", "stage")

    def __init__(self, leg: CallSid, *, is_screened: bool) -> None:
        self.leg = leg
        self.is_screened = is_screened
        self.stage = _Stage.CALLING
        self.is_started = False
        """Its INVITE went out."""
        self.is_held_back = False
        self.end: BranchEnd | None = None
        """How it ended for the outcome; known before the leg itself is over if we let it go."""


_NOTHING: tuple[Command, ...] = ()


class RingAll:
    """Ring all at once; the first who answers, and is accepted if screened, is connected."""

    __slots__ = (
        "_arrivals",
        "_branches",
        "_is_ringing_timed",
        "_ring_timeout_s",
        "_ring_verdict",
        "_settle_s",
        "_status_map",
        "_time_limit_s",
        "_verdict",
        "_winner",
    )

    def __init__(
        self,
        legs: Sequence[CallSid],
        *,
        ring_timeout_s: float,
        time_limit_s: float | None = None,
        screened: Container[CallSid] = (),
        status_map: StatusMap | None = None,
        settle_s: float = SETTLE_S,
    ) -> None:
        """`screened`: the legs that have to pass screening; `time_limit_s` None: no limit."""
        self._branches = {leg: _Branch(leg, is_screened=leg in screened) for leg in legs}
        self._ring_timeout_s = ring_timeout_s
        self._time_limit_s = time_limit_s
        self._status_map = status_map or StatusMap()
        self._settle_s = settle_s
        self._is_ringing_timed = False
        self._ring_verdict: Verdict | None = None
        """Set when the ring timer ended the ringing while a callee was still being screened."""
        self._winner: _Branch | None = None
        self._verdict: Verdict | None = None
        self._arrivals: list[BranchEnd] = []

    def begin(self, at: float) -> Iterable[Command]:
        if not self._branches:
            return (Finish(Verdict(DialStatus.FAILED, 503, TerminationReason.NO_ROUTE, None)),)
        # The ring timer is set now so that a leg which never gets to its INVITE cannot keep the dial for
        # ever, and set again when the first INVITE leaves (DV-32).
        commands: list[Command] = [SetDeadline(Deadline.RING, at + self._ring_timeout_s)]
        commands += [StartLeg(leg) for leg in self._branches]
        return commands

    def handle(self, event: DialEvent) -> Iterable[Command]:
        match event:
            case LegTrying() | LegRinging() | LegEarlyMedia():
                return self._on_progress(self._branches[event.leg], event.at)
            case LegAnswered():
                return self._on_answered(self._branches[event.leg], event)
            case LegEnded():
                return self._on_ended(self._branches[event.leg], event)
            case Connected():
                return self._on_connected(self._branches[event.leg], event.at)
            case Screened():
                return self._on_screened(self._branches[event.leg], event)
            case DeadlinePassed():
                return self._on_deadline(event)
            case CallerGone():
                return self._on_stop(event.at, Cause.CALLER_GONE)
            case HangUpRequested():
                return self._on_stop(event.at, event.cause)
            case HandOverRequested():
                return self._on_hand_over(event.at)
            case LegHeldBack():
                self._branches[event.leg].is_held_back = True
                return _NOTHING
            case _:
                return _NOTHING  # CallerAnswered, MusicFailed, DTMF, detectors: not this plan's business

    def ends(self) -> Sequence[BranchEnd]:
        return [branch.end or BranchEnd(branch.leg, How.GIVEN_UP, 487) for branch in self._branches.values()]

    # --- ringing

    def _on_progress(self, branch: _Branch, at: float) -> Iterable[Command]:
        branch.is_started = True
        if self._is_ringing_timed or self._is_over():
            return _NOTHING
        self._is_ringing_timed = True
        return (SetDeadline(Deadline.RING, at + self._ring_timeout_s),)

    def _on_answered(self, branch: _Branch, event: LegAnswered) -> Iterable[Command]:
        branch.is_started = True
        if branch.stage is not _Stage.CALLING:
            # The answer crossed our CANCEL (DV-34), or it is a second one: it must not leave a call up.
            if branch.stage is not _Stage.LEAVING:
                return _NOTHING
            return (HangUpLeg(branch.leg, Cause.NORMAL),)
        if branch.is_screened:
            branch.stage = _Stage.SCREENING
            return (Screen(branch.leg),)
        return self._select(branch)

    def _on_screened(self, branch: _Branch, event: Screened) -> Iterable[Command]:
        if branch.stage is not _Stage.SCREENING:
            return _NOTHING
        if event.is_accepted:
            return self._select(branch)
        commands: list[Command] = [self._let_go(branch, Cause.DECLINED, How.DECLINED, 200)]
        commands += self._if_nobody_is_left(event.at)
        return commands

    def _select(self, winner: _Branch) -> Iterable[Command]:
        """Atomic: in the same step the winner is joined and all others are told to stop (DV-33)."""
        self._winner = winner
        winner.stage = _Stage.JOINING
        commands: list[Command] = [SetDeadline(Deadline.RING, None), Connect(winner.leg)]
        commands += self._let_all_go(Cause.COMPLETED_ELSEWHERE)
        return commands

    def _if_nobody_is_left(self, at: float) -> Iterable[Command]:
        if self._is_over() or any(
            branch.stage is _Stage.CALLING or branch.stage is _Stage.SCREENING
            for branch in self._branches.values()
        ):
            return _NOTHING
        return self._decide(
            at, self._ring_verdict or without_winner(self._arrivals, self._status_map), Cause.NORMAL
        )

    # --- talking

    def _on_connected(self, branch: _Branch, at: float) -> Iterable[Command]:
        if branch.stage is not _Stage.JOINING:
            return _NOTHING
        branch.stage = _Stage.TALKING
        if self._time_limit_s is None:
            return _NOTHING
        return (SetDeadline(Deadline.TIME_LIMIT, at + self._time_limit_s),)

    # --- ending

    def _on_hand_over(self, at: float) -> Iterable[Command]:
        """Only while two are talking: before that there is nobody to give away, after it nobody is left."""
        winner = self._winner
        if self._is_decided() or winner is None or winner.stage is not _Stage.TALKING:
            return _NOTHING
        verdict = self._completed(EndedBy.ENGINE, TerminationReason.REPLACED)
        winner.stage = _Stage.ENDED
        disconnect, *goodbyes = self._decide(at, verdict, Cause.REPLACED)
        return disconnect, ReleaseLeg(winner.leg), *goodbyes

    def _on_ended(self, branch: _Branch, event: LegEnded) -> Iterable[Command]:
        stage, branch.stage = branch.stage, _Stage.ENDED
        match stage:
            case _Stage.CALLING:
                self._arrive(branch, self._end_of(branch, event))
                return self._if_nobody_is_left(event.at)
            case _Stage.SCREENING:
                self._arrive(branch, BranchEnd(branch.leg, How.DECLINED, 200))
                return self._if_nobody_is_left(event.at)
            case _Stage.JOINING | _Stage.TALKING:
                return self._decide(event.at, self._completed(event.by), Cause.NORMAL)
            case _Stage.LEAVING:
                if branch.end is None:
                    branch.end = self._end_of_given_up(branch, event)
                return self._if_settled()
            case _Stage.ENDED:
                return _NOTHING

    def _on_deadline(self, event: DeadlinePassed) -> Iterable[Command]:
        match event.deadline:
            case Deadline.RING:
                return self._on_ring_timeout(event.at)
            case Deadline.TIME_LIMIT:
                if self._is_decided() or self._winner is None:
                    return _NOTHING
                verdict = self._completed(EndedBy.ENGINE, TerminationReason.TIME_LIMIT)
                return self._decide(event.at, verdict, Cause.TIME_LIMIT)
            case Deadline.SETTLE:
                # What has not reported by now is abandoned; the protocol core finishes the goodbye alone.
                return _NOTHING if self._verdict is None else (Finish(self._verdict),)
            case Deadline.NEXT:
                return _NOTHING  # everybody rings already

    def _on_ring_timeout(self, at: float) -> Iterable[Command]:
        ringing = [branch for branch in self._branches.values() if branch.stage is _Stage.CALLING]
        if self._is_over() or not ringing:
            return _NOTHING
        self._ring_verdict = self._unanswered(ringing[0], TerminationReason.RING_TIMEOUT, EndedBy.ENGINE)
        commands: list[Command] = [self._let_go(branch, Cause.RING_TIMEOUT) for branch in ringing]
        # A callee who has answered and is being screened is not ringing any more: the screening goes on.
        commands += self._if_nobody_is_left(at)
        return commands

    def _on_stop(self, at: float, cause: Cause) -> Iterable[Command]:
        if self._is_decided():
            return _NOTHING
        by = EndedBy.CALLER if cause is Cause.CALLER_GONE else EndedBy.ENGINE
        winner = self._winner
        if winner is not None and winner.stage is _Stage.TALKING:
            reason = TerminationReason.REPLACED if cause is Cause.REPLACED else TerminationReason.ANSWERED
            return self._decide(at, self._completed(by, reason), cause)
        reason = TerminationReason.REPLACED if cause is Cause.REPLACED else TerminationReason.CALLER_GONE
        alive = (branch for branch in self._branches.values() if branch.stage is not _Stage.ENDED)
        decisive = winner or next(alive, None)
        return self._decide(at, self._unanswered(decisive, reason, by), cause)

    def _decide(self, at: float, verdict: Verdict, cause: Cause) -> Iterable[Command]:
        self._verdict = verdict
        commands: list[Command] = [Disconnect()]
        commands += self._let_all_go(cause)
        commands += self._if_settled() or (SetDeadline(Deadline.SETTLE, at + self._settle_s),)
        return commands

    def _if_settled(self) -> Sequence[Command]:
        if self._verdict is None or any(
            branch.stage is not _Stage.ENDED for branch in self._branches.values()
        ):
            return _NOTHING
        return (Finish(self._verdict),)

    # --- small parts

    def _is_decided(self) -> bool:
        return self._verdict is not None

    def _is_over(self) -> bool:
        """Nobody else can win any more."""
        return self._verdict is not None or self._winner is not None

    def _let_go(self, branch: _Branch, cause: Cause, how: How | None = None, sip_status: int = 0) -> Command:
        branch.stage = _Stage.LEAVING
        if how is not None:
            self._arrive(branch, BranchEnd(branch.leg, how, sip_status))
        return HangUpLeg(branch.leg, cause)

    def _let_all_go(self, cause: Cause) -> list[Command]:
        """Everybody who is still there, except the winner while there is no verdict."""
        commands: list[Command] = []
        for branch in self._branches.values():
            match branch.stage:
                case _Stage.CALLING | _Stage.SCREENING:
                    commands.append(self._let_go(branch, cause))
                case _Stage.JOINING | _Stage.TALKING if self._verdict is not None:
                    commands.append(self._let_go(branch, cause))
                case _:
                    pass
        return commands

    def _arrive(self, branch: _Branch, end: BranchEnd) -> None:
        branch.end = end
        self._arrivals.append(end)

    def _end_of(self, branch: _Branch, event: LegEnded) -> BranchEnd:
        """A branch that ended by itself before it answered."""
        failure = event.failure
        if failure is not None:
            return BranchEnd(branch.leg, how_it_failed(failure), failure.sip_status)
        if event.sip_status >= 300:
            return BranchEnd(branch.leg, How.RESPONSE, event.sip_status)
        # An end without a failure before an answer: the leg broke its contract.
        return BranchEnd(branch.leg, How.INTERNAL, 500)

    def _end_of_given_up(self, branch: _Branch, event: LegEnded) -> BranchEnd:
        """A branch we had told to stop: usually 487, but its own answer or refusal may have crossed."""
        failure = event.failure
        if failure is not None and failure.trouble is Trouble.HELD_BACK:
            return BranchEnd(branch.leg, How.HELD_BACK, 0)
        if failure is not None and failure.trouble is Trouble.RESPONSE and failure.sip_status != 487:
            return BranchEnd(branch.leg, How.RESPONSE, failure.sip_status)
        return BranchEnd(branch.leg, How.GIVEN_UP, 200 if event.sip_status == 200 else 487)

    def _completed(self, by: EndedBy, reason: TerminationReason = TerminationReason.ANSWERED) -> Verdict:
        assert self._winner is not None
        self._winner.end = BranchEnd(self._winner.leg, How.CONNECTED, 200)
        return Verdict(DialStatus.COMPLETED, 200, reason, self._winner.leg, by)

    def _unanswered(self, decisive: _Branch | None, reason: TerminationReason, by: EndedBy) -> Verdict:
        """Rules 1 and 2 of section 6.3: nothing else is considered, unless no INVITE ever went out."""
        leg = decisive.leg if decisive else next(iter(self._branches))
        branches = self._branches.values()
        if any(branch.is_held_back for branch in branches) and not any(b.is_started for b in branches):
            return Verdict(DialStatus.QUEUED, 0, reason, leg, by)
        return Verdict(DialStatus.NO_ANSWER, 487, reason, leg, by)
