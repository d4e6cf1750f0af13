"""InboundLeg: a call somebody sent us. Implements `engine.dial.leg.ParentLeg`.

The offer is answered in memory as soon as the call arrives, so that an unusable one is refused before
anybody is rung; the answer leaves with the first message that carries it, 183 or 200.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from engine.dial.events import CallerAnswered, CallerGone, DtmfReceived
from engine.dial.leg import EndedBy, Inbox
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg, EndOfCall
from engine.legs.services import SDP, LegServices, sdp_of
from engine.routing.identity import identity_of
from engine.sip.events import CallEvent, Confirmed, Ended, Failed, IncomingCall
from engine.sip.message import Request
from engine.sip.types import Address, Body, FailureKind, InviteState, Party
from engine.sip.uas import IncomingInvite
from media import AudioCapabilities

__all__ = ["InboundLeg"]

_log = structlog.get_logger(__name__)


class InboundLeg(CallLeg):
    """One INVITE we received, with an RTP port of its own."""

    __slots__ = (
        "_answer",
        "_gone",
        "_has_answered",
        "_has_early_media",
        "_inbox",
        "_invite",
        "_is_delayed",
        "identity",
        "max_forwards",
    )

    def __init__(
        self,
        leg_id: CallSid,
        services: LegServices,
        incoming: IncomingCall,
        capabilities: AudioCapabilities | None = None,
    ) -> None:
        """Takes the call over, with its offer.

        Raises NegotiationFailed (its `status` is what the offer deserves) or PortsExhausted; nothing is left
        open then and the call still waits for its final response.
        """
        super().__init__(leg_id, services)
        self._inbox: Inbox | None = None
        self._gone: CallerGone | None = None
        self._has_answered = False
        self._has_early_media = False
        self._invite: IncomingInvite = incoming.call
        self.identity = identity_of(incoming.request)
        self.max_forwards = incoming.request.max_forwards
        """Hops the caller's INVITE may still make; ours for this caller may make one less (RFC 7332)."""
        self._call = incoming.call
        self.sip_status, self.sip_reason = 100, "Trying"
        offer = sdp_of(incoming.body)
        stream = services.media.stream(capabilities, label=leg_id)
        try:
            self._answer = stream.receive_offer(offer) if offer is not None else b""
        except BaseException:
            stream.close()
            raise
        self._is_delayed = offer is None
        self._stream = stream
        stream.on_event(self._on_stream_event)
        incoming.call.owner = self

    # -- facts ------------------------------------------------------------------------------------------

    @property
    def from_(self) -> str:
        return self._invite.request.headers.get("from") or ""

    @property
    def to(self) -> str:
        return self._invite.request.headers.get("to") or ""

    @property
    def invite(self) -> Request:
        return self._invite.request

    @property
    def originating_address(self) -> Address:
        return self._invite.flow.remote

    # -- ParentLeg --------------------------------------------------------------------------------------

    @property
    def has_answered(self) -> bool:
        return self._has_answered and self.media is not None

    @property
    def is_gone(self) -> bool:
        """The caller has hung up, or the call broke."""
        return self._gone is not None

    def attach(self, inbox: Inbox) -> None:
        self._inbox = inbox
        if self._gone is not None:
            inbox.post(self._gone)

    def detach(self) -> None:
        self._inbox = None

    def ring(self) -> None:
        if self._may_send_provisional and not self._has_early_media:
            self.sip_status, self.sip_reason = 180, "Ringing"
            self._invite.ring(self._services.endpoint.now())
            self._services.endpoint.touch()

    def open_early_media(self) -> None:
        # Without an offer in the INVITE there is nothing to answer in a 183; the caller just hears ringing.
        if self._is_delayed:
            self.ring()
        elif self._may_send_provisional and not self._has_early_media:
            self._has_early_media = True
            self.sip_status, self.sip_reason = 183, "Session Progress"
            self._invite.ring(self._services.endpoint.now(), 183, Body(SDP, self._answer))
            self._services.endpoint.touch()

    def answer(self) -> None:
        if self._has_answered or self._gone is not None or self._stream is None:
            return
        self._has_answered = True
        self.sip_status, self.sip_reason = 200, "OK"
        sdp = self._stream.create_offer() if self._is_delayed else self._answer
        self._invite.answer(Body(SDP, sdp), self._services.endpoint.now())
        self._services.endpoint.touch()

    # -- verbs of the application -----------------------------------------------------------------------

    def hang_up(
        self,
        status: int = 480,
        reason: str = "",
        *,
        reason_header: str = "",
        retry_after_s: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """BYE if the call was answered, else the final response `status`. Any number of times.

        `headers` go with whichever it is; ValueError for what cannot be sent.
        """
        if self._gone is not None:
            return
        now = self._services.endpoint.now()
        if self._invite.state is InviteState.PROCEEDING:
            fields = [("Reason", reason_header)] if reason_header else []
            if retry_after_s is not None:
                fields.append(("Retry-After", str(retry_after_s)))
            self._invite.reject(now, status, reason, (*fields, *headers))
        else:
            self._invite.hang_up(now, reason_header, headers=headers)
        self._services.endpoint.touch()

    # -- CallOwner --------------------------------------------------------------------------------------

    def on_sip_event(self, event: CallEvent) -> None:
        """From the endpoint, in the order things happened."""
        match event:
            case Failed():
                failure = event.failure
                self._leave(event.at, failure.reason)
                is_theirs = failure.kind is FailureKind.CALLER_GONE
                by = EndedBy.CALLER if is_theirs else EndedBy.ENGINE
                request = failure.request
                reason_header = (request.headers.get("reason") or "") if request is not None else ""
                self._is_gone_now(
                    EndOfCall(event.at, by, failure.status, failure.reason, reason_header, request)
                )
            case Ended():
                self._leave(event.at, event.reason_header)
                by = EndedBy.CALLER if event.by is Party.REMOTE else EndedBy.ENGINE
                self._is_gone_now(EndOfCall(event.at, by, 200, "OK", event.reason_header, event.request))
            case Confirmed():
                self._expect_media(event)
                self._confirmed(event.at)
            case _:
                if self._gone is None:
                    self._on_session_event(event)

    def _expect_media(self, event: Confirmed) -> None:
        # An ACK without the answer to the offer in our 200 (RFC 3261 §13.2.1) leaves a call that never has
        # audio: a callee joined to it would wait for ever.
        if self._is_delayed and not event.call.dialog_of_call.negotiation.is_complete:
            _log.info("no answer in the ACK", leg=self._id)
            self._on_media_failed("no answer in the ACK")

    def _leave(self, at: float, reason: str) -> None:
        self._gone = CallerGone(at, reason)
        if self._inbox is not None:
            self._inbox.post(self._gone)
        self._close_stream()

    @property
    def _may_send_provisional(self) -> bool:
        return self._gone is None and not self._has_answered

    # -- CallLeg ----------------------------------------------------------------------------------------

    def _on_digit(self, digit: str, duration_ms: int, *, at: float) -> None:
        if self._inbox is not None:
            self._inbox.post(DtmfReceived(self._id, at, digit, duration_ms))

    def _on_media_agreed(self, at: float) -> None:
        # The answer to the offer in our 200 came with the ACK.
        if self._is_delayed and self._has_answered:
            self._is_delayed = False
            if self._inbox is not None:
                self._inbox.post(CallerAnswered(at))

    def _on_media_failed(self, reason: str) -> None:
        self.hang_up(488, "Not Acceptable Here")
