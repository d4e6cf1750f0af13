"""RingAll: decisions without a clock, a loop or a leg."""

from __future__ import annotations

from engine.dial.events import (
    CallerGone,
    Command,
    Connect,
    Connected,
    Deadline,
    DeadlinePassed,
    DialEvent,
    Disconnect,
    DtmfReceived,
    Finish,
    HangUpLeg,
    HangUpRequested,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegHeldBack,
    LegRinging,
    LegTrying,
    Screen,
    Screened,
    SetDeadline,
    StartLeg,
)
from engine.dial.failure import held_back, no_response, no_route, refused
from engine.dial.leg import Cause, EndedBy
from engine.dial.outcome import How, TerminationReason, Verdict
from engine.dial.plan import RingAll
from engine.ids import CallSid

A, B, C = CallSid("a"), CallSid("b"), CallSid("c")


class Rehearsal:
    """A plan and everything it has ordered so far."""

    def __init__(
        self,
        *legs: CallSid,
        screened: tuple[CallSid, ...] = (),
        time_limit_s: float | None = None,
    ) -> None:
        self.plan = RingAll(legs, ring_timeout_s=60.0, time_limit_s=time_limit_s, screened=screened)
        self.commands = list(self.plan.begin(0.0))

    def on(self, *events: DialEvent) -> list[Command]:
        """What the plan orders for these events."""
        fresh = [command for event in events for command in self.plan.handle(event)]
        self.commands += fresh
        return fresh

    @property
    def verdict(self) -> Verdict:
        """Of a finished dial."""
        (verdict,) = (command.verdict for command in self.commands if isinstance(command, Finish))
        return verdict

    def is_finished(self) -> bool:
        return any(isinstance(command, Finish) for command in self.commands)

    def how(self, leg: CallSid) -> tuple[How, int]:
        end = next(end for end in self.plan.ends() if end.leg == leg)
        return end.how, end.sip_status


def busy(leg: CallSid, at: float = 1.0) -> LegEnded:
    return LegEnded(leg, at, sip_status=486, failure=refused(486, "Busy Here"))


def cancelled(leg: CallSid, at: float = 1.1) -> LegEnded:
    return LegEnded(leg, at, EndedBy.ENGINE, 487, failure=refused(487, "Request Terminated"))


def gone(leg: CallSid, at: float = 2.0) -> LegEnded:
    return LegEnded(leg, at, EndedBy.CALLEE, 200, "OK")


def test_all_targets_start_at_once() -> None:
    dial = Rehearsal(A, B, C)
    assert [each for each in dial.commands if isinstance(each, StartLeg)] == [
        StartLeg(A),
        StartLeg(B),
        StartLeg(C),
    ]


def test_dv32_the_ring_timer_starts_with_the_first_invite() -> None:
    dial = Rehearsal(A, B)
    assert dial.on(LegTrying(A, 0.5)) == [SetDeadline(Deadline.RING, 60.5)]
    assert dial.on(LegTrying(B, 0.9), LegRinging(A, 1.0)) == []


def test_dv32_the_failure_of_one_branch_does_not_stop_the_timer_of_the_others() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegTrying(A, 0.0))
    assert dial.on(busy(A)) == []
    dial.on(DeadlinePassed(Deadline.RING, 60.0), cancelled(B, 60.1))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("no-answer", 487)
    assert dial.verdict.termination_reason is TerminationReason.RING_TIMEOUT
    assert dial.verdict.leg == B


def test_dv33_the_first_answer_wins_and_all_others_stop_in_the_same_step() -> None:
    dial = Rehearsal(A, B, C)
    assert dial.on(LegAnswered(B, 1.0)) == [
        SetDeadline(Deadline.RING, None),
        Connect(B),
        HangUpLeg(A, Cause.COMPLETED_ELSEWHERE),
        HangUpLeg(C, Cause.COMPLETED_ELSEWHERE),
    ]


