"""The live lines, word by word, of dials in virtual time; and each thing a detector can say, in one line."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable

import pytest

from amd import (
    AmdEvent,
    Beep,
    BeepShape,
    Decision,
    Evidence,
    GreetingEnded,
    Rule,
    Tone,
    ToneName,
    Verdict,
)
from engine.detection import LiveDetector
from engine.dial.dial import Dial
from engine.dial.events import DetectorFired
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid
from engine.lines import LiveLines, heard
from tests.support.callee import HELLO, on_the_phone, pause
from tests.support.legs import FakeLegs, FakeParent
from tests.support.virtual_time import in_virtual_time, run_in_virtual_time, settle

BOB, CAROL, DAVE = (Target.sip(f"sip:{name}@example.com") for name in ("bob", "carol", "dave"))

DECISION = Decision(
    Verdict.MACHINE, Rule.LONG_GREETING, 0.934, "2.9 s of speech without a pause", Evidence(), 23200
)
BEEP = Beep(1000.4, (1000.4,), BeepShape.SINGLE, 498.0, -12.0, 0.04, 63440, 67424, 67680)


class Scene:
    """A dial over fake legs, its lines in `out`."""

    def __init__(
        self, *targets: Target, timeout_s: float, parent: FakeParent | None, is_held: bool, is_deaf: bool
    ) -> None:
        self.legs = FakeLegs(is_held=is_held, is_deaf=is_deaf)
        self.parent = parent
        self.out = io.StringIO()
        self.dial = Dial(DialRequest(targets=targets, timeout_s=timeout_s), legs=self.legs, parent=parent)
        self.dial.observe(LiveLines(self.dial, asyncio.get_running_loop().time(), self.out))


def lines_of(
    story: Callable[[Scene], Awaitable[None]],
    *targets: Target,
    timeout_s: float = 60.0,
    parent: bool = False,
    is_held: bool = False,
    is_deaf: bool = False,
) -> list[str]:
    """What was printed, blanks squeezed."""

    async def run() -> str:
        scene = Scene(
            *targets,
            timeout_s=timeout_s,
            parent=FakeParent(is_answered=True) if parent else None,
            is_held=is_held,
            is_deaf=is_deaf,
        )
        task = asyncio.create_task(scene.dial.run())
        await settle()
        await story(scene)
        await task
        return scene.out.getvalue()

    return [" ".join(line.split()) for line in run_in_virtual_time(run()).splitlines()]


def test_a_simring_line_by_line() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(0.25)
        scene.legs[0].ring()
        scene.legs[2].early_media()
        await asyncio.sleep(0.25)
        scene.legs[1].refuse(486, "Busy Here")
        await asyncio.sleep(1.0)
        scene.legs[0].answer()
        await asyncio.sleep(2.0)
        scene.legs[0].press("5")
        await asyncio.sleep(1.0)
        scene.legs[0].end()

    assert lines_of(story, BOB, CAROL, DAVE) == [
        "0.000 1 sip:bob@example.com trying",
        "0.000 2 sip:carol@example.com trying",
        "0.000 3 sip:dave@example.com trying",
        "0.250 1 sip:bob@example.com ringing (180)",
        "0.250 3 sip:dave@example.com early media (183)",
        "0.500 2 sip:carol@example.com failed (486 Busy Here)",
        "1.500 1 sip:bob@example.com answered (200)",
        "1.500 1 sip:bob@example.com connected",
        "1.500 3 sip:dave@example.com cancelled (487, completed elsewhere)",
        "3.500 1 sip:bob@example.com keyed 5",
        "4.500 1 sip:bob@example.com hung up (callee)",
        "dial_status=completed dial_sip_status=200 reason=answered ring=1.5s talk=3.0s",
    ]


def test_a_failure_without_a_phrase_is_its_status() -> None:
    async def story(scene: Scene) -> None:
        scene.legs[0].refuse(480)

    assert "0.000 1 sip:bob@example.com failed (480)" in lines_of(story, BOB)


def test_nobody_answers_in_time() -> None:
    async def story(scene: Scene) -> None:
        scene.legs[0].ring()

    *_, cancelled, result = lines_of(story, BOB, timeout_s=5.0)
    assert cancelled == "5.000 1 sip:bob@example.com cancelled (487, ring time-out)"
    assert result == "dial_status=no-answer dial_sip_status=487 reason=ring-timeout ring=5.0s talk=0.0s"


def test_dv30_a_leg_that_ignores_our_goodbye_is_given_up_and_the_line_says_so() -> None:
    async def story(scene: Scene) -> None:
        scene.legs[0].ring()

    assert lines_of(story, BOB, timeout_s=5.0, is_deaf=True)[2:] == [
        "8.000 1 sip:bob@example.com given up (ring time-out), no confirmation",
        "dial_status=no-answer dial_sip_status=487 reason=ring-timeout ring=5.0s talk=0.0s",
    ]


def test_the_caller_hangs_up() -> None:
    async def story(scene: Scene) -> None:
        assert scene.parent is not None
        await asyncio.sleep(1.0)
        scene.parent.go()

    lines = lines_of(story, BOB, parent=True)
    assert "1.000 caller hung up" in lines
    assert "1.000 1 sip:bob@example.com cancelled (487, caller gone)" in lines


def test_a_leg_that_has_to_wait_says_so() -> None:
    async def story(scene: Scene) -> None:
        await asyncio.sleep(0.5)
        scene.legs[0].try_()
        await settle()
        scene.legs[0].answer()
        await settle()
        scene.legs[0].end()

    assert lines_of(story, BOB, is_held=True)[:2] == [
        "0.000 1 sip:bob@example.com waits for its turn",
        "0.500 1 sip:bob@example.com trying",
    ]


def test_we_hang_up() -> None:
    async def story(scene: Scene) -> None:
        scene.legs[0].answer()
        await settle()
        scene.dial.hang_up()

    lines = lines_of(story, BOB)
    assert "0.000 1 sip:bob@example.com hung up (engine)" in lines


def test_what_a_detector_says_stands_between_the_steps_of_the_dial() -> None:
    async def story(scene: Scene) -> None:
        scene.legs[0].answer()
        await asyncio.sleep(4.0)
        scene.dial.post(DetectorFired(CallSid("a"), 4.0, DECISION))
        scene.legs[0].end()

    assert lines_of(story, BOB)[3] == (
        "4.000 1 sip:bob@example.com machine (0.93): 2.9 s of speech without a pause"
    )


@in_virtual_time
async def test_a_line_is_written_when_it_happens_not_when_the_call_is_over() -> None:
    out = io.StringIO()

    def follow(dial: Dial) -> None:
        dial.observe(LiveLines(dial, asyncio.get_running_loop().time(), out))
        LiveDetector().follow(dial)

    async with on_the_phone(follow) as call:
        await call.says(HELLO, pause(0.4))
        assert "human" not in out.getvalue()
        await call.says(pause(1.0))
        assert "human" in out.getvalue()
        assert not call.is_over


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (DECISION, "machine (0.93): 2.9 s of speech without a pause"),
        (
            Decision(Verdict.MACHINE, Rule.BEEP, 0.98, "a beep", Evidence(), 8000, revised=True),
            "machine (0.98, revised): a beep",
        ),
        (
            Decision(Verdict.SILENCE, Rule.NO_SPEECH, 0.9, "no speech for 5 s", Evidence(), 40000),
            "silence (0.90): no speech for 5 s",
        ),
        (BEEP, "beep 1000 Hz, 498 ms, from 7.93 to 8.43 s"),
        (GreetingEnded(57200, 73200), "greeting ended at 7.15 s"),
        (Tone(ToneName.SIT, "vacant code", (985.2, 1370.6, 1776.7), 0, 8000), "tone: sit, vacant code"),
        (Tone(ToneName.RINGBACK, "ringback", (440.0, 480.0), 0, 8000), "tone: ringback"),
    ],
    ids=["decision", "revised", "silence", "beep", "greeting", "tone with a meaning", "tone"],
)
def test_everything_a_detector_can_say_is_one_line(event: AmdEvent, line: str) -> None:
    assert heard(event) == line
