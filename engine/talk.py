"""What we say and keep when there is no caller: files played to the callee, a recording of the callee.

--play                a file for whoever answers; with --after-beep, for people only
--after-beep          a message for machines, played after the record beep; after the greeting where no beep
                      comes; and where nobody can be heard at all
--record              everything the callee says
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from amd import AmdEvent, Beep, Decision, GreetingEnded, Verdict
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, DetectorFired
from engine.dial.result import DialResult
from media import MediaStream, PlaybackEnded, Recording, StreamEvent
from media.audio import Pcm
from media.player import PcmPlayer, decode_file

__all__ = ["Talk"]

_RATE_HZ = 8000
_BEEP_PATIENCE_S = 3.0
"""How long after the end of a greeting a beep may still come; then the message is left without one."""
_MOST_BEGINNINGS = 3
"""A beep before the greeting (or in the middle of it) is followed by another one, and the message begins
anew. More than this is a machine that beeps for ever."""
_GOES_ON_S = 10.0
"""How long after the message we wait for a machine that was still speaking: for its beep or its end."""
_TAIL_S = 0.3
"""From the last packet to the goodbye: the far side's jitter buffer has to play what it holds."""
_SAME_BREATH = 800
"""Samples by which speech may seem to outlast the beep after it."""


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
        "_beep_end",
        "_beginnings",
        "_dial",
        "_goodbye",
        "_is_greeting_over",
        "_patience",
        "_play",
        "_record_path",
        "_recording",
        "_stream",
        "problem",
    )

    def __init__(
        self, *, play: Pcm | None = None, after_beep: Pcm | None = None, record: Path | None = None
    ) -> None:
        """int16[n], mono, 8 kHz."""
        self._play = play
        self._after_beep = after_beep
        self._record_path = record
        self._recording: Recording | None = None
        self._stream: MediaStream | None = None
        self._dial: Dial | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._goodbye: asyncio.TimerHandle | None = None
        self._beginnings = 0
        """How often the message was begun since a machine was recognised."""
        self._beep_end = 0
        self._is_greeting_over = False
        """The machine stopped speaking, before the message or while it is being left."""
        self.problem = ""
        """Why the recording could not be made; empty if nothing went wrong."""

    @classmethod
    async def prepare(
        cls, *, play: str | Path = "", after_beep: str | Path = "", record: str | Path = ""
    ) -> Talk:
        """Decode the files before anybody is rung. Raises media.player.PlayerError, naming the file."""
        return cls(
            play=await asyncio.to_thread(decode_file, play, _RATE_HZ) if play else None,
            after_beep=await asyncio.to_thread(decode_file, after_beep, _RATE_HZ) if after_beep else None,
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
                self._stay()
            case _:
                pass

    def _begin(self) -> None:
        winner = self._dial.winner if self._dial is not None else None
        if winner is None or winner.media is None:
            return
        stream = self._stream = cast(MediaStream, winner.media)
        stream.on_event(self._on_stream_event)
        if self._record_path is not None:
            try:
                self._recording = stream.record(self._record_path)
            except OSError as error:
                self.problem = f"cannot record to {self._record_path}: {error.strerror}"
        if self._after_beep is None:
            self._say(self._play)

    # -- the message after the beep -----------------------------------------------------------------------

    def _on_detected(self, event: AmdEvent) -> None:
        if self._after_beep is None or self._stream is None:
            return
        match event:
            case Decision(verdict=Verdict.HUMAN):
                self._stop_waiting()
                if not self._beginnings:
                    self._say(self._play)
            case Decision(verdict=Verdict.MACHINE):
                # What was begun before was said over its greeting.
                self._stop_waiting()
                self._be_silent()
                self._beginnings = 0
                self._is_greeting_over = False
            case Beep() if self._beginnings < _MOST_BEGINNINGS:
                self._beep_end = event.end_sample
                self._leave_message()
            case GreetingEnded():
                self._on_greeting_ended(event)
            case Decision() if not self._beginnings:
                self._wait_for_beep()
            case _:
                pass

    def _on_greeting_ended(self, event: GreetingEnded) -> None:
        self._is_greeting_over = True
        if not self._beginnings:
            self._wait_for_beep()
        elif event.speech_end_sample > self._beep_end + _SAME_BREATH:
            self._be_silent()  # it was a beep before the greeting: all was said over it
            self._wait_for_beep()
        elif self._goodbye is not None:
            self._say_goodbye_after(_TAIL_S)

    def _wait_for_beep(self) -> None:
        self._stop_waiting()
        self._patience = asyncio.get_running_loop().call_later(_BEEP_PATIENCE_S, self._leave_without_beep)

    def _leave_without_beep(self) -> None:
        self._is_greeting_over = True
        self._leave_message()

    def _leave_message(self) -> None:
        self._stop_waiting()
        self._beginnings += 1
        self._say(self._after_beep)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    # -- saying -------------------------------------------------------------------------------------------

    def _say(self, pcm: Pcm | None) -> None:
        if self._stream is not None and pcm is not None:
            self._stay()
            self._stream.play(PcmPlayer(pcm, _RATE_HZ))

    def _be_silent(self) -> None:
        self._stay()
        if self._stream is not None:
            self._stream.stop_playing()

    def _on_stream_event(self, event: StreamEvent) -> None:
        if isinstance(event, PlaybackEnded) and not event.interrupted:
            was_heard = self._is_greeting_over or not self._beginnings
            self._say_goodbye_after(_TAIL_S if was_heard else _GOES_ON_S)

    def _say_goodbye_after(self, seconds: float) -> None:
        self._stay()
        if self._dial is not None:
            self._goodbye = asyncio.get_running_loop().call_later(seconds, self._dial.hang_up)

    def _stay(self) -> None:
        if self._goodbye is not None:
            self._goodbye.cancel()
            self._goodbye = None
