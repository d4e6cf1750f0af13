"""Audio as servers send it."""

from __future__ import annotations

import base64
import io
import struct
import wave

import numpy as np
import pytest

from engine.listen.clip import ClipError, decode_clip
from media.audio import Pcm, to_bytes
from media.codecs import PCMA, PCMU, open_codec
from tests.media.signals import amplitude_at, tone


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _wav(body: bytes, *, coding: int = 1, channels: int = 1, rate_hz: int = 8000, bits: int = 16) -> bytes:
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * block, block, bits)
    chunks = b"LIST" + struct.pack("<I", 3) + b"abc\0" + b"fmt " + struct.pack("<I", 16) + layout
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def test_raw_audio_has_the_rate_of_the_message() -> None:
    audio = tone(700, seconds=0.1, rate_hz=16000)
    clip = decode_clip(_b64(to_bytes(audio)), "raw", 16000, 7)
    assert np.array_equal(clip.pcm, audio)
    assert (clip.sample_rate_hz, clip.id) == (16000, 7)


@pytest.mark.parametrize("name", ["wav", "wave", "WAV"])
def test_a_wav_file_brings_its_own_rate(name: str) -> None:
    audio = tone(700, seconds=0.1, rate_hz=22050)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(22050)
        out.writeframes(to_bytes(audio))
    clip = decode_clip(_b64(file.getvalue()), name, 8000, None)
    assert np.array_equal(clip.pcm, audio)
    assert clip.sample_rate_hz == 22050


def _wide(pcm: Pcm, width: int) -> bytes:
    octets = np.zeros((len(pcm), width), np.uint8)
    octets[:, -2:] = pcm.astype("<i2").view(np.uint8).reshape(-1, 2)
    return octets.tobytes()


@pytest.mark.parametrize("form", ["8", "24", "32", "alaw", "ulaw", "extensible"])
def test_every_coding_of_telephony_is_read(form: str) -> None:
    audio = tone(700, seconds=0.5)
    match form:
        case "8":
            file = _wav(((audio >> 8) + 128).astype(np.uint8).tobytes(), bits=8)
        case "24" | "32":
            file = _wav(_wide(audio, int(form) // 8), bits=int(form))
        case "alaw":
            file = _wav(open_codec(PCMA).encode(audio), coding=6, bits=8)
        case "ulaw":
            file = _wav(open_codec(PCMU).encode(audio), coding=7, bits=8)
        case _:
            layout = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4, 1) + bytes(14)
            chunks = b"fmt " + struct.pack("<I", 40) + layout + b"data" + struct.pack("<I", 2 * len(audio))
            file = b"RIFF" + bytes(4) + b"WAVE" + chunks + to_bytes(audio)
    clip = decode_clip(_b64(file), "wav", 8000, None)
    assert len(clip.pcm) == len(audio)
    assert amplitude_at(clip.pcm, 700) == pytest.approx(8000, rel=0.02)


def test_two_channels_become_one() -> None:
    left, right = tone(600, seconds=0.2), tone(1500, seconds=0.2)
    both = np.stack([left, right], axis=1).reshape(-1)
    clip = decode_clip(_b64(_wav(to_bytes(both), channels=2)), "wav", 8000, None)
    assert amplitude_at(clip.pcm, 600) == pytest.approx(4000, rel=0.05)
    assert amplitude_at(clip.pcm, 1500) == pytest.approx(4000, rel=0.05)


def test_a_streamed_wav_that_claims_more_than_there_is_is_played_as_far_as_it_goes() -> None:
    file = bytearray(_wav(to_bytes(tone(700, seconds=0.1))))
    at = file.index(b"data") + 4
    file[at : at + 4] = b"\xff\xff\xff\xff"
    assert len(decode_clip(_b64(bytes(file)), "wav", 8000, None).pcm) == 800


@pytest.mark.parametrize(
    ("content", "kind", "rate_hz", "why"),
    [
        ("%%%", "raw", 8000, "base64"),
        ("", "mp3", 8000, "mp3"),
        ("AAAA", "raw", 0, "0 Hz"),
        ("AAAA", "raw", -8000, "-8000 Hz"),
        ("AAAA", "raw", 10**9, "Hz"),
        ("AAAA", "wav", 8000, "not a WAV"),
        (_b64(_wav(b"")[:20]), "wav", 8000, "incomplete"),
        (_b64(_wav(b"abcd", coding=2)), "wav", 8000, "coding 2"),
        (_b64(_wav(b"abcd", channels=0)), "wav", 8000, "no channels"),
        (_b64(b"RIFF\0\0\0\0WAVE" + b"JUNK\0\0\0\0" * 1000 + _wav(b"abcd")[12:]), "wav", 8000, "incomplete"),
    ],
)
def test_what_cannot_be_played_says_why(content: str, kind: str, rate_hz: int, why: str) -> None:
    with pytest.raises(ClipError, match=why):
        decode_clip(content, kind, rate_hz, None)
