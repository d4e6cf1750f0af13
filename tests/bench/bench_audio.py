"""What audio and SDP cost: CPU time per 20 ms frame, per description, per event.

    python -m tests.bench.bench_audio [--repeats 5]

Each figure is the best of several rounds, in µs of CPU. The calibration line (a loop of a thousand additions)
makes figures of different machines comparable.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from media.audio import level_dbov, mix
from media.cn import NoiseSource
from media.codecs import PCMA, PCMU, alaw_to_ulaw, open_codec
from media.dtmf import DtmfReceiver, digit_packets
from media.dtmf_tones import ToneDetector
from media.formats import AudioCapabilities
from media.negotiate import Address, Negotiator
from media.player import PcmPlayer
from media.plc import Concealer
from media.resample import Resampler
from media.sdp import SessionDescription
from media.tones import RINGBACK_US, ToneSource, sine
from tests.media.signals import speechlike

_CALLS = 2000


def figures() -> list[tuple[str, Callable[[], object]]]:
    """What is measured, by name."""
    capabilities, here = AudioCapabilities(), Address("192.0.2.1", 4000)
    offer = Negotiator(capabilities, here, session_id=1).create_offer()
    answer, _ = Negotiator(capabilities, here, session_id=2).receive_offer(offer)
    description = SessionDescription.parse(offer)
    speech = speechlike(10)
    frame, wide = speech[:160], speechlike(1, rate_hz=16000)[:320]
    ulaw, alaw = open_codec(PCMU), open_codec(PCMA)
    payload = ulaw.encode(frame)
    up, down = Resampler(8000, 16000), Resampler(16000, 8000)
    ringback, tone = ToneSource(RINGBACK_US, 8000), ToneSource(sine(1000), 8000)
    player, noise = PcmPlayer(speech, 8000, loop=True), NoiseSource(8000)
    detector, concealer, lossy = ToneDetector(), Concealer(8000), Concealer(8000)
    for n in range(0, 1600, 160):
        lossy.good(speech[n : n + 160])
    press = [packet.payload for packet in digit_packets("5")]
    position = 0

    def ours() -> Negotiator:
        return Negotiator(capabilities, here, session_id=1)

    def offer_and_answer() -> object:
        negotiator = ours()
        negotiator.create_offer()
        return negotiator.receive_answer(answer)

    def gap() -> object:
        lossy.good(frame)
        return lossy.good(lossy.lost(160))

    def receive_press() -> None:
        receiver = DtmfReceiver()
        for each in press:
            receiver.push(each, 1000)

    def detect() -> object:
        nonlocal position
        position = (position + 160) % 78400
        return detector.push(speech[position : position + 160])

    return [
        ("create a usual offer (new negotiator)", lambda: ours().create_offer()),
        ("read a usual description", lambda: SessionDescription.parse(offer)),
        ("write it", description.to_bytes),
        ("offer, then take the answer", offer_and_answer),
        ("take an offer and answer it", lambda: ours().receive_offer(offer)),
        ("PCMU decode", lambda: ulaw.decode(payload)),
        ("PCMU encode", lambda: ulaw.encode(frame)),
        ("PCMA decode", lambda: alaw.decode(payload)),
        ("A-law to u-law by translation", lambda: alaw_to_ulaw(payload)),
        ("resample 8 to 16 kHz", lambda: up.push(frame)),
        ("resample 16 to 8 kHz", lambda: down.push(wide)),
        ("ringback from its ready cycle", lambda: ringback.read(160)),
        ("continuous tone", lambda: tone.read(160)),
        ("player", lambda: player.read(160)),
        ("comfort noise", lambda: noise.read(160)),
        ("concealer, frame arrived", lambda: concealer.good(frame)),
        ("concealer, frame lost and next blended", gap),
        ("in-band DTMF detector on voice", detect),
        ("RFC 4733 press received (8 packets)", receive_press),
        ("mix of two", lambda: mix(frame, frame)),
        ("level", lambda: level_dbov(frame)),
    ]


def cpu_us(what: Callable[[], object], repeats: int) -> float:
    """CPU time of one call: the best round of `repeats`."""
    best = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        for _ in range(_CALLS):
            what()
        best = min(best, time.process_time() - began)
    return best / _CALLS * 1e6


def calibration() -> int:
    """A fixed amount of interpreter work."""
    total = 0
    for n in range(1000):
        total += n
    return total


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench_audio")
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{'calibration loop':<42} {cpu_us(calibration, repeats):8.2f} us   numpy {np.__version__}")
    for name, what in figures():
        print(f"{name:<42} {cpu_us(what, repeats):8.2f} us")


if __name__ == "__main__":
    main()
