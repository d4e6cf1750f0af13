"""The player over real files in several formats, judged by spectrum."""

import asyncio
import os
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from media.audio import Pcm
from media.player import PcmPlayer, PlayerError, PlayLimits, decode_file, open_player
from tests.media.signals import amplitude_at, signal_to_rest_db, tone


def write_wav(path: Path, pcm: Pcm, rate_hz: int, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.astype("<i2").tobytes())
    return path


def write_by_ffmpeg(path: Path, codec: str, pcm: Pcm, rate_hz: int) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=stream.frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("file_hz", [8000, 16000, 44100, 48000])
@pytest.mark.parametrize("stream_hz", [8000, 16000])
def test_a_wav_of_any_rate_comes_out_at_the_streams_rate(
    tmp_path: Path, file_hz: int, stream_hz: int
) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1000, seconds=2, rate_hz=file_hz), file_hz)
    pcm = decode_file(path, stream_hz)
    assert len(pcm) == pytest.approx(2 * stream_hz, abs=0.005 * stream_hz)
    middle = pcm[stream_hz // 4 : -stream_hz // 4]
    assert signal_to_rest_db(middle, 1000, stream_hz) > 50
    assert amplitude_at(middle, 1000, stream_hz) == pytest.approx(8000, rel=0.02)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.ogg", "libopus"), ("a.wav", "pcm_alaw")],
)
def test_other_formats_are_decoded_too(tmp_path: Path, name: str, codec: str) -> None:
    rate_hz = 8000 if codec == "pcm_alaw" else 48000
    path = write_by_ffmpeg(tmp_path / name, codec, tone(1000, seconds=2, rate_hz=rate_hz), rate_hz)
    pcm = decode_file(path, 8000)
    assert len(pcm) == pytest.approx(16000, abs=1000)
    assert signal_to_rest_db(pcm[4000:12000], 1000) > 30
    assert amplitude_at(pcm[4000:12000], 1000) == pytest.approx(8000, rel=0.1)


def test_stereo_is_mixed_to_mono(tmp_path: Path) -> None:
    both = np.stack([tone(600), tone(1500)], axis=1).reshape(-1)
    pcm = decode_file(write_wav(tmp_path / "a.wav", both, 8000, channels=2), 8000)
    assert amplitude_at(pcm, 600) == pytest.approx(amplitude_at(pcm, 1500), rel=0.02)
    assert amplitude_at(pcm, 600) > 3000


async def test_a_file_is_decoded_once_for_all_listeners(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1000), 8000)
    first, second = await open_player(path, 8000), await open_player(str(path), 8000)
    one, other = first.read(160), second.read(160)
    assert one is not None
    assert other is not None
    assert np.shares_memory(one, other)
    assert not one.flags.writeable


async def test_callers_at_the_same_time_wait_for_one_decoding(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1000, seconds=20), 8000)
    waiting = [asyncio.ensure_future(open_player(path, 8000)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    players = await asyncio.gather(*waiting[1:])
    pieces = [piece for player in players if (piece := player.read(160)) is not None]
    assert len(pieces) == 19
    assert all(np.shares_memory(pieces[0], piece) for piece in pieces)


async def test_a_failed_decoding_fails_for_all_who_wait_and_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    failures = await asyncio.gather(*(open_player(path, 8000) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failures] == [PlayerError] * 3
    write_wav(path, tone(1000), 8000)
    assert (await open_player(path, 8000)).duration_s == 1.0


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tone(1000), 8000)
    before = decode_file(path, 8000)
    write_wav(path, tone(500), 8000)
    os.utime(path, ns=(1, 1))
    assert amplitude_at(decode_file(path, 8000), 500) > 10 * amplitude_at(before, 500)


def test_reading_ends_with_silence_and_then_none() -> None:
    player = PcmPlayer(np.arange(1, 401, dtype=np.int16), 8000)
    first, second, third = player.read(160), player.read(160), player.read(160)
    assert [piece.tolist() for piece in (first, second) if piece is not None] == [
        list(range(1, 161)),
        list(range(161, 321)),
    ]
    assert third is not None
    assert third.tolist() == [*range(321, 401), *([0] * 80)]
    assert player.read(160) is None
    assert player.read(160) is None


def test_a_file_of_whole_frames_has_no_silent_last_one() -> None:
    player = PcmPlayer(np.ones(320, np.int16), 8000)
    assert [player.read(160) is None for _ in range(3)] == [False, False, True]


def test_a_loop_joins_its_end_to_its_beginning() -> None:
    player = PcmPlayer(np.arange(100, dtype=np.int16), 8000, loop=True)
    read = np.concatenate([piece for _ in range(50) if (piece := player.read(160)) is not None])
    assert np.array_equal(read, np.arange(8000) % 100)


def test_it_starts_where_it_is_told() -> None:
    pcm = np.arange(16000, dtype=np.int16)
    player = PcmPlayer(pcm, 8000, start_s=0.5)
    assert (player.position_s, player.duration_s) == (0.5, 2.0)
    piece = player.read(2)
    assert piece is not None
    assert piece.tolist() == [4000, 4001]
    assert PcmPlayer(pcm, 8000, start_s=99).read(160) is None
    looped = PcmPlayer(pcm, 8000, start_s=3.5, loop=True).read(1)
    assert looped is not None
    assert looped.tolist() == [12000]


def test_a_loop_over_nothing_is_over() -> None:
    assert PcmPlayer(np.zeros(0, np.int16), 8000, loop=True).read(160) is None


async def test_a_missing_file_is_named() -> None:
    with pytest.raises(PlayerError, match=r"cannot play /nowhere/x\.wav: No such file"):
        await open_player("/nowhere/x.wav", 8000)


@pytest.mark.parametrize("content", [b"", b"this is not sound", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_a_file_that_is_no_sound_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(PlayerError, match=r"cannot play .*x\.wav: \w+"):
        decode_file(path, 8000)


def test_a_directory_and_an_impossible_name_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, Path("a\0b")):
        with pytest.raises(PlayerError, match="cannot play"):
            decode_file(path, 8000)


def test_a_name_with_a_colon_is_a_file_and_not_an_address(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "http:x.wav", tone(1000), 8000)
    assert len(decode_file(path, 8000)) == 8000
    with pytest.raises(PlayerError):
        decode_file("http://192.0.2.1/x.wav", 8000)


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlayerError, match=r"x\.wav"):
        decode_file(write_wav(tmp_path / "x.wav", np.zeros(0, np.int16), 8000), 8000)


def test_what_is_too_big_or_too_long_is_refused_with_the_limit(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", tone(1000, seconds=3), 8000)
    with pytest.raises(PlayerError, match="at most 1000"):
        decode_file(path, 8000, PlayLimits(file_bytes=1000))
    with pytest.raises(PlayerError, match="longer than 2 s"):
        decode_file(path, 8000, PlayLimits(duration_s=2))
