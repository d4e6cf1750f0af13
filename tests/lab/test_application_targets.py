"""Every property of a target, and those of `dial` that concern the INVITE, on the wire (sections 2 and 3)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.config import TrunkConfig, UserConfig
from tests.support.application import WebApplication
from tests.support.running_application import application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench, SippResult, TracedMessage
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab


async def rung(
    sipp: SippBench,
    target: dict[str, Any],
    *,
    base: Any = None,
    realm: str = "",
    **properties: Any,
) -> tuple[SippResult, dict[str, Any]]:
    """A caller that talks for a moment to `target`; the caller's side and what the actionHook was told."""
    async with WebApplication() as app, application_engine(app, base=base, realm=realm) as engine:
        dial = {"verb": "dial", "target": [target], **properties}
        app.on("/call", [{"verb": "answer"}, dial, {"verb": "pause", "length": 10}])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=700)
        calling = await caller.finished()
        told = (await app.request("/dial")).payload
    calling.assert_passed()
    return calling, told


def audio_formats(invite: TracedMessage) -> list[str]:
    """Payload types of the offer, in order."""
    line = next(line for line in invite.body.split("\n") if line.startswith("m=audio "))
    return line.split()[3:]


@pytest.mark.parametrize("status", [401, 407])
async def test_dv23_credentials_of_the_target_answer_its_challenge(sipp: SippBench, status: int) -> None:
    callee = await sipp.callee(f"callee_wants_auth_{status}")
    target = {"type": "sip", "sipUri": callee.uri, "auth": {"username": "alice", "password": "secret"}}
    _, told = await rung(sipp, target)
    seen = await callee.finished()
    seen.assert_passed()
    assert len(seen.received("INVITE")) == 2
    assert told["dial_status"] == "completed"


