"""The owner of all dials: admission, counting, draining, stopping."""

from __future__ import annotations

import asyncio

import pytest

from engine.dial.dial import Dial, DialState, Happening
from engine.dial.leg import Cause
from engine.dial.manager import DialManager
from engine.dial.request import DialRequest, Target
from engine.errors import Overloaded
from tests.support.legs import FakeLegs, FakeParent
from tests.support.virtual_time import in_virtual_time, settle

REQUEST = DialRequest([Target.sip("sip:bob@example.com")])


@in_virtual_time
async def test_a_dial_runs_in_the_managers_group_and_is_forgotten_when_it_ends() -> None:
    legs = FakeLegs()
    async with DialManager(legs=legs) as dials:
        dial = dials.start(REQUEST)
        assert dials.get(dial.id) is dial
        await settle()
        assert dials.counts() == {DialState.RINGING: 1}
        legs[0].answer()
        await settle()
        assert dials.counts() == {DialState.TALKING: 1}
        legs[0].end()
        result = await dial.wait()
        await settle()
        assert result.is_answered
        assert (len(dials), dials.get(dial.id), dials.finished["completed"]) == (0, None, 1)


@in_virtual_time
async def test_more_dials_than_allowed_are_refused_with_a_time_to_come_back() -> None:
    async with DialManager(legs=FakeLegs(), max_dials=1, retry_after_s=2.5) as dials:
        dials.start(REQUEST)
        with pytest.raises(Overloaded) as refusal:
            dials.start(REQUEST)
        assert refusal.value.retry_after_s == 2.5


@in_virtual_time
async def test_admission_can_be_closed_from_outside() -> None:
    def lagging(request: DialRequest) -> None:
        raise Overloaded("the loop lags", retry_after_s=1.0)

    async with DialManager(legs=FakeLegs(), admit=lagging) as dials:
        with pytest.raises(Overloaded, match="lags"):
            dials.start(REQUEST)
        assert len(dials) == 0


@in_virtual_time
async def test_draining_takes_nothing_new_and_waits_for_what_talks() -> None:
    legs = FakeLegs()
    async with DialManager(legs=legs) as dials:
        dials.start(REQUEST)
        await settle()
        legs[0].answer()
        assert not await dials.drain(5.0)
        with pytest.raises(Overloaded):
            dials.start(REQUEST)
        drained = asyncio.create_task(dials.drain())
        await settle()
        legs[0].end()
        assert await drained


@in_virtual_time
async def test_stopping_hangs_up_what_is_in_progress() -> None:
    legs = FakeLegs()
    async with DialManager(legs=legs) as dials:
        ringing, talking = dials.start(REQUEST), dials.start(REQUEST)
        await settle()
        legs[1].answer()
        await settle()
        await dials.stop()
        assert [leg.causes for leg in legs.made] == [[Cause.SHUTDOWN]] * 2
        assert (await ringing.wait()).dial_status == "no-answer"
        assert (await talking.wait()).dial_status == "completed"


@in_virtual_time
async def test_leaving_the_manager_stops_everything_even_deaf_legs() -> None:
    async with DialManager(legs=FakeLegs(is_deaf=True)) as dials:
        dial = dials.start(REQUEST)
    result = dial.result
    assert result is not None
    assert result.legs[0].is_abandoned
    assert asyncio.get_running_loop().time() == 3.0


@in_virtual_time
async def test_an_error_in_the_body_of_the_manager_takes_the_dials_down_with_it() -> None:
    legs, started = FakeLegs(), list[Dial]()

    async def own() -> None:
        async with DialManager(legs=legs) as dials:
            started.append(dials.start(REQUEST))
            await settle()
            raise ValueError("the owner is wrong")

    with pytest.raises(ExceptionGroup) as raised:
        await own()
    assert raised.group_contains(ValueError, match="the owner is wrong")
    assert started[0].result is not None
    assert legs[0].causes == [Cause.SHUTDOWN]


@in_virtual_time
async def test_every_dial_gets_its_own_observers() -> None:
    legs = FakeLegs()
    seen: dict[str, list[Happening]] = {}
    mine: list[Happening] = []
    async with DialManager(legs=legs) as dials:
        dials.observe_all(lambda dial: seen.setdefault(dial.id, []).append)
        first, second = dials.start(REQUEST, observer=mine.append), dials.start(REQUEST, FakeParent())
        assert set(dials) == {first, second}
        await settle()
        legs[0].refuse(486)
        await first.wait()
        assert seen[first.id] == mine
        assert seen[first.id][-1] is first.result
        assert seen[second.id][-1] is not first.result


@in_virtual_time
async def test_a_manager_that_is_not_entered_takes_no_dials() -> None:
    with pytest.raises(Overloaded):
        DialManager(legs=FakeLegs()).start(REQUEST)


@in_virtual_time
async def test_a_dial_cancelled_before_its_first_step_still_has_a_result() -> None:
    started: list[Dial] = []
    await asyncio.sleep(5.0)

    async def own() -> None:
        async with DialManager(legs=FakeLegs()) as dials:
            started.append(dials.start(REQUEST))
            raise ValueError("at once")

    with pytest.raises(ExceptionGroup):
        await own()
    result = await started[0].wait()
    assert (result.dial_status, result.legs, result.ring_s) == ("no-answer", (), 0.0)


@in_virtual_time
async def test_a_manager_that_was_left_in_an_error_takes_no_dials() -> None:
    dials = DialManager(legs=FakeLegs())

    async def own() -> None:
        async with dials:
            raise ValueError("the owner is wrong")

    with pytest.raises(ExceptionGroup):
        await own()
    with pytest.raises(Overloaded):
        dials.start(REQUEST)
