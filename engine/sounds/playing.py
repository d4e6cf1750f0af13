"""A source played on a stream, to its end, as something that can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from weakref import WeakKeyDictionary, ref

from engine.sounds.playlist import Playlist
from media import MediaStream, PlaybackEnded, StreamEvent
from media.audio import Source

__all__ = ["play_as_it_comes", "play_through", "sample_rate_of"]

_USUAL_RATE_HZ = 8000


def sample_rate_of(stream: MediaStream) -> int:
    """At which audio need not be resampled to be said here."""
    media = stream.negotiated
    return media.codec.sample_rate_hz if media is not None else _USUAL_RATE_HZ


async def play_as_it_comes(
    stream: MediaStream, playlist: Playlist, pieces: Coroutine[object, object, None]
) -> bool:
    """Play what `pieces` appends to the playlist, until it has ended and all of it was heard.

    Whoever stops the playing (or is over because enough was heard) stops the coming as well. What `pieces`
    raises is raised here, after what had come was played. True as for `play_through`.
    """
    coming = asyncio.get_running_loop().create_task(pieces, name="sounds to play")
    coming.add_done_callback(lambda _: playlist.complete())
    try:
        was_heard = await play_through(stream, playlist)
    finally:
        coming.cancel()
        await asyncio.wait([coming])
    if not coming.cancelled():
        coming.result()
    return was_heard


async def play_through(stream: MediaStream, source: Source) -> bool:
    """Play it; True if it was heard to its end, False if it was stopped, its source failed or the stream
    closed.

    Something else played meanwhile interrupts it: it goes on afterwards, where it was. Cancelled, it falls
    silent within one packet time.
    """
    queue = _queues.get(stream)
    if queue is None:
        queue = _queues[stream] = _Queue()
        stream.on_event(queue.on_event)
        queue.stream = ref(stream)
    playing = _Playing(source)
    queue.start(playing)
    try:
        return await playing.ended
    finally:
        queue.forget(playing)


class _Playing:
    """One source until it was heard, or will not be."""

    __slots__ = ("ended", "source")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def end(self, was_heard: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(was_heard)


class _Queue:
    """What is being played on a stream and what was interrupted by it, the latest last. One per stream, made
    once: a stream keeps its handlers as long as it lives."""

    __slots__ = ("_current", "_interrupted", "stream")

    def __init__(self) -> None:
        self.stream: Callable[[], MediaStream | None] = lambda: None
        self._current: _Playing | None = None
        self._interrupted: list[_Playing] = []

    def start(self, playing: _Playing) -> None:
        stream = self.stream()
        if stream is not None:
            # What was played before ends in here, and tells so: the next end will be this one's.
            stream.play(playing.source)
        self._current = playing
        if stream is None or not stream.sender.is_playing:
            self._current = None
            playing.end(False)  # the stream is closed

    def forget(self, playing: _Playing) -> None:
        """Nobody waits for it any more."""
        if playing in self._interrupted:
            self._interrupted.remove(playing)
        elif playing is self._current:
            self._current = None
            stream = self.stream()
            if stream is not None:
                stream.stop_playing()

    def on_event(self, event: StreamEvent) -> None:
        if not isinstance(event, PlaybackEnded):
            return
        ended, self._current = self._current, None
        if ended is not None and event.interrupted:
            self._interrupted.append(ended)
        elif ended is not None:
            ended.end(True)
        # Whether something else is played now is known a moment later.
        asyncio.get_running_loop().call_soon(self._go_on, ended if event.interrupted else None)

    def _go_on(self, just_interrupted: _Playing | None) -> None:
        stream = self.stream()
        if self._current is not None or (stream is not None and stream.sender.is_playing):
            return
        if just_interrupted is not None and just_interrupted in self._interrupted:
            # By nothing: it was stopped, or it failed.
            self._interrupted.remove(just_interrupted)
            just_interrupted.end(False)
        while self._interrupted and self._current is None:
            self.start(self._interrupted.pop())


_queues: WeakKeyDictionary[MediaStream, _Queue] = WeakKeyDictionary()
