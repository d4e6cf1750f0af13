"""Who answered, told to the application: `amd` of `dial` and of calls created over REST (section 8)."""

from __future__ import annotations

from collections.abc import Callable

from amd import AmdEvent, AmdParams, Decision, Rule, hook_fields
from engine.application.schema.dial import Amd
from engine.application.session import Session
from engine.hooks.payloads import CallFacts

__all__ = ["AmdHook", "amd_params"]

_AFTER_BEEP_MS = 1000


def amd_params(amd: Amd) -> AmdParams:
    """Thresholds and timers as the detector wants them. One decision per call: none is revised (DV-72)."""
    timers = amd.timers
    defaults = AmdParams(
        no_speech_timeout_ms=round(timers.no_speech_timeout_ms),
        decision_timeout_ms=round(timers.decision_timeout_ms),
        tone_timeout_ms=round(timers.tone_timeout_ms),
        threshold_word_count=amd.threshold_word_count,
        revision_window_ms=0,
    )
    if timers.greeting_completion_timeout_ms is None:
        return defaults
    completion_ms = round(timers.greeting_completion_timeout_ms)
    return AmdParams(
        no_speech_timeout_ms=defaults.no_speech_timeout_ms,
        decision_timeout_ms=defaults.decision_timeout_ms,
        tone_timeout_ms=defaults.tone_timeout_ms,
        threshold_word_count=defaults.threshold_word_count,
        revision_window_ms=0,
        greeting_completion_timeout_ms=completion_ms,
        greeting_completion_after_beep_ms=min(completion_ms, _AFTER_BEEP_MS),
    )


class AmdHook:
    """Sends every event of one detector; verbs in an answer replace the application."""

    __slots__ = ("_amd", "_facts", "_is_stopped", "_session", "_verb_id", "verdict")

    def __init__(self, amd: Amd, session: Session, facts: Callable[[], CallFacts], verb_id: str = "") -> None:
        """`facts`: of the leg that is listened to."""
        self._amd = amd
        self._session = session
        self._facts = facts
        self._verb_id = verb_id
        self._is_stopped = False
        self.verdict = ""
        """What was decided; empty: nothing yet."""

    def tell(self, event: AmdEvent) -> None:
        """From the detector."""
        if isinstance(event, Decision):
            if event.rule is Rule.AUDIO_ENDED:
                self.stop()  # nobody is there any more: a guess is for statistics, not for an application
                return
            self.verdict = event.verdict.value
        fields = hook_fields(event, language=self._language)
        if fields is not None:
            self._ask(fields)

    def fail(self, error: str) -> None:
        """The detector cannot listen."""
        self._ask({"type": "amd_error", "error": error})

    def stop(self) -> None:
        """The conversation is over: an application that waits for a decision is told that none will come."""
        if not self.verdict and not self._is_stopped:
            self._is_stopped = True
            self._ask({"type": "amd_stopped"})

    @property
    def _language(self) -> str:
        own = self._amd.recognizer.language if self._amd.recognizer is not None else ""
        return own or self._session.defaults.recognizer.language

    def _ask(self, fields: dict[str, str | float]) -> None:
        self._session.start_asking(self._amd.action_hook, fields, verb_id=self._verb_id, facts=self._facts())
