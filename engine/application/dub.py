"""`dub`: tracks mixed into a conversation, heard by both parties together with each other.

Decision where the contract is silent: a track has to be added before it is played on, has at most one sound,
and is heard by everybody in the conversation. What cannot be had is an alert and changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, assert_never

import msgspec

from engine.application.schema.dial import Dub
from engine.application.schema.fields import decode_field
from engine.dial.request import InvalidRequest
from engine.hooks.alerts import AlertKind
from engine.sounds import SoundError
from engine.speech.synthesis import SynthesisFailed, UnknownSynthesiser, Utterance
from media import MediaStream
from media.audio import Pcm
from media.player import PcmPlayer

if TYPE_CHECKING:
    from engine.application.session import Session

__all__ = ["DubTracks", "DubbedSound", "LoadSound", "parse_dub", "tracks_for"]

_LANGUAGE = "en-US"
_MOST_TRACKS = 8
"""At a time: each is mixed into every packet to both parties, and other calls want their turn."""


class DubbedSound(Protocol):
    """`engine.sounds.Sound` and `engine.speech.Speech` have this shape."""

    @property
    def pcm(self) -> Pcm: ...

    @property
    def sample_rate_hz(self) -> int: ...


LoadSound = Callable[[str], Awaitable[DubbedSound]]
"""A URL or a text → its audio. Raises SoundError, SynthesisFailed or UnknownSynthesiser."""


class _Track:
    """What is on it changes; an older wish that is still being fetched is forgotten."""

    __slots__ = ("gain_db", "wishes")

    def __init__(self, gain_db: float) -> None:
        self.gain_db = gain_db
        self.wishes = 0


class DubTracks:
    """The tracks of one conversation."""

    __slots__ = ("_failed", "_play", "_say", "_streams", "_tracks")

    def __init__(
        self,
        streams: Sequence[MediaStream],
        *,
        play: LoadSound,
        say: LoadSound,
        failed: Callable[[str], None],
    ) -> None:
        """`streams`: whose parties hear the tracks. `failed` is told in words what could not be done."""
        self._streams = tuple(streams)
        self._play = play
        self._say = say
        self._failed = failed
        self._tracks: dict[str, _Track] = {}

    async def apply(self, dub: Dub) -> None:
        """Do one action; returns when its sound, if it has one, can be heard."""
        match dub.action:
            case "addTrack":
                if dub.track not in self._tracks and len(self._tracks) == _MOST_TRACKS:
                    self._failed(f"there are {_MOST_TRACKS} tracks already")
                    return
                self._tracks[dub.track] = _Track(dub.gain or 0.0)
                if dub.play or dub.say:
                    await self._sound(dub)
            case "playOnTrack" | "sayOnTrack":
                await self._sound(dub)
            case "silenceTrack":
                self._silence(dub.track)
            case "removeTrack":
                self._silence(dub.track)
                self._tracks.pop(dub.track, None)
            case _:
                assert_never(dub.action)

    def close(self) -> None:
        """Nothing of it is heard any more. Idempotent."""
        for name in self._tracks:
            self._silence(name)
        self._tracks.clear()

    def _silence(self, name: str) -> None:
        track = self._tracks.get(name)
        if track is not None:
            track.wishes += 1
        for stream in self._streams:
            stream.remove_overlay(_overlay(name))

    async def _sound(self, dub: Dub) -> None:
        track = self._tracks.get(dub.track)
        if track is None:
            self._failed(f"there is no track {dub.track!r}")
            return
        track.wishes += 1
        wish = track.wishes
        try:
            sound = await (self._play(dub.play) if dub.play else self._say(_text_of(dub.say)))
        except (SoundError, SynthesisFailed, UnknownSynthesiser) as error:
            self._failed(str(error))
            return
        if self._tracks.get(dub.track) is not track or track.wishes != wish:
            return
        gain_db = track.gain_db if dub.gain is None else dub.gain
        for stream in self._streams:
            player = PcmPlayer(sound.pcm, sound.sample_rate_hz, loop=dub.loop)
            stream.overlay(_overlay(dub.track), player, gain_db=gain_db)


def parse_dub(raw: Mapping[str, object]) -> Dub:
    """One action as live control sends it, with the names of the document. Raises InvalidRequest."""
    try:
        return msgspec.convert(dict(raw), Dub, dec_hook=decode_field)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest("dub", str(error)) from error


def tracks_for(session: Session, streams: Sequence[MediaStream]) -> DubTracks:
    """With the sounds, the voice and the alerts of a call."""

    async def play(url: str) -> DubbedSound:
        if session.services.sounds is None:
            raise SoundError(url, "this engine has no sounds")
        return await session.services.sounds.get(url)

    async def say(text: str) -> DubbedSound:
        voice, synthesisers = session.defaults.synthesizer, session.services.synthesisers
        if synthesisers is None:
            raise SynthesisFailed("this engine has no voice")
        name = voice.voice if isinstance(voice.voice, str) and voice.voice != "default" else ""
        utterance = Utterance(text, voice.language or _LANGUAGE, name)
        return await synthesisers.get(voice.vendor).say(utterance)

    def failed(problem: str) -> None:
        session.alert(AlertKind.SOUND_FAILED, f"dub: {problem}")

    return DubTracks(streams, play=play, say=say, failed=failed)


def _overlay(track: str) -> str:
    return f"dub {track}"


def _text_of(say: str | dict[str, object]) -> str:
    """Of a text, or of a `say` verb without its name."""
    text = say if isinstance(say, str) else say.get("text", "")
    return " ".join(map(str, text)) if isinstance(text, list) else str(text)
