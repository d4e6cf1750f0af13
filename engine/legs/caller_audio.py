"""The sounds a dial plays to its caller: the players that `engine.dial.bridge.MediaAudio` wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from engine.dial.bridge import Joint, MediaAudio
from engine.dial.leg import LegMedia
from media import Bridge, MediaStream
from media.player import PlayerError, open_player
from media.tones import RINGBACK_EU, RINGBACK_UK, RINGBACK_US, Tone, ToneSource

__all__ = ["RINGBACK_TONES", "caller_audio"]

RINGBACK_TONES = {"us": RINGBACK_US, "eu": RINGBACK_EU, "uk": RINGBACK_UK}
"""By the words of `media.ringback` in the configuration."""

_RATE_HZ = 8000


def _stream(end: LegMedia) -> MediaStream:
    # The dial passes ends through without knowing what they are; all ends of this package are streams.
    return cast(MediaStream, end)


class _Playing:
    """A source being played to the caller."""

    __slots__ = ("_is_closed", "_stream")

    def __init__(self, stream: MediaStream) -> None:
        self._stream = stream
        self._is_closed = False

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._stream.stop_playing()


class _Music:
    """A file that is decoded in a thread first, then played in a loop."""

    __slots__ = ("_failed", "_playing", "_stream", "_task")

    def __init__(self, stream: MediaStream, path: str, failed: Callable[[str], None]) -> None:
        self._stream = stream
        self._failed = failed
        self._playing: _Playing | None = None
        self._task = asyncio.get_running_loop().create_task(self._play(path), name="dial music")

    async def _play(self, path: str) -> None:
        try:
            source = await open_player(path, _RATE_HZ, loop=True)
        except PlayerError as error:
            self._failed(str(error))
        else:
            self._stream.play(source)
            self._playing = _Playing(self._stream)

    def close(self) -> None:
        self._task.cancel()
        if self._playing is not None:
            self._playing.close()


def caller_audio(ringback: Tone) -> MediaAudio:
    """Bridge, ringback tone and music for the callers of this process."""

    def play_ringback(end: LegMedia) -> Joint:
        stream = _stream(end)
        stream.play(ToneSource(ringback, _RATE_HZ))
        return _Playing(stream)

    def play_music(end: LegMedia, url: str, failed: Callable[[str], None]) -> Joint:
        return _Music(_stream(end), url.removeprefix("file://"), failed)

    return MediaAudio(
        bridge=lambda caller, callee: Bridge(_stream(caller), _stream(callee)),
        ringback=play_ringback,
        music=play_music,
    )
