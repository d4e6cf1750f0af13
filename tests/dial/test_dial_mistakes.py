"""engine.dial.dial: mistakes of our own fail one branch or one dial, are logged, and leave nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog
from structlog.testing import capture_logs

from engine.dial.bridge import Joint
from engine.dial.dial import Dial
from engine.dial.events import (
    Command,
    DialEvent,
    StartLeg,
)
from engine.dial.leg import Cause, Inbox, Leg, ParentLeg
from engine.dial.outcome import BranchEnd, DialStatus
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid
from tests.dial.scene import BOB, CAROL, DAVE, scene
from tests.support.legs import FakeAudio, FakeLeg, FakeLegs, FakeParent
from tests.support.virtual_time import in_virtual_time, settle


class _BrokenRouting:
    """Fails for the first target, makes nothing for the second."""

    def __init__(self) -> None:
        self.fakes = FakeLegs()

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        if target is request.targets[0]:
            raise KeyError("no such table")
        return self.fakes.legs_for(target, request, parent) if target is request.targets[2] else ()


class _UnstartableLeg(FakeLeg):
    def start(self, inbox: Inbox) -> None:
        raise RuntimeError("no start")


class _ClingingLeg(FakeLeg):
    def hang_up(self, cause: Cause) -> None:
        super().hang_up(cause)
        raise RuntimeError("no hang up")


class _OneBrokenLeg(FakeLegs):
    """The first leg is of the broken kind."""

    def __init__(self, kind: type[FakeLeg]) -> None:
        super().__init__()
        self._kind = kind

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        if self.made:
            return super().legs_for(target, request, parent)
        self.made.append(self._kind("a", asyncio.get_running_loop().time))
        return (self.made[0],)


class _BrokenPlan:
    """Starts its legs, then does not know what to do."""

    def __init__(self, legs: Sequence[CallSid]) -> None:
        self._legs = legs

    def begin(self, at: float) -> Iterable[Command]:
        return [StartLeg(leg) for leg in self._legs]

    def handle(self, event: DialEvent) -> Iterable[Command]:
        raise LookupError("what now?")

    def ends(self) -> Sequence[BranchEnd]:
        return ()


@in_virtual_time
async def test_a_bug_in_the_plan_is_a_failed_result_and_leaves_no_leg() -> None:
    legs, parent, audio = FakeLegs(), FakeParent(), FakeAudio()
    dial = Dial(
        DialRequest((BOB, CAROL)),
        legs=legs,
        parent=parent,
        audio=audio,
        plan=lambda request, pairs, status_map: _BrokenPlan([leg for leg, _ in pairs]),
    )
    result = await dial.run()
    assert (result.dial_status, result.dial_sip_status) == ("failed", 500)
    assert "what now?" in result.error
    assert [leg.causes for leg in legs.made] == [[Cause.ENGINE_ERROR]] * 2
    assert not parent.is_attached
    assert (audio.played, audio.now_playing) == (["ringback"], "")


@in_virtual_time
async def test_a_bug_in_routing_fails_one_branch_and_the_others_ring() -> None:
    legs = _BrokenRouting()
    dial = Dial(DialRequest((BOB, CAROL, DAVE)), legs=legs)
    task = asyncio.create_task(dial.run())
    await settle()
    legs.fakes[0].answer()
    await settle()
    legs.fakes[0].end()
    result = await task
    assert [record.sip_status for record in result.legs] == [500, 500, 200]
    assert result.dial_status is DialStatus.COMPLETED


@in_virtual_time
async def test_a_bug_in_a_leg_fails_one_branch_and_the_others_ring() -> None:
    legs = _OneBrokenLeg(_UnstartableLeg)
    dial = Dial(DialRequest((BOB, CAROL)), legs=legs)
    task = asyncio.create_task(dial.run())
    await settle()
    legs[1].refuse(486, "Busy Here")
    result = await task
    assert [record.sip_status for record in result.legs] == [500, 486]
    assert result.dial_status is DialStatus.BUSY


@in_virtual_time
async def test_a_leg_that_fails_to_hang_up_does_not_keep_the_others() -> None:
    legs = _OneBrokenLeg(_ClingingLeg)
    dial = Dial(DialRequest((BOB, CAROL)), legs=legs)
    task = asyncio.create_task(dial.run())
    await settle()
    dial.hang_up()
    result = await task
    assert legs[1].causes == [Cause.REQUESTED]
    assert result.dial_status is DialStatus.NO_ANSWER


class _BrokenAudio(FakeAudio):
    def join(self, caller: ParentLeg, callee: Leg) -> Joint:
        raise RuntimeError("no bridge")


@in_virtual_time
async def test_a_bug_in_the_bridge_is_a_failed_result_and_the_callee_is_hung_up() -> None:
    legs = FakeLegs()
    dial = Dial(DialRequest((BOB,)), legs=legs, parent=FakeParent(is_answered=True), audio=_BrokenAudio())
    task = asyncio.create_task(dial.run())
    await settle()
    legs[0].answer()
    result = await task
    assert (result.dial_status, result.leg) == ("failed", "a")
    assert legs[0].causes == [Cause.ENGINE_ERROR]


@in_virtual_time
async def test_flaws_of_a_request_are_logged_by_field_without_the_numbers_in_them() -> None:
    structlog.reset_defaults()  # an engine made by another test of this process may have raised the level
    with capture_logs() as lines:
        dial = await scene(Target.phone("1001"))
        dial.legs[0].refuse(486)
        result = await dial.result()
    flaws, ended = lines
    assert (flaws["event"], flaws["fields"]) == ("dial request has flaws", ["targets[0].number"])
    assert (ended["event"], ended["status"], ended["sip_status"]) == ("dial ended", "busy", 486)
    assert "1001" not in str([{**line, "dial": ""} for line in lines])
    assert result.warnings == ("targets[0].number: '1001' is not E.164",)
