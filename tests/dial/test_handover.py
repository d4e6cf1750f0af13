"""A dial that gives its callee away, or is replaced: one result, nobody wrongly hung up, no orphan."""

from __future__ import annotations

import asyncio

import pytest

from engine.dial.dial import DialState
from engine.dial.events import HandOverRequested
from engine.dial.leg import Cause, EndedBy, Leg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.result import DialResult
from tests.dial.scene import BOB, CAROL, Scene, scene
from tests.support.legs import FakeParent
from tests.support.virtual_time import in_virtual_time, settle


async def _talking(*, is_deaf: bool = False, **options: float | None) -> tuple[Scene, FakeParent, list[Leg]]:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, CAROL, parent=parent, is_deaf=is_deaf, time_limit_s=options.get("time_limit_s"))
    dial.legs[0].answer()
    await settle()
    assert dial.audio.now_playing == "leg a"
    return dial, parent, []


@in_virtual_time
async def test_the_callee_lives_on_under_its_new_owner_and_the_caller_stays() -> None:
    dial, parent, taken = await _talking()
    await asyncio.sleep(7.0)
    asked = dial.dial.hand_over(taken.append)
    result = await dial.result()
    assert await asked is True
    assert taken == [dial.legs[0]]
    assert dial.legs[0].causes == [], "nobody was hung up"
    assert dial.audio.now_playing == ""
    assert not parent.is_attached
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)
    assert result.termination_reason is TerminationReason.REPLACED
    assert (result.ended_by, result.talk_s, result.leg) == (EndedBy.ENGINE, 7.0, "a")
    record = result.record_of(dial.legs[0].id)
    assert record is not None
    assert (record.is_handed_over, record.is_abandoned, record.ended_at) == (True, False, None)
    dial.legs[0].end()  # tells its new owner, no dial
    assert dial.happenings[-1] is result


@in_virtual_time
async def test_a_dial_without_a_caller_gives_its_callee_away_too() -> None:
    dial, taken = await scene(BOB), list[Leg]()
    dial.legs[0].answer()
    await settle()
    asked = dial.dial.hand_over(taken.append)
    assert (await dial.result()).termination_reason is TerminationReason.REPLACED
    assert (asked.result(), taken) == (True, [dial.legs[0]])


@in_virtual_time
async def test_the_goodbyes_of_the_losers_are_waited_for_but_not_that_of_the_one_given_away() -> None:
    dial, _, taken = await _talking(is_deaf=True)
    dial.dial.hand_over(taken.append)
    await settle()
    assert taken == [dial.legs[0]]
    assert dial.dial.state is DialState.ENDING
    dial.legs[1].end()
    result = await dial.result()
    assert [record.is_handed_over for record in result.legs] == [True, False]
    assert dial.legs[0].causes == []


@pytest.mark.parametrize("when", ["ringing", "over"])
@in_virtual_time
async def test_nobody_is_given_away_before_or_after_the_conversation(when: str) -> None:
    dial, taken = await scene(BOB, parent=FakeParent(is_answered=True)), list[Leg]()
    if when == "over":
        dial.legs[0].refuse(486)
        await dial.result()
    asked = dial.dial.hand_over(taken.append)
    await settle()
    assert asked.result() is False
    assert taken == []
    if when == "ringing":
        assert dial.dial.state is DialState.RINGING, "it goes on as it was"
        dial.legs[0].refuse(486)
        assert (await dial.result()).dial_status is DialStatus.BUSY


@in_virtual_time
async def test_dv34_a_callee_who_hung_up_in_the_same_moment_is_not_given_away() -> None:
    dial, _, taken = await _talking()
    dial.legs[0].end()
    asked = dial.dial.hand_over(taken.append)
    result = await dial.result()
    assert (await asked, taken) == (False, [])
    assert (result.termination_reason, result.ended_by) == (TerminationReason.ANSWERED, EndedBy.CALLEE)


