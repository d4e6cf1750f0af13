"""Machines recognised by what they say: the transcript of the callee beside the acoustic detector (DV-73).

With a recogniser in `amd`, words are counted from the transcript and not from the sound: a greeting of at
least `thresholdWordCount` words, a run of `digitCount` spoken digits, or a phrase that only machines say, is
a machine. The acoustic detector goes on: it may decide first, and it finds the end of the greeting and the
beep. There is one decision per call (DV-72), whoever makes it; what cannot be understood costs nothing but
words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from amd import AmdEvent, Decision, Verdict
from engine.application.amd_hook import AmdHook, amd_params
from engine.application.schema.dial import Amd
from engine.application.session import Session
from engine.application.verbs.transcribe import wanted
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected
from engine.dial.result import DialResult
from engine.hooks.payloads import CallFacts
from engine.speech.recognition import Recogniser, RecognitionFailed, RecognitionResult, UnknownRecogniser
from media import MediaStream

__all__ = ["AmdWords", "judge"]

log = structlog.get_logger(__name__)

_CALLEE = 2
_DIGITS = frozenset(["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
_MACHINE_PHRASES = (
    "after the beep",
    "after the tone",
    "at the beep",
    "at the tone",
    "cannot take your call",
    "can't take your call",
    "has been forwarded",
    "is not available",
    "leave a message",
    "leave me a message",
    "leave your message",
    "leave your name",
    "not available to take your call",
    "record your message",
    "unable to take your call",
    "voice mail",
    "voicemail",
)
"""English; of other languages only words and digits are counted."""


def judge(transcript: str, *, threshold_word_count: int, digit_count: int) -> str:
    """The `reason` why this is a machine's greeting; empty: it may be a person's. Pure."""
    text = " ".join(transcript.lower().split())
    words = text.split()
    if any(phrase in text for phrase in _MACHINE_PHRASES):
        return "hint"
    if digit_count and _longest_run_of_digits(words) >= digit_count:
        return "digit count"
    return "long greeting" if len(words) >= threshold_word_count else ""


def _longest_run_of_digits(words: list[str]) -> int:
    longest = run = 0
    for word in words:
        spoken = 1 if word in _DIGITS else len(word) if word.isdigit() else 0
        run = run + spoken if spoken else 0
        longest = max(longest, run)
    return longest


class AmdWords:
    """Beside one `AmdHook`.

    words = AmdWords.of(amd, session, hook, facts, verb_id)
    if words is not None:
        words.follow(dial)
        LiveDetector(words.params, on_event=words.tell).follow(dial)
    """

    __slots__ = (
        "_amd",
        "_dial",
        "_facts",
        "_heard",
        "_hook",
        "_recogniser",
        "_session",
        "_task",
        "_verb_id",
        "params",
    )

    def __init__(
        self,
        amd: Amd,
        session: Session,
        hook: AmdHook,
        facts: Callable[[], CallFacts],
        verb_id: str,
        recogniser: Recogniser,
    ) -> None:
        """Use `of`."""
        self._amd = amd
        self._session = session
        self._hook = hook
        self._facts = facts
        self._verb_id = verb_id
        self._recogniser = recogniser
        self._dial: Dial | None = None
        self._task: asyncio.Task[None] | None = None
        self._heard: list[str] = []
        """Utterances that are final."""
        self.params = msgspec.structs.replace(amd_params(amd), threshold_word_count=0)
        """For the acoustic detector, which counts no words then."""

    @classmethod
    def of(
        cls, amd: Amd, session: Session, hook: AmdHook, facts: Callable[[], CallFacts], verb_id: str = ""
    ) -> AmdWords | None:
        """None: no recogniser was asked for, or none of that name is there; the sound decides alone.

        `facts`: of the leg that is listened to.
        """
        recognisers = session.services.recognisers
        if amd.recognizer is None or recognisers is None:
            return None
        try:
            recogniser = recognisers.get(amd.recognizer.vendor)
        except UnknownRecogniser as error:
            log.info("amd without words", call=session.leg.id, reason=str(error))
            return None
        return cls(amd, session, hook, facts, verb_id, recogniser)

    def follow(self, dial: Dial) -> None:
        """From now on; words are listened to from the connection on (DV-71)."""
        self._dial = dial
        dial.observe(self._on_happening)

    def begin(self, callee: MediaStream) -> None:
        """Listen to the callee."""
        self._task = self._session.background(self._listen(callee), name="amd words")

    def close(self) -> None:
        """Stop listening; idempotent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def tell(self, event: AmdEvent) -> None:
        """From the acoustic detector, in place of `AmdHook.tell`."""
        if not isinstance(event, Decision):
            self._hook.tell(event)
        elif not self._hook.verdict:
            self.close()
            self._hook.tell(event)

    def _on_happening(self, happening: Happening) -> None:
        match happening:
            case Connected():
                winner = self._dial.winner if self._dial is not None else None
                if winner is not None and winner.media is not None:
                    self.begin(cast(MediaStream, winner.media))
            case DialResult():
                self.close()
            case _:
                pass

    async def _listen(self, callee: MediaStream) -> None:
        options = wanted(self._amd.recognizer, self._session, channel=_CALLEE)[0].options
        recognition = await self._recogniser.open(msgspec.structs.replace(options, interim=True))
        callee.add_tap(recognition.push, sample_rate_hz=recognition.sample_rate_hz)
        try:
            async for event in recognition.events():
                match event:
                    case RecognitionResult():
                        self._judge(event)
                    case RecognitionFailed():
                        log.info("amd goes on without words", call=self._session.leg.id, reason=event.reason)
                    case _:
                        pass
        finally:
            callee.remove_tap(recognition.push)
            recognition.close()

    def _judge(self, result: RecognitionResult) -> None:
        transcript = " ".join((*self._heard, result.transcript))
        if result.is_final:
            self._heard.append(result.transcript)
        reason = judge(
            transcript,
            threshold_word_count=self._amd.threshold_word_count,
            digit_count=self._amd.digit_count,
        )
        if not reason or self._hook.verdict:
            return
        self._hook.verdict = Verdict.MACHINE.value
        fields = {
            "event": "amd",
            "amd_type": "machine",
            "type": "amd_machine_detected",
            "reason": reason,
            "greeting": transcript,
            "language": result.language_code,
        }
        self._session.start_asking(self._amd.action_hook, fields, verb_id=self._verb_id, facts=self._facts())
        self.close()
