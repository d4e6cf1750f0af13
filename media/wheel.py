"""A timer wheel: things that are looked at now and then, each when its own time has come. Pure.

The cost of a turn is that of the things that are due, however many there are.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Wheel"]

T = TypeVar("T", bound=Hashable)


class Wheel(Generic[T]):
    """Each thing is on the wheel once; it leaves it when it is due."""

    __slots__ = ("_at", "_due", "_now")

    def __init__(self) -> None:
        self._now = 0
        self._due: dict[int, dict[T, None]] = {}
        self._at: dict[T, int] = {}

    def put(self, thing: T, turns: int) -> None:
        """Due at the `turns`-th turn from now (at least the next), in place of whatever was said before."""
        self.remove(thing)
        at = self._now + max(1, turns)
        self._at[thing] = at
        self._due.setdefault(at, {})[thing] = None

    def remove(self, thing: T) -> None:
        """Unknown is fine."""
        at = self._at.pop(thing, None)
        if at is not None:
            bucket = self._due[at]
            del bucket[thing]
            if not bucket:
                del self._due[at]

    def turn(self) -> tuple[T, ...]:
        """One turn: what is due now, in the order it was put."""
        self._now += 1
        due = tuple(self._due.pop(self._now, ()))
        for thing in due:
            del self._at[thing]
        return due

    def __contains__(self, thing: object) -> bool:
        return thing in self._at

    def __len__(self) -> int:
        return len(self._at)
