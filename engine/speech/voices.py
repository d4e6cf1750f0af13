"""Which voice speaks: by its name, by the language, by the gender. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.speech.synthesis import Utterance, Voice

__all__ = ["choose_voice"]

_FALLBACK = "en-us"


def choose_voice(voices: Sequence[Voice], utterance: Utterance) -> tuple[Voice, str]:
    """The voice, and what about the wish could not be met (empty: nothing). There has to be one voice.

    A name counts more than a language. Without the very language (`en-AU`) a relative speaks it (`en`).
    """
    wanted = utterance.voice.strip().lower()
    problem = ""
    if wanted:
        named = next((voice for voice in voices if wanted in _names(voice)), None)
        if named is not None:
            return named, ""
        problem = f"there is no voice {utterance.voice!r}"
    best = _speaker_of(voices, utterance.language)
    if best is None:
        problem = f"nobody speaks {utterance.language!r}"
        best = _speaker_of(voices, _FALLBACK) or voices[0]
    return best, f"{problem}; {best.name} speaks" if problem else ""


def _names(voice: Voice) -> tuple[str, ...]:
    return voice.name.lower(), *voice.languages[:1]


def _speaker_of(voices: Sequence[Voice], language: str) -> Voice | None:
    tag = language.strip().lower().replace("_", "-")
    while tag:
        for candidate in (*_CALLED.get(tag, ()), tag):
            speakers = [voice for voice in voices if candidate in voice.languages]
            if speakers:
                return min(speakers, key=lambda voice: voice.languages.index(candidate))
        tag = tag.rpartition("-")[0]
    return None


_CALLED = {
    "en": ("en-us",),
    "fr": ("fr-fr",),
    "fil": ("tl",),
    "in": ("id",),
    "iw": ("he",),
    "nn": ("nb",),
    "no": ("nb",),
    "tl": ("fil",),
    "zh": ("cmn",),
    "zh-hk": ("yue",),
}
"""Who is meant first: languages with several homes, and those whose code has changed."""
