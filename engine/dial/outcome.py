"""From SIP outcomes to `dial_status`: the one table behind every API of the product (DV-50).

Pure functions over facts. `of_branch` is the table of section 6.2, `best` the choice among several branches
of section 6.3 (RFC 3261 §16.7 step 6 adapted to a B2BUA), `to_caller` the final response of section 9. A
deployment may override single codes with a `StatusMap`; the default is the table as documented.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from engine.dial.failure import LegFailure, Trouble
from engine.dial.leg import EndedBy
from engine.errors import ConfigError
from engine.ids import CallSid

__all__ = [
    "BranchEnd",
    "DialStatus",
    "How",
    "StatusMap",
    "TerminationReason",
    "Verdict",
    "best",
    "how_it_failed",
    "of_branch",
    "to_caller",
    "without_winner",
]


class DialStatus(StrEnum):
    """What `dial_status` may say: final values only (DV-51)."""

    COMPLETED = "completed"
    FAILED = "failed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    QUEUED = "queued"


class TerminationReason(StrEnum):
    """Why the dial ended (`dial_termination_reason`)."""

    ANSWERED = "answered"
    ALL_FAILED = "all-failed"
    RING_TIMEOUT = "ring-timeout"
    CALLER_GONE = "caller-gone"
    SCREENING_DECLINED = "screening-declined"
    TIME_LIMIT = "time-limit"
    NO_ROUTE = "no-route"
    REPLACED = "replaced"


class How(StrEnum):
    """How a branch came to its end, as far as the outcome is concerned."""

    CONNECTED = "connected"
    """It won and was joined."""
    RESPONSE = "response"
    """A final response 300-699 that we did not cause."""
    NO_RESPONSE = "no-response"
    TRANSPORT = "transport"
    NO_ROUTE = "no-route"
    MEDIA = "media"
    INTERNAL = "internal"
    HELD_BACK = "held-back"
    """An admission limit kept it from starting."""
    DECLINED = "declined"
    """Answered, but screening refused it or the callee hung up in screening."""
    GIVEN_UP = "given-up"
    """We let go of it: ring timer, caller gone, another branch won. Includes a 2xx that crossed our CANCEL.
    """


class BranchEnd(Struct, frozen=True):
    """The final state of one branch."""

    leg: CallSid
    how: How
    sip_status: int
    """Final response to the INVITE; for local failures the number of 6.2; 0: no INVITE was sent."""


class Verdict(Struct, frozen=True):
    """What a dial came to. Fields as in section 6.1."""

    dial_status: DialStatus
    sip_status: int
    termination_reason: TerminationReason
    leg: CallSid | None
    """The child that decided the result; None if there was none."""
    ended_by: EndedBy = EndedBy.ENGINE


# Section 6.2, the received responses. A code that is absent is `failed`.
_OF_RESPONSE: Mapping[int, DialStatus] = {
    408: DialStatus.NO_ANSWER,
    480: DialStatus.NO_ANSWER,
    486: DialStatus.BUSY,
    487: DialStatus.NO_ANSWER,  # not caused by us
    600: DialStatus.BUSY,
    603: DialStatus.BUSY,
    607: DialStatus.BUSY,
}

# Section 6.2, everything else: what the branch came to, whatever number it carries.
_OF_HOW: Mapping[How, DialStatus] = {
    How.CONNECTED: DialStatus.COMPLETED,
    How.DECLINED: DialStatus.BUSY,
    How.GIVEN_UP: DialStatus.NO_ANSWER,
    How.HELD_BACK: DialStatus.QUEUED,
    How.NO_RESPONSE: DialStatus.FAILED,
    How.TRANSPORT: DialStatus.FAILED,
    How.NO_ROUTE: DialStatus.FAILED,
    How.MEDIA: DialStatus.FAILED,
    How.INTERNAL: DialStatus.FAILED,
}

_HOW_OF_TROUBLE: Mapping[Trouble, How] = {
    Trouble.RESPONSE: How.RESPONSE,
    Trouble.NO_RESPONSE: How.NO_RESPONSE,
    Trouble.TRANSPORT: How.TRANSPORT,
    Trouble.NO_ROUTE: How.NO_ROUTE,
    Trouble.MEDIA: How.MEDIA,
    Trouble.HELD_BACK: How.HELD_BACK,
    Trouble.INTERNAL: How.INTERNAL,
}

_OVERRIDABLE = frozenset({DialStatus.FAILED, DialStatus.BUSY, DialStatus.NO_ANSWER})


class StatusMap(Struct, frozen=True):
    """Single received codes whose `dial_status` a deployment wants otherwise, e.g. `{603: FAILED}`."""

    overrides: Mapping[int, DialStatus] = {}

    def __post_init__(self) -> None:
        for code, status in self.overrides.items():
            if not 300 <= code <= 699:
                raise ConfigError(f"status_map.{code}", "only final responses 300 to 699 can be mapped")
            if status not in _OVERRIDABLE:
                raise ConfigError(
                    f"status_map.{code}", f"{status.value} is not the status of a failed branch"
                )

    def of_response(self, code: int) -> DialStatus:
        """`dial_status` of a received final response."""
        status = self.overrides.get(code)
        return _OF_RESPONSE.get(code, DialStatus.FAILED) if status is None else status


_DEFAULT = StatusMap()


def how_it_failed(failure: LegFailure) -> How:
    """The row of 6.2 that a leg's own classification belongs to."""
    return _HOW_OF_TROUBLE[failure.trouble]


