"""SipLeg: an outbound branch over SIP. Implements `engine.dial.leg.Leg`.

The leg translates: SIP events into dial events, causes into CANCEL, BYE and Reason. It decides nothing about
other branches and waits for nothing; the SIP core finishes every goodbye on its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec.structs
import structlog

from engine.dial.events import (
    DtmfReceived,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegRinging,
    LegTrying,
)
from engine.dial.failure import (
    LegFailure,
    Phase,
    internal_error,
    media_failed,
    no_response,
    refused,
    transport_failed,
)
from engine.dial.leg import Cause, EndedBy, Inbox
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg, EndOfCall
from engine.legs.services import SDP, LegServices, required_sdp_of, sdp_of
from engine.sip.events import Answered, CallEvent, Ended, Failed, InviteSent, Provisional
from engine.sip.message import Request, Response
from engine.sip.types import Body, Failure, FailureKind, InviteParams, InviteState, Party
from media import AudioCapabilities, NegotiationFailed, PortsExhausted

__all__ = ["SipLeg"]

_log = structlog.get_logger(__name__)

_TRYING = 100


class SipLeg(CallLeg):
    """One INVITE we send, with an RTP port of its own."""

    __slots__ = ("_capabilities", "_cause", "_has_ended", "_inbox", "_params")

    def __init__(
        self,
        leg_id: CallSid,
        services: LegServices,
        params: InviteParams,
        capabilities: AudioCapabilities | None = None,
    ) -> None:
        """`params` without body: the offer is made when the leg starts.

        `capabilities` None: those of the process.
        """
        super().__init__(leg_id, services)
        self._params = params
        self._capabilities = capabilities
        self._inbox: Inbox | None = None
        self._cause: Cause | None = None
        self._has_ended = False

    # -- facts ------------------------------------------------------------------------------------------

    @property
    def from_(self) -> str:
        return self._params.from_

    @property
    def to(self) -> str:
        return self._params.to or f"<{self._params.target}>"

    @property
    def params(self) -> InviteParams:
        """What the INVITE was made of, without the offer."""
        return self._params

    @property
    def is_answered(self) -> bool:
        """The call is up, and so is its audio."""
        call = self._call
        return (
            call is not None
            and call.state is InviteState.ESTABLISHED
            and self.media is not None
            and not self._has_ended
        )

    # -- Leg --------------------------------------------------------------------------------------------

    def start(self, inbox: Inbox) -> None:
        self._inbox = inbox
        endpoint = self._services.endpoint
        try:
            stream = self._services.media.stream(self._capabilities, label=self._id)
        except PortsExhausted as error:
            self._end(endpoint.now(), EndedBy.ENGINE, failure=media_failed(str(error), 503, Phase.CALLING))
            return
        self._stream = stream
        stream.on_event(self._on_stream_event)
        params = msgspec.structs.replace(self._params, body=Body(SDP, stream.create_offer()))
        try:
            call = endpoint.invite(params, self)
        except ValueError as error:
            _log.warning("INVITE cannot be built", leg=self._id, reason=str(error))
            self._end(endpoint.now(), EndedBy.ENGINE, failure=internal_error(str(error)))
            return
        self._call = call
        if not call.is_resolving:
            self.sip_status, self.sip_reason = _TRYING, "Trying"
            inbox.post(LegTrying(self._id, endpoint.now(), call.call_id))

    def hang_up(self, cause: Cause, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        """`headers` go with the CANCEL or BYE; ValueError for what cannot be sent."""
        if self._cause is not None or self._has_ended:
            return
        if self._call is not None:
            self._call.hang_up(self._services.endpoint.now(), cause.reason_header, headers=headers)
        self._cause = cause
        if self._call is not None:
            self._services.endpoint.touch()
        # Nobody is heard any more: a far side that ignores CANCEL must not keep our ports for 64·T1.
        self._close_stream()

    def detach(self) -> None:
        """Report to nobody any more; the call goes on under whoever watches it."""
        self._inbox = None

    # -- CallOwner --------------------------------------------------------------------------------------

    def on_sip_event(self, event: CallEvent) -> None:
        """From the endpoint, in the order things happened."""
        match event:
            case Provisional():
                self._on_provisional(event)
            case InviteSent():
                self.sip_status, self.sip_reason = _TRYING, "Trying"
                if self._inbox is not None and not self._has_ended:
                    self._inbox.post(LegTrying(self._id, event.at, event.call.call_id))
            case Answered():
                self._on_answered(event)
            case Failed():
                self._on_failed(event.failure, event.at)
            case Ended():
                by = EndedBy.CALLEE if event.by is Party.REMOTE else EndedBy.ENGINE
                self._end(
                    event.at,
                    by,
                    sip_status=200,
                    sip_reason="OK",
                    reason_header=event.reason_header,
                    message=event.request,
                )
            case _:
                if not self._has_ended:
                    self._on_session_event(event)

    def _on_provisional(self, event: Provisional) -> None:
        if event.status == _TRYING or self._inbox is None or self._has_ended or self._cause is not None:
            return
        self.sip_status, self.sip_reason = event.status, event.reason
        if self._open_early_media(event):
            self._inbox.post(LegEarlyMedia(self._id, event.at, event.status, event.reason))
        else:
            self._inbox.post(LegRinging(self._id, event.at, event.status, event.reason))

    def _open_early_media(self, event: Provisional) -> bool:
        if event.body is None or self._stream is None:
            return False
        try:
            sdp = sdp_of(event.body)
            if sdp is None:
                return False
            self._stream.receive_answer(sdp)
        except NegotiationFailed as error:
            # A preview we cannot use is no reason to stop ringing: the answer may still be fine.
            _log.info("early media unusable", leg=self._id, reason=error.reason)
            return False
        return True

    def _on_answered(self, event: Answered) -> None:
        if self._inbox is None or self._has_ended:
            return
        try:
            sdp = required_sdp_of(event.body)
            if self._stream is not None and not (event.was_early and self.media is not None):
                self._stream.receive_answer(sdp)
        except NegotiationFailed as error:
            _log.info("answer unusable", leg=self._id, reason=error.reason)
            self._on_media_failed(error.reason)
            return
        response = event.response
        self.sip_status, self.sip_reason = response.status, response.reason
        self._inbox.post(LegAnswered(self._id, event.at, response.status, response.reason))
        self._confirmed(event.at)

    def _on_failed(self, failure: Failure, at: float) -> None:
        if self._cause is not None and failure.status == 487:
            self._end(at, EndedBy.ENGINE, sip_status=487, sip_reason=failure.reason)
            return
        by = EndedBy.CALLEE if failure.kind is FailureKind.REFUSED else EndedBy.ENGINE
        response = failure.response
        reason_header = (response.headers.get("reason") or "") if response is not None else ""
        self._end(at, by, failure=_leg_failure(failure), reason_header=reason_header, message=response)

    def _end(
        self,
        at: float,
        by: EndedBy,
        *,
        sip_status: int = 0,
        sip_reason: str = "",
        failure: LegFailure | None = None,
        reason_header: str = "",
        message: Request | Response | None = None,
    ) -> None:
        if self._has_ended:
            return
        self._has_ended = True
        if failure is not None:
            sip_status, sip_reason = failure.sip_status, failure.reason
        if self._inbox is not None:
            self._inbox.post(LegEnded(self._id, at, by, sip_status, sip_reason, failure, reason_header))
            self._inbox = None
        self._close_stream()
        self._is_gone_now(EndOfCall(at, by, sip_status, sip_reason, reason_header, message))

    # -- CallLeg ----------------------------------------------------------------------------------------

    def _on_digit(self, digit: str, duration_ms: int, *, at: float) -> None:
        if self._inbox is not None and not self._has_ended:
            self._inbox.post(DtmfReceived(self._id, at, digit, duration_ms))

    def _on_media_failed(self, reason: str) -> None:
        """The call was accepted but there is no audio to speak of: goodbye now, the core does the rest."""
        self.hang_up(Cause.ENGINE_ERROR)
        self._end(self._services.endpoint.now(), EndedBy.ENGINE, failure=media_failed(reason))


def _leg_failure(failure: Failure) -> LegFailure:
    match failure.kind:
        case FailureKind.NO_RESPONSE:
            return no_response(failure.reason)
        case FailureKind.TRANSPORT:
            return transport_failed(failure.reason)
        case FailureKind.UNRESOLVED:
            return transport_failed(failure.reason, Phase.RESOLVING)
        case _:
            phase = Phase.RINGING if failure.had_provisional else Phase.CALLING
            return refused(failure.status, failure.reason, phase)
