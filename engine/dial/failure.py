"""Why a leg failed: classified once, where the failure arises, and carried as a value from there on."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

__all__ = [
    "Fault",
    "LegFailure",
    "Phase",
    "Trouble",
    "held_back",
    "internal_error",
    "media_failed",
    "no_response",
    "no_route",
    "refused",
    "transport_failed",
]


class Phase(StrEnum):
    """How far a leg had come when it failed."""

    ROUTING = "routing"
    """Choosing trunk or registration; nothing was sent."""
    RESOLVING = "resolving"
    CALLING = "calling"
    """The INVITE is out, nothing has come back."""
    RINGING = "ringing"
    """At least one provisional response came back."""
    ANSWERING = "answering"
    MEDIA = "media"
    TALKING = "talking"


class Fault(StrEnum):
    """Who has to act."""

    CALLEE = "callee"
    TRUNK = "trunk"
    NETWORK = "network"
    ENGINE = "engine"
    UNKNOWN = "unknown"


class Trouble(StrEnum):
    """What kind of failure it was; the outcome table tells a received 408 from silence by this."""

    RESPONSE = "response"
    """The far side sent the final response `sip_status`."""
    NO_RESPONSE = "no-response"
    """Timer B: not a single response in 64·T1."""
    TRANSPORT = "transport"
    """DNS failure, refused connection, broken transport."""
    NO_ROUTE = "no-route"
    """Unknown or unusable trunk, unknown or unregistered user."""
    MEDIA = "media"
    """The two sides found no common media, or it went silent."""
    HELD_BACK = "held-back"
    """An admission limit kept the leg waiting until nobody wanted it any more: no INVITE was sent."""
    INTERNAL = "internal"


class LegFailure(Struct, frozen=True):
    """Why a leg failed, written where the failure arises so that nobody downstream re-guesses."""

    phase: Phase
    fault: Fault
    trouble: Trouble
    sip_status: int
    """The final response received, or the number that stands for a local failure (DV 6.2): 408, 503, 500, 0.
    """
    reason: str = ""
    """The peer's phrase as received, or our own words for a local failure."""
    may_retry: bool = False


def refused(status: int, reason: str, phase: Phase = Phase.CALLING) -> LegFailure:
    """A final response 300-699 arrived. `phase` is RINGING if a provisional response came before it."""
    return LegFailure(
        phase=phase,
        fault=_fault_of(status),
        trouble=Trouble.RESPONSE,
        sip_status=status,
        reason=reason,
        may_retry=status in _RETRY_STATUSES,
    )


def no_response(reason: str = "no response") -> LegFailure:
    """Not a single response within 64·T1 (Timer B). After a provisional response use `refused(408, …,
    RINGING)`."""
    return LegFailure(Phase.CALLING, Fault.NETWORK, Trouble.NO_RESPONSE, 408, reason, may_retry=True)


def transport_failed(reason: str, phase: Phase = Phase.CALLING) -> LegFailure:
    """DNS failure (`phase` RESOLVING), connection refused or lost."""
    return LegFailure(phase, Fault.NETWORK, Trouble.TRANSPORT, 503, reason, may_retry=True)


def no_route(status: int = 503, reason: str = "no-route") -> LegFailure:
    """Unknown trunk: 503; unknown user: 404; known user without registration: 480 (DV-25)."""
    fault = Fault.CALLEE if status == 480 else Fault.ENGINE
    return LegFailure(Phase.ROUTING, fault, Trouble.NO_ROUTE, status, reason)


def media_failed(reason: str, status: int = 488, phase: Phase = Phase.MEDIA) -> LegFailure:
    """No common codec, unusable SDP, or no RTP port left (then `status` is 503)."""
    fault = Fault.ENGINE if status == 503 else Fault.CALLEE
    return LegFailure(phase, fault, Trouble.MEDIA, status, reason)


def held_back(reason: str = "held back by an admission limit") -> LegFailure:
    """The leg was told to stop before an admission limit let it begin."""
    return LegFailure(Phase.ROUTING, Fault.ENGINE, Trouble.HELD_BACK, 0, reason, may_retry=True)


def internal_error(reason: str, phase: Phase = Phase.CALLING) -> LegFailure:
    """A mistake of our own."""
    return LegFailure(phase, Fault.ENGINE, Trouble.INTERNAL, 500, reason)


# The callee, or the phone acting for the callee, has spoken. The rest of 4xx and 5xx is the route's doing.
_CALLEE_STATUSES = frozenset({404, 406, 408, 410, 415, 480, 484, 485, 486, 487, 488, 600, 603, 604, 606, 607})
# 608 is sent by an analytics engine on the way (RFC 8688), not by the callee.
_TRUNK_STATUSES = frozenset({401, 402, 403, 407, 608})
_RETRY_STATUSES = frozenset({408, 480, 486, 500, 502, 503, 504, 600})


def _fault_of(status: int) -> Fault:
    if status in _CALLEE_STATUSES:
        return Fault.CALLEE
    if status in _TRUNK_STATUSES or 500 <= status < 600 or 300 <= status < 400:
        return Fault.TRUNK
    return Fault.UNKNOWN
