"""What can be an id of ours, so that nothing else is looked up in a database."""

from __future__ import annotations

__all__ = ["is_sid"]

_LENGTH = 36
_CHARACTERS = frozenset("0123456789abcdef-")


def is_sid(text: str) -> bool:
    """A UUID as this engine writes them."""
    return len(text) == _LENGTH and _CHARACTERS.issuperset(text)
