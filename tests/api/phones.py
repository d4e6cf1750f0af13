"""Callees on loopback: one real SIP endpoint, whose users each do one thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.sip.events import CallEvent, IncomingCall
from engine.sip.session import Call
from engine.sip.types import Body, Transport
from engine.sip.uas import IncomingInvite
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.endpoint import SipEndpoint

__all__ = ["Phones", "phones"]

_SDP = (
    b"v=0\r\no=far 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)


class Phones:
    """`answers` picks up and stays, `brief` picks up and hangs up at once, `busy` refuses, `garbled` too, in
    words that are not UTF-8, anybody else rings until told otherwise."""

    def __init__(self) -> None:
        self.endpoint = SipEndpoint(
            EndpointConfig(listen=(ListenOn(host="127.0.0.1", port=0, transports=(Transport.UDP,)),)),
            on_call=self._on_call,
        )
        self.invited: dict[str, int] = {}
        """INVITEs by user."""
        self.calls: list[IncomingInvite] = []

    def uri(self, user: str) -> str:
        """Of one of them."""
        bound = self.endpoint.listeners[0].bound
        return f"sip:{user}@{bound.host}:{bound.port}"

    @property
    def live(self) -> list[IncomingInvite]:
        """Calls that are not over, answered or not."""
        return [call for call in self.calls if not call.is_over]

    def hang_up(self) -> None:
        """Everybody."""
        for call in self.live:
            call.hang_up(self.endpoint.now())
        self.endpoint.touch()

    def on_sip_event(self, event: CallEvent) -> None:
        """Nothing here is worth a reaction."""

    def _on_call(self, event: IncomingCall) -> None:
        call, now = event.call, self.endpoint.now()
        call.owner = self
        self.calls.append(call)
        user = event.request.uri.removeprefix("sip:").partition("@")[0]
        self.invited[user] = self.invited.get(user, 0) + 1
        match user:
            case "busy":
                call.reject(now, 486, "Busy Here")
            case "garbled":  # in Latin-1, as phones do that were never told of UTF-8
                call.reject(now, 486, b"Anschlu\xdf besetzt".decode("utf-8", "surrogateescape"))
            case "answers":
                call.ring(now)
                call.answer(Body("application/sdp", _SDP), now)
            case "brief":
                call.answer(Body("application/sdp", _SDP), now)
                asyncio.get_running_loop().call_soon(self._leave, call)
            case _:
                call.ring(now)
        self.endpoint.touch()

    def _leave(self, call: Call) -> None:
        call.hang_up(self.endpoint.now())
        self.endpoint.touch()


@asynccontextmanager
async def phones() -> AsyncIterator[Phones]:
    """Reachable as long as the block lasts."""
    each = Phones()
    await each.endpoint.start()
    try:
        yield each
    finally:
        each.hang_up()
        await each.endpoint.stop(0.5)
