"""What a dial needs from others: routing that makes legs, somebody who runs screening, a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from engine.dial.leg import Inbox, Leg, ParentLeg
from engine.dial.outcome import StatusMap
from engine.dial.plan import Plan, RingAll
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid

__all__ = ["LegFactory", "PlanFactory", "Screening", "ring_all"]


class LegFactory(Protocol):
    """Routing as the dial sees it."""

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        """The legs that ring for one target, at least one: a user may have several registrations.

        What cannot be routed is an `UnroutedLeg` with the failure of DV-25. Headers, identity and credentials
        are made per leg, so that nothing of one branch appears on another (DV-20).
        """


class Screening(Protocol):
    """Runs screening applications on answered callees (section 7)."""

    def begin(self, leg: Leg, hook: str, inbox: Inbox) -> None:
        """Start and return at once; one `Screened` is posted, unless `stop` came first."""

    def stop(self, leg: Leg) -> None:
        """The callee is being hung up or has gone; more than once, or without `begin`, does nothing more."""


PlanFactory: TypeAlias = Callable[[DialRequest, Sequence[tuple[CallSid, Target]], StatusMap], Plan]
"""Makes the plan over the legs of a request, in the order of the targets."""


def ring_all(request: DialRequest, legs: Sequence[tuple[CallSid, Target]], status_map: StatusMap) -> Plan:
    """The plan of the `dial` verb."""
    return RingAll(
        [leg for leg, _ in legs],
        ring_timeout_s=request.timeout_s,
        time_limit_s=request.time_limit_s,
        screened=[leg for leg, target in legs if target.confirm_hook or request.confirm_hook],
        status_map=status_map,
    )
