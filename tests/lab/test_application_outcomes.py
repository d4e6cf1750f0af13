"""Matrix 1 of the dial contract: one target, every final response, and what everybody is told.

The callee's response decides `dial_status` (6.2), what an unanswered caller gets (section 9), and the order
of the hooks: statuses of the child in order, then the `actionHook` once, then the end of the caller.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.application import WebApplication
from tests.support.ports import free_port
from tests.support.running_application import ACCOUNT_SID, APPLICATION_SID, application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab

REFUSALS = {
    # answer of the callee: (dial_status, what the unanswered caller gets)
    "486 Busy Here": ("busy", 486),
    "600 Busy Everywhere": ("busy", 600),
    "603 Decline": ("busy", 603),
    "607 Unwanted": ("busy", 607),
    "480 Temporarily Unavailable": ("no-answer", 480),
    "408 Request Timeout": ("no-answer", 408),
    "487 Request Terminated": ("no-answer", 487),
    "404 Not Found": ("failed", 404),
    "604 Does Not Exist Anywhere": ("failed", 604),
    "410 Gone": ("failed", 410),
    "484 Address Incomplete": ("failed", 484),
    "485 Ambiguous": ("failed", 485),
    "416 Unsupported URI Scheme": ("failed", 416),
    "403 Forbidden": ("failed", 403),
    "405 Method Not Allowed": ("failed", 405),
    "406 Not Acceptable": ("failed", 406),
    "413 Request Entity Too Large": ("failed", 413),
    "414 Request-URI Too Long": ("failed", 414),
    "415 Unsupported Media Type": ("failed", 415),
    "420 Bad Extension": ("failed", 420),
    "421 Extension Required": ("failed", 421),
    "423 Interval Too Brief": ("failed", 423),
    "482 Loop Detected": ("failed", 482),
    "483 Too Many Hops": ("failed", 483),
    "488 Not Acceptable Here": ("failed", 488),
    "606 Not Acceptable": ("failed", 606),
    "400 Bad Request": ("failed", 400),
    "500 Server Internal Error": ("failed", 500),
    "502 Bad Gateway": ("failed", 500),
    "503 Service Unavailable": ("failed", 503),
    "504 Server Time-out": ("failed", 500),
    "513 Message Too Large": ("failed", 500),
    "608 Rejected": ("failed", 608),
}


def dial(*uris: str, **properties: Any) -> list[dict[str, Any]]:
    """A document that rings these."""
    targets = [{"type": "sip", "sipUri": uri} for uri in uris]
    return [{"verb": "dial", "target": targets, "answerOnBridge": True, **properties}]


def statuses(app: WebApplication, **of: object) -> list[tuple[str, int]]:
    """The call statuses that were told about one leg, in order, with their SIP status."""
    return [
        (told["call_status"], told["sip_status"])
        for told in app.payloads("/status")
        if of.items() <= told.items()
    ]


@pytest.mark.parametrize("answer", REFUSALS)
async def test_section_6_2_and_9_a_refusal_is_reported_and_handed_on(sipp: SippBench, answer: str) -> None:
    status, to_caller = REFUSALS[answer]
    code, _, phrase = answer.partition(" ")
    callee = await sipp.callee("callee_refuses", keys={"answer": f"SIP/2.0 {answer}"})
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(callee.uri))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        ended = await app.told("/status", direction="inbound", sip_status=to_caller)
    calling.assert_passed()
    called.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_call_status"]) == (status, status)
    assert told["dial_sip_status"] == int(code)
    assert told["dial_termination_reason"] == "all-failed"
    assert told["dial_sbc_callid"] == called.received("INVITE")[0].header("Call-ID")
    (leg,) = told["dial_legs"]
    assert (leg["sip_status"], leg["sip_reason"], leg["status"]) == (int(code), phrase, status)
    assert leg["call_sid"] == told["dial_call_sid"]
    assert len(calling.received(f"{to_caller} INVITE")) == 1
    assert not calling.received("200 INVITE"), "DV-40: never answered"
    assert statuses(app, direction="outbound") == [("trying", 100), ("ringing", 180), (status, int(code))]
    assert statuses(app, direction="inbound")[-1][1] == to_caller
    assert app.paths.index("/dial") > max(
        i
        for i, each in enumerate(app.requests)
        if each.path == "/status" and each.payload["direction"] == "outbound"
    ), "DV-31: the branch is over before the dial is"
    assert app.requests.index(ended) > app.paths.index("/dial")


async def test_dv30_a_completed_dial_is_told_once_with_everything_of_6_1(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=300)
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(callee.uri))
        app.on("/dial")
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
        await app.told("/status", direction="inbound", call_status="completed")
    calling.assert_passed()
    called.assert_passed()
    (told,) = app.payloads("/dial")
    assert told["dial_status"] == told["dial_call_status"] == "completed"
    assert (told["dial_sip_status"], told["dial_termination_reason"]) == (200, "answered")
    assert told["dial_sbc_callid"] == called.received("INVITE")[0].header("Call-ID")
    assert told["call_id"] == calling.sent("INVITE")[0].header("Call-ID")
    assert (told["call_status"], told["direction"]) == ("in-progress", "inbound")
    assert (told["account_sid"], told["application_sid"]) == (ACCOUNT_SID, APPLICATION_SID)
    assert (told["from"], told["to"]) == ("5550199", "5550100")
    assert told["originating_sip_ip"] == "127.0.0.1"
    assert told["originating_sip_trunk_name"] == "lab"
    child = {"call_sid": told["dial_call_sid"], "parent_call_sid": told["call_sid"]}
    assert statuses(app, **child) == [
        ("trying", 100),
        ("ringing", 180),
        ("in-progress", 200),
        ("completed", 200),
    ]
    parent = statuses(app, call_sid=told["call_sid"])
    assert [status for status, _ in parent][-2:] == ["in-progress", "completed"]
    last = app.payloads("/status")[-1]
    assert isinstance(last["duration"], int)
    assert last["call_termination_by"] == "jambonz", "the document ended, not the caller"


async def test_section_6_2_no_response_at_all_is_failed_408_and_500_for_the_caller(sipp: SippBench) -> None:
    deaf = f"sip:nobody@127.0.0.1:{free_port()}"
    config = lab_config(timer_b_s=0.6)
    async with WebApplication() as app, application_engine(app, base=config) as engine:
        app.on("/call", dial(deaf, timeout=10))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        (await caller.finished()).assert_passed()
    (told,) = app.payloads("/dial")
    assert told["dial_status"] == "failed"
    assert told["dial_sip_status"] in (408, 503), "a closed port may be noticed (ICMP) before Timer B"


async def test_section_6_2_a_refused_connection_is_failed_503(sipp: SippBench) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(f"sip:nobody@127.0.0.1:{free_port()};transport=tcp"))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_sip_status"]) == ("failed", 503)
    assert len(calling.received("503 INVITE")) == 1


@pytest.mark.parametrize(
    ("target", "code", "to_caller", "reason"),
    [
        ({"type": "phone", "number": "+15550100", "trunk": "nowhere"}, 503, 503, "no-route"),
        ({"type": "phone", "number": "+15550100"}, 503, 503, "no-route"),
        ({"type": "user", "name": "nobody@example.com"}, 404, 404, None),
    ],
    ids=["unknown trunk", "no trunk at all", "unknown user"],
)
async def test_dv25_what_cannot_be_routed_fails_at_once(
    sipp: SippBench, target: dict[str, str], code: int, to_caller: int, reason: str | None
) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "dial", "answerOnBridge": True, "target": [target]}])
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_sip_status"]) == ("failed", code)
    if reason is not None:
        assert told["dial_termination_reason"] == reason
    assert len(calling.received(f"{to_caller} INVITE")) == 1


async def test_matrix8_section_9_a_ring_timeout_of_1_s_is_480_for_the_caller(sipp: SippBench) -> None:
    """To the millisecond in virtual time: `tests/dial`."""
    callee = await sipp.callee("callee_rings_on")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(callee.uri, timeout=1))
        app.on("/dial")
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_sip_status"]) == ("no-answer", 487)
    assert told["dial_termination_reason"] == "ring-timeout"
    assert len(calling.received("480 INVITE")) == 1
    invite, cancel = called.received("INVITE")[0], called.received("CANCEL")[0]
    assert is_on_time(cancel.at_utc - invite.at_utc, 1.0)


async def test_matrix8_time_limit_of_1_s_ends_the_callee_and_the_document_goes_on(sipp: SippBench) -> None:
    """DV-35."""
    callee = await sipp.callee("callee_answers")
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(callee.uri, timeLimit=1, timeout=1))
        app.on("/dial", [{"verb": "pause", "length": 0.3}, {"verb": "hangup", "headers": {"X-Why": "time"}}])
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    (told,) = app.payloads("/dial")
    assert (told["dial_status"], told["dial_termination_reason"]) == ("completed", "time-limit")
    ack, bye = called.received("ACK")[0], called.received("BYE")[0]
    assert is_on_time(bye.at_utc - ack.at_utc, 1.0)
    goodbye = calling.received("BYE")[0]
    assert goodbye.header("X-Why") == "time"
    assert is_on_time(goodbye.at_utc - bye.at_utc, 0.3)


async def test_section_9_no_dial_at_all_is_603(sipp: SippBench) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "tag", "data": {"a": 1}}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        ended = await app.told("/status", sip_status=603)
    calling.assert_passed()
    assert len(calling.received("603 INVITE")) == 1
    assert ended.payload["customerData"] == {"a": 1}


async def test_section_9_a_decline_in_the_returned_document_overrides_everything(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_refuses", keys={"answer": "SIP/2.0 603 Decline"})
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", dial(callee.uri))
        app.on(
            "/dial", [{"sip:decline": {"status": 486, "reason": "At Lunch", "headers": {"Retry-After": 60}}}]
        )
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    (refusal,) = calling.received("486 INVITE")
    assert refusal.first_line == "SIP/2.0 486 At Lunch"
    assert refusal.header("Retry-After") == "60"


async def test_dv05_a_decline_is_the_first_response_after_100(sipp: SippBench) -> None:
    async with WebApplication() as app, application_engine(app) as engine:
        app.on("/call", [{"verb": "sip:decline", "status": 404}])
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
    calling.assert_passed()
    assert [message.status for message in calling.messages if not message.was_sent] == [100, 404]
