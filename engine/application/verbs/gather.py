"""`gather`: digits or words of the party, while a prompt is said or played, or after it.

Everything that happens (digits, the end of the prompt, what the recogniser says) goes through one inbox to
`Gathering`, which decides; here it is brought about. Digits that were keyed before the verb began are not
heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from engine.application.digits import Digit
from engine.application.document import GatherVerb
from engine.application.gathering import Gathered, Gathering, told_speech
from engine.application.session import Session
from engine.application.verbs.play import Playback
from engine.application.verbs.say import Speaking
from engine.application.verbs.transcribe import Wanted, wanted
from engine.hooks.alerts import AlertKind
from engine.speech.recognition import (
    NothingUnderstood,
    RecognitionFailed,
    RecognitionLost,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
    UnknownRecogniser,
)
from media import MediaStream

__all__ = ["run"]


async def run(verb: GatherVerb, session: Session) -> None:
    """Until there is an outcome; then the `actionHook`."""
    early = any(prompt.early_media for prompt in (verb.say, verb.play) if prompt is not None)
    stream = await session.ensure_media(early=early)
    gathered = await _Gather(verb, session, stream).gather()
    await session.ask(verb.action_hook, gathered.to_dict(), verb_id=verb.id)


class _PromptEnded(msgspec.Struct, frozen=True):
    """Said, played, or stopped."""


class _RecognitionOver(msgspec.Struct, frozen=True):
    """The last recogniser has ended."""

    problem: str


_Happening = Digit | _PromptEnded | _RecognitionOver | SpeechBegan | RecognitionResult | NothingUnderstood


class _Gather:
    """One execution: a prompt and a recogniser as tasks, an inbox, and whoever decides."""

    __slots__ = (
        "_gathering",
        "_inbox",
        "_min_confidence",
        "_prompt",
        "_recognising",
        "_recognition",
        "_session",
        "_stream",
        "_verb",
    )

    def __init__(self, verb: GatherVerb, session: Session, stream: MediaStream) -> None:
        self._verb = verb
        self._session = session
        self._stream = stream
        self._gathering = Gathering(verb)
        self._inbox: asyncio.Queue[_Happening] = asyncio.Queue()
        self._prompt: asyncio.Task[None] | None = None
        self._recognising: asyncio.Task[None] | None = None
        self._recognition: RecognitionSession | None = None
        self._min_confidence = 0.0

    async def gather(self) -> Gathered:
        """The outcome. Cancelled, it leaves nothing behind."""
        gathering = self._gathering
        self._session.digits.listen(self._inbox.put_nowait)
        try:
            self._begin_prompt()
            if self._prompt is None or self._verb.listen_during_prompt:
                self._begin_recognition()
            while gathering.outcome is None:
                self._take(await self._next())
                self._carry_out()
            return gathering.outcome
        finally:
            self._session.digits.forget(self._inbox.put_nowait)
            await _end(self._prompt, self._recognising)

    async def _next(self) -> _Happening | None:
        """What happens next; None: the deadline has passed."""
        try:
            async with asyncio.timeout_at(self._gathering.deadline):
                return await self._inbox.get()
        except TimeoutError:
            return None

    def _take(self, happening: _Happening | None) -> None:
        gathering, now = self._gathering, asyncio.get_running_loop().time()
        match happening:
            case None:
                gathering.deadline_passed(now)
            case Digit():
                self._session.saw_media()
                gathering.digit(happening.digit, now)
            case _PromptEnded():
                gathering.prompt_ended(now)
                self._begin_recognition()
            case SpeechBegan():
                self._session.saw_media()
                gathering.speech_began(now)
            case NothingUnderstood():
                gathering.nothing_understood(now)
            case RecognitionResult():
                gathering.result(happening, now, self._min_confidence)
                if not happening.is_final:
                    self._session.notify(
                        self._verb.partial_result_hook,
                        {"speech": told_speech(happening)},
                        verb_id=self._verb.id,
                    )
            case _RecognitionOver():
                gathering.recognition_over(happening.problem, now)

    def _carry_out(self) -> None:
        gathering = self._gathering
        if gathering.stops_prompt and self._prompt is not None:
            self._prompt.cancel()
        if gathering.is_asking_for_last_words and self._recognition is not None:
            self._recognition.finish()
        if not gathering.wants_speech and self._recognising is not None:
            self._recognising.cancel()

    # -- the prompt ---------------------------------------------------------------------------------------

    def _begin_prompt(self) -> None:
        verb = self._verb
        if verb.say is None and verb.play is None:
            self._inbox.put_nowait(_PromptEnded())
            return
        self._prompt = asyncio.get_running_loop().create_task(self._say_prompt(), name="prompt of gather")
        self._prompt.add_done_callback(lambda _: self._inbox.put_nowait(_PromptEnded()))

    async def _say_prompt(self) -> None:
        verb, session, stream = self._verb, self._session, self._stream
        if verb.say is not None:
            await Speaking(verb.say, session, stream).speak()
        if verb.play is not None:
            playback = Playback(verb.play, session, stream)
            try:
                await playback.play()
            finally:
                session.notify(verb.play.action_hook, playback.report(), verb_id=verb.play.id)

    # -- words --------------------------------------------------------------------------------------------

    def _begin_recognition(self) -> None:
        if self._gathering.wants_speech and self._recognising is None:
            self._recognising = asyncio.get_running_loop().create_task(
                self._recognise(), name="recognition of gather"
            )
            self._recognising.add_done_callback(self._recognition_ended)

    def _recognition_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # A bug, which is raised in the end; nobody must wait for words until then.
            self._inbox.put_nowait(_RecognitionOver("the recogniser broke down"))

    async def _recognise(self) -> None:
        """With the recogniser asked for, then with the one to fall back on."""
        problem = ""
        for attempt in wanted(self._verb.recognizer, self._session):
            problem = await self._recognise_with(attempt)
            if not problem:
                break
            self._session.alert(AlertKind.TRANSCRIBE_FAILED, problem)
        self._inbox.put_nowait(_RecognitionOver(problem))

    async def _recognise_with(self, attempt: Wanted) -> str:
        """Why it is over; empty if it was asked to be."""
        recognisers = self._session.services.recognisers
        if recognisers is None:
            return "this engine has no recognisers"
        try:
            recogniser = recognisers.get(attempt.vendor)
        except UnknownRecogniser as error:
            return str(error)
        verb, options = self._verb, attempt.options
        changes: dict[str, object] = {}
        if verb.bargein or verb.partial_result_hook is not None:
            changes["interim"] = True
        if verb.speech_timeout:
            changes["endpoint_ms"] = round(verb.speech_timeout * 1000)
        self._min_confidence = attempt.min_confidence
        recognition = await recogniser.open(msgspec.structs.replace(options, **changes))
        self._recognition = recognition
        self._stream.add_tap(recognition.push, sample_rate_hz=recognition.sample_rate_hz)
        try:
            async for event in recognition.events():
                match event:
                    case RecognitionFailed():
                        return event.reason
                    case RecognitionLost():
                        self._session.alert(AlertKind.TRANSCRIBE_FAILED, event.reason)
                    case _:
                        self._inbox.put_nowait(event)
            return "" if self._gathering.is_asking_for_last_words else f"{recogniser.vendor} has ended"
        finally:
            self._recognition = None
            self._stream.remove_tap(recognition.push)
            recognition.close()


async def _end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel them and wait for that; a bug in one of them is raised."""
    running: Sequence[asyncio.Task[None]] = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    for task in running:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
