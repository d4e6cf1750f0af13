"""A dial as it happens, one line per step: seconds, leg, what it did."""

from __future__ import annotations

import sys
from typing import TextIO, assert_never, cast

from amd import AmdEvent, Beep, Decision, GreetingEnded, Tone
from amd.events import seconds
from engine.dial.dial import Dial, Happening
from engine.dial.events import (
    CallerGone,
    Connected,
    DeadlinePassed,
    DetectorFired,
    DtmfReceived,
    HangUpLeg,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegHeldBack,
    LegRinging,
    LegTrying,
)
from engine.dial.leg import Cause
from engine.dial.result import DialResult, LegRecord
from engine.ids import CallSid

__all__ = ["LiveLines", "heard"]

_WHY = {
    Cause.COMPLETED_ELSEWHERE: "completed elsewhere",
    Cause.CALLER_GONE: "caller gone",
    Cause.RING_TIMEOUT: "ring time-out",
    Cause.TIME_LIMIT: "time limit",
    Cause.REQUESTED: "asked to",
    Cause.SHUTDOWN: "engine stops",
}

_TERMINATED = 487


class LiveLines:
    """An observer of one dial that writes to a text stream."""

    def __init__(self, dial: Dial, started_at: float, out: TextIO | None = None) -> None:
        """`started_at`: monotonic seconds that count as 0."""
        self._dial = dial
        self._started_at = started_at
        self._out = out or sys.stdout
        self._numbers: dict[CallSid, int] = {}
        self._last_at = started_at
        self._answered: set[CallSid] = set()
        self._causes: dict[CallSid, Cause] = {}

    def __call__(self, happening: Happening) -> None:
        match happening:
            case LegTrying():
                self._say(happening.at, happening.leg, "trying")
            case LegHeldBack():
                self._say(happening.at, happening.leg, "waits for its turn")
            case LegRinging():
                self._say(happening.at, happening.leg, f"ringing ({happening.sip_status})")
            case LegEarlyMedia():
                self._say(happening.at, happening.leg, f"early media ({happening.sip_status})")
            case LegAnswered():
                self._answered.add(happening.leg)
                self._say(happening.at, happening.leg, f"answered ({happening.sip_status})")
            case Connected():
                self._say(happening.at, happening.leg, "connected")
            case DtmfReceived():
                self._say(happening.at, happening.leg, f"keyed {happening.digit}")
            case DetectorFired():
                self._say(happening.at, happening.leg, heard(cast(AmdEvent, happening.detail)))
            case HangUpLeg():
                self._causes.setdefault(happening.leg, happening.cause)
            case LegEnded():
                self._say(happening.at, happening.leg, self._ending(happening))
            case LegRecord() if happening.is_abandoned:
                self._abandoned(happening)
            case DeadlinePassed():
                self._last_at = happening.at
            case CallerGone():
                self._write(happening.at, "caller", "hung up")
            case DialResult():
                self._result(happening)
            case _:
                pass

    def _ending(self, event: LegEnded) -> str:
        if event.leg in self._answered:
            return f"hung up ({event.by.value})"
        cause, failure = self._causes.get(event.leg), event.failure
        is_our_wish = cause is not None and event.sip_status == _TERMINATED
        if failure is not None and not is_our_wish:
            return f"failed ({failure.sip_status} {failure.reason}".rstrip() + ")"
        why = _WHY.get(cause, "") if cause is not None else ""
        return f"cancelled ({event.sip_status}{', ' + why if why else ''})"

    def _abandoned(self, record: LegRecord) -> None:
        """The dial is over and waits no longer; the goodbye goes on without it (DV-30)."""
        why = _WHY.get(self._causes.get(record.leg, Cause.NORMAL), "")
        self._say(self._last_at, record.leg, f"given up{' (' + why + ')' if why else ''}, no confirmation")

    def _say(self, at: float, leg: CallSid, what: str) -> None:
        number = self._numbers.setdefault(leg, len(self._numbers) + 1)
        self._write(at, f"{number} {self._dial.target_of(leg).address}", what)

    def _write(self, at: float, who: str, what: str) -> None:
        self._last_at = at
        print(f"{at - self._started_at:8.3f}  {who:<44.44} {what}", file=self._out, flush=True)

    def _result(self, result: DialResult) -> None:
        print(
            f"dial_status={result.dial_status.value} dial_sip_status={result.dial_sip_status} "
            f"reason={result.termination_reason.value} ring={result.ring_s:.1f}s talk={result.talk_s:.1f}s",
            file=self._out,
            flush=True,
        )


def heard(event: AmdEvent) -> str:
    """What a detector said, in one line; seconds are of audio since the answer."""
    match event:
        case Decision():
            again = ", revised" if event.revised else ""
            return f"{event.verdict.value} ({event.confidence:.2f}{again}): {event.reason}"
        case Beep():
            start, end = seconds(event.start_sample), seconds(event.end_sample)
            what = f"beep {event.frequency_hz:.0f} Hz, {event.duration_ms:.0f} ms"
            return f"{what}, from {start:.2f} to {end:.2f} s"
        case GreetingEnded():
            return f"greeting ended at {seconds(event.speech_end_sample):.2f} s"
        case Tone(meaning=meaning) if meaning != event.name.value:
            return f"tone: {event.name.value}, {meaning}"
        case Tone():
            return f"tone: {event.name.value}"
        case _:
            assert_never(event)
