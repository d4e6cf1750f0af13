from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sounds.playlist import Playlist
from media.audio import Pcm


def ramp(first: int, length: int) -> Pcm:
    return np.arange(first, first + length, dtype=np.int16)


def heard(source: Playlist, samples: int = 160, limit: int = 1000) -> list[int]:
    made: list[int] = []
    for _ in range(limit):
        piece = source.read(samples)
        if piece is None:
            return made
        assert len(piece) == samples
        made.extend(piece.tolist())
    return made


def test_pieces_follow_each_other_without_a_gap() -> None:
    source = Playlist(8000, [ramp(1, 250), ramp(1001, 100)])
    made = heard(source)
    assert made[:350] == ramp(1, 250).tolist() + ramp(1001, 100).tolist()
    assert set(made[350:]) <= {0}
    assert len(made) < 350 + 160
    assert (source.played_samples, source.position_samples) == (350, 100)
    assert source.read(160) is None


def test_all_of_it_is_repeated_as_often_as_wanted() -> None:
    source = Playlist(8000, [ramp(1, 100), ramp(201, 50)], times=3)
    once = ramp(1, 100).tolist() + ramp(201, 50).tolist()
    assert heard(source)[:450] == once * 3
    assert source.played_samples == 450


def test_for_ever_does_not_end() -> None:
    source = Playlist(8000, [ramp(1, 100)], times=math.inf)
    assert heard(source, limit=100) == (ramp(1, 100).tolist() * 160)
    assert source.played_samples == 16000


def test_an_offset_counts_in_the_first_piece_the_first_time() -> None:
    source = Playlist(8000, [ramp(1, 100), ramp(201, 50)], times=2, start_samples=60)
    expected = ramp(61, 40).tolist() + ramp(201, 50).tolist() + ramp(1, 100).tolist() + ramp(201, 50).tolist()
    assert heard(source)[: len(expected)] == expected
    assert source.played_samples == len(expected)
    behind = Playlist(8000, [ramp(1, 100), ramp(201, 50)], start_samples=5000)
    assert heard(behind)[:50] == ramp(201, 50).tolist()
    assert heard(Playlist(8000, [ramp(1, 100)], start_samples=100)) == []


def test_it_is_cut_off_to_the_sample() -> None:
    source = Playlist(8000, [ramp(1, 1000)], times=math.inf, start_samples=900, most_samples=333)
    made = heard(source)
    assert made[:333] == ramp(901, 100).tolist() + ramp(1, 233).tolist()
    assert set(made[333:]) == {0}
    assert (source.played_samples, source.position_samples) == (333, 233)


def test_until_a_piece_comes_there_is_silence_that_does_not_count() -> None:
    source = Playlist(8000, is_complete=False)
    waiting = source.read(160)
    assert waiting is not None
    assert not waiting.any()
    source.append(ramp(1, 100))
    piece = source.read(160)
    assert piece is not None
    assert piece.tolist() == ramp(1, 100).tolist() + [0] * 60
    source.append(ramp(501, 160))
    assert heard(source, limit=1) == ramp(501, 160).tolist()
    assert heard(source, limit=5) == [0] * 800
    source.complete()
    assert source.read(160) is None
    assert source.played_samples == 260


def test_what_is_completed_while_it_waits_at_its_end_is_repeated() -> None:
    source = Playlist(8000, [ramp(1, 160)], times=2, is_complete=False)
    assert heard(source, limit=2) == ramp(1, 160).tolist() + [0] * 160
    source.complete()
    assert heard(source) == ramp(1, 160).tolist()
    assert source.played_samples == 320


@pytest.mark.parametrize("pieces", [[], [ramp(0, 0)], [ramp(0, 0), ramp(0, 0)]])
def test_nothing_is_over_at_once_however_often(pieces: list[Pcm]) -> None:
    assert Playlist(8000, pieces, times=math.inf).read(160) is None


@given(
    lengths=st.lists(st.integers(0, 500), max_size=5),
    times=st.integers(1, 4),
    start=st.integers(0, 600),
    most=st.none() | st.integers(0, 3000),
    samples=st.sampled_from([1, 160, 441, 960]),
)
def test_what_is_read_is_what_the_pieces_say_whatever_the_size_of_the_reads(
    lengths: list[int], times: int, start: int, most: int | None, samples: int
) -> None:
    pieces = [ramp(1000 * nth + 1, length) for nth, length in enumerate(lengths)]
    expected: list[int] = []
    for nth in range(times):
        for index, piece in enumerate(pieces):
            expected += piece.tolist()[start if not nth and not index else 0 :]
    expected = expected[:most]
    source = Playlist(8000, pieces, times=times, start_samples=start, most_samples=most)
    made = heard(source, samples, limit=20000)
    assert made[: len(expected)] == expected
    assert not any(made[len(expected) :])
    assert len(made) < len(expected) + samples
    assert source.played_samples == len(expected)
