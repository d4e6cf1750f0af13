"""What a speech synthesiser is: text goes in, audio comes out.

A `Synthesiser` is one engine or vendor; verbs name a vendor and `Synthesisers` finds it. Synthesis never runs
on the event loop; a call that is over cancels it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from media.audio import Pcm

__all__ = [
    "Speech",
    "SynthesisFailed",
    "Synthesiser",
    "Synthesisers",
    "UnknownSynthesiser",
    "Utterance",
    "Voice",
]


class Utterance(Struct, frozen=True):
    """What is to be said, and how. Two that are equal sound the same."""

    text: str
    """Plain text, or SSML if it begins with `<speak`."""
    language: str = "en-US"
    """BCP 47."""
    voice: str = ""
    """By the vendor's name for it; empty: the language's own."""
    gender: str = ""
    """`MALE`, `FEMALE` or empty; counts where no voice is named."""
    rate: float = 1.0
    """Speed; 1 is the voice's normal one."""


class Speech(Struct, frozen=True, eq=False):
    """An utterance as audio."""

    pcm: Pcm
    """int16[n], mono, read-only."""
    sample_rate_hz: int
    problem: str = ""
    """What was done otherwise than asked ("there is no voice 'Salli'; en-US speaks"); empty: nothing."""

    @property
    def duration_s(self) -> float:
        return len(self.pcm) / self.sample_rate_hz


class Voice(Struct, frozen=True):
    """A voice that can be asked for."""

    name: str
    languages: tuple[str, ...]
    """BCP 47 in lower case, the best first."""
    gender: str = ""
    """`MALE`, `FEMALE` or empty."""


class SynthesisFailed(Exception):
    """Nothing can be said; the message tells why."""


class UnknownSynthesiser(Exception):
    """No synthesiser of this name is configured; the message names those that are."""


class Synthesiser(Protocol):
    """One engine or vendor."""

    @property
    def vendor(self) -> str: ...

    async def say(self, utterance: Utterance, *, sample_rate_hz: int = 8000) -> Speech:
        """The utterance as audio. Raises SynthesisFailed. May be cancelled at any time."""

    async def voices(self) -> Sequence[Voice]:
        """All there are."""

    async def close(self) -> None:
        """Give back what the engine holds."""


class Synthesisers:
    """Synthesisers by vendor name.

    synthesisers = Synthesisers({"espeak": EspeakSynthesiser()}, default="espeak")
    """

    __slots__ = ("_by_vendor", "default")

    def __init__(self, by_vendor: Mapping[str, Synthesiser], *, default: str) -> None:
        """Raises UnknownSynthesiser if there is no synthesiser called `default`."""
        self._by_vendor = dict(by_vendor)
        self.default = default
        self.get(default)

    def get(self, vendor: str = "") -> Synthesiser:
        """The synthesiser of this vendor; empty or `default`: the default one. Raises UnknownSynthesiser."""
        name = self.default if vendor in ("", "default") else vendor
        synthesiser = self._by_vendor.get(name)
        if synthesiser is None:
            known = ", ".join(sorted(self._by_vendor))
            raise UnknownSynthesiser(f"no synthesiser is called {name!r}; there are: {known}")
        return synthesiser

    async def close(self) -> None:
        """Close all of them."""
        for synthesiser in self._by_vendor.values():
            await synthesiser.close()
