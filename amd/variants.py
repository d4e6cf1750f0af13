"""What a telephone line does to audio: companding, codecs, noise, level, lost packets. For training and
tests.

Every function takes and returns int16[n], mono, 8 kHz, of the same length; what is random follows
`seed`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from amd.params import FRAME, SAMPLE_RATE_HZ

__all__ = ["VARIANTS", "Pcm", "alaw", "gain", "loss", "mulaw", "noise", "opus"]

Pcm = NDArray[np.int16]
Variant = Callable[[Pcm, int], Pcm]


def mulaw(pcm: Pcm) -> Pcm:
    """Through G.711 µ-law and back."""
    x = np.clip(pcm.astype(np.int32), -32635, 32635)
    magnitude = np.abs(x) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    decoded = (((mantissa << 3) + 132) << exponent) - 132
    out: Pcm = (np.sign(x) * decoded).astype(np.int16)
    return out


def alaw(pcm: Pcm) -> Pcm:
    """Through G.711 A-law and back."""
    x = pcm.astype(np.int32)
    magnitude = np.minimum(np.abs(x), 32767) >> 3
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 4, 0)
    shift = np.maximum(exponent, 1)
    decoded = ((magnitude >> shift) << shift) + (1 << (shift - 1))
    out: Pcm = (np.where(x < 0, -1, 1) * (decoded << 3)).clip(-32768, 32767).astype(np.int16)
    return out


def opus(pcm: Pcm) -> Pcm:
    """Through Opus at 16 kbit/s and back; its delay is taken out by the best fit."""
    rate = SAMPLE_RATE_HZ
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate = rate
    encoder.layout = av.AudioLayout("mono")
    encoder.format = av.AudioFormat("s16")
    encoder.bit_rate = 16000
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate = rate
    decoder.layout = av.AudioLayout("mono")
    encoder.open()
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    size = encoder.frame_size or FRAME
    padded = np.concatenate([pcm, np.zeros(4 * size + (-len(pcm)) % size, np.int16)])
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    parts: list[Pcm] = []
    for start in range(0, len(padded), size):
        frame = av.AudioFrame.from_ndarray(padded[None, start : start + size], format="s16", layout="mono")
        frame.sample_rate = rate
        frame.pts = start
        for packet in encoder.encode(frame):
            for out in decoder.decode(packet):
                parts += [part.to_ndarray()[0].astype(np.int16) for part in resampler.resample(out)]
    result = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    result = result[_delay(pcm, result) :][: len(pcm)]
    return np.concatenate([result, np.zeros(len(pcm) - len(result), np.int16)])


def noise(pcm: Pcm, level_dbov: float, seed: int, *, pink: bool = False) -> Pcm:
    """White or pink noise of `level_dbov` RMS over it."""
    if len(pcm) == 0:
        return pcm
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(max(len(pcm), 2)))
    if pink:
        spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    wave = np.fft.irfft(spectrum, max(len(pcm), 2))[: len(pcm)]
    wave *= 32768.0 * 10 ** (level_dbov / 20.0) / max(float(np.sqrt(np.mean(wave**2))), 1e-9)
    out: Pcm = np.clip(pcm + wave, -32768, 32767).astype(np.int16)
    return out


def gain(pcm: Pcm, decibels: float) -> Pcm:
    """Louder or fainter; clips."""
    out: Pcm = np.clip(pcm * 10 ** (decibels / 20.0), -32768, 32767).astype(np.int16)
    return out


def loss(pcm: Pcm, rate: float, seed: int, *, repeat: bool = False) -> Pcm:
    """Packets of 20 ms lost at random and replaced by silence, or by the packet before."""
    out = pcm.copy()
    lost = np.random.default_rng(seed).random(len(pcm) // FRAME) < rate
    for i in np.flatnonzero(lost).tolist():
        before = out[max(i - 1, 0) * FRAME : max(i - 1, 0) * FRAME + FRAME]
        out[i * FRAME : (i + 1) * FRAME] = before if repeat else 0
    return out


def _delay(pcm: Pcm, coded_pcm: Pcm) -> int:
    """Samples by which the codec is late, 0–20 ms more than 800."""
    n = min(len(pcm), len(coded_pcm), 1 << 16)
    if n < FRAME:
        return 0
    a = np.fft.rfft(coded_pcm[:n].astype(np.float64), 2 * n)
    b = np.fft.rfft(pcm[:n].astype(np.float64), 2 * n)
    return int(np.fft.irfft(a * np.conj(b))[:960].argmax())


VARIANTS: Final[dict[str, Variant]] = {
    "as recorded": lambda pcm, _: pcm,
    "µ-law": lambda pcm, _: mulaw(pcm),
    "A-law": lambda pcm, _: alaw(pcm),
    "Opus": lambda pcm, _: opus(pcm),
    "12 dB fainter": lambda pcm, _: gain(pcm, -12.0),
    "6 dB louder": lambda pcm, _: gain(pcm, 6.0),
    "white noise −45 dBov": lambda pcm, seed: noise(pcm, -45.0, seed),
    "pink noise −38 dBov": lambda pcm, seed: noise(pcm, -38.0, seed, pink=True),
    "5 % lost, silence": lambda pcm, seed: loss(pcm, 0.05, seed),
    "5 % lost, repeated": lambda pcm, seed: loss(pcm, 0.05, seed, repeat=True),
}
"""Name → a variant that keeps the label of a recording."""
