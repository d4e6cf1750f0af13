"""`EspeakSynthesiser`: the voice that comes with the engine. eSpeak NG in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import structlog

from engine.speech.espeak_messages import Ready, Spoken, ToSpeak, frame
from engine.speech.synthesis import Speech, SynthesisFailed, Utterance, Voice
from engine.speech.text import is_ssml, known_ssml, strip_ssml
from engine.speech.voices import choose_voice

__all__ = ["EspeakSynthesiser"]

_log = structlog.get_logger(__name__)

_START_S = 30.0
_SPEAK_S = 10.0
"""For one utterance, which is a thousand times faster than it takes to say it."""
_MOST_S = 600.0
_FEMALE = "+f2"
"""All voices are male; with this variant they are not."""

T = TypeVar("T")


class WorkerDied(Exception):
    """The process ended, or did not answer in time."""


class EspeakSynthesiser:
    """A `Synthesiser`. Its process starts with the first utterance and is replaced when it dies.

    SSML that the library cannot stand is said without its tags.
    """

    __slots__ = ("_is_closed", "_problem", "_process", "_tasks", "_turn", "_voices")

    vendor = "espeak"

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._voices: Sequence[Voice] = ()
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False
        self._problem = ""
        """Why it can never speak on this machine."""

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def say(self, utterance: Utterance, *, sample_rate_hz: int = 8000) -> Speech:
        """The utterance as audio, at most ten minutes of it. Raises SynthesisFailed."""
        marked_up = is_ssml(utterance.text)
        text = known_ssml(utterance.text) if marked_up else utterance.text
        try:
            return await self._say(utterance, text, sample_rate_hz, is_ssml=marked_up)
        except WorkerDied as error:
            if not marked_up:
                raise SynthesisFailed(f"eSpeak NG broke down: {error}") from error
        try:
            speech = await self._say(utterance, strip_ssml(utterance.text), sample_rate_hz, is_ssml=False)
        except WorkerDied as error:
            raise SynthesisFailed(f"eSpeak NG broke down: {error}") from error
        return msgspec.structs.replace(speech, problem="the SSML cannot be read, it is said without its tags")

    async def voices(self) -> Sequence[Voice]:
        """All there are. Raises SynthesisFailed."""
        try:
            await self._in_turn(self._started)
        except WorkerDied as error:
            raise SynthesisFailed(f"eSpeak NG cannot be started: {error}") from error
        return self._voices

    async def close(self) -> None:
        """End the process."""
        self._is_closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stop()

    async def _say(self, utterance: Utterance, text: str, sample_rate_hz: int, *, is_ssml: bool) -> Speech:
        text = text.encode("utf-8", "replace").decode()  # JSON may bring half a surrogate pair

        async def ask() -> Speech:
            process = await self._started()
            voice, problem = choose_voice(self._voices, utterance)
            variant = _FEMALE if utterance.gender.upper() == "FEMALE" and voice.gender == "MALE" else ""
            wish = ToSpeak(text, voice.name + variant, is_ssml, utterance.rate, sample_rate_hz, _MOST_S)
            try:
                spoken = await self._answer(process, frame(wish), Spoken, _SPEAK_S)
            except BaseException:
                await self._stop()  # half an answer would be taken for the next one's
                raise
            if spoken.problem:
                raise SynthesisFailed(spoken.problem)
            return Speech(np.frombuffer(spoken.pcm, np.int16), sample_rate_hz, problem)

        return await self._in_turn(ask)

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """One after the other. Who gives up before it was begun takes it away; once it is, it goes on: the
        process will answer, and starting another one takes longer."""
        has_begun = False

        async def run() -> T:
            nonlocal has_begun
            async with self._turn:
                has_begun = True
                return await work()

        task = asyncio.get_running_loop().create_task(run(), name="speech synthesis")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and self._is_closed:
                raise SynthesisFailed("the synthesiser is closed") from None
            if not has_begun:
                task.cancel()
            raise

    async def _started(self) -> asyncio.subprocess.Process:
        if self._is_closed:
            raise SynthesisFailed("the synthesiser is closed")
        if self._problem:
            raise SynthesisFailed(self._problem)
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "engine.speech.espeak_worker",
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:  # no descriptors, no memory, no room for a process
            raise WorkerDied(f"it cannot be started: {error.strerror}") from error
        try:
            ready = await self._answer(self._process, b"", Ready, _START_S)
        except BaseException:
            await self._stop()
            raise
        if ready.problem:
            await self._stop()
            self._problem = ready.problem
            raise SynthesisFailed(ready.problem)
        self._voices = ready.voices
        return self._process

    @staticmethod
    async def _answer(
        process: asyncio.subprocess.Process, request: bytes, kind: type[T], timeout_s: float
    ) -> T:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(request)
                await process.stdin.drain()
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=kind)
        except TimeoutError as error:
            raise WorkerDied(f"no answer within {timeout_s:g} s") from error
        except (asyncio.IncompleteReadError, OSError) as error:
            _log.warning("speech synthesis process died", pid=process.pid)
            raise WorkerDied("its process died") from error

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        if process.returncode is None:
            try:
                process.kill()
            except ProcessLookupError:
                _log.debug("speech synthesis process was gone already", pid=process.pid)
        await process.wait()
