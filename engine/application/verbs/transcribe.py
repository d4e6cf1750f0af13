"""`transcribe`: what is said, as text, to a hook.

Alone it transcribes the caller until the document is replaced or the call is over, and verbs in an answer of
the `transcriptionHook` replace the document. Nested in `dial` or `listen` (`beside`) it transcribes both
parties, `channel` one of them, and answers are ignored. A recogniser that fails is replaced by the fallback,
if there is one; without one it is an alert and a `speech_event`, never more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import numpy as np
from msgspec import Struct

from engine.application.document import TranscribeVerb
from engine.application.schema.speech import Recognizer
from engine.application.session import Session
from engine.hooks.alerts import AlertKind
from engine.listen import Flow
from engine.speech.recognition import (
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
    UnknownRecogniser,
)
from media import MediaStream
from media.audio import Pcm

__all__ = ["beside", "recognition_options", "run", "wanted"]

_GAP_S = 0.5
"""Without audio, after which it is made up for with silence."""
_ENDPOINT_MS = 600


async def run(verb: TranscribeVerb, session: Session) -> None:
    """Until it is cancelled, or no recogniser can be had."""
    media = await session.ensure_media(early=verb.early_media)
    _refuse_translation(verb, session)
    if verb.channel == 2:
        session.alert(AlertKind.TRANSCRIBE_FAILED, "channel 2 is the callee of a dial; the caller is heard")
    await _Ear(verb, session, media, channel=1, is_nested=False).transcribe()


async def beside(
    verb: TranscribeVerb, session: Session, *, caller: MediaStream, callee: MediaStream | None
) -> None:
    """`transcribe` of a `dial` or a `listen`, for `session.background`: cancelled when that is over (DV-84).

    The channels are 1 for the caller and 2 for the callee.
    """
    _refuse_translation(verb, session)
    parties = {1: caller, 2: callee}
    heard = [
        _Ear(verb, session, media, channel=channel, is_nested=True)
        for channel, media in parties.items()
        if media is not None and verb.channel in (None, channel)
    ]
    if not heard:
        session.alert(AlertKind.TRANSCRIBE_FAILED, f"there is nobody on channel {verb.channel}")
        return
    async with asyncio.TaskGroup() as group:
        for ear in heard:
            group.create_task(ear.transcribe(), name=f"transcribe channel {ear.channel}")


class Wanted(Struct, frozen=True):
    """Which recogniser, and what of it."""

    vendor: str
    options: RecognitionOptions
    min_confidence: float = 0.0


def wanted(recognizer: Recognizer | None, session: Session, *, channel: int = 1) -> list[Wanted]:
    """The recogniser asked for and its fallback; what is not said is the session's (empty: the engine's)."""
    own, default = recognizer or Recognizer(), session.defaults.recognizer
    first = Wanted(
        own.vendor or default.vendor,
        recognition_options(own, language=own.language or default.language, channel=channel),
        own.min_confidence or 0.0,
    )
    if not own.fallback_vendor:
        return [first]
    language = own.fallback_language or first.options.language
    return [
        first,
        msgspec.structs.replace(
            first,
            vendor=own.fallback_vendor,
            options=msgspec.structs.replace(first.options, language=language),
        ),
    ]


def recognition_options(recognizer: Recognizer, *, language: str, channel: int) -> RecognitionOptions:
    """A `recognizer` object as a session of a recogniser wants it."""
    hints = (str(hint.get("phrase", "")) if isinstance(hint, Mapping) else hint for hint in recognizer.hints)
    asr_s = recognizer.asr_timeout
    return RecognitionOptions(
        language=language or "en-US",
        hints=tuple(hint for hint in hints if hint),
        interim=recognizer.interim,
        channel_tag=channel,
        endpoint_ms=_ENDPOINT_MS if asr_s is None else round(asr_s * 1000),
        vendor_options=recognizer.custom_options,
    )


def _refuse_translation(verb: TranscribeVerb, session: Session) -> None:
    if verb.translation_hook is not None:
        session.alert(AlertKind.TRANSCRIBE_FAILED, "translationHook is not supported: nothing is translated")


class _Ear:
    """One party of one executed `transcribe`."""

    __slots__ = (
        "_flow",
        "_heard_at",
        "_is_nested",
        "_media",
        "_recognition",
        "_session",
        "_timer",
        "_verb",
        "channel",
    )

    def __init__(
        self,
        verb: TranscribeVerb,
        session: Session,
        media: MediaStream,
        *,
        channel: int,
        is_nested: bool,
    ) -> None:
        self._verb = verb
        self._session = session
        self._media = media
        self._is_nested = is_nested
        self._flow = Flow.RESUME
        self._recognition: RecognitionSession | None = None
        self._heard_at = 0.0
        """Until when the recogniser has heard something."""
        self._timer: asyncio.TimerHandle | None = None
        self.channel = channel

    def control(self, status: str) -> None:
        """Live control. Pause and silence are the same to a recogniser: nothing is said."""
        self._flow = Flow(status)

    async def transcribe(self) -> None:
        """Until it is cancelled, or the last recogniser has failed."""
        control = self.control
        self._session.add_stream("transcribe", control)
        try:
            for attempt in wanted(self._verb.recognizer, self._session, channel=self.channel):
                reason = await self._recognise(attempt)
                self._session.alert(AlertKind.TRANSCRIBE_FAILED, reason)
                self._tell({"speech_event": {"type": "error", "vendor": attempt.vendor, "reason": reason}})
        finally:
            self._session.remove_stream("transcribe", control)

    async def _recognise(self, attempt: Wanted) -> str:
        """With one recogniser; why it is over."""
        recognisers = self._session.services.recognisers
        if recognisers is None:
            return "this engine has no recognisers"
        try:
            recogniser = recognisers.get(attempt.vendor)
        except UnknownRecogniser as error:
            return str(error)
        recognition = self._recognition = await recogniser.open(attempt.options)
        self._media.add_tap(self._hear, sample_rate_hz=recognition.sample_rate_hz)
        self._heard_at = asyncio.get_running_loop().time()
        self._keep_time()
        try:
            async for event in recognition.events():
                match event:
                    case RecognitionResult():
                        if event.alternatives[0].confidence >= attempt.min_confidence or not event.is_final:
                            self._tell({"speech": event.to_dict()})
                    case RecognitionLost():
                        self._session.alert(AlertKind.TRANSCRIBE_FAILED, event.reason)
                    case RecognitionFailed():
                        return event.reason
                    case SpeechBegan():
                        self._session.saw_media()
            return f"{recogniser.vendor} has ended the recognition"
        finally:
            self._recognition = None
            if self._timer is not None:
                self._timer.cancel()
            self._media.remove_tap(self._hear)
            recognition.close()

    def _hear(self, pcm: Pcm) -> None:
        if self._recognition is not None and self._flow is Flow.RESUME:
            self._heard_at = asyncio.get_running_loop().time()
            self._recognition.push(pcm)

    def _keep_time(self) -> None:
        """A party that is paused, held or gone quiet is silence: an utterance ends, a vendor is not kept
        waiting."""
        recognition, loop = self._recognition, asyncio.get_running_loop()
        if recognition is None:
            return
        missing_s = loop.time() - self._heard_at
        if missing_s >= _GAP_S:
            self._heard_at += missing_s
            recognition.push(np.zeros(round(missing_s * recognition.sample_rate_hz), np.int16))
        self._timer = loop.call_later(_GAP_S, self._keep_time)

    def _tell(self, extra: dict[str, object]) -> None:
        """Results are told in order; nobody waits for an answer before listening on."""
        verb, session = self._verb, self._session
        if verb.transcription_hook is None:
            return
        if self._is_nested:
            session.notify(verb.transcription_hook, extra, verb_id=verb.id)
        else:
            session.start_asking(verb.transcription_hook, extra, verb_id=verb.id)
