"""What an outbound and an inbound SIP leg have in common: one SIP call joined to one media stream.

Here: renegotiation by the peer (hold, resume, codec change), our own hold, digits from every source, requests
of the application in the dialog, the notes for whoever watches, and the careful end of the stream. Not here:
how the call begins, which is where the two directions differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from engine.dial.leg import EndedBy
from engine.ids import CallSid
from engine.legs.exchange import Exchange, OfferHandler, PeerOffer
from engine.legs.notes import (
    DigitKeyed,
    DigitMethod,
    InfoGot,
    LegConfirmed,
    LegGone,
    LegNote,
    PeerHeld,
    Referred,
    Watcher,
)
from engine.legs.referral import Referral
from engine.legs.services import SDP, LegServices, dtmf_of, dtmf_relay, required_sdp_of, sdp_of
from engine.sip.events import (
    AnswerReceived,
    CallEvent,
    InfoReceived,
    OfferReceived,
    OfferRejected,
    ReferReceived,
    Replied,
    TurnToOffer,
)
from engine.sip.message import Request, Response
from engine.sip.session import Call
from engine.sip.types import Address, Body, InviteState, WrongState
from media import (
    DtmfReceived,
    DtmfUndeliverable,
    MediaStream,
    MediaTimeout,
    NegotiationFailed,
    StreamEvent,
)
from media.events import DtmfMethod
from media.rtp import RtpStatistics

__all__ = ["CallLeg", "EndOfCall", "OfferHandler", "PeerOffer", "Reply"]

_log = structlog.get_logger(__name__)

_NOT_IMPLEMENTED = 501
_NOT_ACCEPTABLE = 488

_METHODS = {DtmfMethod.EVENT: DigitMethod.EVENT, DtmfMethod.IN_BAND: DigitMethod.IN_BAND}


class Reply(NamedTuple):
    """Outcome of a request sent in the dialog."""

    status: int
    """Final response; 408 if none came, 481 if there was no call (any more), 503 if it could not be sent."""
    reason: str


class EndOfCall(NamedTuple):
    """How the leg came to its end, as told to those who watch."""

    at: float
    by: EndedBy
    sip_status: int
    sip_reason: str
    reason_header: str
    message: Request | Response | None


class CallLeg:
    """One party's SIP call with its audio. Owned by a dial or by the application; never by another leg."""

    __slots__ = (
        "_asked",
        "_call",
        "_end_of_call",
        "_exchange",
        "_id",
        "_owed_digits",
        "_services",
        "_stream",
        "_watchers",
        "offer_handler",
        "sip_reason",
        "sip_status",
    )

    def __init__(self, leg_id: CallSid, services: LegServices) -> None:
        self._id = leg_id
        self._services = services
        self._call: Call | None = None
        self._stream: MediaStream | None = None
        self._watchers: tuple[Watcher, ...] = ()
        self._asked: dict[int, asyncio.Future[Reply]] | None = None
        self._end_of_call: EndOfCall | None = None
        self._exchange: Exchange | None = None
        self._owed_digits: tuple[tuple[str, int], ...] = ()
        """For INFO, which has to wait for the ACK; digit and ms."""
        self.offer_handler: OfferHandler | None = None
        """Answers the peer's offers in place of the leg's own stream."""
        self.sip_status = 0
        """Last status on this leg, received or sent; 0: the INVITE has not left."""
        self.sip_reason = ""

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def media(self) -> MediaStream | None:
        """The audio of this leg; None until both sides have agreed on it for the first time."""
        stream = self._stream
        return stream if stream is not None and stream.negotiated is not None else None

    # -- facts ------------------------------------------------------------------------------------------

    @property
    def sip_call_id(self) -> str:
        """Call-ID; empty before the INVITE."""
        return self._call.call_id if self._call is not None else ""

    @property
    def from_(self) -> str:
        """From of the INVITE, as in the message."""
        raise NotImplementedError

    @property
    def to(self) -> str:
        """To of the INVITE, as in the message."""
        raise NotImplementedError

    @property
    def invite(self) -> Request | None:
        """The INVITE as received; None for a call of ours."""
        return None

    @property
    def originating_address(self) -> Address | None:
        """Where the INVITE came from; None for a call of ours."""
        return None

    @property
    def reason_header(self) -> str:
        """RFC 3326 Reason of the message that ended the call, as received."""
        return self._end_of_call.reason_header if self._end_of_call is not None else ""

    @property
    def is_over(self) -> bool:
        """`LegGone` was told, or would have been."""
        return self._end_of_call is not None

    @property
    def has_offer_of_peer(self) -> bool:
        """An offer of the peer waits for its answer."""
        return self._call is not None and self._call.has_pending_offer

    @property
    def is_offering(self) -> bool:
        """An offer of ours is under way, or waits to be tried again after glare."""
        return self._call is not None and self._call.modification is not None

    @property
    def may_offer_later(self) -> bool:
        """We shall hear when the session can be changed: the call is not up yet, or we are changing it."""
        call = self._call
        return call is not None and (call.wants_turn or not call.is_confirmed)

    @property
    def is_held(self) -> bool:
        """The peer put us on hold."""
        return self._stream is not None and self._stream.is_held

    @property
    def codec(self) -> str:
        """What is spoken, e.g. `PCMU/8000`; empty before that is agreed."""
        media = self._stream.negotiated if self._stream is not None else None
        return media.codec.rtpmap if media is not None else ""

    def statistics(self) -> RtpStatistics | None:
        """RTP in both directions so far, also after the call; None if it never had a port."""
        return self._stream.statistics() if self._stream is not None else None

    # -- watching ---------------------------------------------------------------------------------------

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` what happens from now on, `LegGone` last; at once if the leg is over already."""
        self._watchers = (*self._watchers, watcher)
        if self._end_of_call is not None:
            watcher(self._gone_note(self._end_of_call))

    def unwatch(self, watcher: Watcher) -> None:
        """Unknown is fine. May be called from within a watcher."""
        self._watchers = tuple(each for each in self._watchers if each != watcher)

    def need_digits(self, *, wanted: bool = True) -> None:
        """Somebody waits for this party's digits, or does no more: its media has to come here meanwhile."""
        if self._stream is not None:
            self._stream.need(wanted=wanted)

    def _tell(self, note: LegNote) -> None:
        for watcher in self._watchers:
            try:
                watcher(note)
            except Exception:  # noqa: BLE001 - its bug must cost neither the others the news nor the call its life
                _log.exception("watcher of a leg failed", leg=self._id, note=type(note).__name__)

    def _gone_note(self, end: EndOfCall) -> LegGone:
        message = end.message
        headers = tuple(message.headers.items()) if message is not None else ()
        return LegGone(self._id, end.at, end.by, end.sip_status, end.sip_reason, end.reason_header, headers)

    def _is_gone_now(self, end: EndOfCall) -> None:
        """Once, by the kind of leg: nothing is told after it."""
        self._end_of_call = end
        if end.sip_status:
            self.sip_status, self.sip_reason = end.sip_status, end.sip_reason
        if self._exchange is not None:
            self._exchange.close()
        asked, self._asked = self._asked, None
        for waiting in (asked or {}).values():
            if not waiting.done():
                waiting.set_result(Reply(481, "Call/Transaction Does Not Exist"))
        if self._watchers:
            self._tell(self._gone_note(end))

    # -- verbs of whoever owns the leg ------------------------------------------------------------------

    async def send_request(
        self,
        method: str,
        *,
        content_type: str = "",
        content: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        """Any request in the dialog that has no verb of its own (INFO, MESSAGE, ...), and its outcome.

        Raises ValueError for a method or a header that cannot be sent. Never raises for what the peer does.
        """
        call = self._call
        if call is None or self._end_of_call is not None:
            return Reply(481, "Call/Transaction Does Not Exist")
        body = Body(content_type or "text/plain", content) if content else None
        try:
            serial = call.send_request(method, self._services.endpoint.now(), headers=headers, body=body)
        except WrongState:  # nothing can be asked of a peer that may not know the dialog yet
            return Reply(481, "Call/Transaction Does Not Exist")
        if not serial:
            return Reply(481, "Call/Transaction Does Not Exist")
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._asked is None:
            self._asked = {}
        self._asked[serial] = waiting
        self._services.endpoint.touch()
        return await waiting

    def hold(self) -> bool:
        """Ask the peer to be silent (re-INVITE, sendonly). False if the call cannot be changed now."""
        return self._reoffer(holding=True)

    def resume(self) -> bool:
        """End our hold. False if the call cannot be changed now."""
        return self._reoffer(holding=False)

    def mute(self, *, wanted: bool = True) -> None:
        """Let nobody across a bridge hear this party, or let it be heard again. Its digits pass."""
        if self._stream is not None:
            self._stream.is_muted = wanted

    def boost(self, gain_db: float) -> None:
        """Let this party be heard so much louder across a bridge (`boostAudioSignal`); 0.0: as it came."""
        if self._stream is not None:
            self._stream.gain_db = gain_db

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        """Key digits to the peer: RFC 4733 where agreed, INFO otherwise. ValueError for what is no digit."""
        if self._stream is not None:
            self._stream.send_dtmf(digits, duration_ms=duration_ms)

    @property
    def remote_sdp(self) -> bytes | None:
        """The peer's description in force; None before there is one."""
        call = self._call
        if call is None or call.dialog is None:
            return None
        return sdp_of(call.dialog.negotiation.remote)

    async def exchange(self, sdp: bytes) -> bytes | None:
        """Offer this description by re-INVITE; the peer's answer, or None if it refused or the call is over.

        The leg's own stream is left as it is. Waits for the peer to have the dialog, and for one exchange
        after the other.
        """
        if self._exchange is None:
            self._exchange = Exchange()
        return await self._exchange.run(self, sdp)

    async def reanchor(self, *, silent: bool = False) -> bool:
        """Have the peer send its media to this leg's stream again. False: refused, or the call is over.

        `silent`: have it be silent meanwhile (hold); called again without it, that is over.
        """
        stream = self._stream
        if stream is None or self._end_of_call is not None:
            return False
        answer = await self.exchange(stream.hold() if silent else stream.resume())
        if answer is None:
            stream.withdraw_offer()
            return False
        try:
            stream.receive_answer(answer)
        except NegotiationFailed as error:
            self._on_media_failed(error.reason)
            return False
        return True

    def start_offer(self, sdp: bytes) -> bool:
        """Send a re-INVITE with this offer; False if the session cannot be changed now. For `Exchange`, which
        is told when it can: unless an offer of the peer waits for its answer, then nobody knows when.
        """
        call = self._call
        if call is None or not call.can_offer:
            if call is not None and call.modification is not None:
                call.wants_turn = True
            return False
        call.offer(Body(SDP, sdp), self._services.endpoint.now())
        self._services.endpoint.touch()
        return True

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
                if self._exchange is None or not self._exchange.answered(event.body):
                    self._take_answer(event.call, event.body)
            case OfferRejected():
                if self._exchange is not None and self._exchange.answered(None):
                    _log.info("offer rejected by peer", leg=self._id, sip_status=event.status)
                    return
                if self._stream is not None:
                    self._stream.withdraw_offer()
                _log.info("offer rejected by peer", leg=self._id, sip_status=event.status)
            case InfoReceived():
                self._take_info(event)
            case ReferReceived():
                self._take_refer(event)
            case TurnToOffer():
                if self._exchange is not None:
                    self._exchange.may_begin()
            case Replied():
                waiting = self._asked.pop(event.serial, None) if self._asked is not None else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(Reply(event.status, event.reason))
            case _:
                pass

    def _take_info(self, event: InfoReceived) -> None:
        keyed = dtmf_of(event.body)
        if keyed is not None:
            self._take_digit(*keyed, at=event.at, method=DigitMethod.INFO)
            if self._stream is not None:
                self._stream.pass_digit(*keyed)
        elif self._watchers:
            body = event.body
            self._tell(
                InfoGot(
                    self._id,
                    event.at,
                    body.content_type if body is not None else "",
                    body.data if body is not None else b"",
                    tuple(event.request.headers.items()),
                )
            )

    def _take_refer(self, event: ReferReceived) -> None:
        referral = Referral(event.refer, event.request, self._services.endpoint)
        if self._watchers:
            self._tell(Referred(self._id, event.at, referral))
        if not referral.is_taken:
            referral.reject(_NOT_IMPLEMENTED)

    def _take_digit(self, digit: str, duration_ms: int, *, at: float, method: DigitMethod) -> None:
        self._on_digit(digit, duration_ms, at=at)
        if self._watchers:
            self._tell(DigitKeyed(self._id, at, digit, duration_ms, method))

    def _confirmed(self, at: float) -> None:
        """By the kind of leg, when the call is up."""
        if self._exchange is not None:
            self._exchange.may_begin()
        owed, self._owed_digits = self._owed_digits, ()
        for digit, duration_ms in owed:
            self._send_info(digit, duration_ms)
        if self._watchers:
            self._tell(LegConfirmed(self._id, at))

    def _answer_offer(self, event: OfferReceived) -> None:
        if self.offer_handler is None or event.method not in ("INVITE", "UPDATE"):
            self._answer_offer_here(event)
        elif event.call.has_pending_offer:
            offer = PeerOffer(event, self._services.endpoint, self._answer_offer_here)
            self.offer_handler.offered(self, offer)

    def _answer_offer_here(self, event: OfferReceived) -> None:
        call, stream, now = event.call, self._stream, self._services.endpoint.now()
        if not call.has_pending_offer:
            return  # withdrawn before we came to it: what was agreed before still stands
        if stream is None:
            call.reject_offer(now, _NOT_ACCEPTABLE)
            self._services.endpoint.touch()
            return
        was_held = stream.is_held
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
                if self._watchers and stream.is_held is not was_held:
                    self._tell(PeerHeld(self._id, now, stream.is_held))
        self._services.endpoint.touch()

    def _take_answer(self, call: Call, body: Body) -> None:
        stream = self._stream
        if stream is None:
            return
        now = self._services.endpoint.now()
        # Without an offer of the stream it is another party's that was answered, or a session refresh.
        is_refresh = not stream.has_pending_offer
        try:
            sdp = required_sdp_of(body)
            if is_refresh and self.offer_handler is not None and self.offer_handler.answered(self, sdp):
                return
            stream.receive_answer(sdp, is_refresh=is_refresh)
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
                self._take_digit(event.digit, event.duration_ms, at=event.at, method=_METHODS[event.method])
            case DtmfUndeliverable():
                self._send_info(event.digit, event.duration_ms)
            case MediaTimeout():
                _log.info("no audio from peer", leg=self._id, silent_s=event.silent_s)
                self._on_media_failed(f"no RTP for {event.silent_s:g} s")
            case _:
                pass

    def _send_info(self, digit: str, duration_ms: int) -> None:
        call = self._call
        if call is None or call.state is not InviteState.ESTABLISHED:
            return
        if not call.is_known_to_peer:
            self._owed_digits += ((digit, duration_ms),)
        else:
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
