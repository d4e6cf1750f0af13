"""Calls created over REST: real SIP, real HTTP; statuses by the same table as a dial's branches (DV-50)."""

from __future__ import annotations

import asyncio
import time

import pytest

from engine.application.applications import Application
from engine.application.document import parse_document
from engine.application.orders import CallOrder, CallUpdate, NoSuchApplication
from engine.application.outbound import OutboundCall
from engine.application.schema.dial import Amd, AmdTimers
from engine.application.schema.speech import Recognizer
from engine.application.services import ApplicationServices
from engine.config import AccountConfig
from engine.dial.request import DialRequest, InvalidRequest, Target
from engine.errors import Overloaded
from engine.hooks import Alerts, Hook
from engine.hooks.payloads import CallFacts
from engine.ids import new_call_sid
from engine.sip.events import Ended, Failed, IncomingCall
from engine.speech.recognition import Alternative, Recognisers, RecognitionResult
from tests.application.stage import ACCOUNT, APPLICATION, Stage, on_stage
from tests.application.verbs.streaming import ScriptedRecogniser
from tests.support.application import Answer

ACME = AccountConfig(sid=ACCOUNT, name="acme", sip_realm="sip.example.com")


def _order(stage: Stage, **more: object) -> CallOrder:
    fields: dict[str, object] = {
        "account": ACME,
        "from_": "+15550100",
        "target": Target.sip(stage.callees[0].uri),
        "call_hook": Hook(stage.app.url("/call")),
        "call_status_hook": Hook(stage.app.url("/status")),
    }
    return CallOrder(**{**fields, **more})  # type: ignore[arg-type]


async def test_the_document_runs_when_the_callee_has_answered_and_may_dial_for_it() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [stage.dial(1)])
        created = await stage.calls.create(_order(stage, tag={"order": 7}, headers={"X-Campaign": "spring"}))
        leg = await stage.rings()
        invite = (await stage.callees[0].until(IncomingCall)).request
        assert invite.call_id == created.call_id
        assert invite.headers.get("X-Campaign") == "spring"
        assert "+15550100@" in invite.from_.uri
        assert stage.app.asked("/call") == []
        await stage.app.told("/status", call_status="ringing")
        await stage.answers_now(0, leg)
        told = (await stage.app.request("/call")).payload
        assert told["call_sid"] == created.sid
        assert told["call_id"] == created.call_id
        assert told["direction"] == "outbound"
        assert told["call_status"] == "in-progress"
        assert told["customerData"] == {"order": 7}
        assert (told["from"], told["to"]) == ("+15550100", stage.callees[0].uri)
        callee = await stage.answers(1)
        await stage.app.told("/status", call_status="in-progress", parent_call_sid=created.sid)
        stage.hang_up(stage.callees[1], callee)
        result = (await stage.result()).payload
        assert result["call_sid"] == created.sid
        assert result["dial_status"] == "completed"
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.statuses(created.sid) == ["trying", "ringing", "in-progress", "completed"]
        last = stage.app.payloads("/status")[-1]
        assert (last["call_termination_by"], last["sip_status"]) == ("jambonz", 200)


