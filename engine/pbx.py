"""Calls a PBX sends us: admitted by source, routed by number, dialled or given to an application, and ended.

One `InboundLeg` per call, and one dial or one application. When the dial is over and nothing follows it, the
caller gets the final response of section 9, or a BYE if the call was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from engine.dial.dial import Happening, Observer
from engine.dial.manager import DialManager
from engine.dial.request import InvalidRequest
from engine.dial.result import DialResult
from engine.errors import Overloaded
from engine.ids import new_call_sid
from engine.legs.inbound_leg import InboundLeg
from engine.legs.services import LegServices
from engine.routing.identity import without_parameters
from engine.routing.inbound import InboundRoutes, RunApplication, Sources
from engine.sip.errors import ParseError
from engine.sip.events import IncomingCall
from engine.sip.uri import SipUri, TelUri, parse_uri
from media import NegotiationFailed, PortsExhausted

if TYPE_CHECKING:
    from engine.application.calls import Calls

__all__ = ["InboundCalls"]

_log = structlog.get_logger(__name__)

_DRAIN_RETRY_AFTER_S = 5


class InboundCalls:
    """Takes every call that comes in; nothing here waits."""

    __slots__ = (
        "_calls",
        "_dials",
        "_is_open",
        "_legs",
        "_response_overrides",
        "_routes",
        "_services",
        "_sources",
        "refused",
    )

    def __init__(
        self,
        services: LegServices,
        dials: DialManager,
        sources: Sources,
        routes: InboundRoutes,
        calls: Calls | None = None,
        response_overrides: Mapping[int, int] | None = None,
    ) -> None:
        """`calls`: runs applications; None: routes to one lead nowhere. `response_overrides`: final responses
        to unanswered callers, the code of section 9 to the code that is sent."""
        self._response_overrides = response_overrides
        self._calls = calls
        self._services = services
        self._dials = dials
        self._sources = sources
        self._routes = routes
        self._legs: set[InboundLeg] = set()
        self._is_open = True
        self.refused: Counter[int] = Counter()
        """Calls refused before a dial began, by status."""

    def take(self, incoming: IncomingCall) -> None:
        """Answer, route or refuse one new call."""
        source = self._sources.name_of(incoming.flow.remote.host)
        if source is None:
            # Strangers are told as little as possible, and cost as little as possible.
            self._refuse(incoming, 403, "Forbidden")
            return
        if not self._is_open:
            self._refuse(incoming, 503, "Service Unavailable", retry_after_s=_DRAIN_RETRY_AFTER_S)
            return
        number = _dialled_number(incoming)
        request = self._routes.find(number, source)
        if isinstance(request, RunApplication):
            self._run_application(incoming, request.name, source)
            return
        if request is None:
            _log.info("no route for call", source=source, number=number)
            self._refuse(incoming, 404, "Not Found")
            return
        leg = self._leg(incoming, source)
        if leg is None:
            return
        try:
            self._dials.start(request, leg, observer=self._finisher(leg))
        except Overloaded as error:
            leg.hang_up(503, "Service Unavailable", retry_after_s=max(1, round(error.retry_after_s)))
        except InvalidRequest as error:
            _log.error("route cannot be dialled", source=source, reason=error.reason)
            leg.hang_up(500, "Server Internal Error")
        else:
            self._legs.add(leg)

    def _run_application(self, incoming: IncomingCall, name: str, source: str) -> None:
        calls = self._calls
        application = calls.applications.find(name) if calls is not None else None
        if calls is None or application is None:
            _log.error("no such application", application=name, source=source)
            self._refuse(incoming, 404, "Not Found")
        elif not application.is_active:
            self._refuse(incoming, 403, "Forbidden")
        elif calls.refusal:
            _log.warning("call refused", source=source, reason=calls.refusal)
            self._refuse(incoming, 503, "Service Unavailable", retry_after_s=1)
        else:
            leg = self._leg(incoming, source)
            if leg is not None:
                calls.take(leg, application, source=source)

    def _leg(self, incoming: IncomingCall, source: str) -> InboundLeg | None:
        """The caller's leg; None: it could not be made, and the caller has been told."""
        try:
            return InboundLeg(new_call_sid(), self._services, incoming)
        except NegotiationFailed as error:
            _log.info("offer refused", source=source, reason=error.reason)
            self._refuse(incoming, error.status, "")
        except PortsExhausted as error:
            _log.warning("call refused", source=source, reason=str(error))
            self._refuse(incoming, 503, "Service Unavailable", retry_after_s=1)
        return None

    def refuse_new(self) -> None:
        """503 from now on; calls in progress go on."""
        self._is_open = False

    def close(self) -> None:
        """Let go of every caller; the dials end with them."""
        for leg in tuple(self._legs):
            leg.hang_up(503, "Service Unavailable")

    def __len__(self) -> int:
        return len(self._legs)

    def _finisher(self, leg: InboundLeg) -> Observer:
        def observe(happening: Happening) -> None:
            if isinstance(happening, DialResult):
                self._legs.discard(leg)
                leg.hang_up(happening.response_to_caller(self._response_overrides))

        return observe

    def _refuse(
        self, incoming: IncomingCall, status: int, reason: str, *, retry_after_s: int | None = None
    ) -> None:
        self.refused[status] += 1
        headers = (("Retry-After", str(retry_after_s)),) if retry_after_s is not None else ()
        incoming.call.reject(incoming.at, status, reason, headers)
        self._services.endpoint.touch()


def _dialled_number(incoming: IncomingCall) -> str:
    """User part of the Request-URI, unescaped; the number of a tel: URI."""
    try:
        uri = parse_uri(incoming.request.uri)
    except ParseError:
        return ""
    if isinstance(uri, TelUri):
        return uri.number
    return without_parameters(uri.decoded_user) if isinstance(uri, SipUri) else ""
