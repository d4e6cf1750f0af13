"""The far sides of a dial on a wire: callees and a caller that act by a script and remember what they saw.

Each is a real SIP core of its own behind a real endpoint; only the person is scripted. A person does what
the moment allows and nothing else: nobody answers a call that was cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from engine.sip.events import Answered, CallEvent, Confirmed, Ended, Failed, IncomingCall, OfferReceived
from engine.sip.session import Call
from engine.sip.types import Body, FailureKind, InviteParams, InviteState
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from tests.support.wire_endpoint import LoopWire, WireEndpoint

__all__ = ["GIVES_UP_S", "CalleePhone", "CalleeScript", "CallerPhone", "CallerScript"]

GIVES_UP_S = 70.0
"""A phone that has rung so long says 480 by itself."""


class CalleeScript(Struct, frozen=True, kw_only=True):
    """What a callee does, in seconds after the INVITE came; None: never."""

    rings_s: float | None = None
    early_media_s: float | None = None
    """183 with SDP."""
    is_reliable: bool = False
    """Provisional responses ask for PRACK."""
    answers_s: float | None = None
    refuses_s: float | None = None
    code: int = 486
    hangs_up_s: float | None = None
    """Only a call that was answered."""
    reoffers_s: float | None = None
    """Re-INVITE, in a call that was answered."""


class CallerScript(Struct, frozen=True, kw_only=True):
    """What a caller does."""

    goes_s: float | None = None
    """Hangs up, whatever has been reached: CANCEL or BYE."""
    is_delayed: bool = False
    """INVITE without offer."""
    requires_100rel: bool = False
    reoffers_s: float | None = None
    """Re-INVITE, if the call is answered by then."""


def _sdp(port: int, version: int = 1) -> Body:
    """Audio on loopback, where nobody listens and nothing is sent."""
    text = (
        f"v=0\r\no=far 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
    )
    return Body("application/sdp", text.encode())


class _Phone:
    """What both kinds share: a list of calls, and how each of them ended."""

    endpoint: WireEndpoint

    def __init__(self, wire: LoopWire, port: int) -> None:
        self.wire = wire
        self.sdp = _sdp(port)
        self.second_sdp = _sdp(port, 2)
        self.calls: list[Call] = []
        self.is_confirmed = False
        """The handshake of an answered call was completed, as far as this side knows."""
        self.ends: list[Failed | Ended] = []
        """One for each call, in the end."""
        self.is_mortal = False
        """Its line will be cut: what it thinks afterwards counts for nothing."""
        self._loop = asyncio.get_running_loop()

    @property
    def is_up(self) -> bool:
        """In a call that was answered and has not ended."""
        return any(call.state is InviteState.ESTABLISHED and not call.is_over for call in self.calls)

    @property
    def is_busy(self) -> bool:
        """In any call: calling, ringing, answered."""
        return any(not call.is_over for call in self.calls)

    def hang_up(self) -> None:
        for call in self.calls:
            call.hang_up(self.endpoint.now())
        self.endpoint.touch()

    def on_sip_event(self, event: CallEvent) -> None:
        assert not any(end.call is event.call for end in self.ends), f"{event} after the end"
        match event:
            case Confirmed() | Answered():
                self.is_confirmed = True
            case OfferReceived(call=call):
                if call.has_pending_offer:
                    call.answer_offer(self.sdp, event.at)
            case Failed() | Ended():
                self.ends.append(event)
            case _:
                pass

    def _later(self, after_s: float | None, deed: Callable[[], None]) -> None:
        if after_s is not None:
            self._loop.call_later(after_s, self._do, deed)

    def _reoffer(self, call: Call) -> None:
        if call.can_offer:
            call.offer(self.second_sdp, self.endpoint.now())

    def _do(self, deed: Callable[[], None]) -> None:
        deed()
        self.endpoint.touch()


class CalleePhone(_Phone):
    """Takes every call by the same script."""

    def __init__(self, wire: LoopWire, port: int, script: CalleeScript) -> None:
        super().__init__(wire, port)
        self.script = script
        self.has_answered = False
        self.has_refused = False
        self.gave_up = False

    @classmethod
    async def at(cls, wire: LoopWire, host: str, port: int, script: CalleeScript) -> CalleePhone:
        """A phone at sip:bob@`host`."""
        phone = cls(wire, port, script)
        phone.endpoint = await wire.endpoint(host, on_call=phone._on_call)
        return phone

    @property
    def code_sent(self) -> int | None:
        """The refusal that this side chose by itself."""
        for end in self.ends:
            if isinstance(end, Failed) and end.failure.kind is FailureKind.REJECTED:
                return end.failure.status
        return None

    def _on_call(self, event: IncomingCall) -> None:
        call, script = event.call, self.script
        call.owner = self
        self.calls.append(call)
        self._later(script.rings_s, lambda: self._ring(call, 180, None))
        self._later(script.early_media_s, lambda: self._ring(call, 183, self.sdp))
        self._later(script.answers_s, lambda: self._answer(call))
        self._later(script.refuses_s, lambda: self._refuse(call))
        self._later(script.hangs_up_s, lambda: self._leave(call))
        self._later(script.reoffers_s, lambda: self._reoffer(call))
        self._later(GIVES_UP_S, lambda: self._give_up(call))

    def _is_ringing(self, call: IncomingInvite) -> bool:
        decided = self.has_answered or self.has_refused
        return call.state is InviteState.PROCEEDING and not call.is_over and not decided

    def _ring(self, call: IncomingInvite, status: int, body: Body | None) -> None:
        if self._is_ringing(call):
            call.ring(self.endpoint.now(), status, body, reliable=self.script.is_reliable)

    def _answer(self, call: IncomingInvite) -> None:
        if self._is_ringing(call):
            self.has_answered = True
            call.answer(self.sdp, self.endpoint.now())

    def _refuse(self, call: IncomingInvite) -> None:
        if self._is_ringing(call):
            self.has_refused = True
            call.reject(self.endpoint.now(), self.script.code)

    def _leave(self, call: IncomingInvite) -> None:
        if self.has_answered:
            call.hang_up(self.endpoint.now())

    def _give_up(self, call: IncomingInvite) -> None:
        if self._is_ringing(call):
            self.gave_up = True
            call.reject(self.endpoint.now(), 480)


class CallerPhone(_Phone):
    """Makes one call."""

    call: OutgoingInvite

    @classmethod
    async def at(cls, wire: LoopWire, host: str, port: int) -> CallerPhone:
        phone = cls(wire, port)
        phone.endpoint = await wire.endpoint(host)
        return phone

    def dial(self, target: str, script: CallerScript) -> None:
        """Call `target` and act by `script`."""
        params = InviteParams(
            target=target,
            from_="<sip:+15550100@example.com>",
            body=None if script.is_delayed else self.sdp,
            require_100rel=script.requires_100rel,
        )
        self.call = self.endpoint.invite(params, self)
        self.calls.append(self.call)
        self._later(script.goes_s, self.hang_up)
        self._later(script.reoffers_s, lambda: self._reoffer(self.call))

    @property
    def refused_with(self) -> int | None:
        """The final response to the INVITE if the call was never established."""
        end = self.ends[0] if self.ends else None
        return end.failure.status if isinstance(end, Failed) else None
