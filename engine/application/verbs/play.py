"""`play`: audio files.

Positions (`seekOffset`, `playback_last_offset_pos`) count samples at 8000 Hz, whatever the codec of the call:
where one call stopped, another goes on. Times are those of the audio itself, silence while a file is on its
way not counted. One file that cannot be had makes it `playFailed`; the others are played all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from engine.application.document import PlayVerb
from engine.application.session import Session
from engine.hooks.alerts import AlertKind
from engine.sounds import Playlist, Sound, SoundError, play_as_it_comes, sample_rate_of
from media import MediaStream

__all__ = ["Playback", "run"]

_OFFSETS_HZ = 8000


async def run(verb: PlayVerb, session: Session) -> None:
    """Plays, then tells. If it is cut short by another document or the end of the call it tells as well, and
    nobody waits for instructions."""
    stream = await session.ensure_media(early=verb.early_media)
    playback = Playback(verb, session, stream)
    try:
        await playback.play()
    except asyncio.CancelledError:
        session.notify(verb.action_hook, playback.report(), verb_id=verb.id)
        raise
    await session.ask(verb.action_hook, playback.report(), verb_id=verb.id)


class Playback:
    """One execution of a `play`, also of the one nested in `gather`."""

    __slots__ = ("_has_failed", "_playlist", "_session", "_stream", "_verb")

    def __init__(self, verb: PlayVerb, session: Session, stream: MediaStream) -> None:
        rate = sample_rate_of(stream)
        most_s = verb.timeout_secs
        self._verb = verb
        self._session = session
        self._stream = stream
        self._has_failed = False
        self._playlist = Playlist(
            rate,
            times=verb.times,
            start_samples=round(verb.seek_offset * rate / _OFFSETS_HZ),
            most_samples=round(most_s * rate) if most_s else None,
            is_complete=False,
        )

    async def play(self) -> None:
        """To the end; cancelled, it is silent within one packet time."""
        await play_as_it_comes(self._stream, self._playlist, self._fetch())

    def report(self) -> Mapping[str, object]:
        """What the `actionHook` is told (hooks contract, 4.6)."""
        playlist = self._playlist
        rate = playlist.sample_rate_hz
        report: dict[str, object] = {
            "reason": "playFailed" if self._has_failed else "playCompleted",
            "playback_seconds": playlist.played_samples // rate,
            "playback_milliseconds": playlist.played_samples * 1000 // rate,
            # Text in the family's payload, beside numbers.
            "playback_last_offset_pos": str(playlist.position_samples * _OFFSETS_HZ // rate),
        }
        if self._has_failed:
            report["status"] = "fail"
        return report

    async def _fetch(self) -> None:
        """All at once; the first is played while the others come."""
        library = self._session.services.sounds
        if library is None:
            self._fail("this engine plays no files")
            return
        rate = self._playlist.sample_rate_hz
        fetching = [
            asyncio.create_task(library.get(url, sample_rate_hz=rate), name="fetch sound")
            for url in self._verb.url
        ]
        try:
            for each in fetching:
                sound = await self._one(each)
                if sound is not None:
                    self._playlist.append(sound.pcm)
        finally:
            for each in fetching:
                each.cancel()
            await asyncio.gather(*fetching, return_exceptions=True)

    async def _one(self, fetching: asyncio.Task[Sound]) -> Sound | None:
        try:
            return await fetching
        except SoundError as error:
            self._fail(str(error))
            return None

    def _fail(self, problem: str) -> None:
        self._has_failed = True
        self._session.alert(AlertKind.SOUND_FAILED, problem)
