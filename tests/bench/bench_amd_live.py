"""What listening costs on live calls: CPU time per 20 ms frame and call, with many calls in turns.

    python -m tests.bench.bench_amd_live [--calls 500] [--seconds 8]

The calls take turns frame by frame, as they do on a live engine: what one detector had in the cache, 499
others have pushed out. "Whole ear" is the way from the packet to the event: jitter buffer, decoder,
concealment, detector. Figures are the CPU time of this process; 100 % is one core.
"""

from __future__ import annotations

import argparse
import gc
import time

import numpy as np

from amd import AmdDetector, AmdParams
from media.audio import Pcm
from media.codecs import PCMU, open_codec
from media.negotiate import Address, NegotiatedMedia
from media.receiver import AudioReceiver
from media.sdp import Direction
from tests.support.callee import GREETING, HELLO, RATE_HZ, pause, tone

_FRAME = 160
_FRAMES_PER_S = 50

SOUNDS: dict[str, Pcm] = {
    "machine speaks on": np.concatenate([GREETING, pause(0.4)]),
    "person, then quiet": np.concatenate([HELLO, pause(7.0)]),
    "digital silence": pause(1.0),
    "noise": np.random.default_rng(1).normal(0.0, 30.0, RATE_HZ).astype(np.int16),
    "ringback": tone(440, 480, seconds=6.0, on_off_s=(2.0, 4.0)),
}
_NEVER_DONE = AmdParams(
    no_speech_timeout_ms=3_600_000,
    decision_timeout_ms=3_600_000,
    tone_timeout_ms=3_600_000,
    revision_window_ms=3_600_000,
)


def detector_us(sound: Pcm, calls: int, seconds: float) -> float:
    """µs of CPU per frame and call: the detector alone."""
    detectors = [AmdDetector(_NEVER_DONE) for _ in range(calls)]
    frames = _framed(sound)
    turns = round(seconds * _FRAMES_PER_S)
    gc.collect()
    began = time.process_time()
    for turn in range(turns):
        for i, detector in enumerate(detectors):
            detector.push(frames[(turn + 7 * i) % len(frames)])
            for _ in detector.events():
                pass
    return (time.process_time() - began) / (turns * calls) * 1e6


def ear_us(sound: Pcm, calls: int, seconds: float, *, loss: float) -> float:
    """The same from the packet on; `loss`: share of packets that never arrive."""
    codec = open_codec(PCMU)
    ears = [(AudioReceiver(_agreement()), AmdDetector(_NEVER_DONE)) for _ in range(calls)]
    packets = [codec.encode(frame) for frame in _framed(sound)]
    lost = np.random.default_rng(2).random(997) < loss
    turns = round(seconds * _FRAMES_PER_S)
    gc.collect()
    began = time.process_time()
    for turn in range(turns):
        at = turn / _FRAMES_PER_S
        for i, (receiver, detector) in enumerate(ears):
            if not lost[(turn + 31 * i) % 997]:
                receiver.push(0, turn & 0xFFFF, turn * _FRAME, packets[(turn + 7 * i) % len(packets)], at)
            pcm = receiver.pull()
            if receiver.gaps:
                detector.push_lost(len(pcm))
            else:
                detector.push(pcm)
            for _ in detector.events():
                pass
    return (time.process_time() - began) / (turns * calls) * 1e6


def _framed(sound: Pcm) -> list[Pcm]:
    whole = len(sound) // _FRAME * _FRAME
    return list(sound[:whole].reshape(-1, _FRAME))


def _agreement() -> NegotiatedMedia:
    return NegotiatedMedia(
        remote=Address("192.0.2.1", 5000),
        remote_rtcp=None,
        codec=PCMU,
        send_payload_type=0,
        receive_payload_type=0,
        receive_codecs=((0, PCMU),),
        direction=Direction.SENDRECV,
        remote_direction=Direction.SENDRECV,
        ptime_ms=20,
    )


def calibration_us() -> float:
    """A thousand additions: makes figures of different machines comparable."""
    began = time.process_time()
    for _ in range(1000):
        total = 0
        for n in range(1000):
            total += n
    return (time.process_time() - began) / 1000 * 1e6


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.bench_amd_live",
        description="CPU time of listening to many calls at once.",
        epilog="example: python -m tests.bench.bench_amd_live --calls 100 --seconds 2",
    )
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=8.0, help="of audio per call (default 8)")
    arguments = parser.parse_args()
    calls, seconds = arguments.calls, arguments.seconds
    print(f"calibration loop {calibration_us():.2f} us; {calls} calls, {seconds:g} s of audio each")
    print(f"{'':<24}{'detector':>14}{'whole ear':>14}{'5 % lost':>14}")
    for name, sound in SOUNDS.items():
        costs = (
            detector_us(sound, calls, seconds),
            ear_us(sound, calls, seconds, loss=0.0),
            ear_us(sound, calls, seconds, loss=0.05),
        )
        shares = "".join(f"{us:>7.1f} us{us * calls * _FRAMES_PER_S / 1e4:>4.0f}%" for us in costs)
        print(f"{name:<24}{shares}")


if __name__ == "__main__":
    main()
