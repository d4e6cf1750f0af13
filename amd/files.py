"""Audio files as the detectors want them: int16, mono, 8 kHz. Offline only; a call never comes this way."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from amd.params import SAMPLE_RATE_HZ

__all__ = ["UnreadableAudioError", "read_audio", "resample"]

_RAW: Final = {
    ".ul": "mulaw",
    ".ulaw": "mulaw",
    ".mulaw": "mulaw",
    ".pcmu": "mulaw",
    ".al": "alaw",
    ".alaw": "alaw",
    ".pcma": "alaw",
    ".gsm": "gsm",
}
"""Files without a header, by their suffix: 8 kHz, mono."""


class UnreadableAudioError(Exception):
    """The file is missing, empty, or holds no audio that can be decoded."""


def read_audio(path: Path) -> NDArray[np.int16]:
    """Any file libav reads (WAV, MP3, Ogg, FLAC ...) or raw µ-law, A-law, GSM; channels are mixed.

    Raises `UnreadableAudioError` with the reason in words.
    """
    if path.suffix.lower() == ".wav":
        plain = _plain_wave(path)
        if plain is not None:
            return plain
    options = {}
    name = _RAW.get(path.suffix.lower())
    if name in ("mulaw", "alaw"):
        options = {"sample_rate": "8000", "ch_layout": "mono"}
    try:
        with av.open(str(path), format=name, options=options) as container:
            if not container.streams.audio:
                raise UnreadableAudioError(f"{path}: no audio in it")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            parts = []
            for frame in container.decode(container.streams.audio[0]):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableAudioError(f"{path}: {error}") from error
    if not parts:
        raise UnreadableAudioError(f"{path}: empty")
    return np.concatenate(parts).astype(np.int16, copy=False)


def resample(pcm: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
    """int16[n] mono at `rate_hz` → 8 kHz."""
    if rate_hz == SAMPLE_RATE_HZ or len(pcm) == 0:
        return pcm
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm)[None, :], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    parts = [part.to_ndarray()[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return np.concatenate(parts).astype(np.int16, copy=False)


def _plain_wave(path: Path) -> NDArray[np.int16] | None:
    """The common case without libav: PCM, 16 bit, mono, 8 kHz; None: something else."""
    try:
        with wave.open(str(path)) as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, SAMPLE_RATE_HZ):
                return None
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
    except (wave.Error, EOFError):
        return None
    except OSError as error:
        raise UnreadableAudioError(f"{path}: {error}") from error
