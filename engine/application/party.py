"""The leg a call is about, in both directions: what differs is how it is ended, and if it can be refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import structlog

from engine.application.session import PartyLeg
from engine.dial.leg import Cause, ParentLeg
from engine.dial.safety import merge_headers
from engine.legs.call_leg import Reply
from engine.legs.caller_leg import CallerLeg
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import Watcher
from media import RtpStatistics

__all__ = ["InboundParty", "Line", "OutboundParty", "Party", "Seat", "sendable"]

log = structlog.get_logger(__name__)


def sendable(headers: Mapping[str, str], leg: str) -> tuple[tuple[str, str], ...]:
    """What an application may add to a message of this leg (DV-21): reserved headers are left out, with a
    warning; the message would not arrive with them."""
    fields = merge_headers(headers)
    if len(fields) < len(headers):
        kept = {name for name, _ in fields}
        log.warning(
            "reserved headers are not sent", leg=leg, names=[each for each in headers if each not in kept]
        )
    return fields


class Line(Protocol):
    """`engine.legs.CallLeg`, as far as calls need it."""

    @property
    def sip_call_id(self) -> str: ...

    @property
    def codec(self) -> str: ...

    def statistics(self) -> RtpStatistics | None: ...

    def watch(self, watcher: Watcher) -> None: ...

    def unwatch(self, watcher: Watcher) -> None: ...

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None: ...

    async def send_request(
        self,
        method: str,
        *,
        content_type: str = "",
        content: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply: ...


class Seat(PartyLeg, ParentLeg, Protocol):
    """The leg of a call: verbs play to it, and dials reach somebody for it."""


class Party(Protocol):
    """One call's leg."""

    @property
    def leg(self) -> Seat: ...

    @property
    def line(self) -> Line: ...

    def hang_up(self, status: int, reason: str = "", headers: Mapping[str, str] | None = None) -> None:
        """BYE if it is up, else the final response. Any number of times, in any state."""


class InboundParty:
    """A call sent to us."""

    __slots__ = ("leg",)

    def __init__(self, leg: InboundLeg) -> None:
        self.leg = leg

    @property
    def line(self) -> Line:
        return self.leg

    def hang_up(self, status: int, reason: str = "", headers: Mapping[str, str] | None = None) -> None:
        fields = sendable(headers or {}, self.leg.id)
        try:
            self.leg.hang_up(status, reason, headers=fields)
        except ValueError as error:
            # Headers were checked with the document; the goodbye must not fail for them in any case.
            log.warning("goodbye without its headers", call=self.leg.id, reason=str(error))
            self.leg.hang_up(status)


class OutboundParty:
    """A call of ours that was answered."""

    __slots__ = ("leg",)

    def __init__(self, leg: CallerLeg) -> None:
        self.leg = leg

    @property
    def line(self) -> Line:
        return self.leg.leg

    def hang_up(self, status: int, reason: str = "", headers: Mapping[str, str] | None = None) -> None:
        fields = sendable(headers or {}, self.leg.id)
        try:
            self.leg.hang_up(Cause.NORMAL, headers=fields)
        except ValueError as error:
            log.warning("goodbye without its headers", call=self.leg.id, reason=str(error))
            self.leg.hang_up(Cause.NORMAL)
