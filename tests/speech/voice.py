"""A voice for tests: espeak-ng in a process of its own, so that a test's process keeps none of it."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import av
import numpy as np

from media.audio import Pcm

__all__ = ["spoken"]

_SCRIPT = """
import ctypes, sys, espeakng_loader
espeak = ctypes.CDLL(espeakng_loader.get_library_path())
pieces = []
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
def made(samples, count, events):
    if samples and count > 0:
        pieces.append(ctypes.string_at(samples, 2 * count))
    return 0
rate = espeak.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
espeak.espeak_SetSynthCallback(made)
espeak.espeak_SetVoiceByName(b"en-us")
espeak.espeak_SetParameter(1, 150, 0)
text = sys.argv[1].encode()
espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)
espeak.espeak_Synchronize()
sys.stdout.buffer.write(rate.to_bytes(4, "big") + b"".join(pieces))
"""


@cache
def spoken(text: str, rate_hz: int = 16000) -> Pcm:
    """Somebody says `text`: int16[n], with a little silence before and after it. Not to be changed."""
    data = subprocess.run([sys.executable, "-c", _SCRIPT, text], check=True, capture_output=True).stdout
    made_hz, samples = int.from_bytes(data[:4], "big"), np.frombuffer(data[4:], np.int16)
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = made_hz
    pieces = [
        piece.to_ndarray().reshape(-1) for piece in (*resampler.resample(frame), *resampler.resample(None))
    ]
    quiet = np.zeros(rate_hz // 4, np.int16)
    return np.concatenate([quiet, *pieces, quiet])
