"""CPU per 20 ms of a call, both detectors together: `python -m tests.amd.bench [SECONDS]`.

Prints microseconds of process time per pushed packet on speech, silence, music and beeps, beside a
calibration loop of the same run, so that figures of different machines can be compared.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from amd import AmdDetector, AmdParams
from tests.amd.sounds import Pcm, joined, melody, silence, tone, voice

ENDLESS = AmdParams(
    tone_timeout_ms=10**9, decision_timeout_ms=10**9, machine_probability=1.0, human_probability=1.0
)
"""Never decides by the model, so that every step does all of its work."""


def microseconds_per_packet(sound: Pcm, seconds: float) -> float:
    packets = [sound[i : i + 160] for i in range(0, len(sound) - 159, 160)]
    spent, pushed = 0.0, 0
    while spent < seconds:
        detector = AmdDetector(ENDLESS)
        began = time.process_time()
        for packet in packets:
            detector.push(packet)
        spent += time.process_time() - began
        pushed += len(packets)
    return spent / pushed * 1e6


def calibration_us() -> float:
    """One FFT of 512 points on this machine, now."""
    wave = np.random.default_rng(0).standard_normal(512)
    began = time.process_time()
    for _ in range(5000):
        np.fft.rfft(wave)
    return (time.process_time() - began) / 5000 * 1e6


def main(seconds: float) -> None:
    sounds = {
        "digital silence": silence(10.0),
        "noise of a line": silence(10.0, noise_dbov=-40.0),
        "speech": voice(10.0),
        "a call: silence, greeting, beep, silence": joined(
            silence(1.0, noise_dbov=-60.0), voice(5.0), silence(0.4), tone(1000, 0.3), silence(3.0)
        ),
        "music": melody(40),
    }
    print(f"one FFT of 512 points: {calibration_us():.1f} µs")
    for name, sound in sounds.items():
        us = microseconds_per_packet(sound, seconds)
        print(f"{name:42} {us:5.1f} µs per packet, {20_000 / us:4.0f} calls per core")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
