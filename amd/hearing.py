"""One recording heard from beginning to end: all events, and the summary that files are compared by."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from amd.detector import AmdDetector
from amd.events import AmdEvent, Beep, Decision, Tone, ToneName, Verdict
from amd.model import Model
from amd.params import FRAME, SAMPLE_RATE_HZ, AmdParams

__all__ = ["Hearing", "hear"]

_LABELS: Final = {
    Verdict.HUMAN: "human",
    Verdict.MACHINE: "machine",
    Verdict.SILENCE: "silence",
    Verdict.UNDECIDED: "unknown",
}


class Hearing(Struct, frozen=True):
    """What the detector said about one recording."""

    events: tuple[AmdEvent, ...]
    duration_s: float

    @property
    def decision(self) -> Decision | None:
        """The decision that stood at the end."""
        decisions = [e for e in self.events if isinstance(e, Decision)]
        return decisions[-1] if decisions else None

    @property
    def beeps(self) -> list[Beep]:
        """All beeps, in order."""
        return [e for e in self.events if isinstance(e, Beep)]

    @property
    def tones(self) -> list[Tone]:
        """Named signals, in order; the digits of DTMF are keys pressed, not what the line is."""
        return [e for e in self.events if isinstance(e, Tone) and e.name is not ToneName.DTMF]

    @property
    def label(self) -> str:
        """human, machine, silence, tone (signals and nobody speaking), unknown."""
        decision = self.decision
        if decision is not None and decision.verdict in (Verdict.HUMAN, Verdict.MACHINE):
            return _LABELS[decision.verdict]
        if self.tones:
            return "tone"
        return _LABELS[decision.verdict] if decision is not None else "unknown"

    @property
    def decision_ms(self) -> float | None:
        """Audio heard when the label was sure, milliseconds."""
        if self.label == "tone":
            return round(self.tones[0].sample * 1000 / SAMPLE_RATE_HZ, 1)
        return round(self.decision.sample * 1000 / SAMPLE_RATE_HZ, 1) if self.decision else None

    @property
    def beep_ms(self) -> float | None:
        """Audio heard when the record beep was reported: the last, for a pip before the greeting is none."""
        return round(self.beeps[-1].sample * 1000 / SAMPLE_RATE_HZ, 1) if self.beeps else None

    def summary(self, file: str) -> dict[str, object]:
        """One line of predictions, as score scripts read it."""
        decision = self.decision
        return {
            "file": file,
            "label": self.label,
            "decision_ms": self.decision_ms,
            "beep_ms": self.beep_ms,
            "confidence": round(decision.confidence, 3) if decision else 0.0,
            "reason": _reason(self),
        }


def hear(pcm: NDArray[np.int16], params: AmdParams | None = None, *, model: Model | None = None) -> Hearing:
    """`pcm`: int16[n], mono, 8 kHz: the callee's audio from the answer on."""
    detector = AmdDetector(params, model=model)
    events: list[AmdEvent] = []
    for start in range(0, len(pcm), 50 * FRAME):
        first = detector.push(pcm[start : start + 50 * FRAME])
        if first is not None:
            events += [first, *detector.events()]
    last = detector.finish()
    if last is not None:
        events += [last, *detector.events()]
    return Hearing(tuple(events), len(pcm) / SAMPLE_RATE_HZ)


def _reason(hearing: Hearing) -> str:
    if hearing.label == "tone":
        tone = hearing.tones[0]
        return tone.name.value if tone.meaning == tone.name.value else f"{tone.name.value}: {tone.meaning}"
    return hearing.decision.reason if hearing.decision else "no audio"
