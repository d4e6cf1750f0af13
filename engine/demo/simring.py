"""First act: a real simring on loopback, shown as it happens and proved by its sound.

Four pjsua2 phones in processes of their own and this engine, nothing simulated: alice calls the engine's
number, the engine rings bob (picks up and speaks), carol (busy) and dave (rings on) at once, joins alice and
bob, and cancels dave. Each side speaks a tone of its own; the proof is the other side's recording.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from engine.app import Engine
from engine.config import Config, MediaConfig, RouteConfig, SipConfig, SourceConfig, TargetConfig
from engine.demo.ladder import Ladder
from engine.dial.dial import Dial, Happening, Observer
from engine.dial.result import DialResult
from engine.softphone import Answer, Refuse, Ring, Softphone, SoftphoneConfig, Tone
from engine.softphone.protocol import CallState
from engine.softphone.spectrum import Heard, hear, read_wav

__all__ = ["SimringOutcome", "run_simring"]

_NUMBER = "15550100"
_ALICE_HZ = 600
_BOB_HZ = 1000
_PICKS_UP_AFTER_S = 2.0
_TALK_S = 3.0


class SimringOutcome(Struct, frozen=True):
    """What the simring proved."""

    result: DialResult
    alice_heard: Heard
    bob_heard: Heard
    left_over: str
    """What the engine still had open in the end; empty when everything was let go."""

    @property
    def is_proved(self) -> bool:
        """Both tones arrived at the other side, the result is an answer, nothing was left."""
        return (
            self.result.is_answered
            and self.alice_heard.is_tone(_BOB_HZ)
            and self.bob_heard.is_tone(_ALICE_HZ)
            and not self.left_over
        )


async def run_simring(out: TextIO, folder: Path) -> SimringOutcome:
    """Run it; about six seconds. Recordings go into `folder`. Raises SoftphoneError."""
    async with AsyncExitStack() as exits:
        phones = await _start_phones(exits, folder)
        alice, bob = phones["alice"], phones["bob"]
        engine = await exits.enter_async_context(Engine(_config(bob, phones["carol"], phones["dave"])))
        ladder = Ladder(out, {phone.port: name for name, phone in phones.items()})
        engine.add_tracer(ladder.draw)
        results: asyncio.Queue[DialResult] = asyncio.Queue()
        engine.dials.observe_all(_collector(results))
        address = engine.endpoint.listeners[0].bound
        print(f"The engine listens on {address.host}:{address.port}. Four pjsua2 phones are up:", file=out)
        print("  alice calls; bob picks up and speaks; carol is busy; dave rings on.\n", file=out)
        ladder.begin(asyncio.get_running_loop().time())
        call = await alice.call(
            f"sip:{_NUMBER}@{address.host}:{address.port}",
            sound=Tone(_ALICE_HZ),
            record=folder / "alice-heard.wav",
        )
        answered = await bob.next_call(timeout_s=10.0)
        await answered.until(CallState.CONFIRMED)
        # The conversation itself: this long they talk, then alice hangs up.
        await asyncio.sleep(_TALK_S)
        await call.hang_up()
        async with asyncio.timeout(10.0):
            result = await results.get()
        await answered.until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
        left_over = "\n".join(repr(stream) for stream in engine.media.streams)
    outcome = SimringOutcome(
        result=result,
        alice_heard=_heard(folder / "alice-heard.wav"),
        bob_heard=_heard(folder / "bob-heard.wav"),
        left_over=left_over,
    )
    _report(outcome, out)
    return outcome


async def _start_phones(exits: AsyncExitStack, folder: Path) -> dict[str, Softphone]:
    """By name; they end with `exits`."""
    picks_up = Answer(after_s=_PICKS_UP_AFTER_S, sound=Tone(_BOB_HZ), record=str(folder / "bob-heard.wav"))
    configs = (
        SoftphoneConfig(name="bob", behaviour=picks_up),
        SoftphoneConfig(name="carol", behaviour=Refuse(486, after_s=0.5)),
        SoftphoneConfig(name="dave", behaviour=Ring()),
        SoftphoneConfig(name="alice"),
    )
    return {config.name: await exits.enter_async_context(await Softphone.start(config)) for config in configs}


def _config(*callees: Softphone) -> Config:
    return Config(
        sip=SipConfig(listen=("udp:127.0.0.1:0", "tcp:127.0.0.1:0")),
        media=MediaConfig(listen="127.0.0.1", ports=""),
        source=(SourceConfig(name="loopback", addresses=("127.0.0.1",)),),
        route=(
            RouteConfig(
                number=_NUMBER,
                targets=tuple(TargetConfig(sip_uri=phone.uri) for phone in callees),
                timeout_s=20.0,
                answer_on_bridge=True,
            ),
        ),
    )


def _collector(results: asyncio.Queue[DialResult]) -> Callable[[Dial], Observer]:
    def observer_for(_dial: Dial) -> Observer:
        def observe(happening: Happening) -> None:
            if isinstance(happening, DialResult):
                results.put_nowait(happening)

        return observe

    return observer_for


def _heard(path: Path) -> Heard:
    """The middle of a recording: without the ringback before the answer and the end."""
    pcm, rate_hz = read_wav(path)
    return hear(pcm[-int(2.5 * rate_hz) : -int(0.5 * rate_hz)], rate_hz)


def _report(outcome: SimringOutcome, out: TextIO) -> None:
    result = outcome.result
    print(
        f"\ndial_status={result.dial_status.value}  dial_sip_status={result.dial_sip_status}  ",
        end="",
        file=out,
    )
    print(f"reason={result.termination_reason.value}  talk={result.talk_s:.1f} s", file=out)
    for record in result.legs:
        why = "  (completed elsewhere)" if record.is_answered_elsewhere else ""
        print(
            f"  {record.to:<32} {record.status.value:<10} {record.sip_status} {record.sip_reason}{why}",
            file=out,
        )
    for listener, heard, speaker, hz in (
        ("alice", outcome.alice_heard, "bob", _BOB_HZ),
        ("bob", outcome.bob_heard, "alice", _ALICE_HZ),
    ):
        verdict = "proved" if heard.is_tone(hz) else "NOT HEARD"
        print(
            f"  {speaker} spoke {hz} Hz, {listener} heard {heard.hz:.0f} Hz at {heard.level_dbfs:.1f} dBFS,"
            f" {heard.dominance_db:.0f} dB above all else: {verdict}",
            file=out,
        )
    if outcome.left_over:
        print(f"  left over in the engine: {outcome.left_over}", file=out)
