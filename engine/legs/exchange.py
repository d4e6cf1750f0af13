"""Offers and answers that are not about a leg's own stream: two parties who send their media to each other.

`Exchange` makes one offer after the other in a leg's dialog and waits for the answer. `PeerOffer` is an offer
of the peer, for whoever answers in place of the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import structlog

from engine.legs.services import SDP, sdp_of
from engine.sip.events import OfferReceived
from engine.sip.types import Body
from engine.transport.endpoint import SipEndpoint
from media import NegotiationFailed

if TYPE_CHECKING:
    from engine.legs.call_leg import CallLeg

__all__ = ["Exchange", "OfferHandler", "PeerOffer"]

_log = structlog.get_logger(__name__)

_PATIENCE_S = 32.0
"""64·T1: a peer that has said 100 may otherwise think about a re-INVITE for as long as the call lasts."""


class Exchange:
    """The offers of one leg, in the order in which they were asked for."""

    __slots__ = ("_begin", "_is_over", "_turn", "_waiting")

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Future[bytes | None] | None = None
        """An offer of ours that has no answer yet."""
        self._begin: asyncio.Future[None] | None = None
        """The peer has not got the dialog yet, or another change of the session is under way."""
        self._is_over = False

    async def run(self, leg: CallLeg, sdp: bytes) -> bytes | None:
        """The answer; None if the peer refused or says nothing, or there is no call (any more)."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._run(leg, sdp)
        except TimeoutError:
            _log.info("offer is not answered", leg=leg.id)
            return None

    async def _run(self, leg: CallLeg, sdp: bytes) -> bytes | None:
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self._is_over or leg.is_over:
                return None
            while not leg.start_offer(sdp):
                if self._is_over or not leg.may_offer_later:
                    return None
                self._begin = loop.create_future()
                await self._begin
            # Cancelled while we wait, it stays where it is: the answer that still comes is not the stream's.
            self._waiting = loop.create_future()
            return await self._waiting

    def answered(self, body: Body | None) -> bool:
        """The answer to an offer of the leg, None: it was refused. False if the offer was not ours."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        if not waiting.done():
            try:
                waiting.set_result(sdp_of(body))
            except NegotiationFailed:
                waiting.set_result(None)
        return True

    def may_begin(self) -> None:
        """The peer has the dialog now, or the other change is over."""
        if self._begin is not None and not self._begin.done():
            self._begin.set_result(None)

    def close(self) -> None:
        """The call is over."""
        self._is_over = True
        self.may_begin()
        self.answered(None)


class PeerOffer:
    """A re-INVITE or UPDATE that waits for its answer. Answered or rejected once; later calls do nothing."""

    __slots__ = ("_answer_here", "_endpoint", "_event")

    def __init__(
        self, event: OfferReceived, endpoint: SipEndpoint, answer_here: Callable[[OfferReceived], None]
    ) -> None:
        self._event = event
        self._endpoint = endpoint
        self._answer_here = answer_here

    @property
    def sdp(self) -> bytes | None:
        """The offer; None: the peer asks for one of ours. Raises NegotiationFailed for an unreadable body."""
        return sdp_of(self._event.body)

    @property
    def is_pending(self) -> bool:
        """It still waits: neither answered nor withdrawn."""
        return self._event.call.has_pending_offer

    def answer(self, sdp: bytes) -> None:
        """200 with this answer (or offer)."""
        if self.is_pending:
            self._event.call.answer_offer(Body(SDP, sdp), self._endpoint.now())
            self._endpoint.touch()

    def answer_here(self) -> None:
        """By the leg's own stream, as if nobody had asked."""
        self._answer_here(self._event)

    def reject(self, status: int = 488) -> None:
        """The session stays as it was."""
        if self.is_pending:
            self._event.call.reject_offer(self._endpoint.now(), status)
            self._endpoint.touch()


class OfferHandler(Protocol):
    """Who speaks with a leg's peer in place of the leg's stream. Both methods return at once."""

    def offered(self, leg: CallLeg, offer: PeerOffer) -> None:
        """Every later offer of the peer: to be answered or rejected, now or soon."""

    def answered(self, leg: CallLeg, sdp: bytes) -> bool:
        """The answer to what we offered because the peer asked for an offer, or to refresh the session.

        False: it is for the leg's own stream.
        """
