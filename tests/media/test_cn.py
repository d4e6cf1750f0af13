"""Comfort noise: its payload and its sound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.audio import SILENCE_DBOV, level_dbov
from media.cn import NoiseSource, decode_noise, encode_noise


def test_the_level_is_one_octet_without_its_sign() -> None:
    assert encode_noise(-54.4) == b"\x36"
    assert encode_noise(5) == b"\x00"
    assert encode_noise(-300) == b"\x7f"
    assert decode_noise(b"\x36\x80\x12") == -54
    assert decode_noise(b"\xb6") == -54
    assert decode_noise(b"") == SILENCE_DBOV


@settings(deadline=None)
@given(st.integers(-127, 0))
def test_levels_survive_the_wire(level: int) -> None:
    assert decode_noise(encode_noise(level)) == level


@pytest.mark.parametrize("level_dbov_", [-60.0, -45.0, -30.0])
def test_the_noise_has_the_level_and_is_white(level_dbov_: float) -> None:
    source = NoiseSource(8000, level_dbov_)
    pcm = np.concatenate([source.read(160) for _ in range(500)])
    assert level_dbov(pcm) == pytest.approx(level_dbov_, abs=0.3)
    spectrum = np.abs(np.fft.rfft(pcm.astype(float).reshape(-1, 800), axis=1)) ** 2
    bands = spectrum.mean(axis=0)[1:-1].reshape(-1, 21).mean(axis=1)
    assert bands.max() / bands.min() < 1.6


def test_the_level_may_change_while_it_sounds() -> None:
    source = NoiseSource(8000, -30.0)
    source.read(160)
    source.level_dbov = -50.0
    assert level_dbov(source.read(8000)) == pytest.approx(-50, abs=0.5)


def test_two_streams_do_not_hiss_in_step() -> None:
    one, other = NoiseSource(8000, -30, seed=1).read(1600), NoiseSource(8000, -30, seed=2).read(1600)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
