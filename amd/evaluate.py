"""How good the detectors are on a labelled corpus: confusion, latencies, calibration, beeps, per tier.

    python -m amd.evaluate CORPUS [--held-out] [--predictions OUT.jsonl] [--html OUT.html]

CORPUS is a folder with `labels.jsonl`; its fields are those of the development corpus' README. With
`--held-out` every recording is judged by coefficients fitted without its source. Counting rules: a
label is right when it is the item's or one of its `accept`; a beep is hit by a report between its start
and 600 ms after its end.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from amd.events import Decision, Rule
from amd.files import read_audio
from amd.hearing import Hearing, hear
from amd.model import Model
from amd.params import AmdParams
from amd.train import collect, cross_validation_models, fold_of

__all__ = [
    "LABELS",
    "BeepLabel",
    "Figures",
    "Item",
    "Judged",
    "calibration",
    "figures",
    "figures_text",
    "held_out_models",
    "judge",
    "load_labels",
    "main",
    "revisions",
    "rules",
]

BEEP_TOLERANCE_MS: Final = 600.0
LABELS: Final = ("human", "machine", "silence", "tone")


class BeepLabel(Struct, frozen=True):
    """A record beep of the corpus."""

    start_s: float
    end_s: float


class Item(Struct, frozen=True):
    """One line of `labels.jsonl`; fields this evaluation does not need are ignored."""

    file: str
    label: str
    tier: str = "typical"
    subtype: str = ""
    source: str = ""
    accept: tuple[str, ...] = ()
    speech: tuple[tuple[float, float], ...] = ()
    beeps: tuple[BeepLabel, ...] = ()


class Judged(Struct, frozen=True):
    """One recording, heard and compared with its label."""

    item: Item
    hearing: Hearing

    @property
    def is_right(self) -> bool:
        """The label is the item's, or accepted."""
        return self.hearing.label == self.item.label or self.hearing.label in self.item.accept

    @property
    def beep_hit(self) -> BeepLabel | None:
        """The labelled beep that the report hit."""
        at = self.hearing.beep_ms
        if at is None:
            return None
        for beep in reversed(self.item.beeps):
            if beep.start_s * 1000 <= at <= beep.end_s * 1000 + BEEP_TOLERANCE_MS:
                return beep
        return None

    @property
    def is_beep_wrong(self) -> bool:
        """A beep missed, or one reported where none is."""
        hit = self.beep_hit is not None
        return bool(self.item.beeps) != hit or (self.hearing.beep_ms is not None and not hit)

    @property
    def onset_ms(self) -> float | None:
        """First labelled speech or beep."""
        starts = [s[0] for s in self.item.speech[:1]] + [b.start_s for b in self.item.beeps[:1]]
        return min(starts) * 1000 if starts else None


class Figures(Struct, frozen=True):
    """The figures of one set of recordings. Rates are 0–1; NaN where there is nothing to count."""

    items: int
    confusion: dict[str, dict[str, int]]
    right: float
    right_human_machine: float
    machine_recall: float
    human_called_machine: float
    beep_hits: int
    beep_misses: int
    beep_false: int
    beeps_on_humans: int
    beep_latency_ms: tuple[float, float]
    """Median and 95th percentile, from the beep's end."""
    decision_ms: dict[str, tuple[float, float]]
    """human, machine → median and 95th percentile, from the first speech."""

    @property
    def beep_f1(self) -> float:
        """Harmonic mean of precision and recall."""
        found = 2 * self.beep_hits + self.beep_misses + self.beep_false
        return 2 * self.beep_hits / found if found else float("nan")


def load_labels(corpus: Path) -> list[Item]:
    """`labels.jsonl` of the corpus folder. OSError, msgspec.ValidationError."""
    with (corpus / "labels.jsonl").open("rb") as lines:
        return [msgspec.json.decode(_without_nulls(line), type=Item) for line in lines if line.strip()]


def judge(
    corpus: Path,
    items: Iterable[Item],
    params: AmdParams | None = None,
    *,
    models: Sequence[Model] | None = None,
    progress: Callable[[Item], None] | None = None,
) -> list[Judged]:
    """Hear every recording. `models`: one per fold; each recording gets the one that never heard its
    source."""
    judged = []
    for item in items:
        model = models[fold_of(item.source or item.file)] if models else None
        judged.append(Judged(item, hear(read_audio(corpus / item.file), params, model=model)))
        if progress is not None:
            progress(item)
    return judged


def held_out_models(corpus: Path, items: Sequence[Item]) -> list[Model]:
    """One model per fold of sources, fitted to the recordings outside it."""
    raw: list[dict[str, Any]] = [
        {"file": i.file, "label": i.label, "source": i.source or i.file, "tier": i.tier} for i in items
    ]
    return cross_validation_models(collect(corpus, raw))