def of_branch(end: BranchEnd, status_map: StatusMap = _DEFAULT) -> DialStatus:
    """Section 6.2: the status of one branch."""
    if end.how is How.RESPONSE:
        return status_map.of_response(end.sip_status)
    return _OF_HOW[end.how]


# Section 6.3, rules 4 to 7. Position in the list is the rank; a code that is absent comes after all of them.
_ORDER_6XX = {600: 0, 603: 0, 607: 1, 604: 2, 606: 3, 608: 4}
# The first five tell the client how to resubmit (RFC 3261 §16.7 step 6).
_ORDER_4XX = {code: rank for rank, code in enumerate((401, 407, 415, 420, 484, 486, 480, 408, 487))}
_ORDER_5XX = {503: 1}
_CLASS_OF_6XX, _CLASS_OF_NOTHING = 0, 9


def _rank(end: BranchEnd) -> tuple[int, int]:
    """(class, rank within it), the smallest is the best; equal ranks go by time of arrival."""
    # A callee who refused after answering said what a 603 says.
    code = 603 if end.how is How.DECLINED else end.sip_status
    match code // 100:
        case 6:
            return _CLASS_OF_6XX, _ORDER_6XX.get(code, len(_ORDER_6XX))
        case 3:
            return 3, 0
        case 4:
            return 4, _ORDER_4XX.get(code, len(_ORDER_4XX))
        case 5:
            return 5, _ORDER_5XX.get(code, 0)
        case _:
            return _CLASS_OF_NOTHING, 0


def best(ends: Iterable[BranchEnd]) -> BranchEnd | None:
    """Section 6.3, rules 3 to 7: the branch whose response is reported.

    `ends` in the order of arrival. Branches we gave up ourselves are left out (rule 3); None: none is left.
    """
    candidates = [end for end in ends if end.how is not How.GIVEN_UP]
    return min(candidates, key=_rank, default=None)


def without_winner(ends: Iterable[BranchEnd], status_map: StatusMap = _DEFAULT) -> Verdict:
    """Section 6.3, rule 8: the verdict when every branch has failed by itself. `ends` in order of arrival."""
    chosen = best(ends)
    if chosen is None:
        return Verdict(DialStatus.NO_ANSWER, 487, TerminationReason.ALL_FAILED, None)
    match chosen.how:
        case How.DECLINED:
            reason = TerminationReason.SCREENING_DECLINED
        case How.NO_ROUTE:
            reason = TerminationReason.NO_ROUTE
        case _:
            reason = TerminationReason.ALL_FAILED
    return Verdict(
        of_branch(chosen, status_map),
        chosen.sip_status,
        reason,
        chosen.leg,
        EndedBy.CALLEE if chosen.how in (How.RESPONSE, How.DECLINED) else EndedBy.ENGINE,
    )


def to_caller(
    sip_status: int | None, reason: TerminationReason | None, overrides: Mapping[int, int] | None = None
) -> int:
    """Section 9: the final response to a caller who was never answered.

    `sip_status` and `reason` of the last dial, None if no dial was executed. `overrides` maps the code that
    the table gives to another one (a frequent need: 603 → 486).
    """
    code = _to_caller(sip_status, reason)
    return code if overrides is None else overrides.get(code, code)


def _to_caller(sip_status: int | None, reason: TerminationReason | None) -> int:
    if sip_status is None:
        return 603
    if reason is TerminationReason.RING_TIMEOUT:
        return 480
    if reason is TerminationReason.SCREENING_DECLINED:
        return 603
    if sip_status < 300:
        return 503  # held back by an admission limit, or answered without being connected
    if 500 <= sip_status < 600:
        return 503 if sip_status == 503 else 500
    return sip_status