def test_dv33_only_losers_are_told_that_the_call_was_completed_elsewhere() -> None:
    assert Cause.COMPLETED_ELSEWHERE.reason_header == 'SIP;cause=200;text="Call completed elsewhere"'
    for cause in set(Cause) - {Cause.COMPLETED_ELSEWHERE}:
        assert "200" not in cause.reason_header


def test_dv34_the_second_of_two_answers_is_hung_up_and_never_connected() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegAnswered(A, 1.0))
    assert dial.on(LegAnswered(B, 1.0)) == [HangUpLeg(B, Cause.NORMAL)]


def test_dv34_an_answer_after_our_cancel_is_no_answer() -> None:
    dial = Rehearsal(A)
    dial.on(DeadlinePassed(Deadline.RING, 60.0), LegAnswered(A, 60.05), gone(A, 60.1))
    assert dial.verdict.dial_status == "no-answer"
    assert dial.how(A) == (How.GIVEN_UP, 200)
    assert Connect(A) not in dial.commands


def test_dv34_a_repeated_answer_changes_nothing() -> None:
    dial = Rehearsal(A)
    dial.on(LegAnswered(A, 1.0), Connected(A, 1.0))
    assert dial.on(LegAnswered(A, 1.5)) == []


def test_dv34_a_caller_who_goes_before_the_two_are_joined_is_caller_gone() -> None:
    dial = Rehearsal(A)
    dial.on(LegAnswered(A, 1.0))
    assert HangUpLeg(A, Cause.CALLER_GONE) in dial.on(CallerGone(1.0))
    dial.on(gone(A))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("no-answer", 487)
    assert dial.verdict.termination_reason is TerminationReason.CALLER_GONE


def test_dv34_a_caller_who_goes_while_it_rings_cancels_everybody() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegRinging(A, 1.0))
    orders = dial.on(CallerGone(2.0))
    assert HangUpLeg(A, Cause.CALLER_GONE) in orders
    assert HangUpLeg(B, Cause.CALLER_GONE) in orders
    dial.on(cancelled(A), cancelled(B))
    assert (dial.verdict.termination_reason, dial.verdict.ended_by) == (
        TerminationReason.CALLER_GONE,
        EndedBy.CALLER,
    )


def test_dv85_a_request_to_hang_up_while_ringing_cancels_all_branches() -> None:
    dial = Rehearsal(A, B)
    orders = dial.on(HangUpRequested(2.0))
    assert [each for each in orders if isinstance(each, HangUpLeg)] == [
        HangUpLeg(A, Cause.REQUESTED),
        HangUpLeg(B, Cause.REQUESTED),
    ]
    dial.on(cancelled(A), cancelled(B))
    assert (dial.verdict.dial_status, dial.verdict.ended_by) == ("no-answer", EndedBy.ENGINE)


def test_a_replaced_dial_says_so() -> None:
    dial = Rehearsal(A)
    dial.on(HangUpRequested(2.0, Cause.REPLACED), cancelled(A))
    assert dial.verdict.termination_reason is TerminationReason.REPLACED


def test_dv35_the_time_limit_starts_when_the_legs_are_joined() -> None:
    dial = Rehearsal(A, time_limit_s=10.0)
    dial.on(LegAnswered(A, 1.0))
    assert dial.on(Connected(A, 1.5)) == [SetDeadline(Deadline.TIME_LIMIT, 11.5)]
    orders = dial.on(DeadlinePassed(Deadline.TIME_LIMIT, 11.5))
    assert orders[:2] == [Disconnect(), HangUpLeg(A, Cause.TIME_LIMIT)]
    dial.on(gone(A, 11.6))
    assert dial.verdict.dial_status == "completed"
    assert dial.verdict.termination_reason is TerminationReason.TIME_LIMIT


def test_dv36_a_callee_who_hangs_up_completes_the_dial() -> None:
    dial = Rehearsal(A)
    dial.on(LegAnswered(A, 1.0), Connected(A, 1.0), gone(A, 5.0))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("completed", 200)
    assert (dial.verdict.leg, dial.verdict.ended_by) == (A, EndedBy.CALLEE)


