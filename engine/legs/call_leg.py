"""What an outbound and an inbound SIP leg have in common: one SIP call joined to one media stream.

Here: renegotiation by the peer (hold, resume, codec change), our own hold, digits from every source, and the
careful end of the stream. Not here: how the call begins, which is where the two directions differ.
"""

from __future__ import annotations

import structlog

from engine.ids import CallSid
from engine.legs.services import SDP, LegServices, dtmf_of, dtmf_relay, required_sdp_of, sdp_of
from engine.sip.events import (
    AnswerReceived,
    CallEvent,
    InfoReceived,
    OfferReceived,
    OfferRejected,
    ReferReceived,
)
from engine.sip.session import Call
from engine.sip.types import Body, InviteState
from media import (
    DtmfReceived,
    DtmfUndeliverable,
    MediaStream,
    MediaTimeout,
    NegotiationFailed,
    StreamEvent,
)

__all__ = ["CallLeg"]

_log = structlog.get_logger(__name__)

_NOT_IMPLEMENTED = 501
_NOT_ACCEPTABLE = 488


class CallLeg:
    """One party's SIP call with its audio. Owned by a dial or by the application; never by another leg."""

    __slots__ = ("_call", "_id", "_services", "_stream")

    def __init__(self, leg_id: CallSid, services: LegServices) -> None:
        self._id = leg_id
        self._services = services
        self._call: Call | None = None
        self._stream: MediaStream | None = None

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def media(self) -> MediaStream | None:
        """The audio of this leg; None until both sides have agreed on it for the first time."""
        stream = self._stream
        return stream if stream is not None and stream.negotiated is not None else None

    # -- verbs of whoever owns the leg ------------------------------------------------------------------

    def hold(self) -> bool:
        """Ask the peer to be silent (re-INVITE, sendonly). False if the call cannot be changed now."""
        return self._reoffer(holding=True)

    def resume(self) -> bool:
        """End our hold. False if the call cannot be changed now."""
        return self._reoffer(holding=False)

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        """Key digits to the peer: RFC 4733 where agreed, INFO otherwise. ValueError for what is no digit."""
        if self._stream is not None:
            self._stream.send_dtmf(digits, duration_ms=duration_ms)

    def _reoffer(self, *, holding: bool) -> bool:
        call, stream = self._call, self._stream
        if call is None or stream is None or not call.can_offer:
            return False
        sdp = stream.hold() if holding else stream.resume()
        call.offer(Body(SDP, sdp), self._services.endpoint.now())
        self._services.endpoint.touch()
        return True

    # -- what the core tells ----------------------------------------------------------------------------

    def _on_session_event(self, event: CallEvent) -> None:
        """The events that mean the same on both kinds of leg."""
        match event:
            case OfferReceived():
                self._answer_offer(event)
            case AnswerReceived():
                self._take_answer(event.call, event.body)
            case OfferRejected():
                if self._stream is not None:
                    self._stream.withdraw_offer()
                _log.info("offer rejected by peer", leg=self._id, sip_status=event.status)
            case InfoReceived():
                keyed = dtmf_of(event.body)
                if keyed is not None:
                    self._on_digit(*keyed, at=event.at)
                    if self._stream is not None:
                        self._stream.pass_digit(*keyed)
            case ReferReceived():
                event.refer.reject(event.at, _NOT_IMPLEMENTED)
                self._services.endpoint.touch()
            case _:
                pass

    def _answer_offer(self, event: OfferReceived) -> None:
        call, stream, now = event.call, self._stream, event.at
        if not call.has_pending_offer:
            return  # withdrawn before we came to it: what was agreed before still stands
        if stream is None:
            call.reject_offer(now, _NOT_ACCEPTABLE)
            self._services.endpoint.touch()
            return
        try:
            sdp = sdp_of(event.body)
            reply = stream.create_offer() if sdp is None else stream.receive_offer(sdp)
        except NegotiationFailed as error:
            _log.info("offer refused", leg=self._id, reason=error.reason)
            call.reject_offer(now, error.status)
        else:
            call.answer_offer(Body(SDP, reply), now)
            if sdp is not None:
                self._on_media_agreed(now)
        self._services.endpoint.touch()

    def _take_answer(self, call: Call, body: Body) -> None:
        stream = self._stream
        if stream is None:
            return
        now = self._services.endpoint.now()
        try:
            stream.receive_answer(required_sdp_of(body))
        except NegotiationFailed as error:
            # The peer accepted our offer with something unusable: there is no way back but to end the call.
            _log.info("unusable answer", leg=self._id, reason=error.reason)
            self._on_media_failed(error.reason)
        else:
            self._on_media_agreed(now)

    # -- what the stream tells --------------------------------------------------------------------------

    def _on_stream_event(self, event: StreamEvent) -> None:
        match event:
            case DtmfReceived():
                self._on_digit(event.digit, event.duration_ms, at=event.at)
            case DtmfUndeliverable():
                self._send_info(event.digit, event.duration_ms)
            case MediaTimeout():
                _log.info("no audio from peer", leg=self._id, silent_s=event.silent_s)
                self._on_media_failed(f"no RTP for {event.silent_s:g} s")
            case _:
                pass

    def _send_info(self, digit: str, duration_ms: int) -> None:
        call = self._call
        if call is not None and call.state is InviteState.ESTABLISHED:
            call.send_info(dtmf_relay(digit, duration_ms), self._services.endpoint.now())
            self._services.endpoint.touch()

    def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()

    # -- for the two kinds of leg -----------------------------------------------------------------------

    def _on_digit(self, digit: str, duration_ms: int, *, at: float) -> None:
        raise NotImplementedError

    def _on_media_agreed(self, at: float) -> None:
        """An offer and an answer have met."""

    def _on_media_failed(self, reason: str) -> None:
        """The call cannot go on for want of audio."""
        raise NotImplementedError
