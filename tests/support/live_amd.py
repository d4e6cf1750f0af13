"""Calls that are listened to: several callees of one engine at once, each through a network of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from amd import AmdEvent, Beep, Decision, GreetingEnded, Tone, ToneName, Verdict
from engine import DialResult, Engine
from engine.detection import LiveDetector
from engine.dial.events import DetectorFired
from tests.support.callee import RATE_HZ
from tests.support.lossy import Direction, lossy_link
from tests.support.running_engine import happened, start

__all__ = ["LATEST_BEEP_MS", "Listened", "Network", "listen_to"]

LATEST_BEEP_MS = 150.0
"""From the end of a beep to its report, in time of audio."""


class Network:
    """What happens to the audio on its way; SIP passes."""

    def __init__(self, *, loss: float = 0.0, jitter_s: float = 0.0, keeps_order: bool = True) -> None:
        self.loss = loss
        self.jitter_s = jitter_s
        self.keeps_order = keeps_order

    @property
    def is_perfect(self) -> bool:
        return not self.loss and not self.jitter_s


class Listened:
    """One call and what its detector said."""

    def __init__(self, result: DialResult, events: list[AmdEvent], audio: Direction | None) -> None:
        self.result = result
        self.events = events
        self.audio = audio
        """What the network did to the callee's packets; None: nothing was between."""

    @property
    def verdicts(self) -> list[Verdict]:
        return [event.verdict for event in self.events if isinstance(event, Decision)]

    @property
    def verdict(self) -> Verdict | None:
        """The last word."""
        return self.verdicts[-1] if self.verdicts else None

    @property
    def beeps(self) -> list[Beep]:
        return [event for event in self.events if isinstance(event, Beep)]

    @property
    def tones(self) -> list[ToneName]:
        return [event.name for event in self.events if isinstance(event, Tone)]

    def describe(self) -> str:
        """For a failed assertion."""
        return "\n".join(repr(event) for event in self.events) or "nothing was said"

    def assert_beeps_in_time(self) -> None:
        """Each reported within 150 ms of audio after its end."""
        for beep in self.beeps:
            late_ms = (beep.sample - beep.end_sample) * 1000 / RATE_HZ
            assert late_ms <= LATEST_BEEP_MS, f"{late_ms:.0f} ms: {beep}"


async def listen_to(
    engine: Engine,
    uri: str,
    *,
    listen_s: float,
    network: Network | None = None,
    early_media: bool = False,
    seed: int = 1,
    on_event: Callable[[AmdEvent], None] | None = None,
) -> Listened:
    """Dial `uri` (sip:user@127.0.0.1:port, UDP), listen for `listen_s` of real time, hang up."""
    async with AsyncExitStack() as exits:
        audio: Direction | None = None
        if network is not None and not network.is_perfect:
            user, _, port = uri.removeprefix("sip:").replace("@127.0.0.1", "").partition(":")
            link = await exits.enter_async_context(
                lossy_link(
                    ("127.0.0.1", int(port)),
                    rtp_loss=network.loss,
                    jitter_s=network.jitter_s,
                    keeps_order=network.keeps_order,
                    seed=seed,
                )
            )
            uri, audio = link.uri_for(user), link.audio_to_caller
        dial, happenings = start(engine, uri)
        LiveDetector(on_event=on_event, early_media=early_media).follow(dial)
        finished = asyncio.create_task(dial.wait(), name="listen")
        await asyncio.wait((finished,), timeout=listen_s)
        told = happened(happenings, DetectorFired)
        dial.hang_up()
        result = await finished
    details = [each.detail for each in told]
    events = [each for each in details if isinstance(each, Decision | Beep | GreetingEnded | Tone)]
    assert len(events) == len(details)
    return Listened(result, events, audio)
