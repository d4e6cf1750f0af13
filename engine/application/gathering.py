"""What a `gather` has heard, and until when it waits. Pure: times are monotonic seconds.

    prompt          ends ──▶ timeout runs ──▶ first digit ──▶ timeout or interDigitTimeout ──▶ … ──▶ outcome
                                         └──▶ speech begins ──▶ its result ──▶ outcome

Digits count during the prompt as well, and more than speech: after the first one nobody listens to words.
While somebody speaks the timeout does not run, but not for ever: noise is taken for speech too. Where noise
is known to be that, it is as if it had not been: silence would have ended it then, or before.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from engine.application.document import GatherVerb
from engine.speech.recognition import RecognitionResult

__all__ = ["GatherReason", "Gathered", "Gathering", "told_speech"]

_SPEAKING_S = 10.0
"""From the beginning of speech to its result, or to the next sign of it."""
_LAST_WORDS_S = 3.0
"""For the recogniser to say what it has understood so far."""


class GatherReason(StrEnum):
    """`reason` of the `actionHook` (hooks contract, 4.6)."""

    DTMF = "dtmfDetected"
    SPEECH = "speechDetected"
    TIMEOUT = "timeout"
    ERROR = "error"


class Gathered(Struct, frozen=True):
    """The outcome."""

    reason: GatherReason
    digits: str = ""
    speech: RecognitionResult | None = None
    problem: str = ""

    def to_dict(self) -> dict[str, object]:
        """For the `actionHook`."""
        told: dict[str, object] = {"reason": str(self.reason)}
        if self.digits or self.reason is GatherReason.DTMF:
            told["digits"] = self.digits
        if self.speech is not None:
            told["speech"] = told_speech(self.speech)
        if self.problem:
            told["details"] = {"error": self.problem}
        return told


def told_speech(result: RecognitionResult) -> dict[str, object]:
    """The `speech` of gather's hooks: its `vendor` is an object there, unlike that of `transcribe`.

    `evt` is for what only that vendor says; no recogniser here says more than the rest of `speech`.
    """
    return {**result.to_dict(), "vendor": {"name": result.vendor, "evt": {}}}


class Gathering:
    """One execution of `gather`."""

    __slots__ = (
        "_finish_keys",
        "_has_prompt_ended",
        "_is_speaking",
        "_least",
        "_most",
        "_silence_until",
        "_verb",
        "_wants_digits",
        "deadline",
        "digits",
        "is_asking_for_last_words",
        "outcome",
        "stops_prompt",
        "wants_speech",
    )

    def __init__(self, verb: GatherVerb) -> None:
        self._verb = verb
        self._wants_digits = "digits" in verb.input
        self._finish_keys = verb.finish_on_key.upper()
        limits = [most for most in (verb.num_digits, verb.max_digits) if most is not None]
        self._most = min(limits, default=None)
        least = verb.min_digits if verb.min_digits is not None else verb.num_digits
        self._least = max(1, least or 0)
        self._has_prompt_ended = False
        self._is_speaking = False
        self._silence_until: float | None = None
        """The deadline, had nobody begun to speak."""
        self.digits = ""
        self.wants_speech = "speech" in verb.input
        """False once a digit was keyed, or nothing can recognise it."""
        self.stops_prompt = False
        """Nobody needs to hear more of the prompt."""
        self.is_asking_for_last_words = False
        """What was said so far is wanted now."""
        self.deadline: float | None = None
        """When `deadline_passed` is to be called; None: never, as things are."""
        self.outcome: Gathered | None = None

    def prompt_ended(self, now: float) -> None:
        """All of it was said or played, or it was stopped, or there was none."""
        self._has_prompt_ended = True
        if self.outcome is None and self.deadline is None:
            self._wait(now, self._between_digits_s if self.digits else self._verb.timeout)
        elif self._is_speaking and self.wants_speech:
            self._silence_until = now + self._verb.timeout if self._verb.timeout else None

    def digit(self, digit: str, now: float) -> None:
        """0-9, *, #, A-D."""
        if self.outcome is not None:
            return
        verb = self._verb
        if not self._wants_digits:
            if digit in (verb.recognizer.asr_dtmf_termination_digit if verb.recognizer else ""):
                self._ask_for_last_words(now)
            return
        if verb.dtmf_bargein:
            self.stops_prompt = True
        self.wants_speech = False
        if digit in self._finish_keys:
            self._end(Gathered(GatherReason.DTMF, self.digits))
            return
        self.digits += digit
        if self._most is not None and len(self.digits) >= self._most:
            self._end(Gathered(GatherReason.DTMF, self.digits))
        elif self._has_prompt_ended or self.stops_prompt or self._inter_digit_s:
            self._wait(now, self._between_digits_s)

    def speech_began(self, now: float) -> None:
        """Somebody started to speak."""
        if self.outcome is None and self.wants_speech and not self.is_asking_for_last_words:
            if not self._is_speaking:
                self._is_speaking = True
                self._silence_until = self.deadline
            self.deadline = now + max(_SPEAKING_S, self._verb.timeout)

    def nothing_understood(self, now: float) -> None:
        """What was taken for speech brought no words."""
        if self.outcome is None and self._is_speaking and not self.is_asking_for_last_words:
            self._is_speaking = False
            if self.wants_speech:
                until = self._silence_until
                self.deadline = None if until is None else max(now, until)

    def result(self, result: RecognitionResult, now: float, min_confidence: float = 0.0) -> None:
        """Words, final or not."""
        if self.outcome is not None or not self.wants_speech:
            return
        words = len(result.transcript.split())
        if not words:
            if result.is_final:
                self.nothing_understood(now)
            return
        verb = self._verb
        if verb.bargein and (result.is_final or words >= verb.min_bargein_word_count):
            self.stops_prompt = True
        if not result.is_final:
            self.speech_began(now)
        elif result.alternatives[0].confidence >= min_confidence:
            self._end(Gathered(GatherReason.SPEECH, speech=result))
        elif not self.is_asking_for_last_words:
            self._is_speaking = False
            self._wait(now, verb.timeout if self._has_prompt_ended else 0.0)

    def recognition_over(self, problem: str, now: float) -> None:
        """No words come any more; `problem` says why, empty if that was our wish."""
        if self.outcome is not None or not self.wants_speech:
            return
        self.wants_speech = self._is_speaking = False
        if self.is_asking_for_last_words:
            self._end(self._what_there_is)
        elif not self._wants_digits:
            self._end(Gathered(GatherReason.ERROR, problem=problem))
        elif self._has_prompt_ended:
            self._wait(now, self._verb.timeout)

    def deadline_passed(self, now: float) -> None:
        """At `deadline`."""
        if self._is_speaking and self.wants_speech and not self.is_asking_for_last_words:
            self._ask_for_last_words(now)
        else:
            self._end(self._what_there_is)

    @property
    def _inter_digit_s(self) -> float:
        """0: there is no time of its own between digits, as long as there are not enough of them."""
        enough = len(self.digits) >= self._least
        return (self._verb.inter_digit_timeout or 0.0) if enough else 0.0

    @property
    def _between_digits_s(self) -> float:
        return self._inter_digit_s or self._verb.timeout

    @property
    def _what_there_is(self) -> Gathered:
        if len(self.digits) >= self._least:
            return Gathered(GatherReason.DTMF, self.digits)
        return Gathered(GatherReason.TIMEOUT, self.digits)

    def _ask_for_last_words(self, now: float) -> None:
        if self.wants_speech and not self.is_asking_for_last_words:
            self.is_asking_for_last_words = self.stops_prompt = True
            self.deadline = now + _LAST_WORDS_S

    def _wait(self, now: float, seconds: float) -> None:
        self.deadline = now + seconds if seconds else None

    def _end(self, outcome: Gathered) -> None:
        self.outcome = outcome
        self.stops_prompt = True
        self.deadline = None
