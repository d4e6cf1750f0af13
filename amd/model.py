"""How probable it is that a machine talks, from the timing of its speech alone.

A logistic function of hinges: each weight says by how much the odds change per second beyond its knee,
so the table can be read. `python -m amd.train CORPUS` prints this table; the README says what it was
trained on and how it fares on sources it has not seen. Timbre, level and noise are left out on purpose:
on a corpus of telephone audio they tell the studio from the street, and with that the corpus, not who
answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from amd import coefficients as fitted
from amd.events import Evidence, Rule, Verdict

__all__ = ["FEATURES", "Model", "features"]


def _beyond(value: float, knee: float) -> float:
    return value - knee if value > knee else 0.0


FEATURES: Final[tuple[tuple[str, Callable[[Evidence], float]], ...]] = (
    ("run", lambda e: min(e.run_s, 6.0)),
    ("run beyond 1 s", lambda e: _beyond(min(e.run_s, 6.0), 1.0)),
    ("run beyond 2 s", lambda e: _beyond(min(e.run_s, 6.0), 2.0)),
    ("run beyond 3 s", lambda e: _beyond(min(e.run_s, 6.0), 3.0)),
    ("speech", lambda e: min(e.speech_s, 8.0)),
    ("speech beyond 1.5 s", lambda e: _beyond(min(e.speech_s, 8.0), 1.5)),
    ("speech beyond 3 s", lambda e: _beyond(min(e.speech_s, 8.0), 3.0)),
    ("pause", lambda e: min(e.pause_s, 0.4)),
    ("pause beyond 0.4 s", lambda e: _beyond(min(e.pause_s, 3.0), 0.4)),
    ("pause beyond 0.8 s", lambda e: _beyond(min(e.pause_s, 3.0), 0.8)),
    ("pause beyond 1.4 s", lambda e: _beyond(min(e.pause_s, 3.0), 1.4)),
    ("pause × speech", lambda e: min(e.pause_s, 3.0) * min(e.speech_s, 4.0)),
    ("utterances", lambda e: float(min(e.utterances, 5))),
    ("longest run", lambda e: min(e.longest_run_s, 4.0)),
    ("elapsed", lambda e: min(e.elapsed_s, 8.0)),
)
"""(name, value); seconds unless the name is a count."""


def features(evidence: Evidence) -> list[float]:
    """The values of `FEATURES` for one moment."""
    return [value(evidence) for _, value in FEATURES]


class Model(Struct, frozen=True):
    """The coefficients; the default ones were fitted to the whole development corpus."""

    bias: float = fitted.BIAS
    weights: tuple[float, ...] = fitted.WEIGHTS
    human_calibration: float = fitted.HUMAN_CALIBRATION
    machine_calibration: float = fitted.MACHINE_CALIBRATION
    """Added to the log-odds of a verdict, they become those of its being right."""

    def machine_probability(self, evidence: Evidence) -> float:
        """0–1. Meaningless before the first speech."""
        score = self.bias
        for (_, value), weight in zip(FEATURES, self.weights, strict=True):
            score += weight * value(evidence)
        return 1.0 / (1.0 + math.exp(-max(min(score, 30.0), -30.0)))

    def confidence(self, verdict: Verdict, rule: Rule, evidence: Evidence) -> float:
        """How often a decision like this one is right, 0–1: the probability through the calibration."""
        if verdict is Verdict.UNDECIDED:
            return 0.5
        if verdict is Verdict.SILENCE:
            return fitted.SILENCE_CONFIDENCE
        if rule is Rule.BEEP:
            return fitted.BEEP_CONFIDENCE
        p = evidence.machine_probability
        p = min(max(p if verdict is Verdict.MACHINE else 1.0 - p, 0.001), 0.999)
        shift = self.machine_calibration if verdict is Verdict.MACHINE else self.human_calibration
        return 1.0 / (1.0 + math.exp(-(shift + math.log(p / (1.0 - p)))))
