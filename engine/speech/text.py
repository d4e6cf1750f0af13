"""Text on its way to a voice: SSML told from plain text, and long texts in pieces. Pure."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

__all__ = ["is_ssml", "known_ssml", "pieces_of", "strip_ssml"]

_PIECE = 300
"""Characters: about twenty seconds of speech, and a good deal of thinking for a slow vendor."""
_TAG = re.compile(r"<[^>]*>")
_ANY_TAG = re.compile(r"<\s*/?\s*([^\s/>]*)[^>]*(>|$)")
_KNOWN_TAGS = frozenset(
    ("break", "emphasis", "mark", "p", "phoneme", "prosody", "s", "say-as", "speak", "sub", "voice")
)
_ENDS = ("\n\n", *(mark + space for mark in ".!?;:。！？" for space in " \n"), "。", ", ", "\n", " ")
"""Where a text may be parted, the best first."""


def is_ssml(text: str) -> bool:
    """Whether it is a document of the Speech Synthesis Markup Language."""
    return text.lstrip()[:6].lower() == "<speak"


def strip_ssml(text: str) -> str:
    """What is to be said, without how."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


def known_ssml(text: str) -> str:
    """The same without tags that are not about speaking. `audio` above all: a synthesiser that follows it
    reads files of its machine."""
    return _ANY_TAG.sub(lambda tag: tag[0] if tag[1].lower() in _KNOWN_TAGS and tag[2] else " ", text)


def pieces_of(text: str, most: int = _PIECE) -> Iterator[str]:
    """The text in pieces of at most `most` characters, parted where a speaker would breathe. SSML is one
    piece: its tags reach from end to end."""
    if is_ssml(text):
        yield text
        return
    rest = text.strip()
    while len(rest) > most:
        end = _end_of_piece(rest[:most])
        yield rest[:end].rstrip()
        rest = rest[end:].lstrip()
    if rest:
        yield rest


def _end_of_piece(text: str) -> int:
    for mark in _ENDS:
        at = text.rfind(mark)
        if at > 0:
            return at + len(mark)
    return len(text)
