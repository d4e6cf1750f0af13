"""A deployment that maps codes (DV-50, section 9): every call under a document follows its tables."""

from __future__ import annotations

import aiohttp
import pytest
from msgspec.structs import replace

from tests.support.application import WebApplication
from tests.support.running_application import ACCOUNT_SID, KEY, application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab

DECLINES = {"answer": "SIP/2.0 603 Decline"}


async def test_section_9_the_unanswered_caller_gets_the_code_of_the_deployment(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_refuses", keys=DECLINES)
    base = replace(lab_config(), response={"603": 486})
    async with WebApplication() as app, application_engine(app, base=base) as engine:
        target = [{"type": "sip", "sipUri": callee.uri}]
        app.on("/call", [{"verb": "dial", "answerOnBridge": True, "target": target}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        told = (await app.request("/dial")).payload
        await app.told("/status", direction="inbound", sip_status=486)
    calling.assert_passed()
    assert len(calling.received("486 INVITE")) == 1
    assert (told["dial_status"], told["dial_sip_status"]) == ("busy", 603), "what the callee said stays"


async def test_dv50_one_code_means_something_else_in_dials_their_branches_and_created_calls(
    sipp: SippBench,
) -> None:
    callee = await sipp.callee("callee_refuses", keys=DECLINES, calls=2)
    base = replace(lab_config(), status={"603": "failed"})
    async with WebApplication() as app, application_engine(app, base=base, api=True) as engine:
        target = {"type": "sip", "sipUri": callee.uri}
        app.on("/call", [{"verb": "dial", "answerOnBridge": True, "target": [target]}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
        told = (await app.request("/dial")).payload
        branch = (await app.told("/status", direction="outbound", sip_status=603)).payload
        body = {
            "from": "+15550100",
            "to": target,
            "call_hook": app.url("/call"),
            "call_status_hook": app.url("/created"),
        }
        app.on("/created")
        url = f"{engine.http_url}/v1/Accounts/{ACCOUNT_SID}/Calls"
        headers = {"Authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(headers=headers) as client, client.post(url, json=body) as reply:
            assert reply.status == 201
        created = (await app.told("/created", sip_status=603)).payload
        (await callee.finished()).assert_passed(2)
    assert told["dial_status"] == told["dial_legs"][0]["status"] == "failed"
    assert (branch["call_status"], created["call_status"]) == ("failed", "failed")
