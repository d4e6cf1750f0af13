"""Fit the model's coefficients to a labelled corpus, and say how they fare on sources they have not seen.

    python -m amd.train CORPUS [--write]

CORPUS is a folder with `labels.jsonl`: one object per line with `file`, `label` and `source`;
everything up to " + " or "," in `source` names a voice or a set of prompts, and a voice is never in two
folds.
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amd.ear import Ear
from amd.events import Beep, Evidence
from amd.files import read_audio
from amd.model import FEATURES, Model, features
from amd.params import AmdParams

__all__ = ["Fit", "Recording", "collect", "cross_validate", "fit_logistic", "fold_of", "main"]

Array = NDArray[np.float64]
FOLDS: Final = 10
_EVERY: Final = 5
_LONGEST_S: Final = 8.0
_RIDGE: Final = 3.0
_SPEAKING_S: Final = 0.3


class Recording:
    """One labelled recording as the model sees it: what was known at each step since the first speech."""

    __slots__ = ("file", "fold", "is_machine", "moments", "tier", "values")

    def __init__(self, item: dict[str, Any], moments: list[Evidence]) -> None:
        self.file: str = item["file"]
        self.tier: str = item.get("tier", "typical")
        self.fold = fold_of(item.get("source", item["file"]))
        self.is_machine = item["label"] == "machine"
        self.moments = moments
        self.values: Array = np.array([features(m) for m in moments]).reshape(len(moments), len(FEATURES))


def fold_of(source: str) -> int:
    """The fold of a source: stable across runs and machines."""
    return zlib.crc32(source.split(" + ")[0].split(",")[0].encode()) % FOLDS


def collect(corpus: Path, items: Iterable[dict[str, Any]]) -> list[Recording]:
    """Listen to each human and machine of the corpus; what follows a beep is not looked at."""
    recordings = []
    for item in items:
        if item["label"] not in ("human", "machine"):
            continue
        moments = []
        ear = Ear()
        for step, signal in ear.hear(read_audio(corpus / item["file"])):
            if isinstance(signal, Beep):
                break
            evidence = ear.speech.evidence(step.end_sample)
            if evidence.onset_s is not None:
                moments.append(evidence)
                if evidence.elapsed_s > _LONGEST_S:
                    break
        recordings.append(Recording(item, moments))
    return recordings


class Fit:
    """Coefficients of a logistic function; `probability` of rows of features."""

    __slots__ = ("bias", "weights")

    def __init__(self, bias: float, weights: Array) -> None:
        self.bias = bias
        self.weights = weights

    def probability(self, values: Array) -> Array:
        score: Array = np.clip(values @ self.weights + self.bias, -30.0, 30.0)
        result: Array = 1.0 / (1.0 + np.exp(-score))
        return result


def fit_logistic(values: Array, labels: Array, weights: Array, *, ridge: float = _RIDGE) -> Fit:
    """Newton's method on the weighted likelihood, features scaled to unit spread, `ridge` on the slopes."""
    mean = values.mean(axis=0)
    spread = values.std(axis=0) + 1e-9
    design = np.column_stack([np.ones(len(values)), (values - mean) / spread])
    beta = np.zeros(design.shape[1])
    penalty = np.eye(len(beta)) * ridge
    penalty[0, 0] = 1e-6
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -30.0, 30.0)))
        gradient = design.T @ (weights * (p - labels)) + penalty @ beta
        hessian = (design * (weights * p * (1.0 - p))[:, None]).T @ design + penalty
        change = np.linalg.solve(hessian, gradient)
        beta -= change
        if float(np.abs(change).max()) < 1e-7:
            break
    slopes = beta[1:] / spread
    return Fit(float(beta[0] - slopes @ mean), slopes)


def fit(recordings: Sequence[Recording]) -> Fit:
    """Every recording has the same weight, however long it is."""
    values, labels, weights = [], [], []
    for r in recordings:
        rows = r.values[::_EVERY]
        if len(rows) == 0:
            continue
        values.append(rows)
        labels.append(np.full(len(rows), float(r.is_machine)))
        weights.append(np.full(len(rows), 1.0 / len(rows)))
    return fit_logistic(np.concatenate(values), np.concatenate(labels), np.concatenate(weights))


def cross_validation_models(recordings: Sequence[Recording]) -> list[Model]:
    """One model per fold, fitted to the recordings outside it, calibration included."""
    params = AmdParams()
    models = []
    for fold in range(FOLDS):
        others = [r for r in recordings if r.fold != fold]
        fitted = fit(others)
        calibrated = calibrate(others, {r.file: fitted.probability(r.values) for r in others}, params)
        models.append(
            Model(fitted.bias, tuple(fitted.weights.tolist()), calibrated["human"], calibrated["machine"])
        )
    return models


