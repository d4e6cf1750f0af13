"""The process that thinks about speech: `python -m engine.speech.recognition_worker OWNER_PID`.

Utterances come in on standard input, what was understood goes out on standard output; both are lengths (4
bytes, big-endian) followed by MessagePack. One decoder serves everybody: every utterance is decoded as a
whole, with nothing left over from the one before. The process never outlives its owner: end of input stops
it, and the kernel kills it if the owner is killed.

Decoding a whole utterance lets the mean of its spectrum be taken over all of it, and a little noise keeps
digital silence and the empty upper band of telephone calls away from the logarithm. On sentences of a speech
synthesiser wrong words fell from two thirds to a quarter at 16 kHz, from nearly all to three fifths at 8.
The limits on what is followed at a time cost no word there and save a third of the time, more on noise.
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import signal
import sys
import time
from typing import BinaryIO

import msgspec
import numpy as np
from msgspec import Struct

__all__ = ["Understood", "Utterance", "main", "read_frame", "write_frame"]

_PR_SET_PDEATHSIG = 1
_SAMPLE_RATE_HZ = 16000
_NOISE_RMS = 60.0
_MOST_STATES, _MOST_WORDS = 3000, 20
"""Per frame; pocketsphinx follows ten times as much by itself."""
_MOST_ALTERNATIVES = 3
_NICE = 5
"""Words may come a little later; the audio of calls may not."""
_WORD = re.compile(r"[a-z']+")


class Utterance(Struct):
    """To the worker."""

    id: int
    pcm: bytes
    """int16, native order, 16 kHz."""
    hints: tuple[str, ...] = ()


class Understood(Struct):
    """From the worker: once with id 0 when it is ready, then one for each utterance."""

    id: int
    alternatives: tuple[tuple[str, float], ...] = ()
    """Text and confidence, the best first; empty: no words in it."""
    cpu_s: float = 0.0


class Ear:
    """The decoder."""

    def __init__(self) -> None:
        """Loads the model that comes with pocketsphinx: US English."""
        import pocketsphinx

        self._decoder = pocketsphinx.Decoder(
            samprate=_SAMPLE_RATE_HZ, loglevel="FATAL", maxhmmpf=_MOST_STATES, maxwpf=_MOST_WORDS
        )
        self._words = self._decoder.current_search()
        self._grammars: dict[tuple[str, ...], str] = {}

    def understand(self, pcm: bytes, hints: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
        """What was said, in several ways."""
        samples = np.frombuffer(pcm, np.int16)
        # The same noise every time: what is heard twice is understood twice alike.
        noisy = samples + np.random.default_rng(1).normal(0, _NOISE_RMS, len(samples))
        data = np.clip(np.rint(noisy), -32768, 32767).astype(np.int16).tobytes()
        heard, score = self._decode(self._words, data)
        hinted, hint_score = self._decode(self._grammar(hints), data) if hints else ((), -math.inf)
        if hinted and hint_score > score:
            # One of the expected phrases, alone, fits better than anything else there is to say.
            return (*hinted, *(other for other in heard if other[0] != hinted[0][0]))[:_MOST_ALTERNATIVES]
        return heard

    def _decode(self, search: str, data: bytes) -> tuple[tuple[tuple[str, float], ...], float]:
        decoder = self._decoder
        decoder.activate_search(search)
        decoder.start_utt()
        decoder.process_raw(data, full_utt=True)
        decoder.end_utt()
        best = decoder.hyp()
        if best is None or not best.hypstr:
            return (), -math.inf
        is_grammar = search != self._words
        # The posterior of a whole path shrinks with every word of it: per word it can be compared.
        confidence = best.best_score if is_grammar else best.prob ** (1 / len(best.hypstr.split()))
        found = {best.hypstr: round(min(1.0, max(0.0, confidence)), 3)}
        if not is_grammar:
            for other, _ in zip(decoder.nbest(), range(_MOST_ALTERNATIVES * 3), strict=False):
                text = other.hypstr if other is not None else ""  # it ends with None at times
                if text and text not in found and len(found) < _MOST_ALTERNATIVES:
                    found[text] = round(found[best.hypstr] / (len(found) + 1), 3)
        return tuple(found.items()), math.log(max(best.best_score, 1e-300))

    def _grammar(self, hints: tuple[str, ...]) -> str:
        """A search for exactly one of these phrases; the one for words if none of them can be spoken."""
        name = self._grammars.get(hints)
        if name is None:
            decoder = self._decoder
            phrases = []
            for hint in hints:
                words = _WORD.findall(hint.lower())
                if words and all(decoder.lookup_word(word) for word in words):
                    phrases.append(" ".join(words))
            name = self._words
            if phrases:
                name = f"hints-{len(self._grammars)}"
                rule = " | ".join(f"( {phrase} )" for phrase in phrases)
                decoder.add_jsgf_string(name, f"#JSGF V1.0; grammar hints; public <one> = {rule} ;")
            self._grammars[hints] = name
            self._forget_old_grammars()
        return name

    def _forget_old_grammars(self) -> None:
        while len(self._grammars) > 64:
            oldest = next(iter(self._grammars))
            name = self._grammars.pop(oldest)
            if name != self._words:
                self._decoder.remove_search(name)


def read_frame(stream: BinaryIO) -> bytes | None:
    """One message; None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    return stream.read(int.from_bytes(head, "big"))


def write_frame(message: Struct) -> bytes:
    """As it goes over the pipe."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(4, "big") + data


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
    ear = Ear()
    out.write(write_frame(Understood(0)))
    decoder = msgspec.msgpack.Decoder(Utterance)
    while (data := read_frame(sys.stdin.buffer)) is not None:
        utterance = decoder.decode(data)
        began = time.process_time()
        alternatives = ear.understand(utterance.pcm, utterance.hints)
        out.write(write_frame(Understood(utterance.id, alternatives, time.process_time() - began)))


if __name__ == "__main__":
    main()
