"""The rules of a well-known PBX's answering-machine detection at its defaults, for comparison only.

Written from its documented parameters: words counted by voice of at least 100 ms between silences of at
least 50 ms, a mean amplitude below 256 being silence; 1.5 s of greeting or a third word is a machine, 0.8 s
of silence after a greeting is a person, 2.5 s of initial silence a machine, 5 s in all undecided.
"""

from __future__ import annotations

import numpy as np

from tests.amd.sounds import Pcm

__all__ = ["asterisk_label"]

INITIAL_SILENCE_MS = 2500
GREETING_MS = 1500
AFTER_GREETING_SILENCE_MS = 800
TOTAL_ANALYSIS_MS = 5000
MINIMUM_WORD_MS = 100
BETWEEN_WORDS_MS = 50
MAXIMUM_WORDS = 2
MAXIMUM_WORD_MS = 5000
SILENCE_AMPLITUDE = 256
FRAME_MS = 20


def asterisk_label(sound: Pcm) -> tuple[str, int]:
    """(human, machine or unknown; milliseconds of audio it took)."""
    silence = voice = word = words = 0
    in_word = in_greeting = False
    initial = True
    for index in range(len(sound) // 160):
        now = (index + 1) * FRAME_MS
        if now >= TOTAL_ANALYSIS_MS:
            return "unknown", now
        frame = sound[index * 160 : index * 160 + 160].astype(np.int32)
        if float(np.abs(frame).mean()) < SILENCE_AMPLITUDE:
            silence += FRAME_MS
            if silence >= BETWEEN_WORDS_MS:
                in_word = False
                word = 0
            if initial and silence >= INITIAL_SILENCE_MS:
                return "machine", now
            if in_greeting and silence >= AFTER_GREETING_SILENCE_MS:
                return "human", now
            continue
        silence = 0
        word += FRAME_MS
        voice += FRAME_MS
        if word >= MINIMUM_WORD_MS and not in_word:
            words += 1
            in_word = True
        if word >= MAXIMUM_WORD_MS or words > MAXIMUM_WORDS or (in_greeting and voice >= GREETING_MS):
            return "machine", now
        if word >= MINIMUM_WORD_MS:
            initial = False
            in_greeting = True
    return "unknown", len(sound) // 8
