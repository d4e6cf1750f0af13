"""Who answered: one callee's audio in, decisions out. The clock is the count of samples.

Pure: no I/O, no clock, no log; nothing in the audio makes it raise. The states, and what ends each:

    LISTENING --speech long for its pauses, words, beep--> MACHINE --beep and end of greeting--> DONE
        |----pause long for the speech-------------------> HUMAN --greeting goes on, beep--> MACHINE (revised)
        |                                                    `----revision_window_ms--> DONE
        |----no_speech_timeout_ms------------------------> SILENCE (as LISTENING, and revised) --> DONE
        `----decision_timeout_ms-------------------------> DONE
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from amd.ear import Ear
from amd.events import AmdEvent, Beep, Decision, Evidence, GreetingEnded, Rule, Tone, Verdict
from amd.features import Step
from amd.model import Model
from amd.params import SAMPLE_RATE_HZ, AmdParams

__all__ = ["AmdDetector"]

_SPEAKING_S: Final = 0.3
"""A shorter silence is a gap between words."""
_BEEP_AFTER_HUMAN_MS: Final = 180.0
"""A household pips; a shorter tone after a person spoke is no reason to hang up on them."""


class _State(Enum):
    LISTENING = "listening"
    HUMAN = "human"
    SILENCE = "silence"
    MACHINE = "machine"
    DONE = "done"


class AmdDetector:
    """Answering-machine and beep detection on one call, from the answer on.

    Feed it the callee's audio with `push` (and `push_lost` where packets are missing); it hands out events in
    order, at most one per call. A push of more than one packet may hold several: `events()` drains the rest.
    """

    __slots__ = (
        "_beep_end",
        "_decided_at",
        "_ear",
        "_events",
        "_greeting_ended",
        "_heard",
        "_human_end",
        "_model",
        "_params",
        "_resumed",
        "_state",
        "_utterances",
    )

    def __init__(self, params: AmdParams | None = None, *, model: Model | None = None) -> None:
        self._model = model or Model()
        self._params = params or AmdParams()
        self._ear = Ear()
        self._events: deque[AmdEvent] = deque()
        self._state = _State.LISTENING
        self._heard = 0
        self._decided_at = 0
        self._beep_end: int | None = None
        self._greeting_ended = False
        self._utterances = 0
        """Utterances heard when `human` was decided..."""
        self._human_end = 0
        """...where the last of them ended..."""
        self._resumed: int | None = None
        """...and where somebody spoke again."""

    @property
    def samples_heard(self) -> int:
        """All samples pushed, lost ones included."""
        return self._heard

    @property
    def is_finished(self) -> bool:
        """Nothing more will be reported; the tap may be removed."""
        return self._state is _State.DONE and not self._events

    def push(self, pcm: NDArray[np.int16]) -> AmdEvent | None:
        """Hear `pcm` (int16[n], mono, 8 kHz; any n, 0 too). Returns the oldest event not handed out yet."""
        self._heard += len(pcm)
        if self._state is not _State.DONE:
            for step, signal in self._ear.hear(pcm):
                self._think(step, signal)
        return self._events.popleft() if self._events else None

    def push_lost(self, n_samples: int) -> AmdEvent | None:
        """`n_samples` were lost on the network: time passes, and what was sounding is taken to go on."""
        self._heard += n_samples
        if self._state is not _State.DONE:
            for step, signal in self._ear.miss(n_samples):
                self._think(step, signal)
        return self._events.popleft() if self._events else None

    def finish(self) -> AmdEvent | None:
        """No more audio comes. Without a decision so far, the best guess is one. Returns as `push` does."""
        if self._state is _State.LISTENING:
            now = self._heard
            evidence = self._ear.speech.evidence(now)
            if evidence.onset_s is None:
                self._decide(Verdict.SILENCE, Rule.AUDIO_ENDED, "no speech until the audio ended", now)
            elif not self._ear.may_be_human(now):
                reason = "signals or music until the audio ended"
                self._decide(Verdict.UNDECIDED, Rule.AUDIO_ENDED, reason, now, evidence)
            else:
                evidence = replace(evidence, machine_probability=self._model.machine_probability(evidence))
                verdict = Verdict.MACHINE if evidence.machine_probability > 0.5 else Verdict.HUMAN
                reason = f"the audio ended after {evidence.speech_s:.1f} s of speech"
                self._decide(verdict, Rule.AUDIO_ENDED, reason, now, evidence)
        self._state = _State.DONE
        return self._events.popleft() if self._events else None

    def events(self) -> Iterator[AmdEvent]:
        """Drain the events not handed out yet, in order."""
        while self._events:
            yield self._events.popleft()

    # -- one step -----------------------------------------------------------------------------------------

    def _think(self, step: Step, signal: Beep | Tone | None) -> None:
        now = step.end_sample
        match signal:
            case Beep():
                self._hear_beep(signal, now)
            case Tone():
                if self._state is not _State.DONE:
                    self._events.append(signal)
            case None:
                pass
        match self._state:
            case _State.LISTENING | _State.SILENCE:
                self._listen(now)
            case _State.HUMAN:
                self._doubt(now)
            case _State.MACHINE:
                self._wait_for_end(now)
            case _State.DONE:
                pass

    def _hear_beep(self, beep: Beep, now: int) -> None:
        match self._state:
            case _State.DONE:
                return
            case _State.HUMAN:
                if beep.duration_ms < _BEEP_AFTER_HUMAN_MS:
                    return
                self._decide(
                    Verdict.MACHINE, Rule.BEEP, f"a beep of {_beep_words(beep)} after the greeting", now
                )
            case _State.LISTENING | _State.SILENCE:
                spoken = self._ear.speech.onset_sample is not None
                after = "after the greeting" if spoken else "and no speech before it"
                self._decide(Verdict.MACHINE, Rule.BEEP, f"a beep of {_beep_words(beep)} {after}", now)
            case _State.MACHINE:
                pass
        self._beep_end = beep.end_sample
        self._events.append(beep)

    def _listen(self, now: int) -> None:
        """No decision yet, or only `silence`."""
        speech, params = self._ear.speech, self._params
        if speech.onset_sample is None:
            if self._state is _State.LISTENING and now >= _samples(params.no_speech_timeout_ms):
                waited = params.no_speech_timeout_ms / 1000.0
                self._decide(Verdict.SILENCE, Rule.NO_SPEECH, f"no speech for {waited:g} s", now)
            elif self._is_window_over(now):
                self._state = _State.DONE
            return
        evidence = speech.evidence(now)
        probability = self._model.machine_probability(evidence)
        evidence = replace(evidence, machine_probability=probability)
        speaks = evidence.pause_s < _SPEAKING_S
        if speaks and probability >= params.machine_probability:
            self._decide(Verdict.MACHINE, Rule.LONG_GREETING, _long_words(evidence), now, evidence)
        elif speaks and 0 < params.threshold_word_count <= evidence.words:
            reason = f"{evidence.words} words in {evidence.elapsed_s:.1f} s"
            self._decide(Verdict.MACHINE, Rule.WORD_COUNT, reason, now, evidence)
        elif (
            evidence.pause_s * 1000.0 >= params.pause_ms and 1.0 - probability >= params.human_probability
        ) and self._ear.may_be_human(now):
            reason = f"{evidence.speech_s:.1f} s of speech, then silence for {evidence.pause_s:.1f} s"
            self._decide(Verdict.HUMAN, Rule.SHORT_GREETING, reason, now, evidence)
        elif now >= _samples(params.decision_timeout_ms):
            if self._state is _State.LISTENING:
                reason = f"no decision within {params.decision_timeout_ms / 1000.0:g} s"
                self._decide(Verdict.UNDECIDED, Rule.TIMEOUT, reason, now, evidence)
            else:
                self._state = _State.DONE

    def _doubt(self, now: int) -> None:
        """After `human`: a person who was answered by nobody says hello again, a machine goes on."""
        speech = self._ear.speech
        if self._is_window_over(now):
            self._state = _State.DONE
            return
        if speech.utterances == self._utterances or speech.utterance is None:
            return
        if speech.utterances == self._utterances + 1 and self._resumed is None:
            self._resumed = speech.utterance.start_sample
        if self._resumed is None or self._resumed - self._human_end > _samples(self._params.goes_on_after_ms):
            return
        run_s = speech.utterance.duration_s
        if run_s * 1000.0 >= self._params.goes_on_ms and speech.pause_s(now) < _SPEAKING_S:
            reason = f"the greeting went on: {run_s:.1f} s of speech without a pause"
            self._decide(Verdict.MACHINE, Rule.LONG_GREETING, reason, now)

    def _wait_for_end(self, now: int) -> None:
        """After `machine`: the end of the greeting, and the beep."""
        speech, params = self._ear.speech, self._params
        if not self._greeting_ended:
            quiet_since = max(speech.end_sample or 0, self._beep_end or 0)
            limit_ms = (
                params.greeting_completion_timeout_ms
                if self._beep_end is None
                else params.greeting_completion_after_beep_ms
            )
            if now - quiet_since >= _samples(limit_ms) and not self._ear.is_tone_sounding:
                self._greeting_ended = True
                self._events.append(GreetingEnded(speech.end_sample or quiet_since, now))
        # A greeting may last longer than the wait for a beep; the wait begins when it pauses.
        waited_since = max(self._decided_at, speech.end_sample or 0)
        beep_over = self._beep_end is not None and now - self._beep_end >= _samples(2000)
        if (self._greeting_ended and beep_over) or (
            self._beep_end is None and now - waited_since >= _samples(params.tone_timeout_ms)
        ):
            self._state = _State.DONE

    # -- decisions ----------------------------------------------------------------------------------------

    def _decide(
        self, verdict: Verdict, rule: Rule, reason: str, now: int, evidence: Evidence | None = None
    ) -> None:
        if evidence is None:
            evidence = self._ear.speech.evidence(now)
            if evidence.onset_s is not None:
                evidence = replace(evidence, machine_probability=self._model.machine_probability(evidence))
        revised = self._state is not _State.LISTENING
        self._events.append(
            Decision(
                verdict, rule, self._model.confidence(verdict, rule, evidence), reason, evidence, now, revised
            )
        )
        self._decided_at = now
        may_revise = self._params.revision_window_ms > 0
        match verdict:
            case Verdict.MACHINE:
                self._state = _State.MACHINE
            case Verdict.HUMAN:
                self._state = _State.HUMAN if may_revise else _State.DONE
                self._utterances = self._ear.speech.utterances
                self._human_end = self._ear.speech.end_sample or now
                self._resumed = None
            case Verdict.SILENCE:
                self._state = _State.SILENCE if may_revise else _State.DONE
            case Verdict.UNDECIDED:
                self._state = _State.DONE

    def _is_window_over(self, now: int) -> bool:
        return self._state is not _State.LISTENING and now - self._decided_at >= _samples(
            self._params.revision_window_ms
        )


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE_HZ // 1000


def _long_words(evidence: Evidence) -> str:
    if evidence.run_s >= 0.8 * evidence.elapsed_s:
        return f"{evidence.run_s:.1f} s of speech without a pause"
    return (
        f"{evidence.speech_s:.1f} s of speech in {evidence.elapsed_s:.1f} s, "
        f"{evidence.utterances} utterances and it goes on"
    )


def _beep_words(beep: Beep) -> str:
    return f"{beep.frequency_hz:.0f} Hz, {beep.duration_ms:.0f} ms,"
