"""A call under every order of events: whatever happens, and in whatever order, it comes to a clean end.

Callers leave, callees ring, answer, refuse and hang up, hooks answer late, with documents, with failures or
with bugs of ours, live control redirects and ends, digits are pressed, time passes. Afterwards:

1. the call's task has ended, and so have all dials, screenings and other tasks;
2. every leg that was started has ended or was told to; the caller was told exactly once, or left by itself;
3. every executed dial had exactly one actionHook (DV-30);
4. the call and each child have exactly one terminal status, and it is the last (DV-31);
5. nothing is left promised to the next process;
6. a caller who was told to go, or had gone, ran no verb afterwards.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dial.leg import Cause
from engine.hooks import Hook, HookKind
from tests.application.rehearsal import SID, URL, Rehearsal, rehearsal
from tests.support.legs import FakeLeg
from tests.support.virtual_time import run_in_virtual_time, settle

FINAL = {"completed", "failed", "busy", "no-answer", "queued"}


def _dial(targets: int, **more: object) -> dict[str, object]:
    users = [{"type": "sip", "sipUri": f"sip:{n}@example.com"} for n in ("bob", "carol", "dave")]
    return {"verb": "dial", "target": users[:targets], **more}


VERBS = st.sampled_from(
    [
        _dial(1),
        _dial(2, answerOnBridge=True),
        _dial(2, confirmHook="/confirm"),
        _dial(1, confirmHook="/confirm", answerOnBridge=True, timeout=5),
        _dial(1, timeLimit=3),
        _dial(1, amd={"actionHook": "/amd"}),
        {"verb": "dial", "target": [{"type": "teams", "number": "+15550123"}]},
        {"verb": "answer"},
        {"verb": "pause", "length": 2},
        {"verb": "gather", "timeout": 2, "numDigits": 1, "actionHook": "/digits"},
        {"verb": "redirect", "actionHook": "/more"},
        {"verb": "tag", "data": {"x": 1}},
        {"verb": "hangup"},
        {"verb": "sip:decline", "status": 486},
        {"verb": "fly"},
    ]
)
DOCUMENT = st.lists(VERBS, max_size=3)
WHICH = st.integers(0, 5)
STEP = st.one_of(
    st.tuples(st.sampled_from(["ring", "early", "answer", "end", "press"]), WHICH),
    st.tuples(st.just("refuse"), WHICH, st.sampled_from([404, 486, 487, 503, 603])),
    st.tuples(st.just("caller goes")),
    st.tuples(st.just("caller presses")),
    st.tuples(st.just("hook answers"), WHICH, st.none() | DOCUMENT),
    st.tuples(st.just("hook fails"), WHICH, st.sampled_from([404, 500])),
    st.tuples(st.just("hook has a bug"), WHICH),
    st.tuples(st.just("stop"), st.sampled_from([Cause.REQUESTED, Cause.SHUTDOWN, Cause.TIME_LIMIT])),
    st.tuples(st.just("redirect")),
    st.tuples(st.just("no wait")),
    st.tuples(st.just("time"), st.sampled_from([0.5, 2.5, 6.0, 61.0])),
)


async def _do(stage: Rehearsal, step: tuple[Any, ...]) -> None:
    what, *how = step
    legs: list[FakeLeg] = [leg for leg in stage.legs.made if leg.is_started and not leg.has_ended]
    leg = (
        legs[how[0] % len(legs)]
        if what in ("ring", "early", "answer", "end", "press", "refuse") and legs
        else None
    )
    opened = [each for each in stage.open if each.is_open]
    hook = opened[how[0] % len(opened)] if what.startswith("hook") and opened else None
    match what:
        case "ring" if leg is not None and not leg.has_answered:
            leg.ring()
        case "early" if leg is not None and not leg.has_answered:
            leg.early_media()
        case "answer" if leg is not None and not leg.has_answered:
            leg.answer()
        case "press" if leg is not None and leg.has_answered:
            leg.press("1")
        case "end" if leg is not None and (leg.has_answered or leg.causes):
            leg.end()
        case "refuse" if leg is not None and not leg.has_answered:
            leg.refuse(how[1])
        case "caller goes":
            stage.party.goes()
        case "caller presses":
            stage.party.presses("1")
        case "hook answers" if hook is not None:
            hook.answer(how[1])
        case "hook fails" if hook is not None:
            hook.fail(how[1])
        case "hook has a bug" if hook is not None:
            hook.break_()
        case "stop":
            stage.call.stop(how[0])
        case "redirect":
            stage.call.redirect(Hook(f"{URL}/new"))
        case "time":
            await asyncio.sleep(how[0])
        case _:
            pass
    if what != "no wait":
        await settle()


def _check(stage: Rehearsal) -> None:
    assert stage.task.done()
    assert stage.task.exception() is None
    assert len(stage.dials) == 0
    for leg in stage.legs.made:
        assert leg.has_ended or leg.causes or not leg.is_started, f"{leg.id} was left alone"
    assert len(stage.party.goodbyes) <= 1
    assert stage.party.leg.is_gone
    assert not stage.party.leg.is_attached
    actions = stage.kinds(HookKind.DIAL_ACTION)
    sids = [each["dial_call_sid"] for each in actions if each["dial_call_sid"]]
    assert len(sids) == len(set(sids)), "two actionHooks for one dial"
    told = {sid for each in actions for sid in (leg["call_sid"] for leg in each["dial_legs"])}  # type: ignore[attr-defined]
    assert told == {leg.id for leg in stage.legs.made}, "a dial without an actionHook"
    for sid in (SID, *told):
        statuses = stage.statuses(sid)
        if sid == SID or statuses:
            assert [each in FINAL for each in statuses].count(True) == 1, statuses
            assert statuses[-1] in FINAL, statuses
    assert stage.hooks.promised == set()
    assert stage.audio.now_playing == ""


@settings(max_examples=300)
@given(
    first=DOCUMENT,
    steps=st.lists(STEP, max_size=25),
    has_hook=st.booleans(),
    is_deaf=st.booleans(),
)
def test_no_call_is_left_behind(
    first: list[dict[str, object]], steps: list[tuple[Any, ...]], has_hook: bool, is_deaf: bool
) -> None:
    runnable: list[object] = [verb for verb in first if verb["verb"] != "fly"]

    async def story() -> None:
        async with rehearsal(None if has_hook else runnable, is_deaf=is_deaf) as stage:
            if has_hook:
                stage.asked("/call").answer(list(first))
                await settle()
            for step in steps:
                await _do(stage, step)
        _check(stage)

    run_in_virtual_time(story())
