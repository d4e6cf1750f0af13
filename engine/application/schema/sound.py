"""What a party hears, and what it keys or says in reply: `say`, `play`, `pause`, `gather`, `dtmf`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from engine.application.schema.base import Verb
from engine.application.schema.fields import (
    Count,
    HookField,
    Loop,
    Milliseconds,
    Number,
    PropertyError,
    SecondsOrZero,
    Texts,
    check_digits,
    check_url,
    times,
)
from engine.application.schema.speech import Recognizer, Synthesizer

__all__ = ["DtmfVerb", "GatherVerb", "PauseVerb", "PlayVerb", "SayVerb"]

_NoneOrMore = Annotated[int, Meta(ge=0, le=1_000_000)]


class SayVerb(Verb, frozen=True, kw_only=True, tag="say"):
    """Speech, made from text."""

    text: Texts
    """One or several, one after the other."""
    loop: Loop = 1
    synthesizer: Synthesizer | None = None
    early_media: bool = False

    @property
    def times(self) -> float:
        """How often; `math.inf` for ever."""
        return times(self.loop)


class PlayVerb(Verb, frozen=True, kw_only=True, tag="play"):
    """Audio files."""

    url: Texts
    """One or several, one after the other."""
    loop: Loop = 1
    seek_offset: Number = Number(0)
    """Samples of the file to leave out at its beginning."""
    timeout_secs: Number | None = None
    """Seconds after which it ends, wherever it is."""
    early_media: bool = False
    action_hook: HookField | None = None

    def __post_init__(self) -> None:
        for index, url in enumerate(self.url):
            check_url(url, "url", *((index,) if len(self.url) > 1 else ()))

    @property
    def times(self) -> float:
        """How often; `math.inf` for ever."""
        return times(self.loop)


class PauseVerb(Verb, frozen=True, kw_only=True, tag="pause"):
    """Nothing, for a while."""

    length: SecondsOrZero
    """Seconds."""


class GatherVerb(Verb, frozen=True, kw_only=True, tag="gather"):
    """Digits or words of the party, while a prompt is said or played, or after it."""

    action_hook: HookField | None = None
    input: Annotated[tuple[Literal["digits", "speech"], ...], Meta(min_length=1)] = ("digits",)
    num_digits: Count | None = None
    """Exactly so many; None: see `minDigits`, `maxDigits`."""
    min_digits: _NoneOrMore | None = None
    max_digits: Count | None = None
    finish_on_key: str = ""
    """Any of these keys ends the input and is not part of it."""
    inter_digit_timeout: SecondsOrZero | None = None
    """Seconds between two digits; None or 0: `timeout`."""
    timeout: SecondsOrZero = 5.0
    """Seconds without input after the prompt; 0: for ever."""
    dtmf_bargein: bool = True
    """A digit stops the prompt."""
    say: SayVerb | None = None
    play: PlayVerb | None = None
    recognizer: Recognizer | None = None
    """Of `speech`; None: the session's."""
    speech_timeout: SecondsOrZero | None = None
    """Seconds of silence after which what was said is complete; None: the recogniser decides."""
    bargein: bool = False
    """Speech stops the prompt."""
    min_bargein_word_count: Count = 1
    listen_during_prompt: bool = True
    """Speech during the prompt counts."""
    partial_result_hook: HookField | None = None

    def __post_init__(self) -> None:
        for digit in self.finish_on_key:
            check_digits(digit, "finishOnKey")
        if self.max_digits is not None and self.min_digits is not None and self.max_digits < self.min_digits:
            raise PropertyError("must not be less than `minDigits`", ("maxDigits",))


class DtmfVerb(Verb, frozen=True, kw_only=True, tag="dtmf"):
    """Digits sent to the party."""

    dtmf: str
    """0-9, *, #, A-D."""
    duration: Milliseconds = 500
    """Milliseconds per digit."""

    def __post_init__(self) -> None:
        check_digits(self.dtmf, "dtmf")
