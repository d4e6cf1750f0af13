"""Recordings read back by the standard library, not by the code that wrote them."""

import asyncio
import os
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from media.audio import Pcm
from media.recorder import WavRecorder
from tests.media.signals import signal_to_rest_db, tone


def read_back(path: Path) -> tuple[int, NDArray[np.int16]]:
    """Rate and samples, shape (n, channels)."""
    with wave.open(str(path), "rb") as file:
        assert file.getsampwidth() == 2
        data = file.readframes(file.getnframes())
        assert path.stat().st_size == 44 + len(data)
        return file.getframerate(), np.frombuffer(data, "<i2").reshape(-1, file.getnchannels())


def write_frames(recorder: WavRecorder, pcm: Pcm, at_sample: int = 0, channel: int = 0) -> None:
    for n in range(0, len(pcm), 160):
        recorder.write(pcm[n : n + 160], at_sample + n, channel)


async def test_what_is_written_is_in_the_file(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 16000)
    pcm = tone(1000, seconds=3.3, rate_hz=16000)
    write_frames(recorder, pcm)
    await recorder.close()
    rate_hz, recorded = read_back(tmp_path / "a.wav")
    assert rate_hz == 16000
    assert np.array_equal(recorded[:, 0], pcm)
    assert signal_to_rest_db(recorded[:, 0], 1000, 16000) > 60


async def test_two_channels_keep_apart_and_in_time_although_one_comes_later(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000, channels=2)
    caller, callee = tone(400, seconds=4), tone(900, seconds=4)
    for n in range(0, 32000, 160):
        recorder.write(caller[n : n + 160], n, 0)
        if n >= 1600:
            recorder.write(callee[n - 1600 : n - 1440], n - 1600, 1)
    recorder.write(callee[30400:], 30400, 1)
    await recorder.close()
    _, recorded = read_back(tmp_path / "a.wav")
    assert np.array_equal(recorded[:, 0], caller)
    assert np.array_equal(recorded[:, 1], callee)
    assert recorder.dropped_samples == 0


async def test_gaps_are_silence(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    recorder.write(tone(500, seconds=0.02), 8000)
    recorder.write(tone(500, seconds=0.02), 80000)
    await recorder.close()
    _, recorded = read_back(tmp_path / "a.wav")
    assert len(recorded) == 80160
    assert not recorded[:8000].any()
    assert recorded[8000:8160].any()
    assert not recorded[8160:80000].any()
    assert recorded[80000:].any()


async def test_disorder_within_half_a_second_is_put_right(tmp_path: Path) -> None:
    recorder, pcm = WavRecorder(tmp_path / "a.wav", 8000), tone(700, seconds=4)
    order = np.random.default_rng(1).permutation
    for block in range(0, 200, 10):
        for nth in order(np.arange(block, block + 10)):
            recorder.write(pcm[nth * 160 : (nth + 1) * 160], int(nth) * 160)
    await recorder.close()
    assert np.array_equal(read_back(tmp_path / "a.wav")[1][:, 0], pcm)


async def test_audio_that_comes_far_too_late_or_from_the_far_future_is_dropped_and_counted(
    tmp_path: Path,
) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    write_frames(recorder, tone(700, seconds=5))
    recorder.write(np.full(160, 99, np.int16), 0)
    recorder.write(np.full(160, 99, np.int16), 2**40)
    recorder.write(np.full(160, 99, np.int16), -40)
    await recorder.close()
    _, recorded = read_back(tmp_path / "a.wav")
    assert np.array_equal(recorded[:, 0], tone(700, seconds=5))
    assert recorder.dropped_samples == 160 + 160 + 120


async def test_the_file_is_right_while_the_recording_runs(tmp_path: Path) -> None:
    recorder, pcm = WavRecorder(tmp_path / "a.wav", 8000), tone(700, seconds=3)
    write_frames(recorder, pcm)
    job = recorder._last_job
    assert job is not None
    await asyncio.wrap_future(job)
    _, recorded = read_back(tmp_path / "a.wav")  # What a killed process would leave behind.
    assert len(recorded) >= 2 * 8000
    assert np.array_equal(recorded[:, 0], pcm[: len(recorded)])
    await recorder.close()


async def test_an_empty_recording_is_a_valid_file(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000, channels=2)
    assert read_back(tmp_path / "a.wav")[1].shape == (0, 2)
    await recorder.close()
    assert read_back(tmp_path / "a.wav")[1].shape == (0, 2)


async def test_closing_twice_and_writing_afterwards_do_no_harm(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    write_frames(recorder, tone(700, seconds=0.1))
    await asyncio.gather(recorder.close(), recorder.close())
    recorder.write(tone(700), 800)
    await recorder.close()
    assert len(read_back(tmp_path / "a.wav")[1]) == 800


async def test_a_cancelled_close_still_finishes_the_file(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    write_frames(recorder, tone(700, seconds=0.5))
    closing = asyncio.ensure_future(recorder.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await recorder.close()
    assert len(read_back(tmp_path / "a.wav")[1]) == 4000


def test_a_path_that_cannot_be_written_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WavRecorder(tmp_path / "nowhere" / "a.wav", 8000)
    with pytest.raises(IsADirectoryError):
        WavRecorder(tmp_path, 8000)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_reported_by_the_constructor() -> None:
    with pytest.raises(OSError, match="No space left"):
        WavRecorder("/dev/full", 8000)


async def test_a_write_that_fails_later_is_reported_by_close(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    recorder._file._file.close()
    recorder._file._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115, ASYNC230 - closed by the recorder
    write_frames(recorder, tone(700, seconds=2))
    for _ in range(2):
        with pytest.raises(OSError, match="No space left"):
            await recorder.close()


def test_a_channel_the_file_does_not_have_is_refused(tmp_path: Path) -> None:
    recorder = WavRecorder(tmp_path / "a.wav", 8000)
    with pytest.raises(ValueError, match="channel 1"):
        recorder.write(tone(700), 0, 1)
    asyncio.run(recorder.close())


PIECES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3000, 3000), st.integers(0, 900)), min_size=1, max_size=60
)


@settings(deadline=None, max_examples=60)
@given(PIECES)
def test_any_pieces_within_half_a_second_of_disorder_lie_where_they_belong(
    pieces: list[tuple[int, int, int]],
) -> None:
    expected = np.zeros((400_000, 2), np.int16)
    end = newest = 0

    async def record(path: Path) -> None:
        nonlocal end, newest
        recorder = WavRecorder(path, 8000, channels=2)
        for value, (channel, offset, length) in enumerate(pieces, 1):
            start = max(0, newest + offset)
            pcm = np.full(length, value, np.int16)
            recorder.write(pcm, start, channel)
            expected[start : start + length, channel] = pcm
            if length:
                end = newest = max(newest, start + length)
        await recorder.close()
        assert recorder.dropped_samples == 0

    with TemporaryDirectory() as folder:
        asyncio.run(record(Path(folder) / "a.wav"))
        _, recorded = read_back(Path(folder) / "a.wav")
    assert len(recorded) == end
    assert np.array_equal(recorded, expected[:end])
