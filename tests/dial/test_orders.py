"""Every order of what can happen: a small model exhaustively, larger ones by hypothesis.

Whatever the order, at most one leg is ever joined, each answered leg was joined or hung up, there is exactly
one result, and nothing is left alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import permutations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.dial.dial import Dial, Happening
from engine.dial.events import (
    CallerGone,
    Command,
    Connect,
    Connected,
    Deadline,
    DeadlinePassed,
    DialEvent,
    Finish,
    HandOverRequested,
    HangUpLeg,
    HangUpRequested,
    LegAnswered,
    LegEnded,
    LegRinging,
    LegTrying,
    ReleaseLeg,
    Screen,
    Screened,
    SetDeadline,
    StartLeg,
)
from engine.dial.failure import refused
from engine.dial.leg import EndedBy, Leg
from engine.dial.outcome import DialStatus
from engine.dial.plan import RingAll
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid
from tests.support.legs import FakeAudio, FakeLegs, FakeParent
from tests.support.virtual_time import run_in_virtual_time, settle

TARGETS = [Target.sip("sip:bob@example.com"), Target.phone("+15550100123"), Target.user("1001@example.com")]


# --- every order of posted events, over the real shell


def _check(
    dial: Dial, legs: FakeLegs, parent: FakeParent, audio: FakeAudio, seen: Sequence[Happening]
) -> None:
    result = dial.result
    assert result is not None
    assert sum(happening is result for happening in seen) == 1
    joined = [heard for heard in audio.played if heard.startswith("leg ")]
    assert len(set(joined)) <= 1
    assert audio.now_playing == ""
    assert not parent.is_attached
    for leg in legs.made:
        record = result.record_of(leg.id)
        is_given_away = record is not None and record.is_handed_over
        assert leg.has_ended or leg.causes or is_given_away, f"leg {leg.id} was left alone"
        assert not (is_given_away and leg.causes), f"leg {leg.id} was given away and hung up"
        if leg.has_answered:
            assert f"leg {leg.id}" in joined or leg.causes or leg.has_ended
    completed = result.dial_status is DialStatus.COMPLETED
    assert completed == (Connected in {type(each) for each in seen} and result.dial_sip_status == 200)
    assert sum(record.status is DialStatus.COMPLETED for record in result.legs) == int(completed)


async def _play(order: Sequence[str], *, burst: bool, is_deaf: bool) -> None:
    """Let the steps happen in this order, all at once or each after the other has been dealt with."""
    legs = FakeLegs(is_deaf=is_deaf)
    parent, audio = FakeParent(is_answered=True), FakeAudio()
    dial = Dial(DialRequest(TARGETS[:2], timeout_s=5.0), legs=legs, parent=parent, audio=audio)
    seen: list[Happening] = []
    dial.observe(seen.append)
    task = asyncio.create_task(dial.run())
    await settle()
    a, b = legs.made
    asked: list[asyncio.Future[bool]] = []
    taken: list[Leg] = []
    steps: dict[str, Callable[[], None]] = {
        "a answers": a.answer,
        "b answers": b.answer,
        "a ends": a.end,
        "b ends": b.end,
        "caller goes": parent.go,
        "time passes": lambda: None,
        "hang up": dial.hang_up,
        "hand over": lambda: asked.append(dial.hand_over(taken.append)),
    }
    for step in order:
        leg = {"a": a, "b": b}.get(step[0]) if step[1] == " " else None
        if leg is None or not leg.has_ended:
            steps[step]()
        if step == "time passes":
            await asyncio.sleep(5.0)
        elif not burst:
            await settle()
    async with asyncio.timeout(60.0):
        while not task.done():
            await asyncio.sleep(1.0)
            if dial.winner is not None and not a.has_ended:
                a.end()
            if dial.winner is not None and not b.has_ended:
                b.end()
    _check(dial, legs, parent, audio, seen)
    assert all(answer.done() for answer in asked)
    assert len(taken) == sum(answer.result() for answer in asked) <= 1
    assert dial.result is not None
    assert [leg.id for leg in taken] == [each.leg for each in dial.result.legs if each.is_handed_over]


def test_every_order_of_two_legs_a_caller_and_a_timer_keeps_the_promises() -> None:
    steps = ("a answers", "b answers", "a ends", "caller goes", "time passes")
    count = 0
    for length in (1, 2, 3, 4, 5):
        for order in permutations(steps, length):
            for burst in (False, True):
                run_in_virtual_time(_play(order, burst=burst, is_deaf=burst))
                count += 1
    assert count == 2 * (5 + 20 + 60 + 120 + 120)


def test_a_request_to_hang_up_can_come_between_any_two_events() -> None:
    steps = ("a answers", "b answers", "b ends", "hang up")
    for order in permutations(steps):
        run_in_virtual_time(_play(order, burst=False, is_deaf=False))
        run_in_virtual_time(_play(order, burst=True, is_deaf=True))


def test_a_request_to_hand_over_can_come_between_any_two_events() -> None:
    steps = ("a answers", "b answers", "a ends", "caller goes", "hand over")
    for order in permutations(steps):
        run_in_virtual_time(_play(order, burst=False, is_deaf=False))
        run_in_virtual_time(_play(order, burst=True, is_deaf=True))


# --- the pure plan, exhaustively over a small alphabet


LETTERS: tuple[DialEvent, ...] = (
    LegAnswered(CallSid("a"), 1.0),
    LegAnswered(CallSid("b"), 1.0),
    LegEnded(CallSid("a"), 1.0, EndedBy.CALLEE, 486, failure=refused(486, "")),
    LegEnded(CallSid("b"), 1.0, EndedBy.CALLEE, 200),
    Connected(CallSid("a"), 1.0),
    Screened(CallSid("b"), 1.0, is_accepted=True),
    Screened(CallSid("b"), 1.0, is_accepted=False),
    CallerGone(1.0),
    HandOverRequested(1.0),
    DeadlinePassed(Deadline.RING, 60.0),
    DeadlinePassed(Deadline.TIME_LIMIT, 60.0),
)


def test_every_word_of_four_events_leaves_the_plan_consistent() -> None:
    """Also words no leg would speak: 11^4 of them, with `b` screened."""

    def words(length: int) -> list[tuple[DialEvent, ...]]:
        if length == 0:
            return [()]
        return [(*word, letter) for word in words(length - 1) for letter in LETTERS]

    for word in words(4):
        plan = RingAll([CallSid("a"), CallSid("b")], ring_timeout_s=60.0, screened=[CallSid("b")])
        orders = list(plan.begin(0.0))
        answered: set[CallSid] = set()
        for event in word:
            if isinstance(event, LegAnswered):
                answered.add(event.leg)
            orders += plan.handle(event)
            if any(isinstance(order, Finish) for order in orders):
                break
        connected = [order.leg for order in orders if isinstance(order, Connect)]
        assert len(connected) <= 1
        if any(isinstance(order, Finish) for order in orders):
            continue
        orders += plan.handle(CallerGone(90.0))
        orders += plan.handle(DeadlinePassed(Deadline.SETTLE, 93.0))
        assert sum(isinstance(order, Finish) for order in orders) == 1
        let_go = {order.leg for order in orders if isinstance(order, (HangUpLeg, ReleaseLeg))}
        ended = {event.leg for event in word if isinstance(event, LegEnded)}
        assert answered <= let_go | ended


# --- longer stories of four legs


LEGS = tuple(CallSid(name) for name in "abcd")


class RingAllStories(RuleBasedStateMachine):
    """A plan against legs that keep their contract, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = RingAll(LEGS, ring_timeout_s=60.0, time_limit_s=30.0, screened=LEGS[:2])
        self.now = 0.0
        self.orders: list[Command] = []
        self.alive: set[CallSid] = set()
        self.answered: set[CallSid] = set()
        self.screening: set[CallSid] = set()
        self.let_go: set[CallSid] = set()
        self.joined: list[CallSid] = []
        self.deadlines: dict[Deadline, float] = {}
        self.is_caller_gone = False
        self.obey(self.plan.begin(self.now))

    def obey(self, commands: Sequence[Command] | object) -> None:
        assert isinstance(commands, (list, tuple))
        for command in commands:
            assert not self.finished, f"{command} after the result"
            self.orders.append(command)
            match command:
                case StartLeg(leg=leg):
                    self.alive.add(leg)
                case HangUpLeg(leg=leg):
                    self.let_go.add(leg)
                    self.screening.discard(leg)
                case Screen(leg=leg):
                    self.screening.add(leg)
                case Connect(leg=leg):
                    self.joined.append(leg)
                    if not self.is_caller_gone:
                        self.obey(self.plan.handle(Connected(leg, self.now)))
                case SetDeadline(deadline=deadline, at=None):
                    self.deadlines.pop(deadline, None)
                case SetDeadline(deadline=deadline, at=float(at)):
                    self.deadlines[deadline] = at
                case _:
                    pass

    @property
    def finished(self) -> bool:
        return any(isinstance(order, Finish) for order in self.orders)

    @property
    def unfinished(self) -> bool:
        return not self.finished

    @precondition(lambda self: self.unfinished)
    @rule(leg=st.sampled_from(LEGS), kind=st.sampled_from([LegTrying, LegRinging]))
    def progress(self, leg: CallSid, kind: type[LegTrying | LegRinging]) -> None:
        if leg in self.alive and leg not in self.answered:
            self.obey(self.plan.handle(kind(leg, self.now)))

    @precondition(lambda self: self.unfinished)
    @rule(leg=st.sampled_from(LEGS))
    def answer(self, leg: CallSid) -> None:
        if leg in self.alive and leg not in self.answered:
            self.answered.add(leg)
            self.obey(self.plan.handle(LegAnswered(leg, self.now)))

    @precondition(lambda self: self.unfinished)
    @rule(leg=st.sampled_from(LEGS), code=st.sampled_from([404, 480, 486, 503, 603]))
    def end(self, leg: CallSid, code: int) -> None:
        if leg not in self.alive:
            return
        self.alive.discard(leg)
        self.screening.discard(leg)
        if leg in self.answered:
            event = LegEnded(leg, self.now, EndedBy.CALLEE, 200, "OK")
        elif leg in self.let_go:
            event = LegEnded(leg, self.now, EndedBy.ENGINE, 487, failure=refused(487, ""))
        else:
            event = LegEnded(leg, self.now, EndedBy.CALLEE, code, failure=refused(code, ""))
        self.obey(self.plan.handle(event))

    @precondition(lambda self: self.unfinished)
    @rule(leg=st.sampled_from(LEGS), is_accepted=st.booleans())
    def screen(self, leg: CallSid, is_accepted: bool) -> None:
        if leg in self.screening:
            self.screening.discard(leg)
            self.obey(self.plan.handle(Screened(leg, self.now, is_accepted)))

    @precondition(lambda self: self.unfinished)
    @rule()
    def caller_goes(self) -> None:
        if not self.is_caller_gone:
            self.is_caller_gone = True
            self.obey(self.plan.handle(CallerGone(self.now)))

    @precondition(lambda self: self.unfinished)
    @rule()
    def somebody_asks_to_stop(self) -> None:
        self.obey(self.plan.handle(HangUpRequested(self.now)))

    @rule(wait_s=st.floats(0.1, 70.0))
    def time_passes(self, wait_s: float) -> None:
        until = self.now + wait_s
        while not self.finished and self.deadlines:
            deadline, at = min(self.deadlines.items(), key=lambda item: item[1])
            if at > until:
                break
            del self.deadlines[deadline]
            self.now = max(self.now, at)
            self.obey(self.plan.handle(DeadlinePassed(deadline, self.now)))
        self.now = max(self.now, until)

    @invariant()
    def at_most_one_is_ever_joined(self) -> None:
        assert len(self.joined) <= 1

    @invariant()
    def every_answered_leg_is_joined_screened_or_let_go(self) -> None:
        for leg in self.answered & self.alive:
            assert leg in self.joined or leg in self.screening or leg in self.let_go

    @invariant()
    def there_is_at_most_one_result_and_then_everybody_was_let_go(self) -> None:
        results = [order.verdict for order in self.orders if isinstance(order, Finish)]
        assert len(results) <= 1
        if results:
            assert self.alive <= self.let_go
            assert (results[0].dial_status is DialStatus.COMPLETED) <= bool(self.joined)

    @invariant()
    def an_unfinished_dial_waits_for_something(self) -> None:
        """A callee who talks or is screened, or a clock: never for nothing."""
        assert (
            self.finished
            or self.deadlines
            or (self.joined and self.joined[0] in self.alive)
            or self.screening
        )

    def teardown(self) -> None:
        if not self.finished:
            self.obey(self.plan.handle(HangUpRequested(self.now)))
        self.time_passes_until_finished()
        assert sum(isinstance(order, Finish) for order in self.orders) == 1

    def time_passes_until_finished(self) -> None:
        if not self.finished:
            self.obey(self.plan.handle(DeadlinePassed(Deadline.SETTLE, self.now + 3.0)))


TestRingAllStories = RingAllStories.TestCase
TestRingAllStories.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
