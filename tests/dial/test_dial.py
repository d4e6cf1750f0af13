"""The shell: legs are started, joined, let go; one result; nothing left behind. Time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from engine.dial.dial import Dial, DialState, Happening
from engine.dial.events import (
    CallerGone,
    Connect,
    DtmfReceived,
    HangUpLeg,
    LegAnswered,
    LegRinging,
)
from engine.dial.failure import no_route
from engine.dial.leg import Cause, EndedBy, Leg, ParentLeg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.request import DialRequest, InvalidRequest, Target
from engine.dial.result import DialResult, LegRecord
from engine.dial.unrouted import UnroutedLeg
from engine.ids import CallSid
from tests.dial.scene import BOB, CAROL, DAVE, Scene, scene
from tests.support.legs import FakeLegs, FakeParent, FakeScreening
from tests.support.virtual_time import in_virtual_time, settle


class _HalfRouted:
    """The first target has no route."""

    def __init__(self) -> None:
        self.fakes = FakeLegs()

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        if target is request.targets[0]:
            return (UnroutedLeg(CallSid("x"), no_route(), asyncio.get_running_loop().time),)
        return self.fakes.legs_for(target, request, parent)


@in_virtual_time
async def test_one_target_answers_talks_and_hangs_up() -> None:
    dial = await scene(BOB)
    await asyncio.sleep(2.0)
    dial.legs[0].answer()
    await asyncio.sleep(10.0)
    assert dial.dial.state is DialState.TALKING
    dial.legs[0].end()
    result = await dial.result()
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)
    assert (result.ring_s, result.talk_s) == (2.0, 10.0)
    assert result.ended_by is EndedBy.CALLEE
    assert result.is_answered
    assert dial.dial.winner is dial.legs[0]
    assert dial.dial.leg(CallSid("a")) is dial.legs[0]


@in_virtual_time
async def test_dv33_in_a_simring_one_is_joined_and_the_others_hear_completed_elsewhere() -> None:
    parent = FakeParent()
    dial = await scene(BOB, CAROL, DAVE, parent=parent)
    dial.legs[1].answer()
    await settle()
    assert dial.audio.now_playing == "leg b"
    assert dial.legs[0].causes == dial.legs[2].causes == [Cause.COMPLETED_ELSEWHERE]
    dial.legs[1].end()
    result = await dial.result()
    assert [record.status for record in result.legs] == ["no-answer", "completed", "no-answer"]
    assert [record.is_answered_elsewhere for record in result.legs] == [True, False, True]
    assert [record.sip_status for record in result.legs] == [487, 200, 487]
    assert not dial.audio.now_playing
    assert not parent.is_attached


@in_virtual_time
async def test_the_ring_timer_ends_the_dial_after_exactly_its_time() -> None:
    dial = await scene(BOB, timeout_s=25.0)
    dial.legs[0].ring()
    result = await dial.result()
    assert asyncio.get_running_loop().time() == 25.0
    assert result.termination_reason is TerminationReason.RING_TIMEOUT
    assert result.response_to_caller() == 480
    assert dial.legs[0].causes == [Cause.RING_TIMEOUT]


@in_virtual_time
async def test_dv30_a_deaf_leg_is_abandoned_after_three_seconds() -> None:
    dial = await scene(BOB, is_deaf=True, timeout_s=5.0)
    result = await dial.result()
    assert asyncio.get_running_loop().time() == 8.0
    assert result.legs[0].is_abandoned
    assert (result.legs[0].status, result.legs[0].sip_status) == ("no-answer", 487)
    assert (result.ring_s, result.talk_s) == (5.0, 0.0)


@in_virtual_time
async def test_dv34_an_answer_that_crosses_the_cancel_is_hung_up_and_not_joined() -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, parent=parent, is_deaf=True, timeout_s=5.0)
    await asyncio.sleep(5.1)
    dial.legs[0].answer()
    await settle()
    assert dial.legs[0].causes == [Cause.RING_TIMEOUT, Cause.NORMAL]
    dial.legs[0].end()
    result = await dial.result()
    assert result.dial_status is DialStatus.NO_ANSWER
    assert (result.legs[0].status, result.legs[0].sip_status) == ("no-answer", 200)
    assert "leg a" not in dial.audio.played


@in_virtual_time
async def test_dv34_two_answers_in_the_same_moment_give_one_winner() -> None:
    dial = await scene(BOB, CAROL, parent=FakeParent(is_answered=True), is_deaf=True)
    dial.legs[0].answer()
    dial.legs[1].answer()
    await settle()
    assert dial.audio.played == ["ringback", "leg a"]
    assert dial.legs[0].causes == []
    assert dial.legs[1].causes[0] is Cause.COMPLETED_ELSEWHERE
    dial.legs[1].end()
    dial.legs[0].end()
    assert (await dial.result()).leg == "a"


@in_virtual_time
async def test_dv34_a_caller_who_goes_in_the_moment_of_the_answer_is_not_completed() -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, parent=parent)
    dial.legs[0].answer()
    parent.go()
    result = await dial.result()
    assert (result.dial_status, result.termination_reason) == ("no-answer", "caller-gone")
    assert dial.legs[0].causes[0] is Cause.CALLER_GONE
    assert "leg a" not in dial.audio.played


@in_virtual_time
async def test_dv36_the_caller_hangs_up_and_the_callee_is_released() -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, parent=parent)
    dial.legs[0].answer()
    await asyncio.sleep(7.0)
    parent.go()
    result = await dial.result()
    assert (result.dial_status, result.ended_by, result.talk_s) == ("completed", EndedBy.CALLER, 7.0)
    assert dial.legs[0].causes == [Cause.CALLER_GONE]


@in_virtual_time
async def test_dv35_the_time_limit_ends_the_talk_and_leaves_the_caller() -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, parent=parent, time_limit_s=30.0)
    await asyncio.sleep(5.0)
    dial.legs[0].answer()
    result = await dial.result()
    assert asyncio.get_running_loop().time() == 35.0
    assert (result.dial_status, result.termination_reason) == ("completed", "time-limit")
    assert dial.legs[0].causes == [Cause.TIME_LIMIT]
    assert not parent.is_attached
    assert dial.audio.now_playing == ""


@in_virtual_time
async def test_without_answer_on_bridge_the_caller_is_answered_at_once_and_hears_ringback() -> None:
    parent = FakeParent()
    dial = await scene(BOB, parent=parent)
    assert parent.log == ["200"]
    assert dial.audio.now_playing == "ringback"
    dial.legs[0].refuse(486, "Busy Here")
    result = await dial.result()
    assert dial.audio.now_playing == ""
    assert (result.dial_status, result.dial_sip_status, result.response_to_caller()) == ("busy", 486, 486)


@in_virtual_time
async def test_dv40_on_bridge_the_caller_is_answered_when_a_callee_is_selected() -> None:
    parent = FakeParent()
    dial = await scene(BOB, CAROL, parent=parent, answer_on_bridge=True)
    assert parent.log == []
    dial.legs[0].ring()
    dial.legs[1].early_media()
    await settle()
    assert parent.log == ["180"]
    assert dial.audio.played == []
    dial.legs[0].answer()
    await settle()
    assert parent.log == ["180", "200"]
    assert dial.audio.now_playing == "leg a"
    dial.legs[0].end()
    await dial.result()


@in_virtual_time
async def test_dv40_a_failed_dial_on_bridge_leaves_the_caller_unanswered() -> None:
    parent = FakeParent()
    dial = await scene(BOB, parent=parent, answer_on_bridge=True)
    dial.legs[0].ring()
    dial.legs[0].refuse(603, "Decline")
    result = await dial.result()
    assert parent.log == ["180"]
    assert result.response_to_caller({603: 486}) == 486


@in_virtual_time
async def test_on_bridge_early_media_of_a_single_callee_goes_through_until_the_answer() -> None:
    parent = FakeParent()
    dial = await scene(BOB, parent=parent, answer_on_bridge=True)
    dial.legs[0].early_media()
    await settle()
    assert (parent.log, dial.audio.now_playing) == (["183"], "leg a")
    dial.legs[0].answer()
    await settle()
    assert (parent.log, dial.audio.now_playing) == (["183", "200"], "leg a")
    dial.legs[0].end()
    await dial.result()


@in_virtual_time
async def test_dv43_music_plays_as_early_media_and_stops_with_the_bridge() -> None:
    parent = FakeParent()
    dial = await scene(BOB, parent=parent, answer_on_bridge=True, dial_music="moh.wav")
    assert (parent.log, dial.audio.now_playing) == (["183"], "music moh.wav")
    dial.legs[0].answer()
    await settle()
    assert dial.audio.now_playing == "leg a"
    dial.legs[0].end()
    await dial.result()


@in_virtual_time
async def test_dv43_ringback_replaces_music_that_cannot_be_played() -> None:
    parent = FakeParent()
    dial = await scene(BOB, parent=parent, dial_music="moh.wav")
    assert dial.audio.music_failed is not None
    dial.audio.music_failed("no such file")
    await settle()
    assert dial.audio.now_playing == "ringback"
    dial.legs[0].refuse(486)
    await dial.result()


@in_virtual_time
async def test_a_caller_without_media_is_joined_when_its_ack_brings_it() -> None:
    parent = FakeParent(is_slow=True)
    dial = await scene(BOB, parent=parent)
    assert (parent.log, dial.audio.played) == (["200"], [])
    parent.ack()
    await settle()
    assert dial.audio.played == ["ringback"]
    dial.legs[0].answer()
    await settle()
    assert dial.audio.played == ["ringback", "leg a"]
    dial.legs[0].end()
    await dial.result()


@in_virtual_time
async def test_dv42_a_caller_whose_ack_is_still_to_come_is_not_answered_twice() -> None:
    parent = FakeParent(is_slow=True)
    dial = await scene(BOB, parent=parent)
    dial.legs[0].answer()
    await settle()
    assert (parent.log, dial.audio.played) == (["200"], [])
    parent.ack()
    await settle()
    assert dial.audio.played == ["leg a"]
    dial.legs[0].end()
    await dial.result()


@in_virtual_time
async def test_on_bridge_a_slow_caller_is_joined_after_its_ack_and_the_limit_starts_then() -> None:
    parent = FakeParent(is_slow=True)
    dial = await scene(BOB, parent=parent, answer_on_bridge=True, time_limit_s=10.0)
    dial.legs[0].answer()
    await asyncio.sleep(1.0)
    assert dial.audio.played == []
    assert dial.dial.state is DialState.RINGING
    parent.ack()
    result = await dial.result()
    assert asyncio.get_running_loop().time() == 11.0
    assert result.talk_s == 10.0


@in_virtual_time
async def test_a_sound_that_waits_for_the_caller_is_forgotten_when_the_dial_is_decided() -> None:
    parent = FakeParent(is_slow=True)
    dial = await scene(BOB, parent=parent, is_deaf=True)
    dial.dial.hang_up()
    await settle()
    parent.ack()
    await dial.result()
    assert dial.audio.played == []


@in_virtual_time
async def test_a_slow_caller_who_never_acks_is_caller_gone() -> None:
    parent = FakeParent(is_slow=True)
    dial = await scene(BOB, parent=parent, answer_on_bridge=True)
    dial.legs[0].answer()
    await asyncio.sleep(32.0)
    parent.go()
    result = await dial.result()
    assert (result.dial_status, result.dial_sip_status) == ("no-answer", 487)
    assert dial.legs[0].has_ended


@in_virtual_time
async def test_dv60_a_screened_callee_is_joined_only_when_accepted() -> None:
    screening = FakeScreening()
    parent = FakeParent()
    dial = await scene(BOB, CAROL, parent=parent, screening=screening, confirm_hook="/confirm")
    dial.legs[0].answer()
    await settle()
    assert screening.hooks == [("a", "/confirm")]
    assert dial.audio.now_playing == "ringback"
    screening.decide(dial.legs[0], is_accepted=False)
    await settle()
    assert dial.legs[0].causes == [Cause.DECLINED]
    dial.legs[1].answer()
    await settle()
    screening.decide(dial.legs[1], is_accepted=True)
    await settle()
    assert dial.audio.now_playing == "leg b"
    dial.legs[1].end()
    result = await dial.result()
    assert [record.status for record in result.legs] == ["busy", "completed"]


@in_virtual_time
async def test_dv34_screening_stops_when_the_caller_goes() -> None:
    screening = FakeScreening()
    parent = FakeParent()
    dial = await scene(BOB, parent=parent, screening=screening, confirm_hook="/confirm")
    dial.legs[0].answer()
    await settle()
    parent.go()
    result = await dial.result()
    assert screening.running == {}
    assert result.termination_reason is TerminationReason.CALLER_GONE


@in_virtual_time
async def test_screening_stops_when_the_callee_goes() -> None:
    screening = FakeScreening()
    dial = await scene(BOB, screening=screening, confirm_hook="/confirm")
    dial.legs[0].answer()
    await settle()
    dial.legs[0].end()
    result = await dial.result()
    assert screening.running == {}
    assert (result.dial_status, result.termination_reason) == ("busy", "screening-declined")


@in_virtual_time
async def test_screening_without_somebody_to_run_it_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="confirm_hook"):
        Dial(DialRequest((BOB,), confirm_hook="/confirm"), legs=FakeLegs())


@in_virtual_time
async def test_dv85_a_hang_up_by_request_cancels_what_rings() -> None:
    dial = await scene(BOB, CAROL)
    dial.dial.hang_up()
    result = await dial.result()
    assert (result.dial_status, result.termination_reason) == ("no-answer", "caller-gone")
    assert dial.legs[0].causes == dial.legs[1].causes == [Cause.REQUESTED]


@in_virtual_time
async def test_a_hang_up_before_the_task_runs_is_not_lost() -> None:
    dial = Scene(BOB)
    dial.dial.hang_up()
    result = await dial.result()
    assert result.dial_status is DialStatus.NO_ANSWER
    assert dial.legs[0].has_ended


@pytest.mark.parametrize(("on_bridge", "music"), [(True, ""), (True, "music.wav"), (False, "")])
@in_virtual_time
async def test_dv34_nobody_is_rung_for_a_caller_who_left_before_the_dial_began(
    on_bridge: bool, music: str
) -> None:
    parent = FakeParent()
    parent.go()
    with capture_logs() as lines:
        dial = await scene(BOB, CAROL, parent=parent, answer_on_bridge=on_bridge, dial_music=music)
        result = await dial.result()
    assert [line for line in lines if line["log_level"] == "error"] == []
    assert parent.log == []
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)
    assert (result.termination_reason, result.ended_by) == (TerminationReason.CALLER_GONE, EndedBy.CALLER)
    assert [type(happening) for happening in dial.happenings if not isinstance(happening, LegRecord)] == [
        CallerGone,
        DialResult,
    ]


@in_virtual_time
async def test_a_leg_held_back_until_the_end_makes_the_dial_queued() -> None:
    dial = await scene(BOB, is_held=True)
    dial.dial.hang_up()
    result = await dial.result()
    assert (result.dial_status, result.dial_sip_status) == ("queued", 0)
    assert result.to_dict()["dial_call_status"] == "failed"


@in_virtual_time
async def test_dv32_a_leg_held_back_gets_its_whole_ring_time_from_its_invite() -> None:
    dial = await scene(BOB, is_held=True, timeout_s=10.0)
    await asyncio.sleep(4.0)
    dial.legs[0].try_()
    await dial.result()
    assert asyncio.get_running_loop().time() == 14.0


@in_virtual_time
async def test_dv10_twelve_targets_ring_ten_and_a_duplicate_rings_once() -> None:
    targets = [Target.phone(f"+155501001{index:02}") for index in range(12)]
    dial = await scene(*targets, targets[0])
    assert len(dial.legs.made) == 10
    dial.dial.hang_up()
    result = await dial.result()
    assert len(result.legs) == 10
    assert len(result.warnings) == 3


@in_virtual_time
async def test_dv25_a_branch_without_route_fails_and_the_other_rings_on() -> None:
    legs = _HalfRouted()
    dial = Dial(DialRequest((BOB, CAROL)), legs=legs)
    task = asyncio.create_task(dial.run())
    await asyncio.sleep(1.0)
    legs.fakes[0].refuse(404, "Not Found")
    result = await task
    assert [record.sip_status for record in result.legs] == [503, 404]
    assert result.dial_sip_status == 404


@in_virtual_time
async def test_observers_see_events_orders_and_the_result_in_order() -> None:
    dial = await scene(BOB, CAROL)
    dial.legs[0].ring()
    dial.legs[0].answer()
    dial.legs[0].press("5")
    await settle()
    dial.legs[0].end()
    result = await dial.result()
    kinds = [type(each) for each in dial.happenings]
    assert kinds.index(LegRinging) < kinds.index(LegAnswered) < kinds.index(Connect) < kinds.index(HangUpLeg)
    assert DtmfReceived in kinds
    assert dial.happenings[-1] is result


@in_virtual_time
async def test_an_observer_that_fails_breaks_no_call() -> None:
    dial = await scene(BOB)

    def broken(happening: Happening) -> None:
        raise RuntimeError("only watching")

    dial.dial.observe(broken)
    dial.legs[0].answer()
    await settle()
    dial.legs[0].end()
    assert (await dial.result()).dial_status is DialStatus.COMPLETED


@in_virtual_time
async def test_everybody_who_waits_gets_the_same_result() -> None:
    dial = await scene(BOB)
    waiters = [asyncio.create_task(dial.dial.wait()) for _ in range(3)]
    given_up = asyncio.create_task(dial.dial.wait())
    await settle()
    given_up.cancel()
    dial.legs[0].refuse(486)
    result = await dial.result()
    assert [await waiter for waiter in waiters] == [result, result, result]
    assert await dial.dial.wait() is dial.dial.result is result


@in_virtual_time
async def test_a_cancelled_task_lets_every_leg_go_and_still_has_a_result() -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, CAROL, parent=parent, is_deaf=True)
    dial.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial.task
    assert dial.legs[0].causes == dial.legs[1].causes == [Cause.SHUTDOWN]
    assert not parent.is_attached
    result = dial.dial.result
    assert result is not None
    assert result.dial_status is DialStatus.NO_ANSWER
    assert all(record.is_abandoned for record in result.legs)


@in_virtual_time
async def test_events_after_the_result_are_dropped() -> None:
    dial = await scene(BOB)
    dial.legs[0].refuse(486)
    result = await dial.result()
    dial.legs[0].ring()
    dial.dial.hang_up()
    assert dial.dial.result is result
    assert dial.dial.state is DialState.ENDED