async def test_dv23_wrong_credentials_are_tried_once(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_wants_auth_401")
    target = {"type": "sip", "sipUri": callee.uri, "auth": {"username": "alice", "password": "wrong"}}
    _, told = await rung(sipp, target)
    assert len((await callee.finished()).received("INVITE")) == 2
    assert (told["dial_status"], told["dial_sip_status"]) == ("failed", 403)


async def test_dv24_a_redirect_is_followed(sipp: SippBench) -> None:
    there = await sipp.callee("load_callee")
    here = await sipp.callee("callee_redirects", keys={"contact": there.uri_for("carol")})
    _, told = await rung(sipp, {"type": "sip", "sipUri": here.uri}, callerId="+15550142")
    redirecting, answering = await here.finished(), await there.finished()
    redirecting.assert_passed()
    assert redirecting.received("INVITE")[0].header("From") == answering.received("INVITE")[0].header("From")
    assert told["dial_status"] == "completed"


async def test_dv44_a_reliable_provisional_is_acknowledged(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_100rel")
    _, told = await rung(sipp, {"type": "sip", "sipUri": callee.uri})
    seen = await callee.finished()
    seen.assert_passed()
    assert len(seen.received("PRACK")) == 1
    assert told["dial_status"] == "completed"


async def test_a_sip_uri_may_stand_in_number(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee")
    _, told = await rung(sipp, {"type": "phone", "number": callee.uri})
    assert (await callee.finished()).received("INVITE")[0].first_line.split()[1] == callee.uri
    assert told["dial_status"] == "completed"


async def test_dv25_a_phone_goes_over_the_trunk_it_names(sipp: SippBench) -> None:
    named, other = await sipp.callee("load_callee"), await sipp.callee("load_callee")
    trunks = tuple(
        TrunkConfig(name=name, uri=f"sip:127.0.0.1:{callee.port}")
        for name, callee in (("A", other), ("B", named))
    )
    target = {"type": "phone", "number": "+15550177", "trunk": "B"}
    _, told = await rung(sipp, target, base=lab_config(trunks=trunks))
    invite = (await named.finished()).received("INVITE")[0]
    assert invite.first_line.split()[1].startswith("sip:+15550177@127.0.0.1")
    assert (await other.stop()).messages == ()
    assert told["dial_legs"][0]["to"] == "+15550177"
    assert told["dial_legs"][0]["type"] == "phone"


async def test_a_user_rings_everywhere_and_the_realm_is_appended(sipp: SippBench) -> None:
    desk, mobile = await sipp.callee("callee_rings_on"), await sipp.callee("load_callee")
    user = UserConfig(name="1001@sip.example.com", contacts=(desk.uri_for("desk"), mobile.uri_for("mobile")))
    base = replace(lab_config(), user=(user,))
    _, told = await rung(sipp, {"type": "user", "name": "1001"}, base=base, realm="sip.example.com")
    (await desk.finished()).assert_passed()
    invite = (await mobile.finished()).received("INVITE")[0]
    assert invite.first_line.split()[1] == mobile.uri_for("mobile")
    assert told["dial_status"] == "completed"


async def test_override_to_replaces_the_request_uri_of_a_user(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee")
    user = UserConfig(name="1001@sip.example.com", contacts=(callee.uri_for("desk"),))
    base = replace(lab_config(), user=(user,))
    target = {
        "type": "user",
        "name": "1001@sip.example.com",
        "overrideTo": f"sip:other@127.0.0.1:{callee.port}",
    }
    await rung(sipp, target, base=base)
    invite = (await callee.finished()).received("INVITE")[0]
    assert invite.first_line.split()[1] == callee.uri_for("other")


@pytest.mark.parametrize(
    ("name", "status", "to_leg"),
    [("1002@sip.example.com", "failed", 480), ("9999@sip.example.com", "failed", 404)],
    ids=["known, not registered", "unknown"],
)
async def test_dv25_users_that_cannot_be_rung(sipp: SippBench, name: str, status: str, to_leg: int) -> None:
    base = replace(lab_config(), user=(UserConfig(name="1002@sip.example.com"),))
    _, told = await rung(sipp, {"type": "user", "name": name}, base=base)
    assert (told["dial_status"], told["dial_sip_status"]) == (status, to_leg)


@pytest.mark.parametrize("where", ["verb", "target"])
async def test_a_proxy_gets_the_invite_for_somebody_else(sipp: SippBench, where: str) -> None:
    proxy = await sipp.callee("load_callee")
    target: dict[str, Any] = {"type": "sip", "sipUri": "sip:bob@sip.example.com"}
    properties: dict[str, Any] = {}
    (target if where == "target" else properties)["proxy"] = f"sip:127.0.0.1:{proxy.port};lr"
    await rung(sipp, target, **properties)
    invite = (await proxy.finished()).received("INVITE")[0]
    assert invite.first_line == "INVITE sip:bob@sip.example.com SIP/2.0"


@pytest.mark.parametrize(("codecs", "formats"), [(["PCMA", "PCMU"], ["8", "0"]), (["PCMU"], ["0"])])
async def test_codecs_are_offered_in_the_order_of_the_document(
    sipp: SippBench, codecs: list[str], formats: list[str]
) -> None:
    callee = await sipp.callee("load_callee")
    await rung(sipp, {"type": "sip", "sipUri": callee.uri}, codecs=codecs)
    invite = (await callee.finished()).received("INVITE")[0]
    assert [each for each in audio_formats(invite) if each in ("0", "8")] == formats


async def test_the_tag_of_a_dial_is_the_customer_data_of_its_children(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee")
    async with WebApplication() as app, application_engine(app) as engine:
        dial = {
            "target": [{"type": "sip", "sipUri": callee.uri}],
            "tag": {"camelCase": {"a_b": 1}},
            "id": "step-1",
        }
        app.on("/call", [{"verb": "dial", **dial}])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=200)
        (await caller.finished()).assert_passed()
        told = (await app.request("/dial")).payload
        await app.told("/status", direction="outbound", call_status="completed")
    children = [each for each in app.payloads("/status") if each["direction"] == "outbound"]
    assert children
    assert all(each["customerData"] == {"camelCase": {"a_b": 1}} for each in children), "not case-converted"
    assert "customerData" not in told
    assert told["verb_id"] == "step-1", "DV-02"


async def test_dv32_dv53_neither_a_refusal_nor_a_screening_stops_the_ring_timer(sipp: SippBench) -> None:
    busy = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 486 Busy Here"})
    unwanted, ringing = await sipp.callee("callee_answers", hold_ms=200), await sipp.callee("callee_rings_on")
    targets = [{"type": "sip", "sipUri": each.uri} for each in (busy, unwanted, ringing)]
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "dial", "target": targets, "confirmHook": "/screen", "timeout": 1.2}])
        app.on("/screen", [{"verb": "hangup"}])
        app.on("/dial", [{"verb": "hangup"}])
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await busy.finished()).assert_passed()
        (await unwanted.finished()).assert_passed()
        called = await ringing.finished()
        told = (await app.request("/dial")).payload
    called.assert_passed()
    rang_s = called.received("CANCEL")[0].at_utc - called.received("INVITE")[0].at_utc
    assert is_on_time(rang_s, 1.2)
    assert (told["dial_status"], told["dial_termination_reason"]) == ("no-answer", "ring-timeout")


async def test_dv42_for_a_caller_who_is_answered_answer_on_bridge_changes_nothing(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee")
    calling, told = await rung(sipp, {"type": "sip", "sipUri": callee.uri}, answerOnBridge=True)
    (await callee.finished()).assert_passed()
    assert len(calling.received("200 INVITE")) == 1
    assert told["dial_status"] == "completed"


async def test_a_dial_to_teams_alone_fails_and_is_told(sipp: SippBench) -> None:
    _, told = await rung(sipp, {"type": "teams", "number": "+15550100", "tenant": "example.com"})
    assert told["dial_status"] == "failed"


async def test_dv25_a_target_without_a_route_leaves_the_others_ringing(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee")
    async with WebApplication() as app, application_engine(app) as engine:
        targets = [{"type": "teams", "number": "+15550100"}, {"type": "sip", "sipUri": callee.uri}]
        app.on("/call", [{"verb": "dial", "target": targets}, {"verb": "pause", "length": 10}])
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=700)
        (await caller.finished()).assert_passed()
        told = (await app.request("/dial")).payload
    assert told["dial_status"] == "completed"
    assert {leg["type"]: leg["sip_status"] for leg in told["dial_legs"]} == {"teams": 503, "sip": 200}
