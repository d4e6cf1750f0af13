"""Section 8 of the hooks contract over real HTTP: every field and error row; what calls do is elsewhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.application.document import PlayVerb, SayVerb
from engine.application.orders import Dtmf, SipReply, SipRequest, Streaming, WrongCallState
from engine.dial.request import InvalidRequest, TargetType
from engine.errors import Overloaded
from engine.hooks import Hook
from tests.api.calls import FakeCalls
from tests.api.serving import ALICE, BOB, OTHER_KEY, SLEEPING_KEY, Api, Reply, api, asleep_account, services

CALLS = f"/v1/Accounts/{ALICE.sid}/Calls"
APPLICATION = "33b259c1-303d-486a-a8dd-5d5b1a0c7c55"
HOOKS = {"call_hook": "https://app.example.com/call", "call_status_hook": "https://app.example.com/status"}
LEAST = {"from": "+441234567890", "to": {"type": "phone", "number": "+491712345678"}, **HOOKS}


def _flaws(reply: Reply) -> list[str]:
    return [each["field"] for each in reply.json["errors"]]


async def _create(http: Api, **changes: Any) -> Reply:
    """`None` leaves a field out."""
    body = {name: value for name, value in {**LEAST, **changes}.items() if value is not None}
    return await http("POST", CALLS, body)


# --- 8.1 create


async def test_a_call_is_created_with_every_field_of_the_table() -> None:
    calls = FakeCalls([APPLICATION])
    async with api(services(calls=calls)) as http:
        reply = await _create(
            http,
            to={"type": "sip", "sipUri": "sip:bob@192.0.2.7", "auth": {"username": "u", "password": "p"}},
            application_sid=APPLICATION,
            call_hook={
                "url": "https://app.example.com/call",
                "method": "GET",
                "username": "a",
                "password": "b",
            },
            answerOnBridge=True,
            callerName="Alice",
            fromHost="sip.example.com",
            timeout=20,
            timeLimit=600,
            amd={"actionHook": "https://app.example.com/amd"},
            tag={"order": 7},
            headers={"X-Order": "7"},
            speech_synthesis_vendor="espeak",
            speech_recognizer_language="en-US",
        )
        assert reply.status == 201
        (order,) = calls.orders
        assert reply.json == {
            "sid": next(iter(calls.calls)),
            "callId": f"{next(iter(calls.calls))}@192.0.2.1",
        }
        assert order.account == ALICE
        assert order.from_ == "+441234567890"
        assert (order.target.type, order.target.address) == (TargetType.SIP, "sip:bob@192.0.2.7")
        assert order.target.credentials is not None
        assert order.application_sid == APPLICATION
        assert order.call_hook == Hook("https://app.example.com/call", "GET", "a", "b")
        assert order.call_status_hook == Hook("https://app.example.com/status")
        assert order.answer_on_bridge
        assert (order.caller_name, order.from_host) == ("Alice", "sip.example.com")
        assert (order.timeout_s, order.time_limit_s) == (20, 600)
        assert order.amd is not None
        assert order.amd.action_hook == Hook("https://app.example.com/amd")
        assert order.tag == {"order": 7}
        assert order.headers == {"X-Order": "7"}
        assert order.speech == {"speech_synthesis_vendor": "espeak", "speech_recognizer_language": "en-US"}


async def test_only_what_is_required_is_needed_and_the_ring_time_is_60_seconds() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        assert (await _create(http)).status == 201
        (order,) = calls.orders
        assert order.timeout_s == 60.0
        assert order.time_limit_s is None
        assert not order.answer_on_bridge


async def test_a_document_in_the_request_needs_no_hook() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        document = json.dumps([{"verb": "say", "text": "Hello"}, {"hangup": {}}])
        reply = await _create(http, call_hook=None, call_status_hook=None, app_json=document)
        assert reply.status == 201
        (order,) = calls.orders
        assert order.document is not None
        assert order.document[0] == SayVerb(text=("Hello",))  # type: ignore[arg-type]
        assert order.call_hook is None
        as_it_is = await _create(http, call_hook=None, call_status_hook=None, app_json=json.loads(document))
        assert as_it_is.status == 201
        assert calls.orders[1].document == order.document


@pytest.mark.parametrize(
    ("to", "kind", "address"),
    [
        ({"type": "phone", "number": "+491712345678", "trunk": "CarrierA"}, "phone", "+491712345678"),
        ({"type": "phone", "number": "sip:bob@192.0.2.7"}, "sip", "sip:bob@192.0.2.7"),
        ({"type": "sip", "sipUri": "sip:bob@192.0.2.7"}, "sip", "sip:bob@192.0.2.7"),
        ({"type": "user", "name": "1001@sip.example.com"}, "user", "1001@sip.example.com"),
    ],
)
async def test_every_kind_of_target_can_be_called(to: dict[str, str], kind: str, address: str) -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        assert (await _create(http, to=to)).status == 201
        (order,) = calls.orders
        assert (order.target.type.value, order.target.address) == (kind, address)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"from": None}, "from"),
        ({"from": ""}, "from"),
        ({"from": "1" * 257}, "from"),
        ({"from": "<bob>"}, "from"),
        ({"from": 441234567890}, "from"),
        ({"to": None}, "to"),
        ({"to": "+491712345678"}, "to"),
        ({"to": {"type": "phone"}}, "to.number"),
        ({"to": {"type": "fax", "number": "1"}}, "to.type"),
        ({"to": {"number": "+491712345678"}}, "to.type"),
        ({"to": {"type": "user", "name": "a\r\nb"}}, "to.name"),
        ({"to": {"type": "sip", "sipUri": "sip:a@192.0.2.1", "auth": {"username": "u"}}}, "to.auth.password"),
        ({"to": {"type": "sip", "sipUri": "sip:a@192.0.2.1", "confirmHook": "x"}}, "to.confirmHook"),
        ({"to": {"type": "teams", "number": "+491712345678"}}, "to.type"),
        ({"call_hook": None, "call_status_hook": None}, "application_sid"),
        ({"call_hook": None, "application_sid": "short"}, "application_sid"),
        ({"call_hook": None, "application_sid": APPLICATION.replace("3", "4")}, "application_sid"),
        ({"call_status_hook": None}, "call_status_hook"),
        ({"call_hook": "/relative"}, "call_hook"),
        ({"call_hook": "ftp://app.example.com"}, "call_hook"),
        ({"call_hook": "https://"}, "call_hook"),
        ({"call_hook": {"url": "https://app.example.com", "method": "PUT"}}, "call_hook.method"),
        ({"call_status_hook": "wss://app.example.com"}, "call_status_hook"),
        ({"call_status_hook": ["https://app.example.com"]}, "call_status_hook"),
        ({"app_json": "not json"}, "app_json"),
        ({"app_json": '{"verb":"say"}'}, "app_json"),
        ({"app_json": '[{"verb":"dance"}]'}, "app_json"),
        ({"app_json": [{"verb": "say"}]}, "app_json"),
        ({"app_json": {"verb": "say", "text": "x"}}, "app_json"),
        ({"answerOnBridge": "yes"}, "answerOnBridge"),
        ({"callerName": "a\r\nb"}, "callerName"),
        ({"fromHost": "<"}, "fromHost"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "20"}, "timeout"),
        ({"timeLimit": -1}, "timeLimit"),
        ({"amd": {}}, "amd.actionHook"),
        ({"amd": {"actionHook": "x", "timers": {"noSpeechTimeoutMs": "5"}}}, "amd.timers.noSpeechTimeoutMs"),
        ({"tag": "x"}, "tag"),
        ({"headers": {"X-A": "1\r\n2"}}, "headers['X-A']"),
        ({"speech_synthesis_vendor": 5}, "speech_synthesis_vendor"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_400_names_the_field(changes: dict[str, Any], field: str) -> None:
    calls = FakeCalls([APPLICATION])
    async with api(services(calls=calls)) as http:
        reply = await _create(http, **changes)
        assert reply.status == 400, reply.body
        assert _flaws(reply) == [field]
        assert reply.json["msg"].startswith(field)
        assert reply.kind.startswith("application/json")
        assert not calls.orders


async def test_401_a_bad_token() -> None:
    async with api(services(calls=FakeCalls())) as http:
        for key in (None, "wrong", ""):
            reply = await http("POST", CALLS, LEAST, key=key)
            assert (reply.status, list(reply.json)) == (401, ["msg"])
            assert reply.headers["www-authenticate"] == "Bearer"


async def test_403_an_inactive_account() -> None:
    async with api(services(calls=FakeCalls())) as http:
        path = f"/v1/Accounts/{asleep_account.sid}/Calls"
        reply = await http("POST", path, LEAST, key=SLEEPING_KEY)
        assert (reply.status, reply.json) == (403, {"msg": "the account is inactive"})


async def test_404_an_unknown_account_and_that_of_somebody_else() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        sid = (await _create(http)).json["sid"]
        for account in ("e35d4edf-efd2-424c-8667-000000000000", BOB.sid, "x"):
            for method, path, body in (
                ("POST", "Calls", LEAST),
                ("GET", "Calls", None),
                ("GET", f"Calls/{sid}", None),
                ("PUT", f"Calls/{sid}", {"call_status": "completed"}),
                ("DELETE", f"Calls/{sid}", None),
                ("GET", "CallCount", None),
            ):
                reply = await http(method, f"/v1/Accounts/{account}/{path}", body)
                assert (reply.status, reply.json) == (404, {"msg": "unknown account"}), (method, path)
        own = f"/v1/Accounts/{BOB.sid}"
        assert (await http("GET", f"{own}/Calls/{sid}", key=OTHER_KEY)).status == 404
        assert (await http("DELETE", f"{own}/Calls/{sid}", key=OTHER_KEY)).status == 404
        assert (await http("GET", f"{own}/Calls", key=OTHER_KEY)).json == []
        assert not calls.hung_up


async def test_503_no_capacity_and_480_none_at_all() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        calls.exception = Overloaded("5000 dials are in progress", retry_after_s=2.5)
        full = await _create(http)
        assert (full.status, full.headers["retry-after"]) == (503, "3")
        assert full.json == {"msg": "5000 dials are in progress"}
        calls.refusal = "the engine takes no new calls"
        draining = await _create(http)
        assert (draining.status, draining.json) == (480, {"msg": "the engine takes no new calls"})
        assert int(draining.headers["retry-after"]) >= 1
        ready = await http("GET", "/readyz", key=None)
        assert (ready.status, ready.json["checks"]) == (
            503,
            {"dials": "ok", "calls": "the engine takes no new calls"},
        )


async def test_what_only_the_runner_of_calls_can_know_is_a_400_too() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        calls.exception = InvalidRequest("to.trunk", "no such trunk")
        reply = await _create(http)
        assert (reply.status, _flaws(reply)) == (400, ["to.trunk"])


# --- 8.2 read, list, count, delete


async def test_calls_are_read_listed_counted_and_hung_up() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        first = (await _create(http)).json["sid"]
        second = (await _create(http, **{"from": "+15550199"})).json["sid"]
        one = await http("GET", f"{CALLS}/{first}")
        assert one.json["call_sid"] == first
        assert one.json["to"] == "+491712345678"
        assert [each["call_sid"] for each in (await http("GET", CALLS)).json] == [first, second]
        for query, found in (
            ("from=%2B15550199", [second]),
            ("direction=outbound&callStatus=trying", [first, second]),
            ("direction=inbound", []),
            ("to=nobody", []),
        ):
            listed = (await http("GET", f"{CALLS}?{query}")).json
            assert [each["call_sid"] for each in listed] == found, query
        assert (await http("GET", f"{CALLS}?direction=sideways")).status == 400
        count = await http("GET", f"/v1/Accounts/{ALICE.sid}/CallCount")
        assert count.json == {"inbound": 0, "outbound": 2}
        gone = await http("DELETE", f"{CALLS}/{first}")
        assert (gone.status, gone.body) == (204, b"")
        assert calls.hung_up == [first]


async def test_an_unknown_call_is_a_404_and_one_that_has_ended_a_422() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        sid = (await _create(http)).json["sid"]
        calls.calls[sid]["call_status"] = "completed"
        for method, body in (
            ("PUT", {"call_status": "completed"}),
            ("POST", {"mute_status": "mute"}),
            ("DELETE", None),
        ):
            unknown = await http(method, f"{CALLS}/e35d4edf-efd2-424c-8667-c6c5f53b1e1b", body)
            assert (unknown.status, unknown.json) == (404, {"msg": "unknown call"})
            ended = await http(method, f"{CALLS}/{sid}", body)
            assert (ended.status, ended.json) == (422, {"msg": "call session is gone"})
        assert (await http("GET", f"{CALLS}/{sid}")).status == 200


# --- 8.3 update


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"call_status": "completed"}, {"call_status": "completed"}),
        ({"call_status": "no-answer"}, {"call_status": "no-answer"}),
        ({"call_hook": "https://app.example.com/b"}, {"call_hook": Hook("https://app.example.com/b")}),
        (
            {
                "call_hook": "https://app.example.com/b",
                "child_call_hook": {"url": "wss://app.example.com/c"},
                "call_status_hook": "https://app.example.com/d",
            },
            {
                "call_hook": Hook("https://app.example.com/b"),
                "child_call_hook": Hook("wss://app.example.com/c"),
                "call_status_hook": Hook("https://app.example.com/d"),
            },
        ),
        ({"mute_status": "mute"}, {"mute": True}),
        ({"mute_status": "unmute"}, {"mute": False}),
        ({"listen_status": "pause"}, {"listen_status": Streaming.PAUSE}),
        ({"listen_status": "silence"}, {"listen_status": Streaming.SILENCE}),
        ({"transcribe_status": "resume"}, {"transcribe_status": Streaming.RESUME}),
        ({"dtmf": {"digit": "5"}}, {"dtmf": Dtmf("5", 250)}),
        ({"dtmf": {"digit": "12#A", "duration": 100}}, {"dtmf": Dtmf("12#A", 100)}),
        (
            {
                "sip_request": {
                    "method": "INFO",
                    "content_type": "text/plain",
                    "content": "hi",
                    "headers": {"X-A": "1"},
                }
            },
            {"sip_request": SipRequest("INFO", "text/plain", "hi", {"X-A": "1"})},
        ),
        ({"whisper": {"verb": "say", "text": "x"}}, {"whisper": (SayVerb(text=("x",)),)}),  # type: ignore[arg-type]
        ({"whisper": [{"play": {"url": "x.wav"}}]}, {"whisper": (PlayVerb(url=("x.wav",)),)}),  # type: ignore[arg-type]
        ({"tag": {"a": [1]}}, {"tag": {"a": [1]}}),
        ({"record": {"action": "startCallRecording"}}, {"record": {"action": "startCallRecording"}}),
        ({"dub": {"action": "addTrack", "track": "a"}}, {"dub": {"action": "addTrack", "track": "a"}}),
        ({"boostAudioSignal": "10 dB"}, {"boost_audio_signal_db": 10.0}),
        ({"boostAudioSignal": -3}, {"boost_audio_signal_db": -3.0}),
        ({"media_path": "no-media"}, {"media_path": "no-media"}),
        ({"call_status": "completed", "tag": None}, {"call_status": "completed"}),
    ],
)
async def test_every_field_of_an_update_arrives(body: dict[str, Any], expected: dict[str, Any]) -> None:
    calls = FakeCalls()
    calls.reply = SipReply(200, "OK")
    async with api(services(calls=calls)) as http:
        sid = (await _create(http)).json["sid"]
        reply = await http("PUT", f"{CALLS}/{sid}", body)
        if "sip_request" in body:
            assert (reply.status, reply.json) == (200, {"status": 200, "reason": "OK"})
        else:
            assert (reply.status, reply.body) == (202, b"")
        ((subject, change),) = calls.changes
        assert subject == sid
        set_ = {name: getattr(change, name) for name in change.__struct_fields__}
        assert {name: value for name, value in set_.items() if value not in (None, ())} == expected


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "call_status"),
        ({"call_status": None}, "call_status"),
        ({"call_status": "ringing"}, "call_status"),
        ({"call_status_hook": "https://app.example.com"}, "call_status_hook"),
        ({"child_call_hook": "https://app.example.com"}, "child_call_hook"),
        ({"call_status": "completed", "call_hook": "https://app.example.com"}, "call_status"),
        ({"call_hook": "relative"}, "call_hook"),
        ({"mute_status": True}, "mute_status"),
        ({"listen_status": "stop"}, "listen_status"),
        ({"whisper": []}, "whisper"),
        ({"whisper": {"verb": "dial", "target": []}}, "whisper"),
        ({"whisper": [{"verb": "hangup"}]}, "whisper"),
        ({"whisper": "say hello"}, "whisper"),
        ({"dtmf": {}}, "dtmf.digit"),
        ({"dtmf": {"digit": "x"}}, "dtmf.digit"),
        ({"dtmf": {"digit": ""}}, "dtmf.digit"),
        ({"dtmf": {"digit": "1", "duration": 0}}, "dtmf.duration"),
        ({"sip_request": {"method": "BYE"}}, "sip_request.method"),
        ({"sip_request": {"method": "INFO", "content": "x"}}, "sip_request.content_type"),
        ({"boostAudioSignal": "loud"}, "boostAudioSignal"),
        ({"media_path": "elsewhere"}, "media_path"),
        ({"tag": []}, "tag"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_update_is_a_400_that_names_the_field(body: dict[str, Any], field: str) -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        sid = (await _create(http)).json["sid"]
        reply = await http("PUT", f"{CALLS}/{sid}", body)
        assert (reply.status, _flaws(reply)) == (400, [field]), reply.body
        assert not calls.changes


async def test_what_the_state_of_the_call_does_not_allow_is_a_422() -> None:
    calls = FakeCalls()
    async with api(services(calls=calls)) as http:
        sid = (await _create(http)).json["sid"]
        calls.exception = WrongCallState("current call state is incompatible with requested action")
        reply = await http("PUT", f"{CALLS}/{sid}", {"call_status": "no-answer"})
        assert reply.status == 422
        assert reply.json == {"msg": "current call state is incompatible with requested action"}


async def test_without_calls_behind_it_the_api_is_not_there() -> None:
    async with api() as http:
        assert (await http("GET", CALLS)).status == 404
