"""Frames of exactly 20 ms per 20 ms, whatever was heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.listen.options import Mix
from engine.listen.tracks import Tracks
from media.audio import Pcm, from_bytes


def _ones(samples: int, value: int = 1) -> Pcm:
    return np.full(samples, value, np.int16)


def test_wh32_a_frame_is_due_every_20_ms_and_not_before() -> None:
    tracks = Tracks(Mix.MONO, 8000, at=100.0)
    assert tracks.frames(100.018) == []
    assert len(tracks.frames(100.02)) == 1
    assert tracks.frames(100.03) == []
    assert len(tracks.frames(100.1)) == 4


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000, 64000])
@pytest.mark.parametrize(("how", "channels"), [(Mix.MONO, 1), (Mix.STEREO, 2), (Mix.MIXED, 1)])
def test_wh32_what_nobody_said_is_silence_of_the_right_size(rate_hz: int, how: Mix, channels: int) -> None:
    tracks = Tracks(how, rate_hz, at=0.0)
    assert tracks.frames(0.02) == [bytes(rate_hz // 50 * 2 * channels)]


def test_wh32_a_piece_that_is_too_short_is_filled_up_and_the_next_one_begins_anew() -> None:
    tracks = Tracks(Mix.MONO, 8000, at=0.0)
    tracks.push(0, _ones(100))
    (frame,) = tracks.frames(0.02)
    assert from_bytes(frame).tolist() == [1] * 100 + [0] * 60
    tracks.push(0, _ones(160, 2))
    assert tracks.frames(0.04) == [_ones(160, 2).tobytes()]


def test_pieces_of_any_length_make_frames() -> None:
    tracks = Tracks(Mix.MONO, 8000, at=0.0)
    for value, samples in enumerate((50, 110, 300, 20), 1):
        tracks.push(0, _ones(samples, value))
    heard = from_bytes(b"".join(tracks.frames(0.06)))
    assert heard.tolist() == [1] * 50 + [2] * 110 + [3] * 300 + [4] * 20


def test_a_party_is_never_more_than_100_ms_late() -> None:
    tracks = Tracks(Mix.MONO, 8000, at=0.0)
    for value in range(20):
        tracks.push(0, _ones(160, value))
    assert [from_bytes(frame)[0] for frame in tracks.frames(0.1)] == [15, 16, 17, 18, 19]


def test_dv84_stereo_is_interleaved_and_mixed_is_clipped_not_wrapped() -> None:
    stereo, mixed = Tracks(Mix.STEREO, 8000, at=0.0), Tracks(Mix.MIXED, 8000, at=0.0)
    for tracks in (stereo, mixed):
        tracks.push(0, _ones(160, 30000))
        tracks.push(1, _ones(160, 20000))
    assert from_bytes(stereo.frames(0.02)[0]).reshape(-1, 2)[0].tolist() == [30000, 20000]
    assert from_bytes(mixed.frames(0.02)[0]).tolist() == [32767] * 160


def test_wh36_silence_and_skip_let_time_pass_and_forget_what_was_heard() -> None:
    tracks = Tracks(Mix.MONO, 8000, at=0.0)
    tracks.push(0, _ones(160))
    assert tracks.silence(0.04) == [bytes(320)] * 2
    tracks.push(0, _ones(160))
    tracks.skip(0.1)
    assert tracks.frames(0.12) == [bytes(320)]


@given(st.lists(st.tuples(st.integers(0, 700), st.floats(0, 0.2)), max_size=30), st.sampled_from(list(Mix)))
def test_wh32_stream_time_is_call_time_whatever_comes(steps: list[tuple[int, float]], how: Mix) -> None:
    tracks = Tracks(how, 8000, at=5.0)
    now, frames = 5.0, 0
    for samples, pause_s in steps:
        tracks.push(0, _ones(samples))
        if how is not Mix.MONO:
            tracks.push(1, _ones(samples // 2))
        now += pause_s
        made = tracks.frames(now)
        assert {len(frame) for frame in made} <= {640 if how is Mix.STEREO else 320}
        frames += len(made)
    assert frames == pytest.approx((now - 5.0) * 50, abs=1.06)
