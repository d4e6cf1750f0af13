"""CallLeg.watch: what the owner of a leg hears all its life, and what it can ask the leg at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.dial.events import CallerGone, DtmfReceived, LegAnswered
from engine.dial.leg import Cause, EndedBy
from engine.ids import new_call_sid
from engine.legs.call_leg import Reply
from engine.legs.caller_leg import CallerLeg
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import (
    DigitKeyed,
    DigitMethod,
    InfoGot,
    LegConfirmed,
    LegGone,
    LegNote,
    PeerHeld,
    Referred,
)
from engine.legs.services import LegServices
from engine.legs.sip_leg import SipLeg
from engine.sip.events import Confirmed, Ended, Failed, IncomingCall, Provisional, ReferProgress
from engine.sip.types import Body, InviteParams
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from tests.legs.support import FarSide, Inbox, open_pair, sdp

_TO_CAROL = "<sip:carol@example.com>"


class _Notes(Inbox):
    """A watcher that remembers."""

    def __call__(self, note: LegNote) -> None:
        self.put(note)


def _takes_referrals(note: LegNote) -> None:
    if isinstance(note, Referred):
        note.referral.take()


@asynccontextmanager
async def _answered() -> AsyncIterator[tuple[SipLeg, _Notes, Inbox, FarSide, IncomingInvite]]:
    """A call of ours, answered by the far side and watched from the start; hung up at the end."""
    async with open_pair() as (services, far):
        params = InviteParams(target=far.uri, from_='"Alice" <sip:+15550100@example.com>')
        leg, inbox, notes = SipLeg(new_call_sid(), services, params), Inbox(), _Notes()
        leg.watch(notes)
        leg.start(inbox)
        call = await far.incoming()
        call.answer(sdp(40000), far.now)
        far.endpoint.touch()
        await inbox.until(LegAnswered)
        await far.until(Confirmed)
        yield leg, notes, inbox, far, call
        leg.hang_up(Cause.NORMAL)
        await notes.until(LegGone)


@asynccontextmanager
async def _called() -> AsyncIterator[tuple[InboundLeg, _Notes, FarSide, OutgoingInvite]]:
    """A call to us, watched, not answered yet; refused or ended at the end."""
    arrived = Inbox()
    async with open_pair(on_call=arrived.put) as (services, far):
        bound = services.endpoint.listeners[0].bound
        call = far.call(f"sip:5550100@{bound.host}:{bound.port}", sdp(40000))
        leg, notes = InboundLeg(new_call_sid(), services, await arrived.until(IncomingCall)), _Notes()
        leg.watch(notes)
        yield leg, notes, far, call
        leg.hang_up()
        await notes.until(LegGone)


async def test_the_owner_of_a_call_of_ours_can_ask_who_and_what() -> None:
    async with _answered() as (leg, notes, _, far, call):
        assert leg.sip_call_id == call.request.call_id
        assert leg.from_ == '"Alice" <sip:+15550100@example.com>'
        assert leg.to == f"<{far.uri}>"
        assert (leg.sip_status, leg.sip_reason) == (200, "OK")
        assert leg.codec == "PCMU/8000"
        assert (leg.invite, leg.originating_address) == (None, None)
        assert leg.statistics() is not None
        assert leg.is_answered
        assert [type(note) for note in notes.events] == [LegConfirmed]


async def test_the_owner_of_a_call_to_us_can_ask_who_and_what() -> None:
    async with _called() as (leg, notes, far, call):
        assert (leg.sip_status, leg.sip_reason) == (100, "Trying")
        leg.ring()
        assert (leg.sip_status, leg.sip_reason) == (180, "Ringing")
        assert leg.sip_call_id == call.call_id
        assert leg.from_.startswith("<sip:+15550111@127.0.0.1>;tag=")
        assert leg.to.startswith("<sip:5550100@")
        assert leg.originating_address.host == "127.0.0.1"
        assert leg.originating_address.port == far.endpoint.listeners[0].bound.port
        assert leg.invite.method == "INVITE"
        assert b"m=audio 40000" in leg.invite.body
        leg.answer()
        assert (leg.sip_status, leg.sip_reason) == (200, "OK")
        await notes.until(LegConfirmed)


async def test_a_leg_that_nobody_watches_makes_no_notes() -> None:
    async with _answered() as (leg, notes, inbox, far, call):
        leg.unwatch(notes)
        call.send_info(Body("application/dtmf", b"5"), far.now)
        far.endpoint.touch()
        await inbox.until(DtmfReceived)
        assert not [note for note in notes.events if isinstance(note, DigitKeyed)]
        leg.watch(notes)


async def test_dv80_digits_in_info_are_told_with_their_way_here() -> None:
    async with _answered() as (leg, notes, _, far, call):
        call.send_info(Body("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"), far.now)
        far.endpoint.touch()
        keyed = await notes.until(DigitKeyed)
        assert (keyed.leg, keyed.digit, keyed.duration_ms, keyed.method) == (
            leg.id,
            "5",
            160,
            DigitMethod.INFO,
        )


async def test_an_info_without_a_digit_is_told_whole() -> None:
    async with _answered() as (_, notes, _, far, call):
        call.send_info(Body("application/json", b"{}"), far.now, headers=(("X-Seat", "12"),))
        far.endpoint.touch()
        info = await notes.until(InfoGot)
        assert (info.content_type, info.data) == ("application/json", b"{}")
        assert ("X-Seat", "12") in info.headers


async def test_dv83_hold_and_its_end_are_told_once_each() -> None:
    async with _answered() as (leg, notes, _, far, call):
        for direction in ("sendonly", "inactive", "sendrecv"):
            call.offer(sdp(40000, direction=direction), far.now)
            far.endpoint.touch()
            await far.settled(lambda: call.can_offer)
        assert [note.is_held for note in notes.events if isinstance(note, PeerHeld)] == [True, False]
        assert not leg.is_held


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("way", ["sendonly", "inactive", "0.0.0.0"])
async def test_dv83_every_way_to_hold_is_one(method: str, way: str) -> None:
    async with _answered() as (_, notes, _, far, call):
        offer = call.offer if method == "INVITE" else call.update
        body = sdp(40000, direction="sendrecv" if way == "0.0.0.0" else way)
        if way == "0.0.0.0":
            body = Body(body.content_type, body.data.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 0.0.0.0"))
        offer(body, far.now)
        far.endpoint.touch()
        assert (await notes.until(PeerHeld)).is_held
        await far.settled(lambda: call.can_offer)
        offer(sdp(40000), far.now)
        far.endpoint.touch()
        assert not (await notes.until(PeerHeld, count=2)).is_held


@pytest.mark.parametrize(
    ("extra", "reason_header"), [((), ""), ((("X-Survey", "9"),), 'Q.850;cause=16;text="Bye"')]
)
async def test_the_end_is_told_with_the_headers_of_the_peers_bye(
    extra: tuple[tuple[str, str], ...], reason_header: str
) -> None:
    async with _answered() as (leg, notes, _, far, call):
        call.hang_up(far.now, reason_header, headers=extra)
        far.endpoint.touch()
        gone = await notes.until(LegGone)
        assert (gone.by, gone.sip_status, gone.reason_header) == (EndedBy.CALLEE, 200, reason_header)
        assert set(extra) <= set(gone.headers)
        assert ("Call-ID", leg.sip_call_id) in gone.headers
        assert leg.is_over
        assert leg.reason_header == reason_header


async def test_a_refusal_is_told_with_its_headers() -> None:
    async with open_pair() as (services, far):
        leg, notes = (
            SipLeg(new_call_sid(), services, InviteParams(target=far.uri, from_="<sip:a@b.test>")),
            _Notes(),
        )
        leg.watch(notes)
        leg.start(Inbox())
        (await far.incoming()).reject(
            far.now, 486, "Busy", headers=(("Reason", "Q.850;cause=17"), ("X-Until", "noon"))
        )
        far.endpoint.touch()
        gone = await notes.until(LegGone)
        assert (gone.by, gone.sip_status, gone.sip_reason) == (EndedBy.CALLEE, 486, "Busy")
        assert gone.reason_header == "Q.850;cause=17"
        assert ("X-Until", "noon") in gone.headers
        assert (leg.sip_status, leg.sip_reason) == (486, "Busy")


async def test_a_caller_who_cancels_is_told_as_gone_with_the_reason_it_gave() -> None:
    async with _called() as (leg, notes, far, call):
        leg.ring()
        await far.until(Provisional, count=2)
        call.hang_up(far.now, 'SIP;cause=200;text="Call completed elsewhere"', headers=(("X-Why", "noon"),))
        far.endpoint.touch()
        gone = await notes.until(LegGone)
        assert (gone.by, gone.sip_status) == (EndedBy.CALLER, 487)
        assert gone.reason_header == 'SIP;cause=200;text="Call completed elsewhere"'
        assert ("X-Why", "noon") in gone.headers


async def test_who_watches_a_leg_that_is_over_is_told_at_once() -> None:
    async with _called() as (leg, notes, _, _):
        leg.hang_up(486, "Busy Here")
        first = await notes.until(LegGone)
        late = _Notes()
        leg.watch(late)
        assert late.events == [first]
        assert first.by is EndedBy.ENGINE


async def test_a_watcher_that_fails_costs_itself_only() -> None:
    async with _called() as (leg, notes, _, _):

        def fails(note: LegNote) -> None:
            raise ZeroDivisionError

        leg.unwatch(notes)
        leg.watch(fails)
        leg.watch(notes)
        leg.hang_up(480)
        assert (await notes.until(LegGone)).sip_status == 480


@pytest.mark.parametrize("is_answered", [True, False])
async def test_headers_of_the_application_go_with_the_goodbye(is_answered: bool) -> None:
    async with _called() as (leg, notes, far, _):
        if is_answered:
            leg.answer()
            await notes.until(LegConfirmed)
        leg.hang_up(486, "Busy Here", headers=(("X-Why", "closed"),))
        if is_answered:
            ended = await far.until(Ended)
            assert ended.request is not None
            assert ended.request.headers.get("X-Why") == "closed"
        else:
            failed = await far.until(Failed)
            assert failed.failure.response is not None
            assert failed.failure.response.headers.get("X-Why") == "closed"


async def test_headers_go_with_the_bye_of_a_call_of_ours() -> None:
    async with _answered() as (leg, _, _, far, _):
        with pytest.raises(ValueError, match="X-Bad"):
            leg.hang_up(Cause.NORMAL, headers=(("X-Bad", "a\r\nb"),))
        leg.hang_up(Cause.NORMAL, headers=(("X-Why", "closed"),))
        ended = await far.until(Ended)
        assert ended.request is not None
        assert ended.request.headers.get("X-Why") == "closed"


# -- REFER -----------------------------------------------------------------------------------------


async def test_dv82_a_refer_that_a_watcher_takes_waits_for_its_decision() -> None:
    async with _answered() as (leg, notes, _, far, call):
        leg.watch(_takes_referrals)
        call.refer(_TO_CAROL, far.now, headers=(("Referred-By", "<sip:bob@example.com>"),))
        far.endpoint.touch()
        referral = (await notes.until(Referred)).referral
        assert referral.refer_to == _TO_CAROL
        assert not referral.take(), "it is decided upon already"
        referral.accept()
        referral.accept()
        trying = await far.until(ReferProgress, count=2)
        assert (trying.status, trying.is_final) == (100, False)
        referral.progress(200, "OK")
        referral.progress(200, "OK")
        final = await far.until(ReferProgress, count=3)
        assert (final.status, final.is_final) == (200, True)
        assert referral.is_over


async def test_dv82_a_refer_is_rejected_with_the_status_of_who_took_it() -> None:
    async with _answered() as (leg, _, _, far, call):
        leg.watch(lambda note: note.referral.reject(403) if isinstance(note, Referred) else None)
        call.refer(_TO_CAROL, far.now)
        far.endpoint.touch()
        progress = await far.until(ReferProgress)
        assert (progress.status, progress.is_final) == (403, True)


async def test_dv82_a_refer_that_no_watcher_takes_is_501() -> None:
    async with _answered() as (_, notes, _, far, call):
        call.refer(_TO_CAROL, far.now)
        far.endpoint.touch()
        progress = await far.until(ReferProgress)
        assert (progress.status, progress.is_final) == (501, True)
        assert (await notes.until(Referred)).referral.is_over


async def test_a_referral_outlived_by_its_call_no_more_says_anything() -> None:
    async with _answered() as (leg, notes, _, far, call):
        leg.watch(_takes_referrals)
        call.refer(_TO_CAROL, far.now)
        far.endpoint.touch()
        referral = (await notes.until(Referred)).referral
        call.hang_up(far.now)
        far.endpoint.touch()
        await notes.until(LegGone)
        referral.accept()
        referral.progress(200)
        assert referral.is_over


# -- requests of the application -------------------------------------------------------------------


async def test_a_request_of_the_application_tells_its_response() -> None:
    async with _answered() as (leg, _, _, _, _):
        reply = await leg.send_request(
            "INFO", content_type="application/json", content=b"{}", headers=(("X-Seat", "12"),)
        )
        assert reply == Reply(200, "OK")
        assert (await leg.send_request("MESSAGE", content=b"hello")).status == 405
        with pytest.raises(ValueError, match="not sent this way"):
            await leg.send_request("BYE")


async def test_a_request_is_481_before_and_after_the_call_and_when_the_call_ends_in_between() -> None:
    async with _called() as (leg, notes, _, _):
        assert (await leg.send_request("INFO")).status == 481
        leg.answer()
        await notes.until(LegConfirmed)
        asked = asyncio.ensure_future(leg.send_request("INFO"))
        await asyncio.sleep(0)  # it has been put into the core, nothing has been read since
        leg.hang_up()
        assert (await asked).status == 481
        await notes.until(LegGone)
        assert (await leg.send_request("INFO")).status == 481


# -- CallerLeg -------------------------------------------------------------------------------------


async def test_an_answered_call_of_ours_is_the_caller_of_a_dial() -> None:
    async with _answered() as (leg, _, _, far, call):
        caller, dial = CallerLeg(leg), Inbox()
        assert (caller.id, caller.media, caller.has_answered) == (leg.id, leg.media, True)
        assert caller.identity.number == "+15550100"
        caller.attach(dial)
        caller.answer()
        caller.ring()
        caller.open_early_media()
        call.send_info(Body("application/dtmf", b"7"), far.now)
        far.endpoint.touch()
        assert (await dial.until(DtmfReceived)).digit == "7"
        call.hang_up(far.now, "Q.850;cause=16")
        far.endpoint.touch()
        assert (await dial.until(CallerGone)).reason == "Q.850;cause=16"
        assert caller.is_gone
        assert not caller.has_answered


async def test_a_caller_that_was_detached_tells_the_dial_nothing_more() -> None:
    async with _answered() as (leg, notes, _, _, _):
        caller, dial = CallerLeg(leg), Inbox()
        caller.attach(dial)
        caller.detach()
        caller.hang_up()
        await notes.until(LegGone)
        assert dial.events == []


async def test_a_dial_attached_to_a_call_that_is_over_is_told_at_once() -> None:
    async with _answered() as (leg, notes, _, _, _):
        leg.hang_up(Cause.NORMAL)
        await notes.until(LegGone)
        dial = Inbox()
        CallerLeg(leg).attach(dial)
        assert [type(event) for event in dial.events] == [CallerGone]


async def test_an_anonymous_call_of_ours_has_no_number_to_present() -> None:
    async with open_pair() as (services, _):
        assert _identity(services, '"Anonymous" <sip:anonymous@anonymous.invalid>') == ("", True)
        assert _identity(services, "<tel:+15550199>") == ("+15550199", False)
        assert _identity(services, "nonsense") == ("", False)


def _identity(services: LegServices, from_: str) -> tuple[str, bool]:
    leg = SipLeg(new_call_sid(), services, InviteParams(target="sip:bob@192.0.2.7", from_=from_))
    identity = CallerLeg(leg).identity
    return identity.number, identity.is_restricted
