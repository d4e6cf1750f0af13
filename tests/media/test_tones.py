"""Tones by their spectrum and their cadence."""

import numpy as np
import pytest

from media import tones
from media.audio import Pcm, level_dbov
from media.tones import DTMF_TONES, Tone, ToneSource, dual, render, sine
from tests.media.signals import amplitude_at, signal_to_rest_db


def everything(source: ToneSource, samples: int) -> Pcm:
    pieces = []
    while (piece := source.read(samples)) is not None:
        pieces.append(piece)
    return np.concatenate(pieces)


def seconds_of(source: ToneSource, seconds: int, samples: int = 160) -> Pcm:
    pieces = [source.read(samples) for _ in range(seconds * source.sample_rate_hz // samples)]
    return np.concatenate([piece for piece in pieces if piece is not None])


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_sine_is_pure_and_of_its_level_however_it_is_read(rate_hz: int) -> None:
    source = ToneSource(sine(437.5, -16.0), rate_hz)
    pcm = np.concatenate([source.read(n) for n in (160, 1, 333, 160, 7, rate_hz)])
    assert signal_to_rest_db(pcm, 437.5, rate_hz) > 60
    assert level_dbov(pcm[: rate_hz // 1]) == pytest.approx(-16, abs=0.05)


def test_the_phase_is_exact_after_days() -> None:
    three_days = 3 * 86400 * 8000
    assert (
        np.abs(render(sine(440), 8000, 0, 8000).astype(int) - render(sine(440), 8000, three_days, 8000)).max()
        <= 1
    )
    fractional = render(sine(440.25), 8000, three_days + 8000, 8000)
    assert signal_to_rest_db(fractional, 440.25) > 60


def test_the_american_ringback_is_440_and_480_for_2_seconds_in_6() -> None:
    pcm = seconds_of(ToneSource(tones.RINGBACK_US, 8000), 12)
    on = pcm[800:15200]
    assert amplitude_at(on, 440) == pytest.approx(amplitude_at(on, 480), rel=0.01)
    assert amplitude_at(on, 440) > 1000
    assert amplitude_at(on, 425) < 10
    levels = [level_dbov(pcm[n : n + 800]) > -60 for n in range(0, len(pcm), 800)]
    assert levels == ([True] * 20 + [False] * 40) * 2


@pytest.mark.parametrize(
    ("tone", "on_and_off_s"),
    [
        (tones.RINGBACK_EU, (1.0, 4.0)),
        (tones.RINGBACK_UK, (0.4, 0.2, 0.4, 2.0)),
        (tones.BUSY_US, (0.5, 0.5)),
        (tones.BUSY_UK, (0.375, 0.375)),
        (tones.CONGESTION_EU, (0.25, 0.25)),
    ],
)
def test_cadences_are_kept_to_the_millisecond(tone: Tone, on_and_off_s: tuple[float, ...]) -> None:
    pcm = seconds_of(ToneSource(tone, 8000), 12)
    begin, sounding = 0.0, True
    while begin < 10:
        for length in on_and_off_s:
            piece = pcm[round(begin * 8000) : round((begin + length) * 8000)]
            if sounding:
                assert np.abs(piece[:48]).max() > 100
                assert np.abs(piece[-48:]).max() > 100
            else:
                assert not piece[1:].any()
            begin, sounding = begin + length, not sounding


def test_reading_in_odd_pieces_gives_the_same_as_computing_it() -> None:
    for tone in (tones.RINGBACK_UK, tones.BUSY_EU, sine(777.7)):
        source = ToneSource(tone, 8000)
        read = np.concatenate([source.read(n) for n in (1, 159, 4001, 20000, 13)])
        assert np.array_equal(read, render(tone, 8000, 0, 24174))


def test_a_beep_ends_padded_and_stays_over() -> None:
    source = ToneSource(tones.BEEP, 8000)
    pcm = everything(source, 300)
    assert len(pcm) == 14 * 300
    assert not pcm[4000:].any()
    assert signal_to_rest_db(pcm[100:3900], 1000) > 60
    assert source.read(300) is None


def test_edges_are_soft() -> None:
    pcm = render(tones.BEEP, 8000, 0, 4000)
    assert np.abs(pcm[:4]).max() < 800
    assert np.abs(pcm[-4:]).max() < 800


def test_dtmf_pairs_are_those_of_q23() -> None:
    assert len(DTMF_TONES) == 16
    assert DTMF_TONES["5"].frequencies_hz == (770.0, 1336.0)
    assert DTMF_TONES["#"].frequencies_hz == (941.0, 1477.0)
    assert DTMF_TONES["D"].frequencies_hz == (941.0, 1633.0)
    five = everything(ToneSource(DTMF_TONES["5"], 8000), 160)
    assert amplitude_at(five[:800], 770) == pytest.approx(amplitude_at(five[:800], 1336), rel=0.05)
    assert not five[800:].any()


def test_two_tones_at_full_level_are_clipped_not_wrapped() -> None:
    pcm = render(dual(400, 450, -3.1), 8000, 0, 8000)
    assert np.abs(np.diff(pcm.astype(int))).max() < 32768
    assert pcm.max() == 32767
