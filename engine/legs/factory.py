"""Makes the legs of a dial: what routing decided, given a voice. Implements `engine.dial.LegFactory`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.dial.failure import LegFailure
from engine.dial.leg import Leg, ParentLeg
from engine.dial.request import DialRequest, Target
from engine.dial.unrouted import UnroutedLeg
from engine.ids import new_call_sid
from engine.legs.caller_leg import CallerLeg
from engine.legs.inbound_leg import InboundLeg
from engine.legs.services import LegServices
from engine.legs.sip_leg import SipLeg
from engine.routing.branches import Router
from media import AudioCapabilities

__all__ = ["SipLegFactory"]


class SipLegFactory:
    """One per engine."""

    __slots__ = ("_capabilities_for", "_router", "_services")

    def __init__(
        self,
        services: LegServices,
        router: Router,
        capabilities_for: Callable[[tuple[str, ...]], AudioCapabilities],
    ) -> None:
        """`capabilities_for` turns codec names in offer order into what media offers; () is the default."""
        self._services = services
        self._router = router
        self._capabilities_for = capabilities_for

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        """The legs that ring for one target; what cannot be routed is one leg that fails at once (DV-25)."""
        if isinstance(parent, InboundLeg):
            routed = self._router.route(target, request, parent.identity, max(0, parent.max_forwards - 1))
        elif isinstance(parent, CallerLeg):
            routed = self._router.route(target, request, parent.identity)
        else:
            routed = self._router.route(target, request, None)
        if isinstance(routed, LegFailure):
            return (UnroutedLeg(new_call_sid(), routed, self._services.endpoint.now),)
        return [
            SipLeg(new_call_sid(), self._services, branch.params, self._capabilities_for(branch.codecs))
            for branch in routed
        ]
