"""Training and evaluation on a small corpus made on the spot."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from amd.evaluate import BeepLabel, Item, Judged, calibration, figures, load_labels
from amd.evaluate import main as evaluate
from amd.hearing import hear
from amd.model import FEATURES
from amd.report import main as report
from amd.train import fit_logistic, fold_of
from amd.train import main as train
from tests.amd.sounds import RATE, Pcm, joined, silence, tone, voice


def write(path: Path, sound: Pcm) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    lines: list[dict[str, object]] = []
    for i in range(12):
        hello = joined(silence(0.3), voice(0.4 + 0.1 * i, seed=i), silence(3.0))
        greeting = joined(
            silence(0.3), voice(3.0 + 0.2 * i, seed=50 + i), silence(0.3), tone(900 + 20 * i, 0.3), silence(1)
        )
        write(folder / f"h{i}.wav", hello)
        write(folder / f"m{i}.wav", greeting)
        beep: dict[str, object] = {"start_s": 3.6 + 0.2 * i, "end_s": 3.9 + 0.2 * i, "hz": [900]}
        speech = [[0.3, 0.7 + 0.1 * i]]
        lines.append(
            {"file": f"h{i}.wav", "label": "human", "source": f"a{i}", "speech": speech, "beeps": None}
        )
        lines.append(
            {"file": f"m{i}.wav", "label": "machine", "source": f"b{i}", "speech": speech, "beeps": [beep]}
        )
    (folder / "labels.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return folder


def test_labels_are_read_and_unknown_fields_and_nulls_are_no_trouble(corpus: Path) -> None:
    items = load_labels(corpus)
    assert len(items) == 24
    assert items[0].beeps == ()
    assert items[1].beeps == (BeepLabel(3.6, 3.9),)


def test_a_voice_is_always_in_the_same_fold() -> None:
    assert fold_of("TTS one, speed 3 + beep") == fold_of("TTS one") == fold_of("TTS one + noise")


def test_the_fit_finds_the_odds_that_made_the_data() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((4000, 2))
    labels = (rng.random(4000) < 1 / (1 + np.exp(-(0.5 + 2.0 * values[:, 0] - values[:, 1])))).astype(float)
    fitted = fit_logistic(values, labels, np.ones(4000), ridge=0.1)
    assert fitted.bias == pytest.approx(0.5, abs=0.15)
    assert fitted.weights.tolist() == pytest.approx([2.0, -1.0], abs=0.15)


def test_training_prints_the_held_out_figures_and_every_coefficient(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train([str(corpus)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("humans 12") == 2
    for name, _ in FEATURES:
        assert f"# {name}" in shown


def test_the_evaluation_writes_predictions_and_a_page_that_is_whole_in_itself(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, page = tmp_path / "p.jsonl", tmp_path / "r.html"
    assert evaluate([str(corpus), "--held-out", "--predictions", str(predictions), "--html", str(page)]) == 0
    assert len(predictions.read_text().splitlines()) == 24
    text = page.read_text()
    assert "Calibration" in text
    assert "http" not in text
    assert "human called machine" in capsys.readouterr().out


def test_the_report_page_is_made_by_one_command_and_a_missing_corpus_is_named(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "build" / "page.html"
    assert report([str(corpus), "--out", str(page)]) == 0
    assert "<h2>Rules</h2>" in page.read_text()
    assert report([str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().out


def item(label: str, *beeps: BeepLabel, accept: tuple[str, ...] = ()) -> Item:
    return Item("x.wav", label, accept=accept, beeps=beeps)


def test_a_beep_counts_as_hit_from_its_start_until_600_ms_after_its_end() -> None:
    sound = joined(silence(0.5), voice(3.0), silence(0.3), tone(1000, 0.3), silence(1.0))
    hearing = hear(sound)
    assert hearing.beep_ms is not None
    report_s = hearing.beep_ms / 1000
    assert Judged(item("machine", BeepLabel(report_s - 0.2, report_s - 0.1)), hearing).beep_hit is not None
    late = Judged(item("machine", BeepLabel(report_s - 1.0, report_s - 0.7)), hearing)
    assert late.beep_hit is None
    assert late.is_beep_wrong
    assert Judged(item("human"), hearing).is_beep_wrong


def test_an_accepted_label_is_right_and_the_rates_are_of_their_own_kind() -> None:
    quiet, greeting = hear(silence(6.0)), hear(joined(silence(0.3), voice(4.0), silence(1.0)))
    judged = [
        Judged(item("tone", accept=("silence",)), quiet),
        Judged(item("human"), greeting),
        Judged(item("machine"), greeting),
    ]
    found = figures(judged)
    assert found.right == pytest.approx(2 / 3)
    assert (found.human_called_machine, found.machine_recall) == (1.0, 1.0)
    assert sum(n for _, _, n, _ in calibration(judged, (0.0, 1.0))) == 2
