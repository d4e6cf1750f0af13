"""What we say and keep when there is no caller: a file played to the callee, a recording of the callee."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected
from media import MediaStream, PlaybackEnded, Recording, StreamEvent
from media.player import PcmPlayer, open_player

__all__ = ["Talk"]

_RATE_HZ = 8000


class Talk:
    """Plays and records on the connected leg of one dial; hangs up when the file is over.

    talk = await Talk.prepare(play="hello.wav", record="answer.wav")
    dial = engine.start_dial(request)
    talk.follow(dial)
    result = await dial.wait()
    await talk.finish()
    """

    __slots__ = ("_dial", "_player", "_record_path", "_recording", "_stream", "problem")

    def __init__(self, player: PcmPlayer | None, record: Path | None) -> None:
        self._player = player
        self._record_path = record
        self._recording: Recording | None = None
        self._stream: MediaStream | None = None
        self._dial: Dial | None = None
        self.problem = ""
        """Why the recording could not be made; empty if nothing went wrong."""

    @classmethod
    async def prepare(cls, *, play: str | Path = "", record: str | Path = "") -> Talk:
        """Decode the file before anybody is rung. Raises media.player.PlayerError, naming the file."""
        player = await open_player(play, _RATE_HZ) if play else None
        return cls(player, Path(record) if record else None)

    def follow(self, dial: Dial) -> None:
        """From the connection on."""
        self._dial = dial
        dial.observe(self._on_happening)

    def _on_happening(self, happening: Happening) -> None:
        if not isinstance(happening, Connected) or self._dial is None or self._dial.winner is None:
            return
        stream = cast("MediaStream | None", self._dial.winner.media)
        if stream is None:
            return
        self._stream = stream
        if self._record_path is not None:
            try:
                self._recording = stream.record(self._record_path)
            except OSError as error:
                self.problem = f"cannot record to {self._record_path}: {error.strerror}"
        if self._player is not None:
            stream.on_event(self._hang_up_after(self._dial))
            stream.play(self._player)

    @staticmethod
    def _hang_up_after(dial: Dial) -> Callable[[StreamEvent], None]:
        def on_event(event: StreamEvent) -> None:
            if isinstance(event, PlaybackEnded) and not event.interrupted:
                dial.hang_up()

        return on_event

    async def finish(self) -> None:
        """Complete the recording; `problem` says so if that failed."""
        if self._recording is not None:
            try:
                await self._recording.stop()
            except OSError as error:
                self.problem = f"cannot record to {self._record_path}: {error.strerror}"
