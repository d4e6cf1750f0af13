"""The recogniser that comes with the engine: pocketsphinx, offline, US English, in worker processes.

The loop only looks for the beginnings and ends of utterances; whole ones go to the workers. With `interim`,
what has been said so far goes there too, after 0.8, 1.6, 3.2 ... seconds. With hints, an utterance that is
one of them alone is recognised as that much more often.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from engine.speech.recognition import (
    Alternative,
    NothingUnderstood,
    RecognitionEvent,
    RecognitionFailed,
    RecognitionLost,
    RecognitionOptions,
    RecognitionResult,
    RecognitionSession,
    SpeechBegan,
)
from engine.speech.recognition_endpoint import SAMPLE_RATE_HZ, Endpointer, Growing, Spoken, Started
from engine.speech.recognition_pool import NotUnderstood, WorkerPool
from media.audio import Pcm

__all__ = ["PocketsphinxRecogniser"]

_VENDOR = "pocketsphinx"
_LANGUAGE = "en-US"
_MOST_WAITING_S = 60.0
"""Of one party's audio."""


class PocketsphinxRecogniser:
    """One per process. A `Recogniser`."""

    __slots__ = ("_pool", "_sessions")

    vendor = _VENDOR

    def __init__(self, workers: int = 1) -> None:
        """workers: processes; each thinks about five to ten seconds of speech per second."""
        self._pool = WorkerPool(workers)
        self._sessions: set[_Session] = set()

    @property
    def pool(self) -> WorkerPool:
        """For figures."""
        return self._pool

    async def open(self, options: RecognitionOptions) -> RecognitionSession:
        """A session; for other languages than English one that has failed."""
        session = _Session(options, self._pool, self._sessions.discard)
        self._sessions.add(session)
        language = options.language or _LANGUAGE
        if language.partition("-")[0].lower() != "en":
            session.fail(f"{_VENDOR} understands English, not {language}")
        else:
            self._pool.warm_up()
        return session

    async def close(self) -> None:
        for session in tuple(self._sessions):
            session.close()
        await self._pool.close()


class _Session:
    """One party. The reader of `events` does the waiting: there is no task of its own."""

    __slots__ = (
        "_endpointer",
        "_forget",
        "_inbox",
        "_is_over",
        "_options",
        "_pool",
        "_waiting",
        "_waiting_s",
    )

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self, options: RecognitionOptions, pool: WorkerPool, forget: Callable[[_Session], None]
    ) -> None:
        self._options = options
        self._pool = pool
        self._forget = forget
        self._endpointer = Endpointer(options.endpoint_ms)
        self._waiting: deque[Started | Growing | Spoken | RecognitionEvent | None] = deque()
        self._waiting_s = 0.0
        self._inbox = asyncio.Event()
        self._is_over = False
        """Nothing more is taken."""

    def push(self, pcm: Pcm) -> None:
        if self._is_over:
            return
        for happened in self._endpointer.push(pcm):
            self._put(happened)

    def finish(self) -> None:
        if self._is_over:
            return
        last = self._endpointer.finish()
        if last is not None:
            self._put(last)
        self._put(None)
        self._is_over = True
        self._forget(self)

    def fail(self, reason: str) -> None:
        """The session is over before it has begun."""
        self._put(RecognitionFailed(reason))
        self._put(None)
        self._is_over = True
        self._forget(self)

    def close(self) -> None:
        self._waiting.clear()
        self._put(None)
        self._is_over = True
        self._forget(self)

    async def events(self) -> AsyncIterator[RecognitionEvent]:
        while True:
            while not self._waiting:
                self._inbox.clear()
                await self._inbox.wait()
            match self._waiting.popleft():
                case None:
                    return
                case Started():
                    yield SpeechBegan(self._options.channel_tag)
                case Growing(pcm=pcm):
                    if not any(isinstance(later, Spoken) for later in self._waiting):
                        async for event in self._understand(pcm, is_final=False):
                            yield event
                case Spoken(pcm=pcm):
                    self._waiting_s -= len(pcm) / SAMPLE_RATE_HZ
                    async for event in self._understand(pcm, is_final=True):
                        yield event
                case event:
                    yield event

    async def _understand(self, pcm: Pcm, *, is_final: bool) -> AsyncIterator[RecognitionEvent]:
        options = self._options
        try:
            understood = await self._pool.understand(pcm, options.hints, is_partial=not is_final)
        except NotUnderstood as error:
            if is_final:
                yield RecognitionLost(str(error))
                yield NothingUnderstood(options.channel_tag)
            return
        if not understood.alternatives:
            if is_final:
                yield NothingUnderstood(options.channel_tag)
            return
        yield RecognitionResult(
            language_code=options.language or _LANGUAGE,
            channel_tag=options.channel_tag,
            is_final=is_final,
            alternatives=tuple(Alternative(text, sure) for text, sure in understood.alternatives),
            vendor=_VENDOR,
        )

    def _put(self, happened: Started | Growing | Spoken | RecognitionEvent | None) -> None:
        if isinstance(happened, Growing) and not self._options.interim:
            return
        if isinstance(happened, Spoken):
            self._waiting_s += len(happened.pcm) / SAMPLE_RATE_HZ
            self._make_room()
        self._waiting.append(happened)
        self._inbox.set()

    def _make_room(self) -> None:
        """A party that is not understood as fast as it speaks loses what it said first."""
        while self._waiting_s > _MOST_WAITING_S:
            for index, each in enumerate(self._waiting):
                if isinstance(each, Spoken):
                    self._waiting_s -= len(each.pcm) / SAMPLE_RATE_HZ
                    self._waiting[index] = RecognitionLost("too much was said to be understood in time")
                    self._waiting.insert(index + 1, NothingUnderstood(self._options.channel_tag))
                    break
            else:
                return
