from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.text import is_ssml, known_ssml, pieces_of, strip_ssml


def test_a_short_text_is_one_piece_and_nothing_is_none() -> None:
    assert list(pieces_of(" Hello world. ")) == ["Hello world."]
    assert list(pieces_of(" \n ")) == []


def test_a_long_text_is_parted_at_the_ends_of_sentences() -> None:
    text = "The first sentence. The second one is longer! And a third?"
    assert list(pieces_of(text, 30)) == [
        "The first sentence.",
        "The second one is longer!",
        "And a third?",
    ]


def test_without_sentences_it_is_parted_at_commas_then_words_then_anywhere() -> None:
    assert list(pieces_of("one two, three four", 12)) == ["one two,", "three four"]
    assert list(pieces_of("one two three four", 12)) == ["one two", "three four"]
    assert list(pieces_of("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]


@given(st.text(max_size=500), st.integers(1, 60))
def test_no_letter_is_lost_and_no_piece_is_too_long(text: str, most: int) -> None:
    if is_ssml(text):
        return
    pieces = list(pieces_of(text, most))
    assert all(0 < len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["<speak>Hi</speak>", "\n <SPEAK version='1.1'>Hi</SPEAK>"])
def test_ssml_is_told_from_text_and_never_parted(text: str) -> None:
    assert is_ssml(text)
    assert list(pieces_of(text, 3)) == [text]
    assert strip_ssml(text) == "Hi"


def test_text_that_only_looks_like_markup_is_text() -> None:
    assert not is_ssml("Press <1> to speak")
    assert strip_ssml("<speak>You &amp; me<break time='1s'/>agree</speak>") == "You & me agree"


@pytest.mark.parametrize(
    "tag",
    [
        '<audio src="/etc/passwd"/>',
        "<AUDIO src='x'>",
        "< audio src='x'>",
        "</audio>",
        "<aud\u0130o src='x'>",
        "<!-- x -->",
        "<?xml version='1.0'?>",
        "<tts:style name='x'>",
        "<>",
    ],
)
def test_tags_that_are_not_about_speaking_are_left_out(tag: str) -> None:
    known = known_ssml(f"<speak>one{tag}two<break time='1s'/></speak>")
    assert known == "<speak>one two<break time='1s'/></speak>"


def test_a_tag_without_end_is_left_out() -> None:
    assert known_ssml("<speak>one<audio src='x'") == "<speak>one "
