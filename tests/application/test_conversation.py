"""What goes on beside caller and callee in a `dial` (section 10): that it is there, begins and ends."""

from __future__ import annotations

import pytest

from engine.application.call import Call
from engine.application.orders import CallUpdate
from engine.ids import CallSid
from engine.sip.events import Answered, Ended, OfferReceived, ReferProgress
from engine.sip.session import Call as SipCall
from engine.sip.types import Body
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from media import MediaStream
from tests.application.stage import ACCOUNT, Stage, on_stage
from tests.legs.support import FarSide, sdp
from tests.support.application import Answer


async def _talking(stage: Stage) -> tuple[OutgoingInvite, IncomingInvite, str, str]:
    """Caller and callee are connected: their calls, and the sids of ours."""
    call = stage.call()
    leg = await stage.answers()
    await stage.caller.until(Answered)
    told = await stage.app.told("/status", call_status="in-progress", direction="outbound")
    await stage.caller.settled_elsewhere(lambda: leg.is_confirmed)
    return call, leg, told.payload["parent_call_sid"], told.payload["call_sid"]


def _keys(phone: FarSide, call: SipCall, digits: str) -> None:
    for digit in digits:
        body = Body("application/dtmf-relay", f"Signal={digit}\r\nDuration=160\r\n".encode())
        call.send_info(body, phone.now)
    phone.endpoint.touch()


def _refers(phone: FarSide, call: SipCall) -> None:
    call.refer("<sip:+15550123@example.com>", phone.now, [("X-Custom", "blue")])
    phone.endpoint.touch()


async def test_dv80_a_captured_sequence_is_told_about_the_party_that_keyed_it_and_nothing_is_replaced() -> (
    None
):
    async with on_stage() as stage:
        hook = {"url": "/dtmf", "method": "GET"}
        stage.app.on("/dtmf", [{"verb": "hangup"}])
        stage.app.on(
            "/call", [stage.dial(dtmfCapture={"childCall": ["*2"], "parentCall": ["9"]}, dtmfHook=hook)]
        )
        call, leg, parent, child = await _talking(stage)
        _keys(stage.callees[0], leg, "9*2")
        told = await stage.app.request("/dtmf")
        assert told.method == "GET"
        assert told.payload["dtmf"] == "*2"
        assert (told.payload["call_sid"], told.payload["direction"]) == (child, "outbound")
        _keys(stage.caller, call, "*29")
        told = await stage.app.request("/dtmf", 2)
        assert (told.payload["dtmf"], told.payload["call_sid"]) == ("9", parent)
        await stage.caller.settled_elsewhere(lambda: not stage.hooks.backlog)
        assert not any(isinstance(event, Ended) for event in stage.caller.events), "a notification only"
        stage.hang_up(stage.callees[0], leg)
        await stage.caller.until(Ended)
        assert len(stage.app.asked("/dtmf")) == 2


@pytest.mark.parametrize(
    ("answer", "status"), [(None, 501), (Answer(status=403), 403), (Answer(cut=True), 500)]
)
async def test_dv82_a_refer_is_refused_as_its_hook_says(answer: Answer | None, status: int) -> None:
    async with on_stage() as stage:
        more = {} if answer is None else {"referHook": "/refer"}
        stage.app.on("/refer", answer or Answer())
        stage.app.on("/call", [stage.dial(**more)])
        call, leg, _, _ = await _talking(stage)
        _refers(stage.callees[0], leg)
        assert (await stage.callees[0].until(ReferProgress)).status == status
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)


async def test_dv82_verbs_for_a_refer_of_the_callee_run_on_the_caller() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(referHook="/refer")])
        stage.app.on("/refer", [stage.dial(1)])
        _, leg, parent, child = await _talking(stage)
        _refers(stage.callees[0], leg)
        told = (await stage.app.request("/refer")).payload
        assert told["call_sid"] == child
        details = told["refer_details"]
        assert details["refer_to_user"] == "+15550123"
        assert (details["referring_call_sid"], details["referred_call_sid"]) == (child, parent)
        assert details["x_custom"] == "blue"
        progress = await stage.callees[0].until(ReferProgress)
        assert progress.status == 202
        await stage.callees[0].until(Ended)
        final = [event for event in stage.callees[0].events if isinstance(event, ReferProgress)][-1]
        assert (final.status, final.is_final) == (200, True)
        third = await stage.answers(1)
        await stage.app.told("/status", call_status="in-progress", to=stage.callees[1].uri)
        assert len(stage.app.asked("/dial")) == 1
        stage.hang_up(stage.callees[1], third)
        await stage.caller.until(Ended)


