"""`say`: speech, made from text.

Long texts are made in pieces, each while the one before is heard. A vendor nobody knows, or one that fails,
is an alert; then the fallback speaks that the document names, then the engine's own voice.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from engine.application.document import SayVerb
from engine.application.schema.speech import Synthesizer
from engine.application.session import Session
from engine.hooks.alerts import AlertKind
from engine.sounds import Playlist, play_as_it_comes, sample_rate_of
from engine.speech.synthesis import Speech, SynthesisFailed, UnknownSynthesiser, Utterance
from engine.speech.text import pieces_of
from media import MediaStream

__all__ = ["Speaking", "run"]

_LANGUAGE = "en-US"
_MOST_TEXT = 20_000
"""Characters: twenty minutes of speech, twenty megabytes of audio."""


async def run(verb: SayVerb, session: Session) -> None:
    """Until all of it was heard."""
    stream = await session.ensure_media(early=verb.early_media)
    await Speaking(verb, session, stream).speak()


class _Speaker(Struct, frozen=True):
    """Who might say it."""

    vendor: str
    language: str
    voice: str
    gender: str = ""
    rate: float = 1.0

    def utterance(self, text: str) -> Utterance:
        return Utterance(text, self.language, self.voice, self.gender, self.rate)


class Speaking:
    """One execution of a `say`, also of the one nested in `gather`."""

    __slots__ = ("_playlist", "_problems", "_session", "_speakers", "_stream", "_verb")

    def __init__(self, verb: SayVerb, session: Session, stream: MediaStream) -> None:
        self._verb = verb
        self._session = session
        self._stream = stream
        self._playlist = Playlist(sample_rate_of(stream), times=verb.times, is_complete=False)
        self._speakers = list(dict.fromkeys(_speakers(verb.synthesizer, session.defaults.synthesizer)))
        self._problems: set[str] = set()

    async def speak(self) -> None:
        """To the end; cancelled, it is silent within one packet time."""
        await play_as_it_comes(self._stream, self._playlist, self._make())

    async def _make(self) -> None:
        room = _MOST_TEXT
        for text in self._verb.text:
            if len(text) > room:
                self._tell(f"more than {_MOST_TEXT} characters are not said")
                text = text[:room]
            room -= len(text)
            for piece in pieces_of(text):
                speech = await self._synthesise(piece)
                if speech is None:
                    return
                self._playlist.append(speech.pcm)

    async def _synthesise(self, text: str) -> Speech | None:
        """By the first of the speakers that can; who cannot is not asked again."""
        synthesisers = self._session.services.synthesisers
        if synthesisers is None:
            self._tell("this engine has no voice")
            return None
        while self._speakers:
            speaker = self._speakers[0]
            try:
                speech = await synthesisers.get(speaker.vendor).say(
                    speaker.utterance(text), sample_rate_hz=self._playlist.sample_rate_hz
                )
            except (UnknownSynthesiser, SynthesisFailed) as error:
                self._tell(str(error))
                del self._speakers[0]
            else:
                if speech.problem:
                    self._tell(speech.problem)
                return speech
        return None

    def _tell(self, problem: str) -> None:
        """Once: every piece of a text has the same problems."""
        if problem not in self._problems:
            self._problems.add(problem)
            self._session.alert(AlertKind.SPEECH_FAILED, problem)


def _speakers(own: Synthesizer | None, default: Synthesizer) -> Iterator[_Speaker]:
    """The one asked for, the one to fall back on, the engine's own. A voice belongs to its vendor: who names
    another vendor does not get the session's voice."""
    own = own or Synthesizer()
    vendor, language = _name(own.vendor), _name(own.language)
    voice = _name(own.voice)
    if not voice and not language and vendor in ("", default.vendor):
        voice = _name(default.voice)
    language = language or _name(default.language) or _LANGUAGE
    gender = own.gender or default.gender or ""
    rate = _rate(own.options) or _rate(default.options) or 1.0
    yield _Speaker(vendor or default.vendor, language, voice, gender, rate)
    for spare in (own, default):
        if spare.fallback_vendor:
            spare_language = _name(spare.fallback_language) or language
            yield _Speaker(spare.fallback_vendor, spare_language, _name(spare.fallback_voice), gender, rate)
    yield _Speaker("", language, "", gender, rate)


def _name(word: str | dict[str, object]) -> str:
    """Empty for `default`. A vendor's own description of a voice says its name, or nothing we know."""
    name = word if isinstance(word, str) else word.get("name", "")
    return name if isinstance(name, str) and name != "default" else ""


def _rate(options: dict[str, object]) -> float:
    """`options.rate`, or 0."""
    rate = options.get("rate")
    return float(rate) if isinstance(rate, (int, float)) and 0.1 <= rate <= 10 else 0.0
