"""Exit statuses, the same for every command."""

__all__ = ["ANSWERED", "ERROR", "NOT_ANSWERED", "OK"]

OK = 0
ANSWERED = 0
"""Somebody picked up."""
NOT_ANSWERED = 1
"""Busy, no answer, refused: the dial worked, nobody talked."""
ERROR = 2
"""Wrong arguments or configuration, or the engine could not work."""
