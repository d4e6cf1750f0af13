"""CallLeg.exchange: offers that are not the stream's, one after the other, in calls in every state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.dial.events import LegAnswered
from engine.dial.leg import Cause
from engine.ids import new_call_sid
from engine.legs.call_leg import CallLeg
from engine.legs.exchange import PeerOffer
from engine.legs.notes import LegGone
from engine.legs.sip_leg import SipLeg
from engine.sip.events import AnswerReceived, Confirmed, OfferReceived, OfferRejected
from engine.sip.types import InviteParams
from engine.sip.uas import IncomingInvite
from tests.legs.support import FarSide, Inbox, open_pair, sdp

_OTHER = sdp(45000).data
"""What another party said."""


@asynccontextmanager
async def _ringing() -> AsyncIterator[tuple[SipLeg, Inbox, FarSide, IncomingInvite]]:
    async with open_pair() as (services, far):
        params = InviteParams(target=far.uri, from_="<sip:alice@example.com>")
        leg, inbox, gone = SipLeg(new_call_sid(), services, params), Inbox(), Inbox()
        leg.watch(gone.put)
        leg.start(inbox)
        yield leg, inbox, far, await far.incoming()
        leg.hang_up(Cause.NORMAL)
        await gone.until(LegGone)


@asynccontextmanager
async def _answered() -> AsyncIterator[tuple[SipLeg, FarSide, IncomingInvite]]:
    async with _ringing() as (leg, inbox, far, call):
        _answer(far, call)
        await inbox.until(LegAnswered)
        await far.until(Confirmed)
        yield leg, far, call


def _answer(far: FarSide, call: IncomingInvite) -> None:
    call.answer(sdp(40000), far.now)
    far.endpoint.touch()


async def _answer_offer(far: FarSide, count: int, port: int) -> bytes:
    """Answer the `count`-th later offer; what it was."""
    offer = await far.until(OfferReceived, count=count)
    offer.call.answer_offer(sdp(port), far.now)
    far.endpoint.touch()
    assert offer.body is not None
    return offer.body.data


def _start(leg: CallLeg) -> asyncio.Task[bytes | None]:
    return asyncio.get_running_loop().create_task(leg.exchange(_OTHER))


def _sends_to(leg: SipLeg) -> int | None:
    media = leg.media.negotiated if leg.media is not None else None
    return media.remote.port if media is not None and media.remote is not None else None


async def test_the_answer_is_told_and_the_stream_left_alone() -> None:
    async with _answered() as (leg, far, _):
        asked = _start(leg)
        assert await _answer_offer(far, 1, 40002) == _OTHER
        assert await asked == sdp(40002).data
        assert leg.remote_sdp == sdp(40002).data
        assert _sends_to(leg) == 40000


async def test_a_refusal_is_none() -> None:
    async with _answered() as (leg, far, _):
        asked = _start(leg)
        offer = await far.until(OfferReceived)
        offer.call.reject_offer(far.now, 488)
        far.endpoint.touch()
        assert await asked is None
        assert _sends_to(leg) == 40000


async def test_an_offer_waits_for_the_answer_to_the_call() -> None:
    async with _ringing() as (leg, _, far, call):
        asked = _start(leg)
        await asyncio.sleep(0.05)
        assert not asked.done()
        _answer(far, call)
        await _answer_offer(far, 1, 40002)
        assert await asked == sdp(40002).data


async def test_an_offer_waits_for_the_change_that_is_under_way() -> None:
    async with _answered() as (leg, far, _):
        assert leg.hold()
        asked = [_start(leg), _start(leg)]
        assert b"a=sendonly" in await _answer_offer(far, 1, 40001)
        assert await _answer_offer(far, 2, 40002) == _OTHER
        assert await _answer_offer(far, 3, 40003) == _OTHER
        assert [await each for each in asked] == [sdp(40002).data, sdp(40003).data]
        assert _sends_to(leg) == 40001, "what the stream had offered is its own"


async def test_an_offer_does_not_wait_for_one_of_the_peer() -> None:
    async with _answered() as (leg, far, call):
        offers = Inbox()

        class Handler:
            def offered(self, leg: CallLeg, offer: PeerOffer) -> None:
                offers.put(offer)

            def answered(self, leg: CallLeg, sdp: bytes) -> bool:
                return False

        leg.offer_handler = Handler()
        call.offer(sdp(40002, direction="sendonly"), far.now)
        far.endpoint.touch()
        offer = await offers.until(PeerOffer)
        assert offer.sdp == sdp(40002, direction="sendonly").data
        assert await leg.exchange(_OTHER) is None, "it would wait for itself"
        offer.reject(488)
        offer.answer(_OTHER)
        assert (await far.until(OfferRejected)).status == 488
        assert not offer.is_pending


async def test_an_answer_nobody_waits_for_any_more_is_not_the_streams() -> None:
    async with _answered() as (leg, far, _):
        asked = _start(leg)
        offer = await far.until(OfferReceived)
        asked.cancel()
        offer.call.answer_offer(sdp(40002), far.now)
        far.endpoint.touch()
        again = _start(leg)
        assert await _answer_offer(far, 2, 40004) == _OTHER
        assert await again == sdp(40004).data
        assert _sends_to(leg) == 40000
        assert not leg.is_over


async def test_the_end_of_the_call_ends_the_waiting() -> None:
    async with _ringing() as (leg, _, far, call):
        asked = _start(leg)
        await asyncio.sleep(0)
        call.reject(far.now, 486)
        far.endpoint.touch()
        assert await asked is None
        assert await leg.exchange(_OTHER) is None
        assert not await leg.reanchor()


async def test_the_bye_in_the_middle_of_an_offer_ends_the_waiting() -> None:
    async with _answered() as (leg, far, call):
        asked = _start(leg)
        await far.until(OfferReceived)
        call.hang_up(far.now)
        far.endpoint.touch()
        assert await asked is None
        assert not [event for event in far.events if isinstance(event, AnswerReceived)]