def test_dv36_a_caller_who_hangs_up_releases_the_callee_and_the_dial_is_completed() -> None:
    dial = Rehearsal(A)
    dial.on(LegAnswered(A, 1.0), Connected(A, 1.0))
    assert HangUpLeg(A, Cause.CALLER_GONE) in dial.on(CallerGone(5.0))
    dial.on(gone(A, 5.1))
    assert (dial.verdict.dial_status, dial.verdict.ended_by) == ("completed", EndedBy.CALLER)


def test_dv30_a_branch_that_does_not_report_is_abandoned_three_seconds_after_the_decision() -> None:
    dial = Rehearsal(A, B)
    orders = dial.on(CallerGone(2.0))
    assert orders[-1] == SetDeadline(Deadline.SETTLE, 5.0)
    dial.on(cancelled(A))
    assert not dial.is_finished()
    dial.on(DeadlinePassed(Deadline.SETTLE, 5.0))
    assert dial.how(B) == (How.GIVEN_UP, 487)


def test_dv41_provisional_responses_are_never_an_answer_and_start_no_time_limit() -> None:
    dial = Rehearsal(A, time_limit_s=10.0)
    orders = dial.on(LegTrying(A, 0.0), LegRinging(A, 1.0), LegEarlyMedia(A, 2.0), LegRinging(A, 3.0, 182))
    assert orders == [SetDeadline(Deadline.RING, 60.0)]


def test_dv52_a_6xx_on_one_branch_does_not_cancel_the_others() -> None:
    dial = Rehearsal(A, B)
    assert dial.on(LegEnded(A, 1.0, failure=refused(603, "Decline"))) == []
    assert Connect(B) in dial.on(LegAnswered(B, 2.0))


def test_dv60_a_declined_branch_counts_as_failed_and_the_rest_keeps_ringing() -> None:
    dial = Rehearsal(A, B, screened=(A, B))
    assert dial.on(LegAnswered(A, 1.0)) == [Screen(A)]
    assert dial.on(Screened(A, 2.0, is_accepted=False)) == [HangUpLeg(A, Cause.DECLINED)]
    dial.on(gone(A, 2.1))
    assert not dial.is_finished()
    dial.on(busy(B))
    assert (dial.verdict.leg, dial.verdict.sip_status, dial.verdict.dial_status) == (A, 200, "busy")
    assert dial.verdict.termination_reason is TerminationReason.SCREENING_DECLINED


def test_dv60_a_callee_who_hangs_up_in_screening_has_declined() -> None:
    dial = Rehearsal(A, screened=(A,))
    dial.on(LegAnswered(A, 1.0), gone(A))
    assert dial.verdict.termination_reason is TerminationReason.SCREENING_DECLINED


def test_dv61_two_branches_are_screened_and_the_first_to_accept_wins() -> None:
    dial = Rehearsal(A, B, screened=(A, B))
    dial.on(LegAnswered(A, 1.0), LegAnswered(B, 1.1))
    orders = dial.on(Screened(B, 2.0, is_accepted=True))
    assert Connect(B) in orders
    assert HangUpLeg(A, Cause.COMPLETED_ELSEWHERE) in orders
    assert dial.on(Screened(A, 2.0, is_accepted=True)) == []


def test_dv32_the_ring_timer_leaves_a_callee_in_screening_alone() -> None:
    dial = Rehearsal(A, B, screened=(A,))
    dial.on(LegAnswered(A, 59.0))
    assert dial.on(DeadlinePassed(Deadline.RING, 60.0)) == [HangUpLeg(B, Cause.RING_TIMEOUT)]
    assert Connect(A) in dial.on(Screened(A, 61.0, is_accepted=True))


def test_a_ring_timeout_is_reported_although_the_last_callee_declined_afterwards() -> None:
    dial = Rehearsal(A, B, screened=(A,))
    dial.on(LegAnswered(A, 59.0), DeadlinePassed(Deadline.RING, 60.0), cancelled(B))
    dial.on(Screened(A, 61.0, is_accepted=False), gone(A, 61.1))
    assert dial.verdict.termination_reason is TerminationReason.RING_TIMEOUT