def figures(judged: Sequence[Judged]) -> Figures:
    """Count."""
    humans = [j for j in judged if j.item.label == "human"]
    machines = [j for j in judged if j.item.label == "machine"]
    both = humans + machines
    confusion = {
        label: dict(Counter(j.hearing.label for j in judged if j.item.label == label)) for label in LABELS
    }
    hits = [(j, hit) for j in judged if (hit := j.beep_hit) is not None]
    late = [(j.hearing.beep_ms or 0.0) - hit.end_s * 1000 for j, hit in hits]
    return Figures(
        items=len(judged),
        confusion=confusion,
        right=_rate(sum(j.is_right for j in judged), len(judged)),
        right_human_machine=_rate(sum(j.is_right for j in both), len(both)),
        machine_recall=_rate(sum(j.hearing.label == "machine" for j in machines), len(machines)),
        human_called_machine=_rate(sum(j.hearing.label == "machine" for j in humans), len(humans)),
        beep_hits=len(hits),
        beep_misses=sum(bool(j.item.beeps) and j.beep_hit is None for j in judged),
        beep_false=sum(j.hearing.beep_ms is not None and j.beep_hit is None for j in judged),
        beeps_on_humans=sum(j.hearing.beep_ms is not None for j in humans),
        beep_latency_ms=_middle_and_tail(late),
        decision_ms={
            name: _middle_and_tail(
                [
                    j.hearing.decision_ms - j.onset_ms
                    for j in chosen
                    if j.hearing.decision_ms is not None and j.onset_ms is not None
                ]
            )
            for name, chosen in (("human", humans), ("machine", machines))
        },
    )


def calibration(judged: Sequence[Judged], edges: Sequence[float]) -> list[tuple[float, float, int, float]]:
    """(from, to, decisions, share that was right) of the confidences of human and machine."""
    rows = []
    pairs = []
    for j in judged:
        decision = j.hearing.decision
        if j.hearing.label in ("human", "machine") and decision is not None:
            pairs.append((decision.confidence, j.is_right))
    for low, high in pairwise(edges):
        inside = [right for c, right in pairs if low <= c < high or (high == edges[-1] and c == high)]
        rows.append((low, high, len(inside), _rate(sum(inside), len(inside))))
    return rows


def revisions(judged: Sequence[Judged]) -> tuple[int, int]:
    """(revisions that were right, revisions that were wrong)."""
    revised = [j for j in judged if j.hearing.decision is not None and j.hearing.decision.revised]
    right = sum(j.is_right for j in revised)
    return right, len(revised) - right


def rules(judged: Sequence[Judged]) -> dict[Rule, tuple[int, int]]:
    """Rule → (right, wrong) of the decisions that stood."""
    counts: dict[Rule, tuple[int, int]] = {}
    for j in judged:
        decision: Decision | None = j.hearing.decision
        if decision is not None:
            right, wrong = counts.get(decision.rule, (0, 0))
            counts[decision.rule] = (right + j.is_right, wrong + (not j.is_right))
    return counts


def figures_text(judged: Sequence[Judged]) -> str:
    """The figures of all, typical and hard items as text."""
    lines = []
    for tier in ("all", "typical", "hard"):
        chosen = [j for j in judged if tier in ("all", j.item.tier)]
        if not chosen:
            continue
        f = figures(chosen)
        lines.append(
            f"{tier:8} {f.items:4} items  right {f.right:6.1%}  human+machine {f.right_human_machine:6.1%}  "
            f"human called machine {f.human_called_machine:6.1%}  machine recall {f.machine_recall:6.1%}"
        )
        lines.append(
            f"{'':8} beeps hit {f.beep_hits} missed {f.beep_misses} false {f.beep_false} "
            f"(F1 {f.beep_f1:.1%}; "
            f"{f.beeps_on_humans} on humans), "
            f"{f.beep_latency_ms[0]:.0f} / {f.beep_latency_ms[1]:.0f} ms after; "
            f"decision human {f.decision_ms['human'][0]:.0f} / {f.decision_ms['human'][1]:.0f} ms, "
            f"machine {f.decision_ms['machine'][0]:.0f} / {f.decision_ms['machine'][1]:.0f} ms after onset"
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m amd.evaluate", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--held-out", action="store_true", help="coefficients fitted without each item's source"
    )
    parser.add_argument("--predictions", type=Path, help="write one JSON object per recording")
    parser.add_argument("--html", type=Path, help="write the report with the picture of every error")
    arguments = parser.parse_args(argv)
    items = load_labels(arguments.corpus)
    models = held_out_models(arguments.corpus, items) if arguments.held_out else None
    judged = judge(arguments.corpus, items, models=models)
    print(figures_text(judged))
    if arguments.predictions:
        with arguments.predictions.open("w", encoding="utf-8") as out:
            for j in judged:
                out.write(json.dumps(j.hearing.summary(j.item.file)) + "\n")
    if arguments.html:
        from amd.report import write_report

        write_report(arguments.html, arguments.corpus, judged, held_out=arguments.held_out)
    return 0


def _without_nulls(line: bytes) -> bytes:
    """A null means that the field is absent."""
    fields = json.loads(line)
    return json.dumps({k: v for k, v in fields.items() if v is not None}).encode()


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _middle_and_tail(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    return float(np.median(values)), float(np.percentile(values, 95))


if __name__ == "__main__":
    raise SystemExit(main())
