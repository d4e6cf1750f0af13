"""One listen stream: taps on the parties, frames to the server, what the server says back into the call.

The shell around `ListenProtocol`, `Playback`, `Tracks` and `Outbox`: one task reads, one writes, the clock
makes the frames. A connection that breaks is made again while the call goes on; what was heard meanwhile is
sent, up to what the outbox holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import structlog

from engine.listen.connection import ConnectionFailed, Socket, connect, host_of
from engine.listen.options import Back, Flow, ListenEnd, ListenOptions, Mix
from engine.listen.outbox import Outbox
from engine.listen.protocol import ListenProtocol
from engine.listen.tracks import Tracks
from media import MediaStream, PlaybackEnded, StreamEvent
from media.audio import Pcm
from media.clock import MediaClock

__all__ = ["ListenStream", "Report"]

_log = structlog.get_logger(__name__)

Report = Callable[[str, str], None]
"""Called with a kind (`listen-connection`, `listen-slow`, `listen-message`) and a text: becomes an alert."""

_MOST_WAITING = 100
"""Frames: 2 s. Long enough for a connection to be made without losing the first words."""
_MOST_REPORTS = 5
"""Per kind; a server that only sends nonsense is reported, not logged for ever."""
_STEADY_S = 10.0
"""A connection that lived this long was a good one: the count of attempts begins anew."""


class ListenStream:
    """Made by `ListenClient.stream`; lives while `run` runs.

    stream = client.stream(options, caller=caller.media, callee=callee.media, report=report)
    end = await stream.run()          # cancelled: the socket is closed, taps and audio are taken away
    """

    __slots__ = (
        "_clock",
        "_flow",
        "_goodbye",
        "_heard",
        "_is_playing",
        "_mouth",
        "_options",
        "_outbox",
        "_protocol",
        "_report",
        "_reported",
        "_session",
        "_tracks",
        "_watch",
    )

    def __init__(
        self,
        options: ListenOptions,
        *,
        session: aiohttp.ClientSession,
        clock: MediaClock,
        caller: MediaStream,
        callee: MediaStream | None,
        report: Report,
        goodbye: Callable[[Socket, Outbox | None], None],
    ) -> None:
        """callee: None for a call that is not joined to another one.

        clock: one for all streams of the process. goodbye: closes a socket in the background.
        """
        self._options = options
        self._session = session
        self._clock = clock
        self._report = report
        self._reported: dict[str, int] = {}
        self._goodbye = goodbye
        self._flow = Flow.RESUME
        hears_callee = options.mix is Mix.MONO and options.channel == 2 and callee is not None
        party = callee if hears_callee and callee is not None else caller
        self._mouth = party
        """Where what the server sends is heard."""
        self._heard: tuple[tuple[MediaStream, Callable[[Pcm], None]], ...]
        if options.mix is Mix.MONO or callee is None:
            self._heard = ((party, self._hear_left),)
        else:
            self._heard = ((caller, self._hear_left), (callee, self._hear_right))
        self._tracks: Tracks | None = None
        self._outbox = Outbox(_MOST_WAITING, self._on_drop)
        media = party.negotiated
        self._protocol = ListenProtocol(
            options,
            say=self._outbox.put_text,
            problem=lambda text: self._tell("listen-message", text),
            play_rate_hz=media.codec.sample_rate_hz if media is not None else 8000,
        )
        self._is_playing = False
        self._watch: _PlaybackWatch | None = None

    async def run(self) -> ListenEnd:
        """Connect, stream until it is over; never raises for anything the network does."""
        self._begin()
        try:
            return await self._converse()
        finally:
            self._end()

    def control(self, flow: Flow) -> None:
        """Live control (WH-36): pause, silence, resume."""
        self._flow = flow

    def send_digit(self, digit: str, duration_ms: int) -> None:
        """Tell the server that the caller keyed a digit (`passDtmf`)."""
        self._protocol.send_digit(digit, duration_ms)

    # -- the connection -----------------------------------------------------------------------------------

    async def _converse(self) -> ListenEnd:
        retry, loop = self._options.retry, asyncio.get_running_loop()
        attempts, where = 0, host_of(self._options.url)
        while True:
            try:
                ws = await connect(self._session, self._options)
            except ConnectionFailed as error:
                trouble, may_retry = str(error), error.may_retry
            else:
                since = loop.time()
                _log.info("listen connected", host=where, subprotocol=ws.protocol or "")
                end = await self._serve(ws)
                if end is not None:
                    return end
                trouble, may_retry = "the connection broke", True
                if loop.time() - since >= _STEADY_S:
                    attempts = 0
            if not may_retry or attempts >= retry.attempts:
                self._tell("listen-connection", f"{where}: {trouble}; the stream is given up")
                return ListenEnd.UNREACHABLE
            if not attempts:
                self._tell("listen-connection", f"{where}: {trouble}; trying again")
            await asyncio.sleep(min(retry.first_s * 2**attempts, retry.most_s))
            attempts += 1

    async def _serve(self, ws: Socket) -> ListenEnd | None:
        """One connection; None: it broke."""
        writer = asyncio.create_task(self._write(ws), name="listen writer")
        is_broken = False
        try:
            end = await self._read(ws)
            is_broken = end is None
            return end
        finally:
            writer.cancel()
            # What is waiting is for this server's last moments, or for the next connection to it.
            self._goodbye(ws, None if is_broken else self._outbox)

    async def _read(self, ws: Socket) -> ListenEnd | None:
        while True:
            message = await ws.receive()
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    if not self._protocol.receive_text(message.data):
                        return ListenEnd.DISCONNECT
                    self._play()
                case aiohttp.WSMsgType.BINARY:
                    self._protocol.receive_audio(message.data)
                    self._play()
                case aiohttp.WSMsgType.CLOSE:
                    return ListenEnd.CLOSED_BY_SERVER
                case aiohttp.WSMsgType.ERROR:
                    self._tell("listen-message", f"unusable frame: {message.data}")
                    return None
                case _:
                    return None

    async def _write(self, ws: Socket) -> None:
        outbox = self._outbox
        try:
            await ws.send_str(self._protocol.hello())
            while True:
                item = outbox.take()
                if item is None:
                    await outbox.wait()
                elif isinstance(item, str):
                    await ws.send_str(item)
                else:
                    await ws.send_bytes(item)
        except (aiohttp.ClientError, OSError) as error:
            # The reader sees the end of the connection too, and decides what becomes of the stream.
            _log.debug("listen connection broke while sending", error=str(error))

    # -- hearing ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        options = self._options
        self._tracks = Tracks(options.mix, options.sample_rate_hz, asyncio.get_running_loop().time())
        for stream, hear in self._heard:
            stream.add_tap(hear, sample_rate_hz=options.sample_rate_hz)
        self._clock.add(self._tick)
        if options.back is not Back.NOTHING:
            self._watch = _PlaybackWatch(self._playback_ended)
            self._mouth.on_event(self._watch)

    def _end(self) -> None:
        self._clock.remove(self._tick)
        for stream, hear in self._heard:
            stream.remove_tap(hear)
        if self._watch is not None:
            self._watch.told = None
        if self._is_playing:
            self._is_playing = False
            self._mouth.stop_playing()

    def _hear_left(self, pcm: Pcm) -> None:
        assert self._tracks is not None
        self._tracks.push(0, pcm)

    def _hear_right(self, pcm: Pcm) -> None:
        assert self._tracks is not None
        self._tracks.push(1, pcm)

    def _tick(self, at: float) -> None:
        assert self._tracks is not None
        match self._flow:
            case Flow.RESUME:
                frames = self._tracks.frames(at)
            case Flow.SILENCE:
                frames = self._tracks.silence(at)
            case Flow.PAUSE:
                self._tracks.skip(at)
                return
        for frame in frames:
            self._outbox.put_audio(frame)

    # -- speaking -----------------------------------------------------------------------------------------

    def _play(self) -> None:
        """The server may have sent something to play."""
        if not self._is_playing and not self._protocol.playback.is_empty:
            self._mouth.play(self._protocol.playback)
            self._is_playing = True

    def _playback_ended(self, interrupted: bool) -> None:
        if not self._is_playing:
            return  # what somebody else played
        self._is_playing = False
        if interrupted:
            self._protocol.playback.kill()

    # -- telling ------------------------------------------------------------------------------------------

    def _on_drop(self) -> None:
        self._tell(
            "listen-slow", f"{host_of(self._options.url)} takes audio too slowly: the oldest is left out"
        )

    def _tell(self, kind: str, text: str) -> None:
        count = self._reported[kind] = self._reported.get(kind, 0) + 1
        if count <= _MOST_REPORTS:
            self._report(
                kind, text if count < _MOST_REPORTS else f"{text} (no more of this will be reported)"
            )


class _PlaybackWatch:
    """Hears what the leg plays for as long as the stream lives; a leg has no way to take a handler back."""

    __slots__ = ("told",)

    def __init__(self, told: Callable[[bool], None]) -> None:
        self.told: Callable[[bool], None] | None = told

    def __call__(self, event: StreamEvent) -> None:
        if self.told is not None and isinstance(event, PlaybackEnded):
            self.told(event.interrupted)
