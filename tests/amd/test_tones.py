"""Signals and their names."""

from __future__ import annotations

import pytest

from amd import AmdDetector, Tone, ToneName
from amd.tones import dtmf_digit, sit_meaning
from tests.amd.sounds import LINES, Pcm, joined, silence, stations, tone


def tones(sound: Pcm) -> list[Tone]:
    detector = AmdDetector()
    first = detector.push(sound)
    return [e for e in ([first] if first else []) + list(detector.events()) if isinstance(e, Tone)]


def repeated(hz: float | tuple[float, ...], on_s: float, off_s: float, times: int) -> Pcm:
    return joined(silence(0.4), *[tone(hz, on_s), silence(off_s)] * times)


SIGNALS: dict[str, tuple[Pcm, ToneName]] = {
    "ringback, North America": (repeated((440, 480), 2.0, 4.0, 2), ToneName.RINGBACK),
    "ringback, Britain": (
        joined(silence(0.4), *[tone((400, 450), 0.4), silence(0.2), tone((400, 450), 0.4), silence(2.0)] * 2),
        ToneName.RINGBACK,
    ),
    "ringback, Europe": (repeated(425, 1.0, 4.0, 2), ToneName.RINGBACK),
    "dial, North America": (repeated((350, 440), 4.0, 0.5, 1), ToneName.DIAL),
    "dial, Europe": (repeated(425, 4.0, 0.5, 1), ToneName.DIAL),
    "busy, North America": (repeated((480, 620), 0.5, 0.5, 6), ToneName.BUSY),
    "busy, Europe": (repeated(425, 0.5, 0.5, 6), ToneName.BUSY),
    "reorder, North America": (repeated((480, 620), 0.25, 0.25, 8), ToneName.REORDER),
    "congestion, Europe": (repeated(425, 0.25, 0.25, 8), ToneName.REORDER),
    "fax calls": (repeated(1100, 0.5, 3.0, 2), ToneName.FAX_CNG),
    "fax answers": (repeated(2100, 3.0, 0.5, 1), ToneName.FAX_CED),
    "special information": (
        joined(silence(0.4), stations((950.0, 1400.0, 1800.0), 0.33), silence(1.0)),
        ToneName.SIT,
    ),
}


@pytest.mark.parametrize("line", ["clean", "µ-law", "A-law", "GSM", "Opus", "noise", "5 % lost"])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_has_its_name_once_on_every_line(name: str, line: str) -> None:
    sound, expected = SIGNALS[name]
    assert [t.name for t in tones(LINES[line](sound))] == [expected]


def test_keys_are_named_one_by_one() -> None:
    keys = joined(
        *[
            joined(tone((low, high), 0.1, -9.0), silence(0.1))
            for low, high in ((697, 1209), (770, 1336), (941, 1477))
        ]
    )
    assert [(t.name, t.meaning) for t in tones(keys)] == [
        (ToneName.DTMF, "1"),
        (ToneName.DTMF, "5"),
        (ToneName.DTMF, "#"),
    ]


@pytest.mark.parametrize(
    ("hz", "meaning"),
    [
        ((913.8, 1370.6, 1776.7), "intercept"),
        ((985.2, 1370.6, 1776.7), "vacant code"),
        ((913.8, 1428.5, 1776.7), "reorder"),
        ((985.2, 1428.5, 1776.7), "no circuit"),
        ((950.0, 1400.0, 1800.0), "call failed"),
    ],
)
def test_a_special_information_tone_tells_its_cause(hz: tuple[float, ...], meaning: str) -> None:
    assert sit_meaning(hz) == meaning
    (found,) = tones(joined(silence(0.4), stations(hz, 0.33), silence(1.0)))
    assert (found.name, found.meaning) == (ToneName.SIT, meaning)


def test_pairs_of_lines_are_digits_only_within_the_tolerance() -> None:
    assert dtmf_digit(1336.0, 770.0) == "5"
    assert dtmf_digit(941.0 * 1.015, 1633.0) == "D"
    assert dtmf_digit(941.0 * 1.03, 1633.0) is None
    assert dtmf_digit(480.0, 620.0) is None


def test_three_tones_in_another_order_are_no_special_information() -> None:
    assert sit_meaning((1800.0, 1400.0, 950.0)) is None
    assert sit_meaning((950.0, 1400.0)) is None
