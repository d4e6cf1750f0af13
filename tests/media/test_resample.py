"""Resampling: the tone stays, its images do not come, pieces join."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.audio import Pcm
from media.resample import Resampler
from tests.media.signals import amplitude_at, signal_to_rest_db, tone, white_noise

RATES = (8000, 16000, 24000, 32000, 48000)
PAIRS = [(a, b) for a in RATES for b in RATES if a != b]


def resampled(pcm: Pcm, from_hz: int, to_hz: int, piece: int) -> Pcm:
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(pcm[n : n + piece]) for n in range(0, len(pcm), piece)])


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_keeps_its_frequency_level_and_purity(from_hz: int, to_hz: int) -> None:
    for frequency in (300.0, 1000.0, 3000.0):
        out = resampled(tone(frequency, rate_hz=from_hz), from_hz, to_hz, from_hz // 50)
        settled = out[to_hz // 50 :]
        assert signal_to_rest_db(settled, frequency, to_hz) > 55
        assert amplitude_at(settled, frequency, to_hz) == pytest.approx(8000, rel=0.03)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_every_frame_gives_exactly_one_frame(from_hz: int, to_hz: int) -> None:
    resampler = Resampler(from_hz, to_hz)
    assert {len(resampler.push(tone(440, seconds=0.02, rate_hz=from_hz))) for _ in range(20)} == {to_hz // 50}


@pytest.mark.parametrize("frequency", [4700.0, 5000.0, 7000.0])
def test_what_the_lower_rate_cannot_carry_does_not_come_back_as_alias(frequency: float) -> None:
    out = resampled(tone(frequency, rate_hz=16000, amplitude=20000), 16000, 8000, 320)
    assert np.abs(out[400:-400].astype(int)).max() < 20000 * 10 ** (-50 / 20)


def test_an_image_above_the_old_half_rate_is_not_made() -> None:
    out = resampled(tone(3000, rate_hz=8000), 8000, 16000, 160)[800:]
    assert amplitude_at(out, 5000, 16000) < 8000 * 10 ** (-60 / 20)


@settings(deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=20), st.sampled_from(PAIRS))
def test_the_division_into_pieces_does_not_matter(sizes: list[int], pair: tuple[int, int]) -> None:
    noise = white_noise(0.5, 5000, rate_hz=pair[0])
    resampler, pieces, start = Resampler(*pair), [], 0
    for size in sizes:
        pieces.append(resampler.push(noise[start : start + size]))
        start += size
    whole = Resampler(*pair).push(noise[:start])
    joined = np.concatenate(pieces)
    assert len(joined) == len(whole)
    assert np.abs(joined.astype(int) - whole).max(initial=0) <= 1


def test_the_delay_is_what_is_said() -> None:
    click = np.zeros(1600, np.int16)
    click[800] = 20000
    for to_hz in (16000, 48000):
        resampler = Resampler(8000, to_hz)
        peak = int(np.argmax(resampler.push(click))) / to_hz
        assert peak - 800 / 8000 == pytest.approx(resampler.delay_s, abs=1 / 8000)
        assert resampler.delay_s < 0.003


def test_equal_rates_pass_through_and_odd_ones_are_refused() -> None:
    pcm = tone(440)
    assert Resampler(8000, 8000).push(pcm) is pcm
    with pytest.raises(ValueError, match="44100"):
        Resampler(44100, 8000)


def test_full_scale_saturates() -> None:
    square = np.repeat(np.array([32767, -32768] * 50, np.int16), 20)
    out = resampled(square, 8000, 16000, 160)
    assert out.max() == 32767
    assert out.min() == -32768
