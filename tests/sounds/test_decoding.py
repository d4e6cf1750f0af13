from __future__ import annotations

import random
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sounds.decoding import DecodingFailed, container_of, decode
from media.codecs import PCMA, PCMU, CodecSpec, open_codec
from tests.sounds.server import mp3_bytes, tone, wav_bytes
from tests.support.spectrum import hear


def test_wav_is_decoded_sample_by_sample() -> None:
    pcm = tone(440, 0.5)
    decoded = decode(wav_bytes(pcm), "wav", 8000, 60)
    assert np.array_equal(decoded, pcm)
    assert not decoded.flags.writeable


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (22050, 2), (44100, 2), (48000, 1)])
def test_any_rate_and_number_of_channels_becomes_mono_at_the_rate_wanted(rate: int, channels: int) -> None:
    decoded = decode(wav_bytes(tone(440, 1.0, rate), rate, channels=channels), "wav", 8000, 60)
    assert len(decoded) == pytest.approx(8000, abs=40)
    assert hear(decoded, 8000).is_tone(440)


def test_mp3_is_decoded_and_keeps_its_pitch() -> None:
    data = mp3_bytes(tone(1000, 1.0, 44100), 44100)
    assert container_of(data) == "mp3"
    decoded = decode(data, "mp3", 16000, 60)
    assert len(decoded) / 16000 == pytest.approx(1.0, abs=0.1)
    assert hear(decoded, 16000).is_tone(1000)


def test_broken_frames_are_left_out_and_the_rest_is_heard() -> None:
    whole = mp3_bytes(tone(1000, 2.0, 44100), 44100)
    dice = random.Random(20261120)
    broken = bytearray(whole)
    for at in range(len(broken) // 3, len(broken) // 2):
        broken[at] = dice.randrange(256)
    decoded = decode(bytes(broken), "mp3", 8000, 60)
    assert 1.0 < len(decoded) / 8000 < 2.2
    assert hear(decoded[:4000], 8000).is_tone(1000)
    assert hear(decoded[-4000:], 8000).is_tone(1000)
    cut = decode(whole[: len(whole) // 2], "mp3", 8000, 60)
    assert len(cut) / 8000 == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(("law", "number"), [(PCMU, 7), (PCMA, 6)])
def test_wav_files_of_telephony_are_read(law: CodecSpec, number: int) -> None:
    payload = open_codec(law).encode(tone(440, 1.0))
    layout = struct.pack("<HHIIHH", number, 1, 8000, 8000, 1, 8)
    chunks = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(payload))
    decoded = decode(
        b"RIFF" + struct.pack("<I", len(chunks) + len(payload)) + chunks + payload, "wav", 8000, 60
    )
    assert len(decoded) == 8000
    assert hear(decoded, 8000).is_tone(440)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_wav_whose_writer_did_not_know_its_length_is_read_to_its_end(length: int) -> None:
    data = bytearray(wav_bytes(tone(440, 1.0)))
    data[4:8] = data[40:44] = struct.pack("<I", length)
    decoded = decode(bytes(data), "wav", 8000, 60)
    assert len(decoded) == 8000


@given(st.binary(max_size=300), st.sampled_from(["wav", "mp3", "ogg", "flac"]))
@settings(max_examples=50)
def test_any_bytes_are_audio_or_refused(data: bytes, container: str) -> None:
    heads = {"wav": wav_bytes(tone(440, 0.1))[:40], "mp3": b"ID3\x04", "ogg": b"OggS\0", "flac": b"fLaC\0"}
    with suppress(DecodingFailed):
        assert len(decode(heads[container] + data, container, 8000, 60)) > 0


def test_containers_are_told_by_their_first_bytes() -> None:
    assert container_of(wav_bytes(tone(440, 0.1))) == "wav"
    assert container_of(b"OggS\0") == "ogg"
    assert container_of(b"fLaC\0") == "flac"
    assert container_of(b"ID3\x04") == "mp3"
    assert container_of(b"\xff\xfb\x90") == "mp3"
    assert container_of(b"\xff\xf1\x50") == ""  # AAC
    assert container_of(b"\0\0\0\0", "audio/mpeg; x=y") == "mp3"
    assert container_of(b"\0\0\0\0", "", "https://app.example.com/a.MP3") == "mp3"
    assert container_of(b"", "audio/wav") == ""


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"<?xml version='1.0'?><MPD/>",
        b"<html>404</html>",
    ],
)
def test_a_playlist_that_names_other_files_is_never_taken_for_audio(data: bytes) -> None:
    assert container_of(data, "application/vnd.apple.mpegurl", "a.m3u8") == ""
    with pytest.raises(DecodingFailed):
        decode(data, "mp3", 8000, 60)


def test_what_is_too_long_empty_or_broken_is_refused() -> None:
    with pytest.raises(DecodingFailed, match=r"longer than 0\.5 s"):
        decode(wav_bytes(tone(440, 1.0)), "wav", 8000, 0.5)
    with pytest.raises(DecodingFailed, match="empty"):
        decode(wav_bytes(tone(440, 0.0)), "wav", 8000, 60)
    with pytest.raises(DecodingFailed):
        decode(wav_bytes(tone(440, 1.0))[:20], "wav", 8000, 60)
