"""What the fields of `POST …/Calls` and `PUT …/Calls/{call_sid}` do to a call (hooks contract, section 8)."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from engine.application.orders import CallOrder, CallUpdate, Dtmf, SipReply, SipRequest, WrongCallState
from engine.config import AccountConfig
from engine.dial.request import Target
from engine.hooks import Hook
from engine.legs.services import dtmf_of
from engine.sip.events import Answered, Ended, Failed, IncomingCall, InfoReceived, OfferReceived
from engine.speech.recognition import Recognisers
from tests.application.stage import ACCOUNT, NUMBER, Stage, on_stage
from tests.application.verbs.streaming import ScriptedRecogniser
from tests.legs.support import sdp

ACME = AccountConfig(sid=ACCOUNT, name="acme", sip_realm="sip.example.com")


async def _create(stage: Stage, **more: object) -> str:
    fields: dict[str, object] = {
        "account": ACME,
        "from_": "+15550100",
        "target": Target.sip(stage.callees[0].uri),
        "call_hook": Hook(stage.app.url("/call")),
        "call_status_hook": Hook(stage.app.url("/status")),
    }
    return (await stage.calls.create(CallOrder(**{**fields, **more}))).sid  # type: ignore[arg-type]


async def _parent(stage: Stage) -> str:
    """Caller and callee are connected: the sid of the caller's call."""
    told = await stage.app.told("/status", call_status="in-progress", direction="outbound")
    sid: str = told.payload["parent_call_sid"]
    return sid


async def test_from_caller_name_and_from_host_are_in_the_invite() -> None:
    async with on_stage() as stage:
        await _create(stage, caller_name="Front Desk", from_host="pbx.example.com")
        leg = await stage.rings()
        from_ = (await stage.callees[0].until(IncomingCall)).request.from_
        assert from_.display_name == "Front Desk"
        assert from_.uri == "sip:+15550100@pbx.example.com"
        stage.refuse(0, leg, 486)
        await stage.quiet()


async def test_the_recogniser_of_the_order_listens_and_its_voice_is_the_default() -> None:
    usual, wanted = ScriptedRecogniser("usual"), ScriptedRecogniser("wanted")
    recognisers = Recognisers({"usual": usual, "wanted": wanted}, default="usual")
    async with on_stage(recognisers=recognisers) as stage:
        stage.app.on("/call", [{"verb": "transcribe", "transcriptionHook": "/words"}])
        speech = {
            "speech_synthesis_vendor": "choir",
            "speech_synthesis_language": "de-DE",
            "speech_synthesis_voice": "anna",
            "speech_recognizer_vendor": "wanted",
            "speech_recognizer_language": "de-AT",
        }
        await _create(stage, speech=speech)
        leg = await stage.answers()
        session = await wanted.session()
        assert session.options.language == "de-AT"
        assert usual.sessions == []
        synthesizer = stage.app.payloads("/call")[0]["defaults"]["synthesizer"]
        assert (synthesizer["vendor"], synthesizer["language"], synthesizer["voice"]) == (
            "choir",
            "de-DE",
            "anna",
        )
        stage.hang_up(stage.callees[0], leg)
        await stage.quiet()


async def test_a_new_call_status_hook_is_told_the_rest() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "answer"}, {"verb": "pause", "length": 30}])
        stage.app.on("/other", [{"verb": "hangup"}])
        stage.app.on("/status2")
        stage.call()
        await stage.caller.until(Answered)
        sid = (await stage.app.told("/status", call_status="in-progress")).payload["call_sid"]
        change = CallUpdate(
            call_hook=Hook(stage.app.url("/other")), call_status_hook=Hook(stage.app.url("/status2"))
        )
        await stage.calls.update(ACCOUNT, sid, change)
        await stage.caller.until(Ended)
        await stage.quiet()
        assert stage.statuses(sid) == ["trying", "in-progress"]
        assert [told["call_status"] for told in stage.app.payloads("/status2")] == ["completed"]


async def test_digits_reach_the_party_with_their_duration() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        bound = stage.services.endpoint.listeners[0].bound
        call = stage.caller.call(f"sip:{NUMBER}@{bound.host}:{bound.port}", sdp(40000, event=False))
        await stage.answers()
        parent = await _parent(stage)
        await stage.calls.update(ACCOUNT, parent, CallUpdate(dtmf=Dtmf("1#A", 120)))
        infos = [await stage.caller.until(InfoReceived, count=number) for number in (1, 2, 3)]
        assert [dtmf_of(info.body) for info in infos] == [("1", 120), ("#", 120), ("A", 120)]
        assert all(later.at > earlier.at for earlier, later in itertools.pairwise(infos))
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        await stage.quiet()


async def test_a_request_of_the_application_is_sent_as_it_was_given() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        call = stage.call()
        await stage.answers()
        parent = await _parent(stage)
        request = SipRequest("INFO", "text/plain", "how are you", {"X-From": "boss"})
        reply = await stage.calls.update(ACCOUNT, parent, CallUpdate(sip_request=request))
        assert reply == SipReply(200, "OK")
        info = await stage.caller.until(InfoReceived)
        assert info.body is not None
        assert (info.body.content_type, info.body.data) == ("text/plain", b"how are you")
        assert info.request.headers.get("X-From") == "boss"
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        await stage.quiet()


async def test_media_path_leads_the_audio_past_us_and_back() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial()])
        call = stage.call()
        leg = await stage.answers()
        parent = await _parent(stage)
        changing = asyncio.create_task(stage.calls.update(ACCOUNT, parent, CallUpdate(media_path="no-media")))
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
        await changing
        changing = asyncio.create_task(
            stage.calls.update(ACCOUNT, parent, CallUpdate(media_path="full-media"))
        )
        # The caller is silenced before the callee comes back, so that it does not go on hearing it directly.
        for phone, theirs, count, port, other in (
            (stage.caller, call, 2, 40000, b"m=audio 41000"),
            (stage.callees[0], leg, 2, 41000, b"m=audio 40000"),
            (stage.caller, call, 3, 40000, b"m=audio 41000"),
        ):
            offer = await phone.until(OfferReceived, count=count)
            assert offer.body is not None
            assert other not in offer.body.data, "our port again"
            theirs.answer_offer(sdp(port), phone.now)
            phone.endpoint.touch()
        await changing
        stage.hang_up(stage.caller, call)
        await stage.callees[0].until(Ended)
        await stage.quiet()


@pytest.mark.parametrize("change", [CallUpdate(mute=True), CallUpdate(dub={"action": "addTrack"})])
async def test_what_needs_a_conversation_is_refused_while_a_created_call_rings(change: CallUpdate) -> None:
    async with on_stage() as stage:
        sid = await _create(stage)
        await stage.rings()
        await stage.app.told("/status", call_status="ringing")
        with pytest.raises(WrongCallState):
            await stage.calls.update(ACCOUNT, sid, change)
        stage.calls.hang_up(ACCOUNT, sid)
        await stage.callees[0].until(Failed)
        await stage.quiet()