@in_virtual_time
async def test_dv34_a_callee_who_hangs_up_a_moment_later_is_the_new_owners_business() -> None:
    dial, _, taken = await _talking()
    asked = dial.dial.hand_over(taken.append)
    dial.legs[0].end()
    result = await dial.result()
    assert (await asked, taken) == (True, [dial.legs[0]])
    assert dial.legs[0].has_ended, "which it sees when it watches the leg"
    assert result.termination_reason is TerminationReason.REPLACED
    assert dial.legs[0].causes == []


@pytest.mark.parametrize("is_first", [True, False])
@in_virtual_time
async def test_dv34_a_caller_who_hangs_up_in_the_same_moment_takes_the_callee_along(is_first: bool) -> None:
    dial, parent, taken = await _talking()
    if is_first:
        parent.go()
    asked = dial.dial.hand_over(taken.append)
    if not is_first:
        parent.go()  # overtakes what waits in the inbox
    result = await dial.result()
    assert (await asked, taken) == (False, [])
    assert dial.legs[0].causes == [Cause.CALLER_GONE]
    assert (result.termination_reason, result.ended_by) == (TerminationReason.ANSWERED, EndedBy.CALLER)


@in_virtual_time
async def test_only_the_first_of_two_who_ask_gets_it() -> None:
    dial, _, taken = await _talking()
    later: list[Leg] = []
    asked = [dial.dial.hand_over(taken.append), dial.dial.hand_over(later.append)]
    await dial.result()
    assert [await each for each in asked] == [True, False]
    assert (taken, later) == ([dial.legs[0]], [])


@in_virtual_time
async def test_a_new_owner_who_fails_to_take_it_leaves_no_orphan() -> None:
    dial, _, _ = await _talking()

    def fails(leg: Leg) -> None:
        raise ZeroDivisionError

    asked = dial.dial.hand_over(fails)
    result = await dial.result()
    assert await asked is False
    assert dial.legs[0].causes == [Cause.ENGINE_ERROR]
    record = result.record_of(dial.legs[0].id)
    assert record is not None
    assert not record.is_handed_over


@in_virtual_time
async def test_a_dial_cancelled_after_giving_away_leaves_the_leg_alone() -> None:
    dial, _, taken = await _talking(is_deaf=True)
    asked = dial.dial.hand_over(taken.append)
    await settle()
    dial.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial.task
    assert asked.result() is True
    assert dial.legs[0].causes == []
    assert dial.dial.result is not None


@in_virtual_time
async def test_a_dial_cancelled_before_it_could_decide_answers_who_asked() -> None:
    dial, _, taken = await _talking()
    asked = dial.dial.hand_over(taken.append)
    dial.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dial.task
    assert (asked.result(), taken) == (False, [])
    assert dial.legs[0].causes == [Cause.SHUTDOWN]


@in_virtual_time
async def test_dv35_the_time_limit_of_the_dial_ends_with_it() -> None:
    dial, _, taken = await _talking(time_limit_s=5.0)
    dial.dial.hand_over(taken.append)
    await dial.result()
    await asyncio.sleep(10.0)
    assert dial.legs[0].causes == []
    assert sum(isinstance(each, HandOverRequested) for each in dial.happenings) == 1


@pytest.mark.parametrize("is_talking", [True, False])
@in_virtual_time
async def test_dv85_a_redirect_ends_the_dial_once_as_replaced(
    is_talking: bool,
) -> None:
    parent = FakeParent(is_answered=True)
    dial = await scene(BOB, CAROL, parent=parent)
    if is_talking:
        dial.legs[0].answer()
        await settle()
    dial.dial.hang_up(Cause.REPLACED)
    dial.dial.hang_up(Cause.REPLACED)
    result = await dial.result()
    assert result.termination_reason is TerminationReason.REPLACED
    assert result.dial_status is (DialStatus.COMPLETED if is_talking else DialStatus.NO_ANSWER)
    assert dial.legs[0].causes == [Cause.REPLACED]
    assert sum(isinstance(each, DialResult) for each in dial.happenings) == 1
    assert not parent.is_attached
    assert all(record.ended_at is not None for record in result.legs)
