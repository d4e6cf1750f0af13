"""The one way in which a sound cannot be had.

SoundError
"""

from __future__ import annotations

__all__ = ["SoundError"]


class SoundError(Exception):
    """A sound cannot be played. The message names it and why; credentials in its URL are left out."""

    def __init__(self, url: str, problem: str, *, is_passing: bool = False) -> None:
        super().__init__(f"cannot play {url}: {problem}")
        self.url = url
        self.problem = problem
        self.is_passing = is_passing
        """The server or the way to it failed; the file itself may be as it was."""
