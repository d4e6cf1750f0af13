"""The figures on the labelled corpus, every recording judged by coefficients fitted without its source.

Skipped where the corpus is not: set `AMD_CORPUS`, or keep it at `../shared/amd-corpus` of the checkout.
"""

from __future__ import annotations

import pytest

from amd.evaluate import Figures, Judged, calibration, figures, held_out_models, judge, load_labels
from amd.files import read_audio
from tests.amd.asterisk_rules import asterisk_label
from tests.amd.sounds import corpus


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    folder = corpus()
    items = load_labels(folder)
    return judge(folder, items, models=held_out_models(folder, items))


def of(judged: list[Judged], tier: str) -> Figures:
    return figures([j for j in judged if j.item.tier == tier])


def test_typical_calls_are_labelled_right(judged: list[Judged]) -> None:
    typical = of(judged, "typical")
    assert typical.right >= 0.95
    assert typical.human_called_machine <= 0.04


def test_people_and_machines_of_all_tiers_are_told_apart(judged: list[Judged]) -> None:
    found = figures(judged)
    assert found.right_human_machine >= 0.88
    assert found.human_called_machine <= 0.12
    assert found.machine_recall >= 0.90


def test_beeps_are_heard_on_time_and_nowhere_else(judged: list[Judged]) -> None:
    found = figures(judged)
    assert found.beep_f1 >= 0.95
    assert found.beeps_on_humans <= 0.01 * sum(j.item.label == "human" for j in judged)
    assert found.beep_latency_ms[0] <= 60.0
    assert found.beep_latency_ms[1] <= 150.0


def test_decisions_fall_in_time(judged: list[Judged]) -> None:
    found = figures(judged)
    assert found.decision_ms["human"][0] <= 1800.0
    assert found.decision_ms["machine"][0] <= 3200.0


def test_the_confidence_says_how_often_a_decision_is_right(judged: list[Judged]) -> None:
    rows = [(low, high, n, right) for low, high, n, right in calibration(judged, (0.5, 0.85, 1.0)) if n >= 20]
    assert rows
    for low, high, _, right in rows:
        assert low - 0.1 <= right <= high + 0.1


def test_fewer_people_are_called_machines_than_by_counting_words(judged: list[Judged]) -> None:
    folder = corpus()
    humans = [j for j in judged if j.item.label == "human"]
    by_words = sum(asterisk_label(read_audio(folder / j.item.file))[0] == "machine" for j in humans)
    ours = sum(j.hearing.label == "machine" for j in humans)
    assert ours < by_words / 2
