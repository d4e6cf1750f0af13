"""Random stories over the real shell: legs, a caller, screening, limits, all at odd moments. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dial.callstatus import CallStatuses
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connect, Connected, StartLeg
from engine.dial.leg import Cause
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from tests.support.legs import FakeAudio, FakeLeg, FakeLegs, FakeParent, FakeScreening
from tests.support.virtual_time import run_in_virtual_time, settle

TERMINAL = {"completed", "failed", "busy", "no-answer", "queued"}


class Step(NamedTuple):
    wait_s: float
    what: str
    who: int


class Story(NamedTuple):
    branches: int
    has_parent: bool
    is_answered: bool
    is_slow: bool
    on_bridge: bool
    music: bool
    is_screened: bool
    is_deaf: bool
    time_limit_s: float | None
    steps: list[Step]


STEPS = st.builds(
    Step,
    st.sampled_from([0.0, 0.0, 0.0, 0.5, 4.0, 21.0]),
    st.sampled_from(
        [
            "ring",
            "early",
            "answer",
            "answer",
            "end",
            "refuse",
            "accept",
            "decline",
            "ack",
            "caller goes",
            "hang up",
        ]
    ),
    st.integers(0, 3),
)
STORIES = st.builds(
    Story,
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, 10.0]),
    st.lists(STEPS, max_size=12),
)


async def _tell(story: Story) -> None:
    legs, audio, screening = FakeLegs(is_deaf=story.is_deaf), FakeAudio(), FakeScreening()
    parent = FakeParent(is_answered=story.is_answered, is_slow=story.is_slow) if story.has_parent else None
    request = DialRequest(
        [Target.phone(f"+155501001{index:02}") for index in range(story.branches)],
        timeout_s=20.0,
        time_limit_s=story.time_limit_s,
        answer_on_bridge=story.on_bridge,
        dial_music="moh.wav" if story.music else "",
        confirm_hook="/confirm" if story.is_screened else "",
    )
    dial = Dial(request, legs=legs, parent=parent, audio=audio, screening=screening)
    seen: list[Happening] = []
    dial.observe(seen.append)
    task = asyncio.create_task(dial.run())
    await settle()
    has_gone = False
    for step in story.steps:
        leg = legs[step.who % story.branches]
        if step.what == "caller goes":
            if parent is not None and not has_gone:
                has_gone = True
                parent.go()
        else:
            _do(step.what, leg, parent, screening, dial)
        if step.wait_s:
            await asyncio.sleep(step.wait_s)
    # Whoever still talks hangs up in the end; whoever rings is ended by the ring timer; an ACK that never
    # came is a caller who has gone.
    async with asyncio.timeout(600.0):
        while not task.done():
            await asyncio.sleep(30.0)
            for each in list(screening.running):
                screening.decide(dial.leg(each), is_accepted=False)
            if parent is not None and not has_gone and dial.winner is not None and not parent.has_answered:
                parent.go()
            for leg in legs.made:
                if leg.has_answered and not leg.has_ended:
                    leg.end()
    _check(story, dial, legs, parent, audio, screening, seen)


def _do(what: str, leg: FakeLeg, parent: FakeParent | None, screening: FakeScreening, dial: Dial) -> None:
    deeds: dict[str, tuple[bool, Callable[[], None]]] = {
        "ring": (not leg.has_answered, leg.ring),
        "early": (not leg.has_answered, leg.early_media),
        "answer": (not leg.has_answered, leg.answer),
        "end": (leg.has_answered or bool(leg.causes), leg.end),
        "refuse": (not leg.has_answered, lambda: leg.refuse(486, "Busy Here")),
        "hang up": (True, dial.hang_up),
    }
    if what == "ack":
        if parent is not None and "200" in parent.log and not parent.has_answered:
            parent.ack()
    elif what in ("accept", "decline"):
        if leg.id in screening.running:
            screening.decide(leg, is_accepted=what == "accept")
    else:
        is_possible, deed = deeds[what]
        if is_possible and (what == "hang up" or not leg.has_ended):
            deed()


def _check(
    story: Story,
    dial: Dial,
    legs: FakeLegs,
    parent: FakeParent | None,
    audio: FakeAudio,
    screening: FakeScreening,
    seen: list[Happening],
) -> None:
    result = dial.result
    assert result is not None
    assert not result.error
    assert [each for each in seen if isinstance(each, DialResult)] == [result]
    assert seen[-1] is result
    assert len([each for each in seen if isinstance(each, StartLeg)]) == story.branches
    winners = [each.leg for each in seen if isinstance(each, Connect)]
    assert len(winners) <= 1
    joined = any(isinstance(each, Connected) for each in seen)
    completed = result.dial_status is DialStatus.COMPLETED
    assert completed <= bool(winners)
    assert sum(record.status is DialStatus.COMPLETED for record in result.legs) == int(completed)
    for leg in legs.made:
        assert leg.has_ended or leg.causes
        if leg.has_answered and leg.id not in winners:
            assert leg.has_ended or leg.causes
        if leg.id not in winners and leg.causes and winners and leg.causes[0] is not Cause.DECLINED:
            assert leg.causes[0] in (Cause.COMPLETED_ELSEWHERE, Cause.RING_TIMEOUT)
    assert audio.now_playing == ""
    assert not screening.running
    assert result.ring_s >= 0.0
    assert 0.0 <= result.talk_s <= (story.time_limit_s or 1e9)
    assert (result.termination_reason is TerminationReason.TIME_LIMIT) <= joined
    if parent is not None:
        assert not parent.is_attached
        assert parent.log.count("200") <= 1
        if story.is_answered:
            assert parent.log == []
        elif story.on_bridge and not winners:
            assert "200" not in parent.log
    _check_statuses(result, seen)


def _check_statuses(result: DialResult, seen: list[Happening]) -> None:
    statuses = CallStatuses()
    changes = [change for change in map(statuses.of, seen) if change is not None]
    for record in result.legs:
        mine = [change for change in changes if change.leg == record.leg]
        assert mine[-1].status.value == record.status.value
        assert mine[-1].status.value in TERMINAL
        assert all(change.record is None for change in mine[:-1])


@settings(max_examples=300, deadline=None)
@given(STORIES)
def test_whatever_happens_when_the_promises_of_a_dial_hold(story: Story) -> None:
    run_in_virtual_time(_tell(story))
