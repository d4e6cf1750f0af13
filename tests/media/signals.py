"""Audio to test with, and the judge of what came out: power by frequency, not sample by sample."""

import numpy as np
from numpy.typing import NDArray

from media.audio import Pcm

__all__ = ["amplitude_at", "signal_to_rest_db", "speechlike", "tone", "white_noise"]


def tone(*frequencies_hz: float, seconds: float = 1.0, rate_hz: int = 8000, amplitude: float = 8000.0) -> Pcm:
    """Sines of equal amplitude, each starting at phase zero."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = sum((amplitude * np.sin(2 * np.pi * f * at) for f in frequencies_hz), np.zeros(len(at)))
    return np.rint(wave).astype(np.int16)


def amplitude_at(pcm: Pcm, frequency_hz: float, rate_hz: int = 8000) -> float:
    """The amplitude of one frequency in a piece (Hann window, so that neighbours do not leak in)."""
    window = np.hanning(len(pcm))
    turns = np.exp(-2j * np.pi * frequency_hz * np.arange(len(pcm)) / rate_hz)
    return float(2 * abs(np.sum(pcm * window * turns)) / window.sum())


def signal_to_rest_db(pcm: Pcm, frequency_hz: float, rate_hz: int = 8000) -> float:
    """Power of one frequency against everything else in the piece."""
    samples = pcm.astype(float)
    at = np.arange(len(samples)) / rate_hz
    basis = np.stack([np.sin(2 * np.pi * frequency_hz * at), np.cos(2 * np.pi * frequency_hz * at)], axis=1)
    fitted = basis @ np.linalg.lstsq(basis, samples, rcond=None)[0]
    rest = samples - fitted
    return float(10 * np.log10(np.sum(fitted**2) / max(np.sum(rest**2), 1e-9)))


def white_noise(seconds: float, rms: float, *, rate_hz: int = 8000, seed: int = 1) -> Pcm:
    """Gaussian noise of this root mean square."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz)) * rms
    return np.clip(np.rint(noise), -32768, 32767).astype(np.int16)


def speechlike(seconds: float, *, rms: float = 2500.0, rate_hz: int = 8000, seed: int = 1) -> Pcm:
    """Voiced syllables: a gliding pitch's harmonics under gliding formants, with pauses between them.

    Not speech, but hard in the same way for a tone detector: strong, stable, many frequencies at once.
    """
    random = np.random.default_rng(seed)
    pieces: list[NDArray[np.float64]] = []
    while sum(map(len, pieces)) < seconds * rate_hz:
        n = int(random.uniform(0.08, 0.35) * rate_hz)
        at = np.linspace(0, 1, n)
        pitch = np.linspace(random.uniform(85, 260), random.uniform(85, 260), n)
        phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
        formants = [
            (np.linspace(random.uniform(a, b), random.uniform(a, b), n), w)
            for a, b, w in ((300, 900, 90), (800, 2300, 120), (2000, 3200, 180))
        ]
        wave = np.zeros(n)
        for harmonic in range(1, int(3600 / 85)):
            frequency = pitch * harmonic
            gain = sum((np.exp(-(((frequency - f) / w) ** 2)) for f, w in formants), np.zeros(n))
            wave += np.where(frequency < 3700, gain, 0) * np.sin(harmonic * phase)
        wave *= np.minimum(1, np.minimum(at, 1 - at) * 8)
        wave *= rms / max(1e-9, np.sqrt(np.mean(wave**2)))
        pieces += [wave, np.zeros(int(random.uniform(0.0, 0.12) * rate_hz))]
    speech = np.concatenate(pieces)[: round(seconds * rate_hz)]
    return np.clip(np.rint(speech), -32768, 32767).astype(np.int16)