def cross_validate(recordings: Sequence[Recording]) -> dict[str, Array]:
    """file → the probabilities by a model that never heard this recording's source."""
    result: dict[str, Array] = {}
    for fold in sorted({r.fold for r in recordings}):
        model = fit([r for r in recordings if r.fold != fold])
        for r in recordings:
            if r.fold == fold:
                result[r.file] = model.probability(r.values)
    return result


def first_decision(
    recording: Recording, probability: Array, params: AmdParams
) -> tuple[str, float, Evidence] | None:
    """(verdict, probability of it, what was known): as `AmdDetector` decides on speech alone."""
    for evidence, p in zip(recording.moments, probability.tolist(), strict=True):
        if evidence.pause_s < _SPEAKING_S:
            if p >= params.machine_probability:
                return "machine", p, evidence
        elif evidence.pause_s * 1000.0 >= params.pause_ms and 1.0 - p >= params.human_probability:
            return "human", 1.0 - p, evidence
    return None


def calibrate(
    recordings: Sequence[Recording], held_out: dict[str, Array], params: AmdParams
) -> dict[str, float]:
    """What to add to the log-odds of a decision so that they become those of its being right.

    Only a shift: decisions fall where the thresholds are, so there is no spread to fit a slope to.
    """
    result = {}
    for verdict in ("human", "machine"):
        odds, right = [], []
        for r in recordings:
            decided = first_decision(r, held_out[r.file], params)
            if decided is not None and decided[0] == verdict:
                odds.append(math.log(decided[1] / max(1.0 - decided[1], 1e-6)))
                right.append(float(r.is_machine == (verdict == "machine")))
        x, y = np.array(odds), np.array(right)
        shift = 0.0
        for _ in range(30):
            p = 1.0 / (1.0 + np.exp(-(x + shift)))
            # One decision's worth of doubt: a class without errors does not become certain.
            shift -= float((np.sum(p - y) + shift) / (np.sum(p * (1.0 - p)) + 1.0))
        result[verdict] = round(shift, 3)
    return result


def report(recordings: Sequence[Recording], held_out: dict[str, Array], params: AmdParams) -> str:
    """The cross-validated figures of the first decision on speech alone, beeps and revisions left out."""
    lines = []
    for tier in ("typical", "hard", "all"):
        chosen = [r for r in recordings if tier in ("all", r.tier)]
        counts: dict[tuple[bool, str], int] = {}
        latencies: dict[bool, list[float]] = {False: [], True: []}
        for r in chosen:
            decided = first_decision(r, held_out[r.file], params)
            verdict = decided[0] if decided else "none"
            counts[r.is_machine, verdict] = counts.get((r.is_machine, verdict), 0) + 1
            if decided and (verdict == "machine") == r.is_machine:
                latencies[r.is_machine].append(decided[2].elapsed_s)
        humans = sum(not r.is_machine for r in chosen)
        machines = len(chosen) - humans
        lines.append(
            f"{tier:8} humans {humans}: human {counts.get((False, 'human'), 0)}, "
            f"machine {counts.get((False, 'machine'), 0)}, none {counts.get((False, 'none'), 0)}; "
            f"machines {machines}: machine {counts.get((True, 'machine'), 0)}, "
            f"human {counts.get((True, 'human'), 0)}, none {counts.get((True, 'none'), 0)}; "
            f"median s {np.median(latencies[False] or [0]):.2f} / {np.median(latencies[True] or [0]):.2f}"
        )
    return "\n".join(lines)


def source_text(model: Fit, calibration: dict[str, float]) -> str:
    """`amd/coefficients.py` for `model`."""
    rows = "\n".join(
        f"    {w:+.4f},  # {name}" for (name, _), w in zip(FEATURES, model.weights.tolist(), strict=True)
    )
    return f'''"""Log-odds of `machine` per unit of each feature; written by `python -m amd.train`."""

BIAS = {model.bias:.4f}
WEIGHTS: tuple[float, ...] = (
{rows}
)
HUMAN_CALIBRATION = {calibration["human"]}
MACHINE_CALIBRATION = {calibration["machine"]}
"""Added to the log-odds of a verdict, they become those of its being right, on sources not heard before."""
BEEP_CONFIDENCE = 0.97
SILENCE_CONFIDENCE = 0.7
'''


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0."""
    parser = argparse.ArgumentParser(prog="python -m amd.train", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("corpus", type=Path, nargs="+")
    parser.add_argument("--write", action="store_true", help="write amd/coefficients.py")
    arguments = parser.parse_args(argv)
    recordings: list[Recording] = []
    for corpus in arguments.corpus:
        with (corpus / "labels.jsonl").open(encoding="utf-8") as lines:
            recordings += collect(corpus, (json.loads(line) for line in lines if line.strip()))
    params = AmdParams()
    held_out = cross_validate(recordings)
    print(report(recordings, held_out, params))
    model = fit(recordings)
    text = source_text(model, calibrate(recordings, held_out, params))
    if arguments.write:
        Path(__file__).with_name("coefficients.py").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
