"""One HTML page: the figures of a corpus, and the picture of every error.

    python -m amd.report [CORPUS] [--out build/amd-report.html]

Every recording is judged by coefficients fitted without its source. Without CORPUS: `AMD_CORPUS`, else
`../shared/amd-corpus` of the checkout.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from amd.evaluate import (
    LABELS,
    Judged,
    calibration,
    figures,
    figures_text,
    held_out_models,
    judge,
    load_labels,
    revisions,
    rules,
)
from amd.files import read_audio
from amd.plot import draw

__all__ = ["main", "write_report"]

_EDGES: Final = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.6rem 0}td,th{border:1px solid #bbb;padding:.15rem .6rem}
td,th{text-align:right}
th:first-child,td:first-child{text-align:left}img{max-width:100%}pre{background:#f4f4f4;padding:.6rem;overflow:auto}
"""


def write_report(path: Path, corpus: Path, judged: Sequence[Judged], *, held_out: bool) -> None:
    """Write the page to `path`, whole in itself (pictures inline). Needs matplotlib (the extra `plot`)."""
    how = (
        "by coefficients fitted without each recording's source"
        if held_out
        else "by the shipped coefficients"
    )
    parts = [
        "<!doctype html><meta charset='utf-8'><title>AMD report</title>",
        f"<style>{_STYLE}</style><h1>Answering-machine detection: {len(judged)} recordings</h1>",
        f"<p>Each judged {how}.</p><pre>{html.escape(figures_text(judged))}</pre>",
    ]
    for tier in ("typical", "hard"):
        chosen = [j for j in judged if j.item.tier == tier]
        if chosen:
            parts += [f"<h2>Confusion, {tier}</h2>", _confusion(chosen)]
    right, wrong = revisions(judged)
    parts += [
        "<h2>Latency</h2>",
        _latency_curves(judged),
        "<h2>Calibration of the confidence</h2>",
        _rows(
            ("confidence", "decisions", "right"),
            [
                (f"{a:.2f}–{b:.2f}", str(n), f"{r:.1%}" if n else "–")
                for a, b, n, r in calibration(judged, _EDGES)
            ],
        ),
        "<h2>Rules</h2>",
        _rows(
            ("rule", "right", "wrong"),
            [(rule.value, str(a), str(b)) for rule, (a, b) in sorted(rules(judged).items())],
        ),
        f"<p>Revised decisions: {right} right, {wrong} wrong.</p><h2>Errors</h2>",
    ]
    errors = [j for j in judged if not j.is_right or j.is_beep_wrong]
    parts += [_error(corpus, j) for j in errors] or ["<p>None.</p>"]
    path.write_text("\n".join(parts), encoding="utf-8")


def _confusion(judged: Sequence[Judged]) -> str:
    counts = figures(judged).confusion
    columns = (*LABELS, "unknown")
    return _rows(
        ("is \\ called", *columns),
        [(label, *(str(counts[label].get(c, 0)) for c in columns)) for label in LABELS if counts[label]],
    )


def _latency_curves(judged: Sequence[Judged]) -> str:
    """How many of each kind were decided rightly within so many seconds of the first speech."""
    marks = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
    rows = []
    for label in ("human", "machine"):
        chosen = [j for j in judged if j.item.label == label]
        late = np.array(
            [
                (j.hearing.decision_ms - j.onset_ms) / 1000
                for j in chosen
                if j.is_right and j.hearing.decision_ms is not None and j.onset_ms is not None
            ]
        )
        rows.append((label, *(f"{np.sum(late <= m) / max(len(chosen), 1):.0%}" for m in marks)))
    return _rows(("decided rightly within", *(f"{m:g} s" for m in marks)), rows)


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{html.escape(c)}</th>" for c in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return "".join(lines) + "</table>"


def _error(corpus: Path, judged: Judged) -> str:
    picture = io.BytesIO()
    draw(read_audio(corpus / judged.item.file), judged.hearing, picture, title=judged.item.file)
    wrongs = []
    if not judged.is_right:
        wrongs.append(f"{judged.item.label} called {judged.hearing.label} at {judged.hearing.decision_ms} ms")
    if judged.is_beep_wrong:
        labelled = ", ".join(f"{b.start_s:.2f}–{b.end_s:.2f} s" for b in judged.item.beeps) or "none"
        wrongs.append(f"beep reported at {judged.hearing.beep_ms} ms, labelled: {labelled}")
    data = base64.b64encode(picture.getvalue()).decode()
    caption = f"{judged.item.file} ({judged.item.tier}, {judged.item.subtype}): {'; '.join(wrongs)}"
    return f"<h3>{html.escape(caption)}</h3><img alt='' src='data:image/png;base64,{data}'>"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line: 0; 1: there is no corpus."""
    parser = argparse.ArgumentParser(prog="python -m amd.report", description=(__doc__ or "").split("\n")[0])
    beside = Path(__file__).resolve().parents[2] / "shared" / "amd-corpus"
    parser.add_argument("corpus", type=Path, nargs="?", default=Path(os.environ.get("AMD_CORPUS") or beside))
    parser.add_argument("--out", type=Path, default=Path("build") / "amd-report.html")
    arguments = parser.parse_args(argv)
    if not (arguments.corpus / "labels.jsonl").is_file():
        print(f"no labelled corpus at {arguments.corpus}: name one, or set AMD_CORPUS")
        return 1
    items = load_labels(arguments.corpus)
    judged = judge(arguments.corpus, items, models=held_out_models(arguments.corpus, items))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_report(arguments.out, arguments.corpus, judged, held_out=True)
    print(figures_text(judged))
    print(f"→ {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
