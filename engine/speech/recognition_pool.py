"""The owner's side of the recognition workers: a few processes, one queue, an answer for every utterance.

Whole utterances come before partial ones. What waits is bounded in seconds of audio; when the workers cannot
keep up the oldest partial ones go first, then the oldest utterance, and who asked for it is told. A worker
that dies is replaced; what it was thinking about is answered with a failure.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque

import msgspec
import structlog

from engine.speech.recognition_endpoint import SAMPLE_RATE_HZ
from engine.speech.recognition_worker import Understood, Utterance, write_frame
from media.audio import Pcm

__all__ = ["NotUnderstood", "WorkerPool"]

_log = structlog.get_logger(__name__)

_MOST_WAITING_S = 60.0
"""Of audio, per worker: ten to twenty seconds of thinking."""
_MOST_THINKING_S = 60.0
_START_S = 30.0
_MOST_STARTS = 3
"""In a row, without an answer between them."""


class NotUnderstood(Exception):
    """An utterance got no answer; the message says why."""


class _Job:
    __slots__ = ("answer", "is_partial", "utterance")

    def __init__(self, utterance: Utterance, is_partial: bool) -> None:
        self.utterance = utterance
        self.is_partial = is_partial
        self.answer: asyncio.Future[Understood] = asyncio.get_running_loop().create_future()

    @property
    def seconds(self) -> float:
        return len(self.utterance.pcm) / 2 / SAMPLE_RATE_HZ


class WorkerPool:
    """Processes start with the first utterance, and stay."""

    __slots__ = (
        "_closed",
        "_last_id",
        "_most",
        "_most_thinking_s",
        "_most_waiting_s",
        "_pids",
        "_runners",
        "_thinking",
        "_waiting",
        "_wake",
        "cpu_s",
        "heard_s",
    )

    def __init__(
        self,
        workers: int = 1,
        *,
        most_waiting_s: float = _MOST_WAITING_S,
        most_thinking_s: float = _MOST_THINKING_S,
    ) -> None:
        """most_waiting_s: seconds of audio that may wait for each worker. most_thinking_s: about one
        utterance; a worker that takes longer is replaced."""
        self._most = max(1, workers)
        self._most_waiting_s = most_waiting_s * self._most
        self._most_thinking_s = most_thinking_s
        self._runners: set[asyncio.Task[None]] = set()
        self._waiting: deque[_Job] = deque()
        self._wake = asyncio.Condition()
        self._last_id = 0
        self._pids: set[int] = set()
        self._thinking = 0
        self._closed = False
        self.cpu_s = 0.0
        """Spent by the workers on utterances, in all."""
        self.heard_s = 0.0
        """Length of these utterances."""

    @property
    def pids(self) -> list[int]:
        """Of the workers that run."""
        return sorted(self._pids)

    @property
    def thinking(self) -> int:
        """Utterances that a worker is busy with."""
        return self._thinking

    def warm_up(self) -> None:
        """Start the first worker before there is anything to do: loading the model takes half a second."""
        if not self._runners and not self._closed:
            self._start_runner()

    async def understand(
        self, pcm: Pcm, hints: tuple[str, ...] = (), *, is_partial: bool = False
    ) -> Understood:
        """int16[n] at 16 kHz. Raises NotUnderstood."""
        if self._closed:
            raise NotUnderstood("the recogniser is closed")
        self._last_id += 1
        job = _Job(Utterance(self._last_id, pcm.tobytes(), hints), is_partial)
        self._waiting.append(job)
        self._make_room()
        if len(self._runners) < self._most and len(self._waiting) > 0:
            self._start_runner()
        async with self._wake:
            self._wake.notify()
        try:
            return await job.answer
        finally:
            if job in self._waiting:
                self._waiting.remove(job)

    async def close(self) -> None:
        """Stop the workers."""
        self._closed = True
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        while self._waiting:
            _fail(self._waiting.popleft(), "the recogniser is closed")

    def _make_room(self) -> None:
        waiting_s = sum(job.seconds for job in self._waiting)
        while waiting_s > self._most_waiting_s and len(self._waiting) > 1:
            partial = next((job for job in self._waiting if job.is_partial), None)
            oldest = partial or self._waiting[0]
            self._waiting.remove(oldest)
            waiting_s -= oldest.seconds
            _fail(oldest, "too much is being said at once")

    def _take(self) -> _Job | None:
        for job in self._waiting:
            if not job.is_partial:
                self._waiting.remove(job)
                return job
        return self._waiting.popleft() if self._waiting else None

    def _start_runner(self) -> None:
        runner = asyncio.create_task(self._run(), name="recognition worker")
        self._runners.add(runner)
        runner.add_done_callback(self._runners.discard)

    # -- one worker ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        starts = 0
        while starts < _MOST_STARTS:
            starts += 1
            if await self._serve():
                starts = 0
        _log.error("recognition worker cannot be started")
        runner = asyncio.current_task()
        assert runner is not None
        self._runners.discard(runner)  # before anybody hears of it, and asks again
        if not self._runners:
            while self._waiting:
                _fail(self._waiting.popleft(), "the recogniser cannot be started")

    async def _serve(self) -> bool:
        """One process, until it dies; whether it ever answered."""
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "engine.speech.recognition_worker",
                str(os.getpid()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:  # no descriptors, no memory, no room for a process
            _log.warning("recognition worker cannot be started", error=str(error))
            return False
        assert process.stdin is not None
        assert process.stdout is not None
        self._pids.add(process.pid)
        answered = False
        job: _Job | None = None
        try:
            async with asyncio.timeout(_START_S):
                await _read(process.stdout)
            while True:
                job = await self._next_job()
                self._thinking += 1
                async with asyncio.timeout(self._most_thinking_s):
                    process.stdin.write(write_frame(job.utterance))
                    await process.stdin.drain()
                    understood = await _read(process.stdout)
                answered = True
                self.cpu_s += understood.cpu_s
                self.heard_s += job.seconds
                if not job.answer.done():
                    job.answer.set_result(understood)
                job = None
                self._thinking -= 1
        except (asyncio.IncompleteReadError, OSError) as error:  # TimeoutError is one
            _log.warning("recognition worker died", pid=process.pid, error=str(error))
            return answered
        finally:
            self._pids.discard(process.pid)
            if job is not None:
                self._thinking -= 1
                _fail(job, "the recogniser broke down")
            process.stdin.close()
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _next_job(self) -> _Job:
        async with self._wake:
            while (job := self._take()) is None:
                await self._wake.wait()
        return job


def _fail(job: _Job, reason: str) -> None:
    if not job.answer.done():
        job.answer.set_exception(NotUnderstood(reason))


async def _read(stream: asyncio.StreamReader) -> Understood:
    size = int.from_bytes(await stream.readexactly(4), "big")
    return msgspec.msgpack.decode(await stream.readexactly(size), type=Understood)
