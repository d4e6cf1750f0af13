"""Second act: a machine answers. The engine says so, hears the beep, and leaves a message after it.

The phone plays a spoken greeting and a beep, then records. The proof is that recording: the whole message is
in it, sample for sample, and the phone only began to record when its beep was over.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from msgspec import Struct

from amd import AmdEvent, Beep, Decision, Verdict
from engine.app import Engine
from engine.config import Config, MediaConfig, SipConfig
from engine.detection import LiveDetector
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from engine.lines import LiveLines
from engine.softphone import Softphone, SoftphoneConfig, Voicemail
from engine.softphone.spectrum import Found, find, read_wav
from engine.talk import Talk

__all__ = ["VoicemailOutcome", "run_voicemail"]

_SOUNDS = Path(__file__).resolve().parents[1] / "softphone"
_GREETING = _SOUNDS / "greeting.wav"
_MESSAGE = _SOUNDS / "message.wav"
_BEEP_HZ = 1000
_BEEP_MS = 500
_IS_THE_MESSAGE = 0.8
"""Least correlation of every half second: G.711 alone costs about 0.001."""


class VoicemailOutcome(Struct, frozen=True):
    """What the voicemail call proved."""

    result: DialResult
    events: tuple[AmdEvent, ...]
    message: Found
    """The message in what the phone recorded after its beep."""

    @property
    def beep(self) -> Beep | None:
        """The record beep, if it was heard."""
        return next((event for event in self.events if isinstance(event, Beep)), None)

    @property
    def is_proved(self) -> bool:
        """Machine, then beep, then the whole message."""
        verdicts = [event.verdict for event in self.events if isinstance(event, Decision)]
        return (
            self.result.is_answered
            and verdicts[-1:] == [Verdict.MACHINE]
            and self.beep is not None
            and self.message.similarity >= _IS_THE_MESSAGE
        )


async def run_voicemail(out: TextIO, folder: Path) -> VoicemailOutcome:
    """Run it; about 15 seconds. The recording goes into `folder`. Raises SoftphoneError."""
    recorded = folder / "voicemail-recorded.wav"
    greeting, rate_hz = read_wav(_GREETING)
    voicemail = Voicemail(
        greeting=str(_GREETING),
        greeting_s=greeting.size / rate_hz + 0.4,
        beep_hz=_BEEP_HZ,
        beep_ms=_BEEP_MS,
        record=str(recorded),
    )
    print(
        "\nBob is out: a phone with a voicemail answers. The engine dials it with --amd --after-beep.\n",
        file=out,
    )
    async with AsyncExitStack() as exits:
        phone = await exits.enter_async_context(
            await Softphone.start(SoftphoneConfig(name="bob", behaviour=voicemail))
        )
        engine = await exits.enter_async_context(Engine(_config()))
        talk = await Talk.prepare(after_beep=_MESSAGE)
        events: list[AmdEvent] = []
        dial = engine.start_dial(DialRequest(targets=(Target.sip(phone.uri),), timeout_s=20.0))
        dial.observe(LiveLines(dial, asyncio.get_running_loop().time(), out))
        LiveDetector(on_event=events.append).follow(dial)
        talk.follow(dial)
        async with asyncio.timeout(60.0):
            result = await dial.wait()
    message, _ = read_wav(_MESSAGE)
    recording, _ = read_wav(recorded)
    outcome = VoicemailOutcome(result, tuple(events), find(message, recording, rate_hz))
    _report(outcome, message.size / rate_hz, out)
    return outcome


def _config() -> Config:
    return Config(sip=SipConfig(listen=("udp:127.0.0.1:0",)), media=MediaConfig(listen="127.0.0.1", ports=""))


def _report(outcome: VoicemailOutcome, message_s: float, out: TextIO) -> None:
    beep = outcome.beep
    if beep is not None:
        late_ms = (beep.sample - beep.end_sample) / 8
        print(f"  the beep was reported {late_ms:.0f} ms after its end", file=out)
    found = outcome.message
    verdict = "proved" if outcome.is_proved else "NOT PROVED"
    print(
        f"  the phone recorded the whole message of {message_s:.1f} s, from {found.start_s:.2f} s after its "
        f"beep on (similarity {found.similarity:.2f}): {verdict}",
        file=out,
    )
