from __future__ import annotations

import pytest

from engine.speech.synthesis import Utterance, Voice
from engine.speech.voices import choose_voice

VOICES = (
    Voice("Afrikaans", ("af",), "MALE"),
    Voice("Chinese (Mandarin)", ("cmn", "zh-cmn", "zh"), "MALE"),
    Voice("German", ("de",), "MALE"),
    Voice("English (Caribbean)", ("en-029", "en"), "MALE"),
    Voice("English (Great Britain)", ("en-gb", "en"), "MALE"),
    Voice("English (America)", ("en-us", "en"), "MALE"),
    Voice("Norwegian", ("nb", "no"), "MALE"),
    Voice("Portuguese (Brazil)", ("pt-br", "pt"), "MALE"),
)


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("en-US", "English (America)"),
        ("en_us", "English (America)"),
        ("en-GB", "English (Great Britain)"),
        ("en-AU", "English (America)"),
        ("en", "English (America)"),
        ("de-DE", "German"),
        ("de-AT-1996", "German"),
        ("nb-NO", "Norwegian"),
        ("no", "Norwegian"),
        ("pt-BR", "Portuguese (Brazil)"),
        ("pt-AO", "Portuguese (Brazil)"),
        ("zh-CN", "Chinese (Mandarin)"),
        ("cmn-CN", "Chinese (Mandarin)"),
    ],
)
def test_a_language_finds_who_speaks_it(language: str, name: str) -> None:
    voice, problem = choose_voice(VOICES, Utterance("Hello", language))
    assert (voice.name, problem) == (name, "")


def test_a_named_voice_counts_more_than_the_language() -> None:
    for wish in ("german", "German", "de"):
        assert choose_voice(VOICES, Utterance("Hello", "en-US", wish))[0].name == "German"


def test_what_is_not_there_is_replaced_and_told() -> None:
    voice, problem = choose_voice(VOICES, Utterance("Hello", "de-DE", "Salli"))
    assert (voice.name, problem) == ("German", "there is no voice 'Salli'; German speaks")
    voice, problem = choose_voice(VOICES, Utterance("Hello", "tlh-Piqd"))
    assert (voice.name, problem) == (
        "English (America)",
        "nobody speaks 'tlh-Piqd'; English (America) speaks",
    )
    voice, _ = choose_voice(VOICES[:1], Utterance("Hello", ""))
    assert voice.name == "Afrikaans"
