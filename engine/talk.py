"""What we say and keep when there is no caller: files played to the callee, a recording of the callee.

--play                a file for whoever answers; with --after-beep, for people only
--after-beep          a message for machines, played after the record beep, or after the greeting where
                      no beep comes
--record              everything the callee says
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from amd import AmdEvent, Beep, Decision, GreetingEnded, Verdict
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, DetectorFired
from engine.dial.result import DialResult
from media import MediaStream, PlaybackEnded, Recording, StreamEvent
from media.player import PcmPlayer, open_player

__all__ = ["Talk"]

_RATE_HZ = 8000
_BEEP_PATIENCE_S = 3.0
"""How long after the end of a greeting a beep may still come; then the message is left without one."""


class Talk:
    """Plays and records on the connected leg of one dial; hangs up when the file is over.

        talk = await Talk.prepare(play="hello.wav", record="answer.wav")
        dial = engine.start_dial(request)
        talk.follow(dial)
        result = await dial.wait()
        await talk.finish()

    A message after the beep needs a `LiveDetector` that follows the same dial.
    """

    __slots__ = (
        "_after_beep",
        "_dial",
        "_has_left_message",
        "_patience",
        "_play",
        "_record_path",
        "_recording",
        "_stream",
        "problem",
    )

    def __init__(
        self,
        *,
        play: PcmPlayer | None = None,
        after_beep: PcmPlayer | None = None,
        record: Path | None = None,
    ) -> None:
        self._play = play
        self._after_beep = after_beep
        self._record_path = record
        self._recording: Recording | None = None
        self._stream: MediaStream | None = None
        self._dial: Dial | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._has_left_message = False
        self.problem = ""
        """Why the recording could not be made; empty if nothing went wrong."""

    @classmethod
    async def prepare(
        cls, *, play: str | Path = "", after_beep: str | Path = "", record: str | Path = ""
    ) -> Talk:
        """Decode the files before anybody is rung. Raises media.player.PlayerError, naming the file."""
        return cls(
            play=await open_player(play, _RATE_HZ) if play else None,
            after_beep=await open_player(after_beep, _RATE_HZ) if after_beep else None,
            record=Path(record) if record else None,
        )

    def follow(self, dial: Dial) -> None:
        """From the connection on."""
        self._dial = dial
        dial.observe(self._on_happening)

    async def finish(self) -> None:
        """Complete the recording; `problem` says so if that failed."""
        if self._recording is not None:
            try:
                await self._recording.stop()
            except OSError as error:
                self.problem = f"cannot record to {self._record_path}: {error.strerror}"

    def _on_happening(self, happening: Happening) -> None:
        match happening:
            case Connected():
                self._begin()
            case DetectorFired():
                self._on_detected(cast(AmdEvent, happening.detail))
            case DialResult():
                self._stop_waiting()
            case _:
                pass

    def _begin(self) -> None:
        dial = self._dial
        stream = cast("MediaStream | None", dial.winner.media) if dial is not None and dial.winner else None
        if dial is None or stream is None:
            return
        self._stream = stream
        stream.on_event(_hang_up_after(dial))
        if self._record_path is not None:
            try:
                self._recording = stream.record(self._record_path)
            except OSError as error:
                self.problem = f"cannot record to {self._record_path}: {error.strerror}"
        if self._play is not None and self._after_beep is None:
            stream.play(self._play)

    def _on_detected(self, event: AmdEvent) -> None:
        if self._after_beep is None or self._stream is None or self._has_left_message:
            return
        match event:
            case Decision(verdict=Verdict.HUMAN):
                if self._play is not None:
                    self._stream.play(self._play)
            case Decision(verdict=Verdict.MACHINE):
                self._stream.stop_playing()
            case Beep():
                self._leave_message()
            case GreetingEnded():
                self._stop_waiting()
                loop = asyncio.get_running_loop()
                self._patience = loop.call_later(_BEEP_PATIENCE_S, self._leave_message)
            case _:
                pass

    def _leave_message(self) -> None:
        self._stop_waiting()
        if self._stream is not None and self._after_beep is not None:
            self._has_left_message = True
            self._stream.play(self._after_beep)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def _hang_up_after(dial: Dial) -> Callable[[StreamEvent], None]:
    def on_event(event: StreamEvent) -> None:
        if isinstance(event, PlaybackEnded) and not event.interrupted:
            dial.hang_up()

    return on_event