async def test_dv82_verbs_for_a_refer_of_the_caller_run_on_the_callee_who_becomes_independent() -> None:
    async with on_stage() as stage:
        stage.app.on(
            "/call", [stage.dial(referHook="/refer"), {"verb": "hangup", "headers": {"X-Of": "caller"}}]
        )
        stage.app.on("/refer", [stage.dial(1)])
        call, leg, parent, child = await _talking(stage)
        _refers(stage.caller, call)
        told = (await stage.app.request("/refer")).payload
        assert told["call_sid"] == parent
        third = await stage.answers(1)
        joined = await stage.app.told("/status", call_status="in-progress", to=stage.callees[1].uri)
        assert joined.payload["parent_call_sid"] == child
        await stage.caller.until(Ended)
        assert not leg.is_over
        stage.hang_up(stage.callees[1], third)
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.statuses(child)[-1] == stage.statuses(parent)[-1] == "completed"


async def test_dv83_the_on_hold_hook_is_asked_for_the_held_party() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(onHoldHook="/hold")])
        stage.app.on("/hold", [{"verb": "pause", "length": 30}])
        call, leg, _, child = await _talking(stage)
        leg.offer(sdp(41000, direction="sendonly"), stage.callees[0].now)
        stage.callees[0].endpoint.touch()
        told = (await stage.app.request("/hold")).payload
        assert told["call_sid"] == child
        assert set(told["hold_detail"]) == {"from", "to"}
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)


async def test_exit_media_path_reinvites_both_parties_and_the_caller_comes_back_after_the_dial() -> None:
    async with on_stage() as stage:
        stage.app.on(
            "/call", [stage.dial(exitMediaPath=True), {"verb": "pause", "length": 1}, {"verb": "hangup"}]
        )
        call = stage.call()
        leg = await stage.answers()
        to_callee = await stage.callees[0].until(OfferReceived)
        assert to_callee.body is not None
        assert b"m=audio 40000" in to_callee.body.data, "the caller's own port"
        leg.answer_offer(sdp(41000), stage.callees[0].now)
        stage.callees[0].endpoint.touch()
        to_caller = await stage.caller.until(OfferReceived)
        assert to_caller.body is not None
        assert b"m=audio 41000" in to_caller.body.data, "the callee's own port"
        call.answer_offer(sdp(40000), stage.caller.now)
        stage.caller.endpoint.touch()
        stage.hang_up(stage.callees[0], leg)
        back = await stage.caller.until(OfferReceived, count=2)
        assert back.body is not None
        assert b"m=audio 41000" not in back.body.data
        call.answer_offer(sdp(40000), stage.caller.now)
        stage.caller.endpoint.touch()
        await stage.caller.until(Ended)


async def test_anchor_media_wins_over_exit_media_path() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(exitMediaPath=True, anchorMedia=True)])
        call, _, _, _ = await _talking(stage)
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert not any(isinstance(event, OfferReceived) for event in stage.callees[0].events)


async def test_gain_and_muting_act_on_the_audio_of_the_party_that_is_named() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(boostAudioSignal="10 dB")])
        call, _, parent, child = await _talking(stage)
        found = stage.calls.find(CallSid(parent))
        assert isinstance(found, Call)
        caller = found.party.leg
        assert found.dialling is not None
        assert found.dialling.conversation is not None
        callee = found.dialling.conversation.winner.media
        assert isinstance(callee, MediaStream)
        assert isinstance(caller.media, MediaStream)
        assert callee.gain_db == 10
        await stage.calls.update(ACCOUNT, child, CallUpdate(boost_audio_signal_db=3.0, mute=True))
        assert (callee.gain_db, callee.is_muted, caller.media.is_muted) == (3, True, False)
        await stage.calls.update(ACCOUNT, parent, CallUpdate(mute=True))
        await stage.calls.update(ACCOUNT, child, CallUpdate(mute=False))
        assert (callee.is_muted, caller.media.is_muted) == (False, True)
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)


async def test_dv84_streams_of_a_dial_never_fail_it() -> None:
    """This stage has neither listen streams nor recognisers: that is an alert, no more."""
    async with on_stage() as stage:
        listen = {"url": "wss://audio.example.com", "mixType": "stereo"}
        stage.app.on("/call", [stage.dial(listen=listen, transcribe={"transcriptionHook": "/words"})])
        _, leg, _, _ = await _talking(stage)
        await stage.caller.settled_elsewhere(lambda: len(stage.alerts()) >= 2)
        assert set(stage.alerts()) == {"listen-failed", "transcribe-failed"}
        assert not leg.is_over
        stage.hang_up(stage.callees[0], leg)
        assert (await stage.result()).payload["dial_status"] == "completed"
        await stage.caller.until(Ended)
