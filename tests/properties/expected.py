"""What sections 6.2 and 6.3 of the contract say of a story in which no message is lost, told a second time.

Written from the contract's tables, with nothing of the engine's own: an independent opinion.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.properties.stage import DNS_S, SETTLED_AT_S, Ending, Story

__all__ = ["Expected", "expected"]

_TIMER_B_S = 32.0


class Expected(NamedTuple):
    dial_status: str
    sip_status: int
    reason: str
    who: int | None
    """The callee who decided it; None: the story does not say."""
    ended_by: str = ""


class _End(NamedTuple):
    at: float
    who: int
    code: int
    status: str


_BUSY = (486, 600, 603, 607)
_NO_ANSWER = (408, 480, 487)
_BEST_FIRST = (600, 603, 607, 604, 302, 401, 407, 415, 420, 484, 486, 480, 408, 487)
"""603 ties with 600. What is not in the list: other 4xx, other 5xx, 503."""


def _end_of_refusal(at: float, who: int, code: int) -> _End:
    return _End(at, who, code, "busy" if code in _BUSY else "no-answer" if code in _NO_ANSWER else "failed")


def _rank(end: _End) -> int:
    code = 600 if end.code == 603 else end.code
    if code in _BEST_FIRST:
        return _BEST_FIRST.index(code)
    return 100 if code < 500 else 102 if code == 503 else 101


def _happenings(story: Story) -> list[tuple[float, str, int]]:
    """(when, what, who), in order."""
    lookup_s = 3 * DNS_S
    # The ring timer starts with the first INVITE; if none ever leaves, with the dial (DV-32).
    is_late = not {"here", "silent", "refusing"}.intersection(story.presences) and "named" in story.presences
    found: list[tuple[float, str, int]] = [
        (story.timeout_s + (lookup_s if is_late else 0.0), "ring timeout", -1)
    ]
    for who, (script, presence) in enumerate(zip(story.callees, story.presences, strict=True)):
        if presence == "silent":
            found.append((_TIMER_B_S, "silence", who))
        elif presence == "refusing":
            found.append((0.0, "unreachable", who))
        elif presence == "unknown":
            found.append((lookup_s, "unreachable", who))
        else:
            rung_s = lookup_s if presence == "named" else 0.0
            for when, what in (
                (script.answers_s, "answers"),
                (script.refuses_s, "refuses"),
                (script.hangs_up_s, "hangs up"),
            ):
                if when is not None:
                    found.append((rung_s + when, what, who))
    if story.caller is not None and story.caller.goes_s is not None:
        found.append((story.caller.goes_s, "caller goes", -1))
    if story.hang_up_s is not None:
        found.append((story.hang_up_s, "asked to end", -1))
    return sorted(found)


def expected(story: Story) -> Expected:
    """The result of the story."""
    waiting = set(range(len(story.callees)))
    ends: list[_End] = []
    happenings = _happenings(story)
    for when, what, who in happenings:
        match what:
            case "answers" if who in waiting:
                return _talk(story, who, when, happenings)
            case "refuses" if who in waiting:
                ends.append(_end_of_refusal(when, who, story.callees[who].code))
            case "silence" if who in waiting:
                ends.append(_End(when, who, 408, "failed"))
            case "unreachable":
                ends.append(_End(when, who, 503, "failed"))
            case "ring timeout":
                return Expected("no-answer", 487, "ring-timeout", min(waiting))
            case "caller goes" | "asked to end":
                return Expected("no-answer", 487, "caller-gone", min(waiting))
            case _:
                continue
        waiting.discard(who)
        if not waiting:
            best = min(ends, key=_rank)
            as_good = [end for end in ends if end.at == best.at and _rank(end) == _rank(best)]
            return Expected(best.status, best.code, "all-failed", best.who if len(as_good) == 1 else None)
    raise AssertionError("the ring timer ends every ringing")


def _talk(story: Story, winner: int, since: float, happenings: list[tuple[float, str, int]]) -> Expected:
    limit = None if story.time_limit_s is None else since + story.time_limit_s
    ended_by = {Ending.API: "engine", Ending.CALLER: "caller", Ending.CALLEE: "callee"}[story.ending]
    ended_at = SETTLED_AT_S
    if story.caller is None and story.ending is Ending.CALLER:
        ended_by = "engine"
    for when, what, who in happenings:
        if when > since and (what in ("caller goes", "asked to end") or (what, who) == ("hangs up", winner)):
            ended_by = {"caller goes": "caller", "asked to end": "engine", "hangs up": "callee"}[what]
            ended_at = when
            break
    if limit is not None and limit < ended_at:
        return Expected("completed", 200, "time-limit", winner, "engine")
    return Expected("completed", 200, "answered", winner, ended_by)
