"""The call status of every branch while a dial lives (DV-31)."""

from __future__ import annotations

import asyncio

from engine.dial.callstatus import CallStatuses, StatusChange
from engine.dial.dial import Dial, Happening
from engine.dial.request import DialRequest, Target
from tests.support.legs import FakeLegs
from tests.support.virtual_time import in_virtual_time, settle

TARGETS = [Target.sip("sip:bob@example.com"), Target.phone("+15550100123")]


class Watched:
    """A dial and the changes of status it went through."""

    def __init__(self, *targets: Target, is_deaf: bool = False, is_held: bool = False) -> None:
        self.legs = FakeLegs(is_deaf=is_deaf, is_held=is_held)
        self.changes: list[StatusChange] = []
        self.dial = Dial(DialRequest(targets, timeout_s=10.0), legs=self.legs)
        statuses = CallStatuses()

        def follow(happening: Happening) -> None:
            change = statuses.of(happening)
            if change is not None:
                self.changes.append(change)

        self.dial.observe(follow)
        self.task = asyncio.create_task(self.dial.run())

    def of(self, leg: str) -> list[tuple[str, int]]:
        return [(change.status.value, change.sip_status) for change in self.changes if change.leg == leg]


@in_virtual_time
async def test_dv31_every_branch_ends_in_a_terminal_status_also_the_cancelled_one() -> None:
    watched = Watched(*TARGETS)
    await settle()
    a, b = watched.legs.made
    a.ring()
    a.ring()
    b.early_media()
    a.answer()
    await settle()
    assert watched.of("b") == [("trying", 100), ("early-media", 183), ("no-answer", 487)]
    a.end()
    await watched.task
    assert watched.of("a") == [("trying", 100), ("ringing", 180), ("in-progress", 200), ("completed", 200)]


@in_virtual_time
async def test_dv31_a_refused_branch_says_so_while_the_others_ring_on() -> None:
    watched = Watched(*TARGETS)
    await settle()
    watched.legs[0].refuse(486, "Busy Here")
    await settle()
    last = watched.changes[-1]
    assert (last.leg, last.status, last.sip_reason) == ("a", "busy", "Busy Here")
    assert last.record is not None
    assert last.record.failure is not None
    watched.legs[1].refuse(404)
    await watched.task
    assert watched.of("b")[-1] == ("failed", 404)


@in_virtual_time
async def test_dv31_an_abandoned_branch_gets_its_terminal_status_with_the_result() -> None:
    watched = Watched(TARGETS[0], is_deaf=True)
    result = await watched.task
    assert watched.of("a") == [("trying", 100), ("no-answer", 487)]
    assert watched.changes[-1].record == result.legs[0]
    assert watched.changes[-1].at is None


@in_virtual_time
async def test_an_answer_that_crosses_our_cancel_is_never_in_progress() -> None:
    watched = Watched(TARGETS[0], is_deaf=True)
    await asyncio.sleep(10.5)
    watched.legs[0].answer()
    watched.legs[0].end()
    await watched.task
    assert watched.of("a") == [("trying", 100), ("no-answer", 200)]


@in_virtual_time
async def test_a_branch_held_back_is_queued_until_it_goes_out() -> None:
    watched = Watched(TARGETS[0], is_held=True)
    await settle()
    assert watched.of("a") == [("queued", 0)]
    watched.legs[0].try_()
    watched.dial.hang_up()
    await watched.task
    assert watched.of("a") == [("queued", 0), ("trying", 100), ("no-answer", 487)]
