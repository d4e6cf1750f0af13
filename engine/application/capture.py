"""`dtmfCapture` of `dial` (DV-80): which sequence of digits a party has just completed.

`SequenceMatcher` is pure: digits and their times go in, the matched sequence comes out. `DigitCapture` feeds
one matcher per leg with the digits that legs tell whoever watches them, in RFC 4733, INFO and in-band alike.
What is captured still crosses the bridge (DV-81): nothing here stands in its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from engine.application.schema.dial import DtmfCapture
from engine.ids import CallSid
from engine.legs.notes import DigitKeyed, LegNote, Watcher

__all__ = ["GAP_S", "DigitCapture", "SequenceMatcher", "WatchedLeg"]

GAP_S = 3.0
"""More than this between two digits begins a new sequence."""


class SequenceMatcher:
    """The digits of one party against the sequences somebody waits for.

    Matches the end of what was keyed; of several that match, the longest counts. A match begins a new one.
    """

    __slots__ = ("_buffer", "_last_at", "_longest", "_patterns")

    def __init__(self, patterns: Iterable[str]) -> None:
        """Sequences of 0-9 * # A-D, in any case; empty ones never match."""
        distinct = {pattern.upper() for pattern in patterns if pattern}
        self._patterns = sorted(distinct, key=len, reverse=True)
        self._longest = len(self._patterns[0]) if self._patterns else 0
        self._buffer = ""
        self._last_at: float | None = None

    @property
    def is_waiting(self) -> bool:
        """There is something to wait for."""
        return self._longest > 0

    def push(self, digit: str, at: float) -> str | None:
        """One more digit, `at` in monotonic seconds; the sequence it completes, or None."""
        if self._last_at is not None and at - self._last_at > GAP_S:
            self._buffer = ""
        self._last_at = at
        self._buffer = (self._buffer + digit.upper())[-self._longest :] if self._longest else ""
        for pattern in self._patterns:
            if self._buffer.endswith(pattern):
                self._buffer = ""
                return pattern
        return None


class WatchedLeg(Protocol):
    """`engine.legs.CallLeg`, as far as it is needed here."""

    @property
    def id(self) -> CallSid: ...

    def watch(self, watcher: Watcher) -> None: ...

    def unwatch(self, watcher: Watcher) -> None: ...

    def need_digits(self, *, wanted: bool = True) -> None: ...


class DigitCapture:
    """Watches the two legs of one dial.

        capture = DigitCapture(verb.captures, lambda leg, digits: ask_hook(leg, digits))
        capture.watch_caller(parent); capture.watch_callee(winner)
        ...
        capture.close()

    A leg for which nothing is to be captured is not watched; one that is keeps its media with us.
    """

    __slots__ = ("_captured", "_captures", "_watched")

    def __init__(self, captures: DtmfCapture, captured: Callable[[CallSid, str], None]) -> None:
        """`captured(leg, sequence)` is called from the loop for every match; it must not block."""
        self._captures = captures
        self._captured = captured
        self._watched: list[tuple[WatchedLeg, Watcher]] = []

    def watch_caller(self, leg: WatchedLeg) -> None:
        """What the caller keys, from now on (`parentCall`)."""
        self._watch(leg, self._captures.parent_call)

    def watch_callee(self, leg: WatchedLeg) -> None:
        """What the callee keys, from now on (`childCall`)."""
        self._watch(leg, self._captures.child_call)

    def close(self) -> None:
        """Watch nobody any more. Idempotent."""
        watched, self._watched = self._watched, []
        for leg, watcher in watched:
            leg.unwatch(watcher)
            leg.need_digits(wanted=False)

    def _watch(self, leg: WatchedLeg, patterns: Iterable[str]) -> None:
        matcher = SequenceMatcher(patterns)
        if not matcher.is_waiting:
            return

        def watcher(note: LegNote) -> None:
            if isinstance(note, DigitKeyed):
                sequence = matcher.push(note.digit, note.at)
                if sequence is not None:
                    self._captured(leg.id, sequence)

        self._watched.append((leg, watcher))
        leg.watch(watcher)
        leg.need_digits()
