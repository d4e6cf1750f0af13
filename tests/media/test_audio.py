"""Levels, gain, mixing and bytes."""

import numpy as np
import pytest

from media.audio import SILENCE_DBOV, apply_gain, from_bytes, level_dbov, mix, samples_in, silence, to_bytes
from tests.media.signals import tone


def test_a_full_scale_sine_is_minus_3_dbov_and_a_square_wave_is_0() -> None:
    assert level_dbov(tone(1000, amplitude=32767)) == pytest.approx(-3.01, abs=0.01)
    assert level_dbov(np.tile(np.array([32767, -32768], np.int16), 400)) == pytest.approx(0, abs=0.001)


def test_silence_and_nothing_have_the_lowest_level() -> None:
    assert level_dbov(silence(160)) == SILENCE_DBOV
    assert level_dbov(silence(0)) == SILENCE_DBOV


def test_gain_is_in_decibels_and_saturates() -> None:
    assert level_dbov(apply_gain(tone(440), -6.0)) == pytest.approx(level_dbov(tone(440)) - 6, abs=0.01)
    assert apply_gain(np.array([20000, -20000], np.int16), 20).tolist() == [32767, -32768]


def test_a_mix_is_the_saturated_sum() -> None:
    loud = np.array([30000, -30000, 5], np.int16)
    assert mix(loud, loud, loud).tolist() == [32767, -32768, 15]


def test_bytes_are_little_endian_and_an_odd_one_is_left_out() -> None:
    assert to_bytes(np.array([1, -2], np.int16)) == b"\x01\x00\xfe\xff"
    assert from_bytes(b"\x01\x00\xfe\xff\x07").tolist() == [1, -2]


def test_samples_in_a_packet_time() -> None:
    assert [samples_in(20, rate) for rate in (8000, 16000, 44100, 48000)] == [160, 320, 882, 960]
