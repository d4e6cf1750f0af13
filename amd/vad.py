"""Where somebody speaks: words, utterances and pauses, under noise that differs from line to line.

webrtcvad alone fires on noise, so a step counts only when it is also louder than this line's noise,
which is learned from the steps that were not speech (their mean and spread) and bounded by the quietest
of the latest half-seconds. Tones are not speech. A stretch becomes a word after 100 ms and counts as
speech only when part of it is voiced: clicks, breath and key strokes are not.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from msgspec import Struct

from amd.events import Evidence
from amd.features import SILENCE_DBOV, Step
from amd.params import FRAME, SAMPLE_RATE_HZ

__all__ = ["SpeechTracker", "Utterance"]

_BLOCK_STEPS: Final = 25
_BLOCKS: Final = 5
_QUIETEST_DBOV: Final = -50.0
"""Nothing fainter is called speech."""
_WORD_STEPS: Final = 5
_GAP_STEPS: Final = 3
"""Silent steps that end a word: the windows overlap, so a gap of 50 ms shows for about two and a half."""
_GREETING_GAP_S: Final = 0.8
"""Words before a longer pause are not of the same greeting."""
UTTERANCE_GAP_S: Final = 0.30
"""A longer pause begins a new utterance."""
_VOICED: Final = 0.5
_VOICED_STEPS: Final = 3
_EDGE_SAMPLES: Final = 480
"""How much earlier than a tone the speech it was taken for may seem to begin."""


class Utterance(Struct):
    """Speech without a pause of 0.3 s; mutable while it lasts."""

    start_sample: int
    end_sample: int
    words: int = 0

    @property
    def duration_s(self) -> float:
        return (self.end_sample - self.start_sample) / SAMPLE_RATE_HZ


class _Before(NamedTuple):
    onset_sample: int | None
    end_sample: int | None
    utterance: Utterance | None
    utterances: int
    past_speech_s: float
    past_longest_s: float
    past_words: int
    speech_dbov: float


class SpeechTracker:
    """Steps in; the state of the conversation is read from the attributes. Bounded whatever comes."""

    __slots__ = (
        "_active",
        "_block",
        "_block_left",
        "_candidate",
        "_level",
        "_minima",
        "_quiet",
        "_recent",
        "_retractable",
        "_voiced",
        "_warm_up",
        "end_sample",
        "floor_dbov",
        "is_active",
        "onset_sample",
        "past_longest_s",
        "past_speech_s",
        "past_words",
        "speech_dbov",
        "spread_db",
        "threshold_dbov",
        "utterance",
        "utterances",
    )

    def __init__(self) -> None:
        self.floor_dbov = -60.0
        """Mean level of this line's noise."""
        self.spread_db = 2.0
        self.threshold_dbov = -50.0
        self.speech_dbov = SILENCE_DBOV
        """Level that the louder parts of the speech reach."""
        self.is_active = False
        """The latest step is speech."""
        self.onset_sample: int | None = None
        """Where the first speech began."""
        self.end_sample: int | None = None
        """Where the latest speech ended, so far."""
        self.utterance: Utterance | None = None
        """The latest utterance; it is over when the pause since its end is longer than 0.3 s."""
        self.utterances = 0
        self.past_speech_s = 0.0
        """Speech in the utterances before the latest."""
        self.past_longest_s = 0.0
        self.past_words = 0
        self._level = SILENCE_DBOV
        self._minima: deque[float] = deque(maxlen=_BLOCKS)
        self._block = 0.0
        self._block_left = _BLOCK_STEPS
        self._candidate: int | None = None
        """Start of a stretch that is not a word yet."""
        self._active = 0
        self._voiced = 0
        self._quiet = 0
        self._recent: deque[float] = deque(maxlen=3)
        self._warm_up = _BLOCK_STEPS
        self._retractable: _Before | None = None
        """What was known before the latest utterance began."""

    def push(self, step: Step, *, is_tone: bool) -> None:
        """Hear one step. `is_tone`: a steady tone sounds."""
        if step.is_lost:
            return  # what was sounding goes on; the words around a lost packet stay one word
        level = step.level_dbov
        active = (
            not is_tone
            and level > self.threshold_dbov
            and level > _QUIETEST_DBOV
            and (step.vad or step.voicing() > 0.6)
        )
        self._learn(level, active=active, is_tone=is_tone)
        self.is_active = active
        if active:
            self._goes_on(step)
        else:
            self._quiet += 1
            if self._quiet >= _GAP_STEPS:
                self._candidate = None
                self._active = self._voiced = 0

    def pause_s(self, now_sample: int) -> float:
        """Silence since the latest speech; 0 before any."""
        return 0.0 if self.end_sample is None else (now_sample - self.end_sample) / SAMPLE_RATE_HZ

    @property
    def words(self) -> int:
        """Stretches of at least 100 ms of speech, since the last pause of 0.8 s."""
        return self.past_words + (self.utterance.words if self.utterance else 0)

    def retract(self, start_sample: int) -> bool:
        """What sounded since `start_sample` was no speech after all. True: an utterance is gone."""
        before = self._retractable
        if before is None or self.utterance is None:
            return False
        if self.utterance.start_sample < start_sample - _EDGE_SAMPLES:
            return False
        self.onset_sample = before.onset_sample
        self.end_sample = before.end_sample
        self.utterance = before.utterance
        self.utterances = before.utterances
        self.past_speech_s = before.past_speech_s
        self.past_longest_s = before.past_longest_s
        self.past_words = before.past_words
        self.speech_dbov = before.speech_dbov
        self._retractable = None
        self._candidate = None
        self._active = self._voiced = 0
        return True

    def evidence(self, now_sample: int) -> Evidence:
        """What is known of the speech at `now_sample`; the model's opinion is not in it yet."""
        if self.onset_sample is None or self.utterance is None:
            return Evidence()
        run_s = self.utterance.duration_s
        return Evidence(
            onset_s=self.onset_sample / SAMPLE_RATE_HZ,
            elapsed_s=(now_sample - self.onset_sample) / SAMPLE_RATE_HZ,
            speech_s=self.past_speech_s + run_s,
            run_s=run_s,
            longest_run_s=max(self.past_longest_s, run_s),
            pause_s=self.pause_s(now_sample),
            utterances=self.utterances,
            words=self.words,
        )

    def _goes_on(self, step: Step) -> None:
        end = step.end_sample
        if self._candidate is None:
            self._candidate = end - FRAME
            self._active = self._voiced = 0
        self._quiet = 0
        self._active += 1
        if self._voiced < _VOICED_STEPS:
            self._voiced += step.voicing() > _VOICED
        if self._active < _WORD_STEPS or self._voiced < _VOICED_STEPS:
            return
        if self._active == _WORD_STEPS or (self.end_sample or 0) <= self._candidate:
            self._word(self._candidate)
        self.speech_dbov = max(step.level_dbov, self.speech_dbov - 0.02)
        self.end_sample = end
        if self.utterance is not None:
            self.utterance.end_sample = end

    def _word(self, start: int) -> None:
        utterance = self.utterance
        new = utterance is None or start - utterance.end_sample > UTTERANCE_GAP_S * SAMPLE_RATE_HZ
        if new:
            self._retractable = _Before(
                self.onset_sample,
                self.end_sample,
                utterance,
                self.utterances,
                self.past_speech_s,
                self.past_longest_s,
                self.past_words,
                self.speech_dbov,
            )
        if self.onset_sample is None:
            self.onset_sample = start
        if utterance is None or start - utterance.end_sample > UTTERANCE_GAP_S * SAMPLE_RATE_HZ:
            if utterance is not None:
                self.past_speech_s += utterance.duration_s
                self.past_longest_s = max(self.past_longest_s, utterance.duration_s)
                gap = start - utterance.end_sample
                long_pause = gap > _GREETING_GAP_S * SAMPLE_RATE_HZ
                self.past_words = 0 if long_pause else self.past_words + utterance.words
            self.utterance = utterance = Utterance(start, start)
            self.utterances += 1
        utterance.words += 1

    def _learn(self, level: float, *, active: bool, is_tone: bool) -> None:
        self._recent.append(level)
        smooth = sum(self._recent) / len(self._recent)
        self._block = smooth if self._block_left == _BLOCK_STEPS else min(self._block, smooth)
        self._block_left -= 1
        quietest = min(self._minima, default=self._block)
        if self._warm_up > 0:
            # Nothing is known of the line yet; a voice that is there from the first sample still dips.
            self._warm_up -= 1
            self.floor_dbov = quietest + 3.0
        if self._block_left == 0:
            self._minima.append(self._block)
            self._block_left = _BLOCK_STEPS
        if not active and not is_tone:
            off = level - self.floor_dbov
            # Down quickly, up slowly: the tail of a word is not noise.
            rate = 0.15 if off < 0.0 else 0.05
            self.floor_dbov += rate * off
            if off < 12.0:
                self.spread_db += 0.05 * (min(abs(off), 12.0) - self.spread_db)
        elif len(self._minima) == _BLOCKS and quietest > self.floor_dbov:
            # Two and a half seconds never were quieter than this: the line got noisier, this is not
            # one long word.
            self.floor_dbov += 0.05 * (quietest - self.floor_dbov)
        self.floor_dbov = max(self.floor_dbov, -75.0)
        margin = min(max(6.0, 2.0 * self.spread_db + 2.0), 11.0)
        self.threshold_dbov = max(self.floor_dbov + margin, self.speech_dbov - 22.0)
