"""engine.legs.inbound_leg: a call sent to us, from the offer to the goodbye."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.dial.events import CallerAnswered, CallerGone, DtmfReceived
from engine.ids import new_call_sid
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import LegConfirmed
from engine.legs.services import LegServices
from engine.sip.events import Answered, Ended, Failed, IncomingCall, OfferReceived, Provisional
from engine.sip.types import Body, FailureKind, Party
from engine.sip.uac import OutgoingInvite
from media import NegotiationFailed
from tests.legs.support import FarSide, Inbox, open_pair, sdp


@asynccontextmanager
async def _called(
    body: Body | None,
) -> AsyncIterator[tuple[LegServices, FarSide, OutgoingInvite, IncomingCall]]:
    arrived = Inbox()
    async with open_pair(on_call=arrived.put) as (services, far):
        bound = services.endpoint.listeners[0].bound
        call = far.call(f"sip:5550100@{bound.host}:{bound.port}", body)
        yield services, far, call, await arrived.until(IncomingCall)


async def test_dv40_ringing_is_180_without_sdp_and_the_answer_waits_for_us() -> None:
    async with _called(sdp(40000)) as (services, far, _, incoming):
        leg, inbox = InboundLeg(new_call_sid(), services, incoming), Inbox()
        leg.attach(inbox)
        leg.ring()
        ringing = await far.until(Provisional, count=2)
        assert (ringing.status, ringing.body) == (180, None)
        had_answered = leg.has_answered
        assert not had_answered
        leg.answer()
        assert leg.has_answered
        answered = await far.until(Answered)
        assert answered.body is not None
        assert b"m=audio" in answered.body.data
        leg.hang_up()
        assert (await far.until(Ended)).by is Party.REMOTE
        await inbox.until(CallerGone)
        assert not services.media.streams


async def test_early_media_is_183_with_the_answer_once() -> None:
    async with _called(sdp(40000)) as (services, far, _, incoming):
        leg = InboundLeg(new_call_sid(), services, incoming)
        leg.open_early_media()
        leg.open_early_media()
        leg.ring()
        leg.answer()
        answered = await far.until(Answered)
        early = [each for each in far.events if isinstance(each, Provisional) and each.status > 100]
        assert [each.status for each in early] == [183]
        assert early[0].body is not None
        assert answered.body is not None
        assert early[0].body.data == answered.body.data
        leg.hang_up()
        await far.until(Ended)


async def test_a_delayed_offer_is_made_by_us_and_answered_in_the_ack() -> None:
    async with _called(None) as (services, far, _, incoming):
        leg, inbox = InboundLeg(new_call_sid(), services, incoming), Inbox()
        leg.attach(inbox)
        leg.open_early_media()  # impossible without an offer: the caller hears ringing
        ringing = await far.until(Provisional, count=2)
        assert (ringing.status, ringing.body) == (180, None)
        leg.answer()
        had_answered = leg.has_answered
        assert not had_answered
        offer = await far.until(OfferReceived)
        offer.call.answer_offer(sdp(40000), far.now)
        far.endpoint.touch()
        await inbox.until(CallerAnswered)
        assert leg.has_answered
        leg.hang_up()
        await far.until(Ended)


async def test_an_unusable_answer_to_our_delayed_offer_ends_the_call() -> None:
    async with _called(None) as (services, far, _, incoming):
        leg, inbox = InboundLeg(new_call_sid(), services, incoming), Inbox()
        leg.attach(inbox)
        leg.answer()
        offer = await far.until(OfferReceived)
        offer.call.answer_offer(sdp(40000, codec="9 G722"), far.now)
        far.endpoint.touch()
        assert (await far.until(Ended)).by is Party.REMOTE
        await inbox.until(CallerGone)
        assert not any(isinstance(event, CallerAnswered) for event in inbox.events)


async def test_a_caller_who_cancels_is_gone_and_hears_487() -> None:
    async with _called(sdp(40000)) as (services, far, call, incoming):
        leg, inbox = InboundLeg(new_call_sid(), services, incoming), Inbox()
        leg.attach(inbox)
        leg.ring()
        await far.until(Provisional, count=2)
        call.hang_up(far.now)
        far.endpoint.touch()
        await inbox.until(CallerGone)
        failed = await far.until(Failed)
        assert (failed.failure.status, failed.failure.kind) == (487, FailureKind.CANCELLED)
        assert leg.is_gone
        leg.answer()  # too late: nothing happens
        leg.hang_up()
        assert not services.media.streams


async def test_a_dial_attached_after_the_caller_left_is_told_at_once() -> None:
    async with _called(sdp(40000)) as (services, far, call, incoming):
        leg, early, late = InboundLeg(new_call_sid(), services, incoming), Inbox(), Inbox()
        leg.attach(early)
        leg.answer()
        await far.until(Answered)
        call.hang_up(far.now)
        far.endpoint.touch()
        await early.until(CallerGone)
        leg.detach()
        leg.attach(late)
        assert [type(event) for event in late.events] == [CallerGone]


@pytest.mark.parametrize(
    ("status", "retry_after_s", "expected"), [(486, None, (486, None)), (503, 7, (503, 7))]
)
async def test_an_unanswered_caller_gets_the_final_response(
    status: int, retry_after_s: int | None, expected: tuple[int, int | None]
) -> None:
    async with _called(sdp(40000)) as (services, far, _, incoming):
        leg = InboundLeg(new_call_sid(), services, incoming)
        leg.hang_up(status, retry_after_s=retry_after_s)
        failure = (await far.until(Failed)).failure
        assert (failure.status, failure.retry_after_s) == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (Body("application/sdp", b"nonsense"), 400),
        (sdp(40000, codec="9 G722"), 488),
        (Body("multipart/mixed", b"--x\r\n"), 400),
    ],
)
async def test_an_unusable_offer_is_refused_before_anybody_rings(body: Body, status: int) -> None:
    async with _called(body) as (services, far, _, incoming):
        with pytest.raises(NegotiationFailed) as caught:
            InboundLeg(new_call_sid(), services, incoming)
        assert caught.value.status == status
        assert not services.media.streams
        incoming.call.reject(services.endpoint.now(), caught.value.status)
        services.endpoint.touch()
        assert (await far.until(Failed)).failure.status == status


async def test_a_digit_from_the_caller_reaches_the_dial_until_it_is_detached() -> None:
    async with _called(sdp(40000)) as (services, far, call, incoming):
        leg, inbox = InboundLeg(new_call_sid(), services, incoming), Inbox()
        leg.attach(inbox)
        leg.answer()
        await far.until(Answered)
        call.send_info(Body("application/dtmf", b"3"), far.now)
        far.endpoint.touch()
        assert (await inbox.until(DtmfReceived)).digit == "3"
        leg.detach()
        leg.hang_up()
        await far.until(Ended)
        assert sum(isinstance(event, CallerGone) for event in inbox.events) == 0


@pytest.mark.parametrize("codec", ["0 PCMU", "9 G722"])
async def test_rfc4028_a_peer_that_answers_our_session_refresh_differently_is_followed(codec: str) -> None:
    async with _called(sdp(40000)) as (services, far, _, incoming):
        leg, inbox, notes = InboundLeg(new_call_sid(), services, incoming), Inbox(), Inbox()
        leg.attach(inbox)
        leg.watch(notes.put)
        leg.answer()
        await notes.until(LegConfirmed)
        incoming.call.modify(
            "INVITE", incoming.call.dialog_of_call.negotiation.local, services.endpoint.now()
        )
        services.endpoint.touch()
        offer = await far.until(OfferReceived)
        offer.call.answer_offer(sdp(40002, codec=codec), far.now)
        far.endpoint.touch()
        if codec == "9 G722":  # nothing in common any more: there is no way back
            await inbox.until(CallerGone)
            return
        await notes.settled_elsewhere(lambda: _sends_to(leg) == 40002)
        assert not leg.is_gone
        leg.hang_up()
        await inbox.until(CallerGone)


def _sends_to(leg: InboundLeg) -> int | None:
    media = leg.media.negotiated if leg.media is not None else None
    return media.remote.port if media is not None and media.remote is not None else None
