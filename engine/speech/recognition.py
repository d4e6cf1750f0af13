"""What a speech recogniser is: audio of one party goes in as it is heard, typed results come out.

A `Recogniser` is one engine or vendor; a `RecognitionSession` is one party's audio through it. Everybody who
wants words (`transcribe`, `gather`, answering-machine detection) is written against these two protocols and
names a vendor; `Recognisers` finds it. Results are facts with the shape of the `speech` property of hooks.

A session that fails tells so with `RecognitionFailed` as its last event and ends: a broken recogniser never
raises into a call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from msgspec import Struct

from media.audio import Pcm

__all__ = [
    "Alternative",
    "NothingUnderstood",
    "Recogniser",
    "Recognisers",
    "RecognitionEvent",
    "RecognitionFailed",
    "RecognitionLost",
    "RecognitionOptions",
    "RecognitionResult",
    "RecognitionSession",
    "SpeechBegan",
    "UnknownRecogniser",
]


class RecognitionOptions(Struct, frozen=True):
    """What is wanted of one session. What an engine cannot do it leaves out; it does not refuse."""

    language: str = "en-US"
    hints: tuple[str, ...] = ()
    """Words and phrases that are likely."""
    interim: bool = False
    """Results that may still change are wanted as well."""
    channel_tag: int = 1
    """Which party is heard; comes back with every result."""
    endpoint_ms: int = 600
    """Silence of this length ends an utterance."""
    vendor_options: Mapping[str, object] = {}
    """Passed on as they are."""


class Alternative(Struct, frozen=True):
    """One way to understand an utterance."""

    transcript: str
    confidence: float
    """0 to 1."""


class RecognitionResult(Struct, frozen=True):
    """An utterance, or what is known of it so far (`is_final` false: the next result replaces it)."""

    language_code: str
    channel_tag: int
    is_final: bool
    alternatives: tuple[Alternative, ...]
    """The best first; at least one."""
    vendor: str

    @property
    def transcript(self) -> str:
        """Of the best alternative."""
        return self.alternatives[0].transcript

    def to_dict(self) -> dict[str, object]:
        """The `speech` property of a hook."""
        return {
            "language_code": self.language_code,
            "channel_tag": self.channel_tag,
            "is_final": self.is_final,
            "alternatives": [
                {"transcript": alternative.transcript, "confidence": alternative.confidence}
                for alternative in self.alternatives
            ],
            "vendor": self.vendor,
        }


class SpeechBegan(Struct, frozen=True):
    """Somebody started to speak: what waits for silence or may be interrupted wants to know at once."""

    channel_tag: int


class NothingUnderstood(Struct, frozen=True):
    """What began with `SpeechBegan` is over and has brought no words: noise, or speech that was lost."""

    channel_tag: int


class RecognitionFailed(Struct, frozen=True):
    """The session is over before its time; always its last event."""

    reason: str


class RecognitionLost(Struct, frozen=True):
    """Something that was said will not be understood any more; the session goes on."""

    reason: str


RecognitionEvent = SpeechBegan | RecognitionResult | NothingUnderstood | RecognitionLost | RecognitionFailed


class RecognitionSession(Protocol):
    """One party's audio on its way to words.

        session = await recogniser.open(RecognitionOptions(language="en-US"))
        stream.add_tap(session.push, sample_rate_hz=session.sample_rate_hz)
        async for event in session.events(): ...

    `push`, `finish` and `close` return at once and never raise; after `close` they do nothing.
    """

    @property
    def sample_rate_hz(self) -> int:
        """Of the audio wanted by `push`."""

    def push(self, pcm: Pcm) -> None:
        """What was heard next, any length. An engine that cannot keep up loses the oldest and says so."""

    def finish(self) -> None:
        """No more audio comes: what is still being thought about comes out, then `events` ends."""

    def events(self) -> AsyncIterator[RecognitionEvent]:
        """In order; ends after `finish`, `close` or a `RecognitionFailed`. For one reader.

        What began with `SpeechBegan` ends with a final result, with `NothingUnderstood`, or with the session.
        """

    def close(self) -> None:
        """Let go at once; idempotent."""


class Recogniser(Protocol):
    """One engine or vendor."""

    @property
    def vendor(self) -> str: ...

    async def open(self, options: RecognitionOptions) -> RecognitionSession:
        """A new session; a vendor that cannot be reached is told by the session's events, not raised."""

    async def close(self) -> None:
        """End all sessions and give back what the engine holds."""


class UnknownRecogniser(Exception):
    """No recogniser of this name is configured; the message names those that are."""


class Recognisers:
    """Recognisers by vendor name.

    recognisers = Recognisers({"pocketsphinx": PocketsphinxRecogniser()}, default="pocketsphinx")
    """

    __slots__ = ("_by_vendor", "default")

    def __init__(self, by_vendor: Mapping[str, Recogniser], *, default: str) -> None:
        """Raises UnknownRecogniser if there is no recogniser called `default`."""
        self._by_vendor = dict(by_vendor)
        self.default = default
        self.get(default)

    def get(self, vendor: str = "") -> Recogniser:
        """The recogniser of this vendor; empty or `default`: the default one. Raises UnknownRecogniser."""
        name = self.default if vendor in ("", "default") else vendor
        recogniser = self._by_vendor.get(name)
        if recogniser is None:
            known = ", ".join(sorted(self._by_vendor))
            raise UnknownRecogniser(f"no recogniser is called {name!r}; there are: {known}")
        return recogniser

    async def close(self) -> None:
        """Close all of them."""
        for recogniser in self._by_vendor.values():
            await recogniser.close()
