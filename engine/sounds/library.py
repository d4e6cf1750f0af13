"""`SoundLibrary`: a URL becomes audio that is ready to be played.

Files are fetched over the shared HTTP session, decoded in threads of our own and kept in memory, least
recently used ones first to go. Whoever wants what is already on its way waits for the same fetch and the same
decoding. A file whose server has gone is played from memory, if it ever was there (RFC 9111 §4.2.4).
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import aiohttp
import structlog
from msgspec import Struct

from engine.sharing import ByteCache, SharedWork
from engine.sounds.decoding import DecodingFailed, container_of, decode
from engine.sounds.errors import SoundError
from engine.sounds.folder import find_file, read_file
from engine.sounds.http import Validators, fetch, shown
from media.audio import Pcm

__all__ = ["Sound", "SoundLibrary", "SoundLimits"]

_log = structlog.get_logger(__name__)

_THREADS = 2
_RETRY_S = 5.0
"""How long an old copy is played without asking again after its server failed: no call should wait for a
dead host just because the call before it did."""


class SoundLimits(Struct, frozen=True):
    """What a sound may cost."""

    max_bytes: int = 20_000_000
    """Of a file as it is fetched."""
    cache_bytes: int = 200_000_000
    """Of all that is kept."""
    max_duration_s: float = 900.0
    """Of the audio of one file; longer ones are refused, not cut."""
    fetch_timeout_s: float = 15.0
    """For a whole file, redirects included."""
    fresh_s: float = 60.0
    """How long a file is taken as unchanged when its server says nothing about it."""


class Sound(Struct, frozen=True, eq=False):
    """Decoded audio."""

    pcm: Pcm
    """int16[n], mono, read-only: shared by everybody who plays it."""
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / self.sample_rate_hz


class _File:
    """A file as it was fetched, and its audio at every rate somebody wanted."""

    __slots__ = ("body", "container", "fresh_until", "sounds", "validators")

    def __init__(self, body: bytes, container: str, validators: Validators, fresh_until: float) -> None:
        self.body = body
        self.container = container
        self.validators = validators
        self.fresh_until = fresh_until
        """Loop time."""
        self.sounds: dict[int, Sound] = {}

    @property
    def size_bytes(self) -> int:
        return len(self.body) + sum(sound.pcm.nbytes for sound in self.sounds.values())


class SoundLibrary:
    """One per process.

    async with open_session("example/1.0") as session:
        library = SoundLibrary(session, folder=Path("sounds"))
        sound = await library.get("https://app.example.com/welcome.mp3")
        stream.play(PcmPlayer(sound.pcm, sound.sample_rate_hz))
    """

    __slots__ = ("_cache", "_decoding", "_fetching", "_folder", "_limits", "_session", "_threads")

    def __init__(
        self, session: aiohttp.ClientSession, *, folder: Path | None = None, limits: SoundLimits | None = None
    ) -> None:
        """`folder`: `file:` URLs and plain paths are taken from below it; None: there are none.

        The session stays its owner's.
        """
        self._session = session
        self._folder = folder
        self._limits = limits or SoundLimits()
        self._cache: ByteCache[str, _File] = ByteCache(self._limits.cache_bytes)
        self._fetching: SharedWork[str, _File] = SharedWork("fetch")
        self._decoding: SharedWork[tuple[str, int, int], Sound] = SharedWork("decode")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sounds")

    @property
    def cached_bytes(self) -> int:
        """In memory now."""
        return self._cache.size_bytes

    async def get(self, url: str, *, sample_rate_hz: int = 8000) -> Sound:
        """The sound behind `http:`, `https:` or `file:`, or a path below the folder. Raises SoundError.

        Cancelling it stops the fetch, unless others wait for it.
        """
        scheme, colon, _ = url.partition(":")
        if colon and scheme.lower() in ("http", "https"):
            file = self._cache.get(url)
            if file is None or file.fresh_until <= asyncio.get_running_loop().time():
                file = await self._fetching.do(url, partial(self._fetch, url))
        elif not colon or scheme.lower() == "file":
            # A file of this machine is looked at every time: that costs nothing worth keeping in mind.
            file = await self._fetching.do(url, partial(self._read, url))
        else:
            raise SoundError(shown(url), f"{scheme}: is not http, https or file")
        sound = file.sounds.get(sample_rate_hz)
        if sound is None:
            key = (url, sample_rate_hz, id(file))
            sound = await self._decoding.do(key, partial(self._decode, url, file, sample_rate_hz))
        return sound

    async def close(self) -> None:
        """Stop what is under way (who waits for it is cancelled) and forget everything."""
        await self._fetching.close()
        await self._decoding.close()
        self._cache.clear()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, url: str) -> _File:
        known, limits = self._cache.get(url), self._limits
        now = asyncio.get_running_loop().time
        try:
            fetched = await fetch(
                self._session,
                url,
                known.validators if known is not None else Validators(),
                max_bytes=limits.max_bytes,
                timeout_s=limits.fetch_timeout_s,
                default_fresh_s=limits.fresh_s,
            )
        except SoundError as error:
            if known is None or not error.is_passing:
                self._cache.remove(url)
                raise
            _log.warning("an old copy of a sound is played", url=shown(url), problem=error.problem)
            known.fresh_until = now() + _RETRY_S
            return known
        if fetched.body is None and known is not None:
            known.fresh_until = now() + max(0.0, fetched.fresh_s)
            return known
        body = fetched.body or b""
        container = container_of(body, fetched.content_type, shown(url))
        file = _File(body, container, fetched.validators, now() + fetched.fresh_s)
        if fetched.fresh_s >= 0:
            self._keep(url, file)
        else:
            self._cache.remove(url)
        return file

    async def _read(self, url: str) -> _File:
        known = self._cache.get(url)
        version = known.validators.etag if known is not None else ""
        body, version = await asyncio.get_running_loop().run_in_executor(
            self._threads, self._find_and_read, url, version
        )
        if body is None and known is not None:
            return known
        file = _File(body or b"", container_of(body or b"", "", url), Validators(version), 0.0)
        self._keep(url, file)
        return file

    def _find_and_read(self, url: str, known: str) -> tuple[bytes | None, str]:
        return read_file(url, find_file(url, self._folder), known, self._limits.max_bytes)

    async def _decode(self, url: str, file: _File, sample_rate_hz: int) -> Sound:
        if not file.container:
            raise SoundError(shown(url), "neither WAV nor MP3, Ogg or FLAC")
        try:
            pcm = await asyncio.get_running_loop().run_in_executor(
                self._threads, decode, file.body, file.container, sample_rate_hz, self._limits.max_duration_s
            )
        except DecodingFailed as error:
            raise SoundError(shown(url), str(error)) from error
        sound = file.sounds[sample_rate_hz] = Sound(pcm, sample_rate_hz)
        if self._cache.get(url) is file:
            self._keep(url, file)
        return sound

    def _keep(self, url: str, file: _File) -> None:
        self._cache.put(url, file, file.size_bytes)
