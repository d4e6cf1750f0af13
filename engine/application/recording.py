"""`record` of live control: a call into a WAV file, its own party left, the other party of its dials right.

What comes over SIP and is sent elsewhere (SIPREC) is not this: the file stays with the engine. A pause leaves
silence, so that time in the file is time of the call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import structlog

from engine.application.orders import WrongCallState
from engine.dial.leg import LegMedia
from engine.dial.request import InvalidRequest
from media import MediaStream, Recording
from media.audio import Pcm

__all__ = ["CallRecorder"]

log = structlog.get_logger(__name__)

_RATE_HZ = 8000
_LEFT, _RIGHT = 0, 1
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_INCOMPATIBLE = "current call state is incompatible with requested action"


class CallRecorder:
    """Of one call; at most one recording at a time."""

    __slots__ = ("_folder", "_gates", "_is_paused", "_media", "_name", "_problem", "_recording")

    def __init__(
        self,
        folder: Path | None,
        name: str,
        media: Callable[[], LegMedia | None],
        problem: Callable[[str], None],
    ) -> None:
        """`folder`: None: this engine keeps no recordings. `media`: of the call's own party, now."""
        self._folder = folder
        self._name = name
        self._media = media
        self._problem = problem
        self._recording: Recording | None = None
        self._gates: list[_Gate] = []
        self._is_paused = False

    @property
    def is_recording(self) -> bool:
        return self._recording is not None

    async def act(self, record: Mapping[str, object], callee: LegMedia | None) -> None:
        """`{"action": "startCallRecording", "recordingID": "..."}`, stop, pause, resume. `callee`: who is
        connected now. Raises InvalidRequest and WrongCallState."""
        match record.get("action"):
            case "startCallRecording":
                self._start(record, callee)
            case "stopCallRecording" if self._recording is not None:
                await self.stop()
            case "pauseCallRecording" if self._recording is not None:
                self._pause(is_paused=True)
            case "resumeCallRecording" if self._recording is not None:
                self._pause(is_paused=False)
            case "stopCallRecording" | "pauseCallRecording" | "resumeCallRecording":
                raise WrongCallState(_INCOMPATIBLE)
            case other:
                raise InvalidRequest("record.action", f"unknown: {other!r}")

    def joined(self, callee: LegMedia | None) -> None:
        """A callee has been connected."""
        if self._recording is not None and callee is not None:
            self._follow(callee, _RIGHT)

    async def stop(self) -> None:
        """Finish the file; nothing if there is none."""
        recording, self._recording = self._recording, None
        self._gates.clear()
        if recording is not None:
            try:
                await recording.stop()
            except OSError as error:
                self._problem(f"the recording could not be written: {error.strerror}")

    def _start(self, record: Mapping[str, object], callee: LegMedia | None) -> None:
        if "siprecServerURL" in record:
            raise InvalidRequest("record.siprecServerURL", "recordings are files of this engine, not SIPREC")
        name = record.get("recordingID", self._name)
        if not isinstance(name, str) or not _ID.match(name) or name.startswith("."):
            raise InvalidRequest("record.recordingID", "letters, digits, '.', '_' and '-', at most 64")
        own = self._media()
        if self._folder is None or self._recording is not None or own is None:
            raise WrongCallState(_INCOMPATIBLE)
        if name != self._name:
            name = f"{self._name}-{name}"
        try:
            self._recording = Recording(_free(self._folder, name), _RATE_HZ, channels=2)
        except OSError as error:
            self._problem(f"no recording: {error.strerror}")
            raise WrongCallState(_INCOMPATIBLE) from error
        self._is_paused = False
        self._follow(own, _LEFT)
        if callee is not None:
            self._follow(callee, _RIGHT)
        log.info("recording", call=self._name)

    def _follow(self, media: LegMedia, channel: int) -> None:
        assert self._recording is not None
        gate = _Gate(cast(MediaStream, media), is_closed=self._is_paused)
        self._gates.append(gate)
        self._recording.follow(gate, channel)

    def _pause(self, *, is_paused: bool) -> None:
        self._is_paused = is_paused
        for gate in self._gates:
            gate.is_closed = is_paused


def _free(folder: Path, name: str) -> Path:
    """A file that is not there yet: a second recording must not overwrite the first."""
    path, number = folder / f"{name}.wav", 1
    while path.exists():
        number += 1
        path = folder / f"{name}-{number}.wav"
    return path


class _Gate:
    """A stream whose audio can be kept back. A `media.recording.Tappable` with one tap."""

    __slots__ = ("_stream", "_tap", "is_closed")

    def __init__(self, stream: MediaStream, *, is_closed: bool) -> None:
        self._stream = stream
        self._tap: Callable[[Pcm], None] | None = None
        self.is_closed = is_closed

    def add_tap(self, tap: Callable[[Pcm], None], *, sample_rate_hz: int = 8000) -> None:
        self._tap = tap
        self._stream.add_tap(self._hear, sample_rate_hz=sample_rate_hz)

    def remove_tap(self, tap: Callable[[Pcm], None]) -> None:
        self._tap = None
        self._stream.remove_tap(self._hear)

    def _hear(self, pcm: Pcm) -> None:
        if self._tap is not None and not self.is_closed:
            self._tap(pcm)
