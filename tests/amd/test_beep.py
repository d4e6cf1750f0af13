"""Beeps that must be heard on every line, and signals that must never be one."""

from __future__ import annotations

import numpy as np
import pytest

from amd import Beep, BeepDetector, BeepShape
from tests.amd.sounds import (
    LINES,
    RATE,
    Pcm,
    harmonics,
    held_vowel,
    joined,
    melody,
    silence,
    stations,
    sweep,
    tone,
    voice,
    whistle,
)

GREETING = joined(silence(0.3), voice(1.5), silence(0.25))


def beeps(sound: Pcm, size: int = 160) -> list[Beep]:
    detector = BeepDetector()
    found = []
    for start in range(0, len(sound), size):
        beep = detector.push(sound[start : start + size])
        while beep is not None:
            found.append(beep)
            beep = detector.push(sound[:0])
    return found


BEEPS: dict[str, tuple[Pcm, float, BeepShape]] = {
    "440 Hz, 0.4 s": (tone(440, 0.4), 440, BeepShape.SINGLE),
    "1000 Hz, 0.3 s": (tone(1000, 0.3), 1000, BeepShape.SINGLE),
    "1000 Hz, 80 ms": (tone(1000, 0.08), 1000, BeepShape.SINGLE),
    "2000 Hz, 0.25 s": (tone(2000, 0.25), 2000, BeepShape.SINGLE),
    "1400 Hz, 2 s": (tone(1400, 1.98), 1400, BeepShape.SINGLE),
    "850 Hz, faint": (tone(850, 0.4, -30), 850, BeepShape.SINGLE),
    "1200 Hz, full scale": (tone(1200, 0.2, -3), 1200, BeepShape.SINGLE),
    "600 and 900 Hz": (tone((600, 900), 0.4), 600, BeepShape.DUAL),
    "harmonic": (harmonics(600, (1.0, 0.0, 0.3), 0.35), 600, BeepShape.HARMONIC),
    "chirp": (sweep(700, 1300, 0.35), 700, BeepShape.CHIRP),
    "step": (stations((660, 880), 0.2), 660, BeepShape.STEP),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", BEEPS)
def test_dv74_a_beep_after_a_greeting_is_heard_once_with_its_frequency_on_every_line(
    name: str, line: str
) -> None:
    sound, hz, shape = BEEPS[name]
    found = beeps(LINES[line](joined(GREETING, sound, silence(1.0))))
    start_s = len(GREETING) / RATE
    assert len(found) == 1
    tolerance = 0.06 if shape is BeepShape.CHIRP else 0.015
    assert found[0].frequency_hz in (pytest.approx(hz, rel=tolerance), pytest.approx(hz * 1.5, rel=tolerance))
    assert found[0].start_sample / RATE == pytest.approx(start_s, abs=0.08)
    assert found[0].end_sample / RATE == pytest.approx(start_s + len(sound) / RATE, abs=0.08)


@pytest.mark.parametrize("name", BEEPS)
def test_a_clean_beep_has_its_shape_and_length_and_is_reported_within_60_ms_of_its_end(name: str) -> None:
    sound, _, shape = BEEPS[name]
    (beep,) = beeps(joined(GREETING, sound, silence(1.0)))
    end = len(GREETING) + len(sound)
    assert beep.shape is shape
    assert beep.duration_ms == pytest.approx(len(sound) / 8, abs=25.0)
    assert 0 < beep.sample - end <= 0.06 * RATE
    assert beep.variance < 20.0


def test_the_level_of_a_full_scale_sine_is_minus_3_dbov() -> None:
    (beep,) = beeps(joined(GREETING, tone(1000, 0.5, 0.0), silence(0.5)))
    assert beep.level_dbov == pytest.approx(-3.0, abs=0.3)


NEVER: dict[str, Pcm] = {
    "ringback, North America": joined(
        silence(0.5), tone((440, 480), 2.0), silence(4.0), tone((440, 480), 2.0)
    ),
    "ringback, Britain": joined(
        *[silence(0.4), tone((400, 450), 0.4), silence(0.2), tone((400, 450), 0.4)] * 2
    ),
    "ringback, Europe": joined(silence(0.5), tone(425, 1.0), silence(4.0), tone(425, 1.0), silence(1.0)),
    "dial tone, North America": joined(silence(0.3), tone((350, 440), 4.0), silence(0.5)),
    "dial tone, Europe": joined(silence(0.3), tone(425, 4.0), silence(0.5)),
    "busy, North America": joined(silence(0.5), *[tone((480, 620), 0.5), silence(0.5)] * 5),
    "busy, Europe": joined(silence(0.5), *[tone(425, 0.5), silence(0.5)] * 5),
    "reorder": joined(silence(0.5), *[tone((480, 620), 0.25), silence(0.25)] * 8),
    "special information": joined(silence(0.4), stations((913.8, 1370.6, 1776.7), 0.33), silence(1.0)),
    "special information with gaps": joined(
        silence(0.4),
        tone(985.2, 0.38),
        silence(0.03),
        tone(1428.5, 0.38),
        silence(0.03),
        tone(1776.7, 0.38),
        silence(1),
    ),
    "fax calls": joined(silence(0.5), tone(1100, 0.5), silence(3.0), tone(1100, 0.5), silence(1.0)),
    "fax answers": joined(silence(0.5), tone(2100, 3.3), silence(0.5)),
    "call waiting": joined(silence(0.5), tone(440, 0.3), silence(9.7), tone(440, 0.3), silence(1.0)),
    "keys": joined(
        *[joined(silence(0.12), tone((low, high), 0.1, -8.0)) for low in (697, 941) for high in (1209, 1477)]
    ),
    "music": joined(silence(0.3), melody(30), silence(1.0)),
    "whistle": joined(GREETING, whistle(0.9), silence(0.8)),
    "held a": joined(silence(0.5), held_vowel(1.0, 210.0, (800.0, 1200.0)), silence(0.8)),
    "held u": joined(silence(0.5), held_vowel(0.8, 210.0, (420.0, 900.0)), silence(0.8)),
    "held o": joined(silence(0.5), held_vowel(0.5, 120.0, (480.0, 900.0)), silence(0.8)),
    "speech": joined(voice(6.0), silence(0.5)),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", NEVER)
def test_dv74_a_signal_of_the_network_music_or_a_voice_is_never_a_beep(name: str, line: str) -> None:
    assert beeps(LINES[line](NEVER[name])) == []


def test_a_beep_under_the_end_of_the_speech_is_heard() -> None:
    speech = voice(2.0, dbfs=-14.0)
    sound = joined(speech, silence(0.8))
    beep = tone(1500, 0.5, -14.0)
    start = 2 * RATE - 2000
    sound[start : start + len(beep)] += beep
    (found,) = beeps(sound)
    assert found.frequency_hz == pytest.approx(1500, abs=8)
    assert found.end_sample == pytest.approx(start + len(beep), abs=200)


def test_two_beeps_in_a_row_are_two() -> None:
    sound = joined(GREETING, tone(880, 0.3), silence(0.45), tone(880, 0.3), silence(0.8))
    assert [round(b.frequency_hz) for b in beeps(sound)] == [880, 880]


def test_a_425_hz_beep_of_the_length_of_a_busy_tone_is_held_back_until_no_second_one_comes() -> None:
    (beep,) = beeps(joined(GREETING, tone(425, 0.5), silence(1.5)))
    assert beep.sample - beep.end_sample == pytest.approx(0.55 * RATE, abs=0.03 * RATE)


def test_packets_known_to_be_lost_do_not_end_a_beep() -> None:
    before = joined(GREETING, tone(1000, 0.4)[: 10 * 160])
    detector = BeepDetector()
    assert detector.push(before) is None
    assert detector.push_lost(2 * 160) is None
    rest = detector.push(joined(tone(1000, 0.4)[12 * 160 :], silence(0.5)))
    assert rest is not None
    assert rest.duration_ms == pytest.approx(400.0, abs=25.0)


def test_beeps_do_not_depend_on_how_the_audio_was_cut() -> None:
    sound = joined(GREETING, tone(1000, 0.3), silence(0.5), sweep(700, 1300, 0.3), silence(0.6))
    whole = beeps(sound, len(sound))
    assert len(whole) == 2
    for size in (1, 7, 80, 160, 333, 4000):
        assert beeps(sound, size) == whole


def test_silence_and_full_scale_noise_have_no_beep() -> None:
    rng = np.random.default_rng(1)
    assert beeps(silence(3.0)) == []
    assert beeps(rng.integers(-32768, 32768, 3 * RATE, dtype=np.int16)) == []
