"""What a dial costs without SIP and media: CPU time of manager, dial and plan over fake legs.

    python -m tests.bench.bench_dial [--dials 5000] [--rounds 3]

Each dial starts its legs, is answered by the first, talks, and ends. The same stories with another number of
dials in progress show whether the cost grows. The calibration line (an event posted to a task and read there)
makes figures of different machines comparable.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
import tracemalloc
from collections.abc import Sequence

from engine.dial.dial import Dial
from engine.dial.events import LegAnswered, LegEnded, LegRinging, LegTrying
from engine.dial.leg import Cause, EndedBy, Inbox, Leg, LegMedia, ParentLeg
from engine.dial.manager import DialManager
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid, new_call_sid
from engine.logs import configure_logging
from tests.support.legs import FakeParent

BUDGET_US = 80.0
"""For a dial of one leg (the whole engine's budget is 500)."""


class Script:
    """A leg that says what every leg says, as cheaply as possible."""

    __slots__ = ("_id", "_inbox", "_loop", "has_ended")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._id = new_call_sid()
        self._loop = loop
        self._inbox: Inbox | None = None
        self.has_ended = False

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def media(self) -> LegMedia | None:
        return None

    def start(self, inbox: Inbox) -> None:
        self._inbox = inbox
        inbox.post(LegTrying(self._id, self._loop.time(), "id@192.0.2.1"))

    def ring(self) -> None:
        assert self._inbox is not None
        self._inbox.post(LegRinging(self._id, self._loop.time()))

    def answer(self) -> None:
        assert self._inbox is not None
        self._inbox.post(LegAnswered(self._id, self._loop.time()))

    def hang_up(self, cause: Cause) -> None:
        if not self.has_ended:
            self.end(EndedBy.ENGINE, 487)

    def detach(self) -> None: ...

    def end(self, by: EndedBy, status: int) -> None:
        assert self._inbox is not None
        self.has_ended = True
        self._inbox.post(LegEnded(self._id, self._loop.time(), by, status))


class Scripts:
    """The factory; `last` are the legs of the dial that started last."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.last: list[Script] = []

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        leg = Script(self._loop)
        self.last.append(leg)
        return (leg,)


async def _calibrate(count: int) -> float:
    """CPU seconds for one turn of the loop with one future."""
    loop = asyncio.get_running_loop()
    began = time.process_time()
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future
    return (time.process_time() - began) / count


async def _measure(dials: int, legs: int, *, in_progress: int, with_parent: bool) -> float:
    """CPU seconds per dial, with `in_progress` of them alive at any time."""
    request = DialRequest([Target.sip(f"sip:{index}@example.com") for index in range(legs)])
    factory = Scripts()
    async with DialManager(legs=factory, max_dials=in_progress + 1) as manager:
        gc.collect()
        began = time.process_time()
        for _ in range(max(1, dials // in_progress)):
            scenes: list[tuple[Dial, list[Script]]] = []
            for _ in range(in_progress):
                factory.last = []
                parent = FakeParent(asyncio.get_running_loop().time) if with_parent else None
                dial = manager.start(request, parent)
                await asyncio.sleep(0)
                scenes.append((dial, factory.last))
            for _, made in scenes:
                for leg in made:
                    leg.ring()
            await asyncio.sleep(0)
            for _, made in scenes:
                made[0].answer()
            await asyncio.sleep(0)
            for dial, made in scenes:
                made[0].end(EndedBy.CALLEE, 200)
                result = await dial.wait()
                assert result.is_answered
        return (time.process_time() - began) / (max(1, dials // in_progress) * in_progress)


async def _memory(legs: int) -> float:
    """Bytes per ringing dial, the fake legs included."""
    request = DialRequest([Target.sip(f"sip:{index}@example.com") for index in range(legs)])
    count = 500
    async with DialManager(legs=Scripts()) as manager:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            manager.start(request)
        await asyncio.sleep(0)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return (after - before) / count


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--dials", type=int, default=5000)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    configure_logging(
        level="warning"
    )  # the one line per dial at level info costs as much again as half a dial
    print(f"calibration: one turn of the loop {asyncio.run(_calibrate(20000)) * 1e6:.1f} µs")
    print(f"{'dial':<44} {'µs CPU':>8}")
    stories = [
        ("one leg, 10 in progress", 1, 10, False),
        ("one leg, 1000 in progress", 1, 1000, False),
        ("parent and one leg, 10 in progress", 1, 10, True),
        ("simring of ten, 10 in progress", 10, 10, False),
    ]
    for name, legs, in_progress, with_parent in stories:
        dials = max(in_progress, options.dials // legs)
        rounds = [
            asyncio.run(_measure(dials, legs, in_progress=in_progress, with_parent=with_parent))
            for _ in range(options.rounds)
        ]
        note = f"   (budget {BUDGET_US:.0f})" if legs == 1 and not with_parent else ""
        print(f"{name:<44} {statistics.median(rounds) * 1e6:>8.1f}{note}")
    for legs in (1, 10):
        print(f"memory of a ringing dial, legs: {legs:<12} {asyncio.run(_memory(legs)) / 1024:>8.1f} KiB")


if __name__ == "__main__":
    main()
