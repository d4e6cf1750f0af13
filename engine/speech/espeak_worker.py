"""The process that speaks: `python -m engine.speech.espeak_worker OWNER_PID`.

Requests come in on standard input, audio goes out on standard output. A text that makes the library abort
costs this process only. It never outlives its owner: end of input stops it, and the kernel kills it if the
owner is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

import av
import msgspec
import numpy as np

from engine.speech.espeak_library import EspeakLibrary
from engine.speech.espeak_messages import Ready, Spoken, ToSpeak, frame, read_frame
from engine.speech.synthesis import SynthesisFailed
from media.audio import Pcm

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_NICE = 5
"""Words may come a little later; the audio of calls may not."""


def main() -> None:
    """Serve until input ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(sys.argv[1]):
            return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner's to handle
    os.nice(_NICE)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # native prints go to standard error
    try:
        library = EspeakLibrary()
    except SynthesisFailed as error:
        out.write(frame(Ready((), str(error))))
        return
    out.write(frame(Ready(tuple(library.voices))))
    decoder = msgspec.msgpack.Decoder(ToSpeak)
    while (data := read_frame(sys.stdin.buffer)) is not None:
        _write(out.fileno(), frame(_speak(library, decoder.decode(data))))


def _speak(library: EspeakLibrary, wish: ToSpeak) -> Spoken:
    try:
        audio = library.say(wish.text, wish.voice, is_ssml=wish.is_ssml, rate=wish.rate, most_s=wish.most_s)
    except SynthesisFailed as error:
        return Spoken(problem=str(error))
    pcm = _resampled(np.frombuffer(audio, np.int16), library.sample_rate_hz, wish.sample_rate_hz)
    return Spoken(pcm.tobytes())


def _resampled(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    if not len(pcm):
        return pcm
    resampler = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
    frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16", layout="mono")
    frame.sample_rate = from_hz
    pieces = [piece.to_ndarray()[0] for each in (frame, None) for piece in resampler.resample(each)]
    return np.concatenate(pieces) if pieces else pcm[:0]


def _write(descriptor: int, data: bytes) -> None:
    """All of it: an unbuffered file may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main()
