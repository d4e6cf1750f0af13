"""engine.application.dub: tracks mixed into a conversation of phones that say and hear tones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import Struct

from engine.application.document import parse_document
from engine.application.dub import DubTracks, parse_dub
from engine.application.schema.dial import DialVerb, Dub
from engine.application.schema.fields import Decibels
from engine.dial.request import InvalidRequest
from engine.sounds import SoundError
from engine.speech.synthesis import UnknownSynthesiser
from media import BridgeMode
from media.audio import Pcm
from tests.legs.talking import Talk, talking
from tests.media.signals import tone

_MUSIC_HZ, _SPEECH_HZ = 1800.0, 2300.0


class _Sound(Struct, frozen=True, eq=False):
    pcm: Pcm
    sample_rate_hz: int = 8000


class _Sounds:
    """Every URL is music, every text is speech; `gate` holds them back."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[str] = []
        self.failures: list[str] = []

    async def play(self, url: str) -> _Sound:
        self.asked.append(url)
        await self.gate.wait()
        if "absent" in url:
            raise SoundError(url, "HTTP status 404")
        return _Sound(tone(_MUSIC_HZ, seconds=0.5, amplitude=6000.0))

    async def say(self, text: str) -> _Sound:
        self.asked.append(text)
        if not text:
            raise UnknownSynthesiser("nobody")
        return _Sound(tone(_SPEECH_HZ, seconds=0.6, amplitude=6000.0))


@asynccontextmanager
async def _dubbed() -> AsyncIterator[tuple[Talk, DubTracks, _Sounds]]:
    async with talking() as talk:
        sounds = _Sounds()
        assert talk.caller.media is not None
        assert talk.callee.media is not None
        streams = (talk.caller.media, talk.callee.media)
        tracks = DubTracks(streams, play=sounds.play, say=sounds.say, failed=sounds.failures.append)
        yield talk, tracks, sounds
        tracks.close()
        tracks.close()
        assert talk.bridge.modes == (BridgeMode.RELAY, BridgeMode.RELAY)


async def test_a_track_is_heard_by_both_together_with_each_other() -> None:
    async with _dubbed() as (talk, tracks, _):
        await tracks.apply(Dub(action="addTrack", track="a", play="http://x.example.com/m.wav", loop=True))
        for phone, other in ((talk.alice, talk.bob), (talk.bob, talk.alice)):
            await phone.hears(_MUSIC_HZ)
            assert phone.level_of(other.hz) > 1000.0
        await asyncio.sleep(0.7)
        assert talk.alice.level_of(_MUSIC_HZ) > 1000.0, "it is looped"
        await tracks.apply(Dub(action="silenceTrack", track="a"))
        await talk.alice.hears_nothing_of(_MUSIC_HZ)
        await talk.both_hear()


async def test_speech_is_said_on_a_track_once_and_softer_if_wished() -> None:
    async with _dubbed() as (talk, tracks, sounds):
        await tracks.apply(Dub(action="addTrack", track="a", gain=Decibels(-6.0)))
        assert sounds.asked == []
        await tracks.apply(Dub(action="sayOnTrack", track="a", say={"text": ["one", "two"]}))
        assert sounds.asked == ["one two"]
        await talk.bob.hears(_SPEECH_HZ)
        assert talk.bob.level_of(_SPEECH_HZ) < 4000.0
        await talk.bob.hears_nothing_of(_SPEECH_HZ)


async def test_a_new_sound_takes_the_place_of_the_old_one() -> None:
    async with _dubbed() as (talk, tracks, _):
        await tracks.apply(Dub(action="addTrack", track="a", play="http://x.example.com/m.wav", loop=True))
        await talk.bob.hears(_MUSIC_HZ)
        await tracks.apply(Dub(action="sayOnTrack", track="a", say="hello"))
        await talk.bob.hears(_SPEECH_HZ)
        await talk.bob.hears_nothing_of(_MUSIC_HZ)


async def test_there_are_only_so_many_tracks_as_can_be_mixed_in_time() -> None:
    async with _dubbed() as (_, tracks, sounds):
        for number in range(9):
            await tracks.apply(Dub(action="addTrack", track=str(number)))
        assert sounds.failures == ["there are 8 tracks already"]
        await tracks.apply(Dub(action="addTrack", track="7"))
        await tracks.apply(Dub(action="removeTrack", track="0"))
        await tracks.apply(Dub(action="addTrack", track="8"))
        assert len(sounds.failures) == 1


@pytest.mark.parametrize("action", ["silenceTrack", "removeTrack"])
async def test_what_is_silenced_while_it_is_fetched_is_never_heard(action: str) -> None:
    async with _dubbed() as (talk, tracks, sounds):
        await tracks.apply(Dub(action="addTrack", track="a"))
        sounds.gate.clear()
        playing = asyncio.ensure_future(
            tracks.apply(Dub(action="playOnTrack", track="a", play="http://x.example.com/m.wav"))
        )
        await talk.bob.settled_elsewhere(lambda: bool(sounds.asked))
        await tracks.apply(Dub(action=action, track="a"))  # type: ignore[arg-type]
        sounds.gate.set()
        await playing
        assert talk.caller.media is not None
        assert not talk.caller.media.has_overlays


async def test_what_cannot_be_had_is_told_and_changes_nothing() -> None:
    async with _dubbed() as (talk, tracks, sounds):
        await tracks.apply(Dub(action="playOnTrack", track="b", play="http://x.example.com/m.wav"))
        await tracks.apply(Dub(action="addTrack", track="a", play="http://x.example.com/absent.wav"))
        await tracks.apply(Dub(action="sayOnTrack", track="a", say=""))
        await tracks.apply(Dub(action="removeTrack", track="c"))
        assert [failure.split(":")[0] for failure in sounds.failures] == [
            "there is no track 'b'",
            "cannot play http",
            "nobody",
        ]
        await talk.both_hear()


def test_the_documents_property_is_what_is_applied() -> None:
    document = [
        {
            "verb": "dial",
            "target": [{"type": "phone", "number": "+15550100"}],
            "dub": [
                {"action": "addTrack", "track": "a", "play": "http://x.example.com/m.wav", "gain": "-3 dB"}
            ],
        }
    ]
    (verb,) = parse_document(document)
    assert isinstance(verb, DialVerb)
    assert verb.dub == (
        Dub(action="addTrack", track="a", play="http://x.example.com/m.wav", gain=Decibels(-3.0)),
    )


def test_live_control_sends_one_action() -> None:
    assert parse_dub({"action": "addTrack", "track": "a", "gain": "3 dB"}) == Dub(
        action="addTrack", track="a", gain=Decibels(3.0)
    )
    for raw in ({"action": "jump", "track": "a"}, {"action": "addTrack"}, {"track": "a"}, {"gain": "loud"}):
        with pytest.raises(InvalidRequest, match="dub"):
            parse_dub(raw)
