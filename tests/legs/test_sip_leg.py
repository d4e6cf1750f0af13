"""engine.legs.sip_leg: SIP events become dial events; every end gives the ports back."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from engine.dial.events import DtmfReceived, LegAnswered, LegEarlyMedia, LegEnded, LegRinging, LegTrying
from engine.dial.failure import Fault, Phase, Trouble
from engine.dial.leg import Cause, EndedBy
from engine.ids import new_call_sid
from engine.legs.services import LegServices, dtmf_of
from engine.legs.sip_leg import SipLeg
from engine.sip.events import Confirmed, Ended, InfoReceived, OfferReceived, OfferRejected, ReferProgress
from engine.sip.types import Body, InviteParams, Party
from media import MediaConfig
from media.sdp import Direction
from tests.legs.support import FarSide, Inbox, open_pair, sdp


def _leg(services: LegServices, uri: str) -> SipLeg:
    return SipLeg(new_call_sid(), services, InviteParams(target=uri, from_="<sip:alice@example.com>"))


async def _answered(services: LegServices, far: FarSide, body: Body | None = None) -> tuple[SipLeg, Inbox]:
    leg, inbox = _leg(services, far.uri), Inbox()
    leg.start(inbox)
    (await far.incoming()).answer(body or sdp(40000), far.now)
    far.endpoint.touch()
    await inbox.until(LegAnswered)
    await far.until(Confirmed)
    return leg, inbox


def _has_direction(leg: SipLeg, direction: Direction) -> Callable[[], bool]:
    def holds() -> bool:
        stream = leg.media
        return (
            stream is not None and stream.negotiated is not None and stream.negotiated.direction is direction
        )

    return holds


async def test_a_leg_tells_trying_ringing_answered_and_ended_in_order() -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        leg.start(inbox)
        call = await far.incoming()
        call.ring(far.now)
        far.endpoint.touch()
        await inbox.until(LegRinging)
        call.answer(sdp(40000), far.now)
        far.endpoint.touch()
        await inbox.until(LegAnswered)
        assert leg.media is not None
        leg.hang_up(Cause.NORMAL)
        leg.hang_up(Cause.TIME_LIMIT)
        ended = await inbox.until(LegEnded)
        assert [type(event) for event in inbox.events] == [LegTrying, LegRinging, LegAnswered, LegEnded]
        assert (ended.by, ended.sip_status, ended.failure) == (EndedBy.ENGINE, 200, None)
        assert (await far.until(Ended)).by is Party.REMOTE
        assert not services.media.streams


async def test_dv33_a_loser_is_cancelled_with_the_reason_and_ends_as_487() -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        seen: list[bytes] = []
        far.endpoint.add_tracer(lambda at, direction, flow, message: seen.append(message))
        leg.start(inbox)
        (await far.incoming()).ring(far.now)
        far.endpoint.touch()
        await inbox.until(LegRinging)
        leg.hang_up(Cause.COMPLETED_ELSEWHERE)
        ended = await inbox.until(LegEnded)
        assert (ended.by, ended.sip_status, ended.failure) == (EndedBy.ENGINE, 487, None)
        cancel = next(message for message in seen if message.startswith(b"CANCEL "))
        assert b'Reason: SIP;cause=200;text="Call completed elsewhere"\r\n' in cancel


@pytest.mark.parametrize(("status", "fault"), [(486, Fault.CALLEE), (503, Fault.TRUNK), (403, Fault.TRUNK)])
async def test_a_refusal_is_reported_as_received(status: int, fault: Fault) -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        leg.start(inbox)
        (await far.incoming()).reject(far.now, status, "Not Today")
        far.endpoint.touch()
        ended = await inbox.until(LegEnded)
        assert ended.failure is not None
        assert (ended.by, ended.sip_status, ended.sip_reason) == (EndedBy.CALLEE, status, "Not Today")
        assert (ended.failure.fault, ended.failure.trouble) == (fault, Trouble.RESPONSE)


async def test_a_refused_connection_is_503_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with open_pair() as (services, _):
        leg, inbox = _leg(services, f"sip:bob@127.0.0.1:{port}"), Inbox()
        leg.start(inbox)
        ended = await inbox.until(LegEnded, within_s=2.0)
        assert ended.failure is not None
        assert (ended.failure.sip_status, ended.failure.trouble) == (503, Trouble.TRANSPORT)


async def test_dv32_a_leg_says_trying_when_its_invite_leaves_not_while_a_name_is_looked_up() -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri.replace("127.0.0.1", "localhost")), Inbox()
        leg.start(inbox)
        assert inbox.events == []
        trying = await inbox.until(LegTrying)
        assert trying.sip_call_id
        (await far.incoming()).reject(far.now, 486)
        far.endpoint.touch()
        await inbox.until(LegEnded)
        assert [type(event) for event in inbox.events] == [LegTrying, LegEnded]


async def test_a_name_that_leads_nowhere_ends_the_leg_without_trying() -> None:
    async with open_pair() as (services, _):
        leg, inbox = _leg(services, "sip:bob@nowhere.invalid:5060"), Inbox()
        leg.start(inbox)
        ended = await inbox.until(LegEnded, within_s=15.0)
        assert ended.failure is not None
        assert (ended.failure.sip_status, ended.failure.phase) == (503, Phase.RESOLVING)
        assert [type(event) for event in inbox.events] == [LegEnded]


async def test_no_free_port_is_a_failure_of_ours_and_nothing_is_sent() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        taken = probe.getsockname()[1]
        first = taken - taken % 2
        async with open_pair(media=MediaConfig(first_port=first, last_port=first + 1)) as (services, far):
            leg, inbox = _leg(services, far.uri), Inbox()
            leg.start(inbox)
            ended = await inbox.until(LegEnded)
            assert ended.failure is not None
            assert (ended.failure.sip_status, ended.failure.fault) == (503, Fault.ENGINE)
            assert services.endpoint.counters.messages_out == 0


async def test_early_media_opens_the_stream_and_is_no_answer() -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        leg.start(inbox)
        (await far.incoming()).ring(far.now, 183, sdp(40000))
        far.endpoint.touch()
        early = await inbox.until(LegEarlyMedia)
        assert early.sip_status == 183
        assert leg.media is not None
        assert not any(isinstance(event, LegAnswered) for event in inbox.events)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_an_unusable_preview_does_not_stop_the_ringing() -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        leg.start(inbox)
        call = await far.incoming()
        call.ring(far.now, 183, Body("application/sdp", b"v=nonsense"))
        far.endpoint.touch()
        await inbox.until(LegRinging)
        call.answer(sdp(40000), far.now)
        far.endpoint.touch()
        await inbox.until(LegAnswered)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


@pytest.mark.parametrize(
    "body",
    [sdp(40000, codec="9 G722"), Body("application/sdp", b"nonsense"), Body("text/plain", b"hello")],
    ids=["no common codec", "malformed", "no SDP"],
)
async def test_an_unusable_answer_is_acknowledged_and_ended_with_bye(body: Body) -> None:
    async with open_pair() as (services, far):
        leg, inbox = _leg(services, far.uri), Inbox()
        leg.start(inbox)
        (await far.incoming()).answer(body, far.now)
        far.endpoint.touch()
        ended = await inbox.until(LegEnded)
        assert ended.failure is not None
        assert (ended.failure.trouble, ended.failure.phase) == (Trouble.MEDIA, Phase.MEDIA)
        await far.until(Confirmed)
        assert (await far.until(Ended)).by is Party.REMOTE
        assert not any(isinstance(event, LegAnswered) for event in inbox.events)


async def test_dv36_a_bye_from_the_callee_ends_the_leg_with_its_reason() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        (await far.incoming()).hang_up(far.now, 'Q.850;cause=16;text="Terminated"')
        far.endpoint.touch()
        ended = await inbox.until(LegEnded)
        assert (ended.by, ended.sip_status) == (EndedBy.CALLEE, 200)
        assert ended.reason_header == 'Q.850;cause=16;text="Terminated"'
        assert leg.media is not None
        assert not services.media.streams


async def test_dv83_hold_by_the_peer_is_answered_locally_and_ended_again() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        call = await far.incoming()
        for direction, held in (("sendonly", True), ("sendrecv", False), ("inactive", True)):
            call.offer(sdp(40000, direction=direction), far.now)
            far.endpoint.touch()
            await far.settled(lambda: call.can_offer)
            assert leg.media is not None
            assert leg.media.is_held is held
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_our_hold_and_resume_reach_the_peer_as_offers() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        steps = (
            (1, leg.hold, "sendonly", "recvonly", Direction.SENDONLY),
            (2, leg.resume, "sendrecv", "sendrecv", Direction.SENDRECV),
        )
        for count, verb, wanted, answered, agreed in steps:
            assert verb()
            offer = await far.until(OfferReceived, count=count)
            assert offer.body is not None
            assert f"a={wanted}\r\n".encode() in offer.body.data
            offer.call.answer_offer(sdp(40000, direction=answered), far.now)
            far.endpoint.touch()
            await far.settled_elsewhere(_has_direction(leg, agreed))
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_an_offer_with_nothing_in_common_is_refused_with_488_and_the_call_goes_on() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        call = await far.incoming()
        call.offer(sdp(40000, codec="9 G722"), far.now)
        far.endpoint.touch()
        assert (await far.until(OfferRejected)).status == 488
        assert not any(isinstance(event, LegEnded) for event in inbox.events)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


@pytest.mark.parametrize(
    ("body", "digit", "duration_ms"),
    [
        (Body("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"), "5", 160),
        (Body("application/dtmf-relay", b"Signal= 11\r\nDuration= x\r\n"), "#", 250),
        (Body("application/dtmf", b"a"), "A", 250),
    ],
)
async def test_dv80_a_digit_in_an_info_is_heard(body: Body, digit: str, duration_ms: int) -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        (await far.incoming()).send_info(body, far.now)
        far.endpoint.touch()
        keyed = await inbox.until(DtmfReceived)
        assert (keyed.digit, keyed.duration_ms) == (digit, duration_ms)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_dv81_a_digit_goes_out_as_info_where_no_telephone_event_was_agreed() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far, sdp(40000, event=False))
        leg.send_dtmf("7", duration_ms=100)
        info = await far.until(InfoReceived)
        assert dtmf_of(info.body) == ("7", 100)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_dv82_a_refer_without_anybody_to_ask_is_501() -> None:
    async with open_pair() as (services, far):
        leg, inbox = await _answered(services, far)
        (await far.incoming()).refer("<sip:carol@example.com>", far.now)
        far.endpoint.touch()
        progress = await far.until(ReferProgress)
        assert (progress.status, progress.is_final) == (501, True)
        leg.hang_up(Cause.NORMAL)
        await inbox.until(LegEnded)


async def test_a_peer_that_falls_silent_is_hung_up() -> None:
    async with open_pair(media=MediaConfig(rtp_timeout_s=0.3)) as (services, far):
        _, inbox = await _answered(services, far)
        ended = await inbox.until(LegEnded)
        assert ended.failure is not None
        assert ended.failure.trouble is Trouble.MEDIA
        assert (await far.until(Ended)).by is Party.REMOTE


@pytest.mark.parametrize(
    "body",
    [
        None,
        Body("application/dtmf-relay", b"Signal=55\r\n"),
        Body("application/dtmf-relay", b"\xff\xfe"),
        Body("application/dtmf", b""),
        Body("text/plain", b"5"),
    ],
)
def test_a_body_without_a_digit_is_none(body: Body | None) -> None:
    assert dtmf_of(body) is None
