"""A source played on a stream, to its end, as something that can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from weakref import WeakKeyDictionary

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
    """Play it; True if it was heard to its end, False if something else was played instead or the stream
    closed.

    Cancelled, it falls silent within one packet time.
    """
    endings = _endings.get(stream)
    if endings is None:
        endings = _endings[stream] = _Endings()
        stream.on_event(endings.on_event)
    # What was played before ends in here, and tells so: the next end will be ours.
    stream.play(source)
    ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    endings.waiting = ended
    try:
        return await ended
    finally:
        if endings.waiting is ended:
            endings.waiting = None
            stream.stop_playing()


class _Endings:
    """Who waits for the end of what a stream plays. One per stream, made once: a stream keeps its handlers
    as long as it lives."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: asyncio.Future[bool] | None = None

    def on_event(self, event: StreamEvent) -> None:
        if isinstance(event, PlaybackEnded) and self.waiting is not None:
            ended, self.waiting = self.waiting, None
            if not ended.done():
                ended.set_result(not event.interrupted)


_endings: WeakKeyDictionary[MediaStream, _Endings] = WeakKeyDictionary()