def test_a_ring_timeout_with_nobody_ringing_is_ignored() -> None:
    dial = Rehearsal(A, screened=(A,))
    dial.on(LegAnswered(A, 59.0))
    assert dial.on(DeadlinePassed(Deadline.RING, 60.0)) == []


def test_dv34_a_caller_who_goes_during_screening_gets_the_callee_hung_up() -> None:
    dial = Rehearsal(A, screened=(A,))
    dial.on(LegAnswered(A, 1.0))
    assert HangUpLeg(A, Cause.CALLER_GONE) in dial.on(CallerGone(2.0))
    assert dial.on(Screened(A, 2.1, is_accepted=True)) == []


def test_dv25_a_branch_without_route_fails_alone() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegEnded(A, 0.0, EndedBy.ENGINE, failure=no_route()))
    assert not dial.is_finished()
    dial.on(busy(B))
    assert dial.verdict.leg == B


def test_a_dial_that_never_got_past_an_admission_limit_is_queued() -> None:
    dial = Rehearsal(A)
    dial.on(LegHeldBack(A, 0.0), CallerGone(5.0))
    dial.on(LegEnded(A, 5.0, EndedBy.ENGINE, failure=held_back()))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("queued", 0)
    assert dial.how(A) == (How.HELD_BACK, 0)


def test_one_branch_that_started_makes_it_an_ordinary_no_answer() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegHeldBack(A, 0.0), LegTrying(B, 0.0), CallerGone(5.0))
    dial.on(LegEnded(A, 5.0, EndedBy.ENGINE, failure=held_back()), cancelled(B))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("no-answer", 487)


def test_a_refusal_that_crosses_our_cancel_is_recorded_as_what_it_was() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegAnswered(A, 1.0), busy(B))
    assert dial.how(B) == (How.RESPONSE, 486)


def test_a_branch_that_timed_out_after_our_cancel_has_487_semantics() -> None:
    dial = Rehearsal(A, B)
    dial.on(LegAnswered(A, 1.0), LegEnded(B, 33.0, EndedBy.ENGINE, failure=no_response()))
    assert dial.how(B) == (How.GIVEN_UP, 487)


def test_an_end_without_a_reason_before_an_answer_is_our_own_mistake() -> None:
    dial = Rehearsal(A)
    dial.on(LegEnded(A, 1.0))
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("failed", 500)


def test_a_final_response_without_a_classification_is_taken_at_its_number() -> None:
    dial = Rehearsal(A)
    dial.on(LegEnded(A, 1.0, sip_status=486))
    assert dial.how(A) == (How.RESPONSE, 486)


def test_a_dial_without_legs_finishes_at_once_without_a_route() -> None:
    dial = Rehearsal()
    assert (dial.verdict.dial_status, dial.verdict.sip_status) == ("failed", 503)


def test_after_the_decision_only_goodbyes_count() -> None:
    dial = Rehearsal(A, B)
    dial.on(CallerGone(1.0))
    assert dial.on(CallerGone(1.1), HangUpRequested(1.2), DeadlinePassed(Deadline.RING, 60.0)) == []
    assert dial.on(LegTrying(A, 1.3), Connected(A, 1.3), DtmfReceived(A, 1.3, "5")) == []


def test_deadlines_of_other_plans_are_ignored() -> None:
    dial = Rehearsal(A)
    assert dial.on(DeadlinePassed(Deadline.NEXT, 1.0), DeadlinePassed(Deadline.TIME_LIMIT, 1.0)) == []
    assert dial.on(DeadlinePassed(Deadline.SETTLE, 1.0)) == []


def test_the_branch_that_decides_a_caller_gone_is_the_first_still_alive_or_the_selected_one() -> None:
    ringing = Rehearsal(A, B, C)
    ringing.on(busy(A), CallerGone(2.0), cancelled(B), cancelled(C))
    assert ringing.verdict.leg == B
    selected = Rehearsal(A, B)
    selected.on(LegAnswered(B, 1.0), CallerGone(1.0), cancelled(A), gone(B))
    assert selected.verdict.leg == B
