"""The sounds a dial plays to its caller: the players that `engine.dial.bridge.MediaAudio` wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container
from typing import TypeAlias, cast

import structlog

from engine.dial.bridge import Joint, MediaAudio
from engine.dial.leg import LegMedia
from engine.sounds import SoundError, SoundLibrary
from media import Bridge, MediaStream
from media.audio import Source
from media.player import PcmPlayer, PlayerError, open_player
from media.tones import RINGBACK_EU, RINGBACK_UK, RINGBACK_US, Tone, ToneSource

__all__ = ["RINGBACK_TONES", "LoadMusic", "caller_audio", "music_from", "music_from_files"]

_log = structlog.get_logger(__name__)

RINGBACK_TONES = {"us": RINGBACK_US, "eu": RINGBACK_EU, "uk": RINGBACK_UK}
"""By the words of `media.ringback` in the configuration."""

_RATE_HZ = 8000
_SILENCE_S = 0.5
"""For music that is on its way; then ringback. What comes in time is not preceded by a scrap of a tone."""

LoadMusic: TypeAlias = Callable[[str, int], Awaitable[Source]]
"""A URL and the wanted sample rate → a source that loops. Raises PlayerError or SoundError."""


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
    """A sound that is fetched and decoded first, then played in a loop; ringback while that takes long."""

    __slots__ = ("_failed", "_playing", "_ringback", "_stream", "_task", "_timer")

    def __init__(
        self,
        stream: MediaStream,
        load: LoadMusic,
        url: str,
        failed: Callable[[str], None],
        ringback: Callable[[], Source],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._stream = stream
        self._failed = failed
        self._ringback = ringback
        self._playing: _Playing | None = None
        self._task = loop.create_task(self._play(load, url), name="dial music")
        self._timer = loop.call_later(_SILENCE_S, self._ring)

    async def _play(self, load: LoadMusic, url: str) -> None:
        media = self._stream.negotiated
        try:
            source = await load(url, media.codec.sample_rate_hz if media is not None else _RATE_HZ)
        except (PlayerError, SoundError) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it was, the caller hears ringback (DV-43)
            _log.exception("dial music failed")
            self._failed(type(error).__name__)
        else:
            self._hear(source)
        finally:
            self._timer.cancel()

    def _ring(self) -> None:
        self._hear(self._ringback())

    def _hear(self, source: Source) -> None:
        """In place of what is heard now, with its next packet."""
        self._stream.play(source)
        self._playing = _Playing(self._stream)

    def close(self) -> None:
        self._timer.cancel()
        self._task.cancel()
        if self._playing is not None:
            self._playing.close()


async def music_from_files(url: str, sample_rate_hz: int) -> Source:
    """Any file of this machine, as a path or `file://`: where only the operator says what is played."""
    return await open_player(url.removeprefix("file://"), sample_rate_hz, loop=True)


def music_from(library: SoundLibrary, trusted: Container[str] = ()) -> LoadMusic:
    """http(s) URLs, and files below the library's folder: where applications say what is played.

    `trusted`: what the operator has configured, which may be any file.
    """

    async def load(url: str, sample_rate_hz: int) -> Source:
        if url in trusted and not url.lower().startswith(("http:", "https:")):
            return await music_from_files(url, sample_rate_hz)
        sound = await library.get(url, sample_rate_hz=sample_rate_hz)
        return PcmPlayer(sound.pcm, sound.sample_rate_hz, loop=True)

    return load


def caller_audio(ringback: Tone, music: LoadMusic = music_from_files) -> MediaAudio:
    """Bridge, ringback tone and music for the callers of this process. `music` finds what is to be looped."""

    def tone() -> Source:
        return ToneSource(ringback, _RATE_HZ)

    def play_ringback(end: LegMedia) -> Joint:
        stream = _stream(end)
        stream.play(tone())
        return _Playing(stream)

    def play_music(end: LegMedia, url: str, failed: Callable[[str], None]) -> Joint:
        return _Music(_stream(end), music, url, failed, tone)

    return MediaAudio(
        bridge=lambda caller, callee: Bridge(_stream(caller), _stream(callee)),
        ringback=play_ringback,
        music=play_music,
    )