class _Deaf(asyncio.DatagramProtocol):
    """A phone that rings and hears no CANCEL."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        self.methods: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.methods.append(data.split(b" ", 1)[0])
        if self.methods == [b"INVITE"]:
            lines = data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            kept = [line for line in lines if line.startswith((b"Via:", b"From:", b"Call-ID:", b"CSeq:"))]
            [to] = [line + b";tag=deaf" for line in lines if line.startswith(b"To:")]
            ringing = [b"SIP/2.0 180 Ringing", *kept, to, b"Content-Length: 0", b"", b""]
            self._transport.sendto(b"\r\n".join(ringing), addr)


async def test_who_answers_does_not_wait_for_another_phone_of_the_same_user_that_hears_no_cancel() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "hangup"}])
        transport, deaf = await asyncio.get_running_loop().create_datagram_endpoint(
            _Deaf, local_addr=("127.0.0.1", 0)
        )
        host, port = transport.get_extra_info("sockname")
        services = ApplicationServices(
            dials=stage.dials,
            make_hooks=stage.hooks.for_call,
            alerts=Alerts(stage.kept),
            records=stage.kept,
        )
        sid = new_call_sid()
        facts = CallFacts(call_sid=sid, direction="outbound", from_="a", to="b", account_sid=ACCOUNT)
        phones = [Target.sip(stage.callees[0].uri), Target.sip(f"sip:deaf@{host}:{port}")]
        application = Application(call_hook=Hook(stage.app.url("/call")))
        call = OutboundCall(DialRequest(phones), application, services, facts)
        call.start()
        running = asyncio.create_task(call.run())
        leg = await stage.rings()
        await stage.callees[0].settled_elsewhere(lambda: deaf.methods == [b"INVITE"])
        began = time.monotonic()
        await stage.answers_now(0, leg)
        await stage.app.request("/call")
        await stage.callees[0].until(Ended)
        assert time.monotonic() - began < 2.0
        assert b"CANCEL" in deaf.methods
        await running
        assert len(stage.dials) == 0
        transport.close()


@pytest.mark.parametrize(
    ("status", "call_status"),
    [(486, "busy"), (603, "busy"), (480, "no-answer"), (404, "failed"), (503, "failed"), (408, "no-answer")],
)
async def test_dv50_an_unanswered_call_ends_with_the_status_of_the_table(
    status: int, call_status: str
) -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage))
        await stage.rings_and_refuses(0, status)
        await stage.quiet()
        assert stage.statuses(created.sid) == ["trying", "ringing", call_status]
        last = stage.app.payloads("/status")[-1]
        assert last["sip_status"] == status
        assert stage.app.asked("/call") == []
        assert stage.kept.calls[created.sid].call_status == call_status


async def test_dv50_ring_timeout_of_a_created_call_is_no_answer() -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage, timeout_s=0.3))
        await stage.rings()
        await stage.callees[0].until(Failed)
        await stage.quiet()
        assert stage.statuses(created.sid) == ["trying", "ringing", "no-answer"]


async def test_the_far_side_hangs_up_while_the_call_hook_is_open_and_no_verb_of_the_late_answer_runs() -> (
    None
):
    async with on_stage() as stage:
        gate = asyncio.Event()
        stage.app.on("/call", Answer(document=[stage.dial(1)], gate=gate))
        created = await stage.calls.create(_order(stage))
        leg = await stage.answers()
        await stage.app.request("/call")
        stage.hang_up(stage.callees[0], leg)
        await stage.app.told("/status", call_status="completed")
        gate.set()
        await stage.quiet()
        assert stage.callees[1].events == []
        assert stage.statuses(created.sid)[-1] == "completed"
        assert stage.app.payloads("/status")[-1]["call_termination_by"] == "caller"


async def test_a_document_in_the_order_needs_no_call_hook() -> None:
    async with on_stage() as stage:
        document = parse_document([{"verb": "hangup", "headers": {"X-Said": "bye"}}])
        await stage.calls.create(_order(stage, document=document, call_hook=None))
        await stage.answers()
        bye = (await stage.callees[0].until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-Said") == "bye"
        await stage.quiet()
        assert stage.app.asked("/call") == []


async def test_an_application_of_the_account_brings_its_hooks_and_a_strange_one_is_refused() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [])
        order = _order(stage, application_sid=APPLICATION, call_hook=None, call_status_hook=None)
        created = await stage.calls.create(order)
        await stage.answers()
        assert (await stage.app.request("/call")).payload["application_sid"] == APPLICATION
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.statuses(created.sid)[-1] == "completed"
        with pytest.raises(NoSuchApplication):
            await stage.calls.create(_order(stage, application_sid="e35d4edf-efd2-424c-8667-c6c5f53b1e1b"))


async def test_a_from_that_cannot_be_written_is_refused_by_its_name() -> None:
    async with on_stage() as stage:
        with pytest.raises(InvalidRequest) as refusal:
            await stage.calls.create(_order(stage, from_="a b"))
        assert refusal.value.field == "from"


async def test_the_time_limit_ends_the_call() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "pause", "length": 30}])
        created = await stage.calls.create(_order(stage, time_limit_s=0.3))
        await stage.answers()
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.statuses(created.sid)[-1] == "completed"


@pytest.mark.parametrize("word", ["completed", "no-answer"])
async def test_live_control_gives_up_a_call_that_rings(word: str) -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage))
        await stage.rings()
        await stage.app.told("/status", call_status="ringing")
        await stage.calls.update(ACCOUNT, created.sid, CallUpdate(call_status=word))  # type: ignore[arg-type]
        await stage.callees[0].until(Failed)
        await stage.quiet()
        assert stage.statuses(created.sid) == ["trying", "ringing", "no-answer"]


async def test_a_call_is_redirected_while_it_rings() -> None:
    async with on_stage() as stage:
        stage.app.on("/other", [])
        created = await stage.calls.create(_order(stage))
        leg = await stage.rings()
        hook = Hook(stage.app.url("/other"))
        await stage.calls.update(ACCOUNT, created.sid, CallUpdate(call_hook=hook))
        await stage.answers_now(0, leg)
        await stage.app.request("/other")
        await stage.callees[0].until(Ended)
        await stage.quiet()
        assert stage.app.asked("/call") == []


async def test_calls_are_listed_counted_and_found_by_their_account_only() -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage))
        leg = await stage.rings()
        [listed] = stage.calls.list(ACCOUNT)
        assert listed["call_sid"] == created.sid
        counts = stage.calls.counts(ACCOUNT)
        assert (counts.inbound, counts.outbound) == (0, 1)
        found = await stage.calls.get(ACCOUNT, created.sid)
        assert found is not None
        assert found["call_status"] in ("trying", "ringing")
        other = "11111111-2222-4333-8444-555555555555"
        assert await stage.calls.get(other, created.sid) is None
        assert list(stage.calls.list(other)) == []
        stage.refuse(0, leg, 486)
        await stage.quiet()


async def test_amd_of_a_created_call_begins_with_the_answer_and_its_verbs_replace_the_document() -> None:
    async with on_stage() as stage:
        stage.app.on("/call", [{"verb": "pause", "length": 30}])
        stage.app.on("/amd", [{"verb": "hangup", "headers": {"X-By": "amd"}}])
        amd = Amd(action_hook=Hook("/amd"), timers=AmdTimers(no_speech_timeout_ms=300))
        created = await stage.calls.create(_order(stage, amd=amd))
        await stage.answers()
        told = (await stage.app.request("/amd")).payload
        assert (told["event"], told["type"]) == ("silence", "amd_no_speech_detected")
        assert told["call_sid"] == created.sid
        bye = (await stage.callees[0].until(Ended)).request
        assert bye is not None
        assert bye.headers.get("X-By") == "amd"
        await stage.quiet()
        assert stage.kept.calls[created.sid].amd == "silence"


async def test_a_call_that_rings_ends_with_the_engine_and_no_new_one_is_taken() -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage))
        await stage.rings()
        await stage.app.told("/status", call_status="ringing")
        await stage.calls.stop()
        await stage.callees[0].until(Failed)
        await stage.quiet()
        assert stage.statuses(created.sid) == ["trying", "ringing", "no-answer"]
        with pytest.raises(Overloaded):
            await stage.calls.create(_order(stage))


async def test_a_call_whose_task_is_cancelled_while_it_rings_is_told_to_its_end() -> None:
    async with on_stage() as stage:
        created = await stage.calls.create(_order(stage))
        await stage.rings()
        await stage.app.told("/status", call_status="ringing")
        [task] = (each for each in asyncio.all_tasks() if each.get_name() == f"call {created.sid}")
        task.cancel()
        await stage.callees[0].until(Failed)
        await stage.app.told("/status", call_status="no-answer", call_sid=created.sid)
        await stage.quiet()


async def test_dv73_words_of_a_created_call_decide_where_a_recogniser_is_asked_for() -> None:
    recogniser = ScriptedRecogniser()
    async with on_stage(recognisers=Recognisers({"scripted": recogniser}, default="scripted")) as stage:
        stage.app.on("/call", [{"verb": "pause", "length": 30}])
        stage.app.on("/amd")
        amd = Amd(action_hook=Hook("/amd"), recognizer=Recognizer(language="en-US"))
        created = await stage.calls.create(_order(stage, amd=amd))
        leg = await stage.answers()
        heard = await recogniser.session()
        alternatives = (Alternative("please leave a message", 0.9),)
        heard.say(RecognitionResult("en-US", 2, True, alternatives, "scripted"))
        told = (await stage.app.request("/amd")).payload
        assert (told["amd_type"], told["reason"]) == ("machine", "hint")
        assert told["call_sid"] == created.sid
        stage.hang_up(stage.callees[0], leg)
        await stage.quiet()
        await stage.caller.settled_elsewhere(lambda: heard.is_closed)
        assert len(stage.app.asked("/amd")) == 1
