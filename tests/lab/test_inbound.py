"""Calls a PBX sends: one caller, its targets, and the final response or BYE each side must get."""

from __future__ import annotations

import asyncio

import pytest

from engine.config import RouteConfig, SourceConfig, TargetConfig
from tests.support.running_engine import inbound, lab_config, running, sip_address
from tests.support.sipp import SippBench
from tests.support.timing import is_on_time

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("answer_on_bridge", [True, False])
@pytest.mark.parametrize("scenario", ["caller_answers_basic", "caller_delayed_offer"])
async def test_a_caller_is_bridged_and_its_bye_releases_the_callee(
    sipp: SippBench, scenario: str, answer_on_bridge: bool
) -> None:
    callee = await sipp.callee("callee_answers", hold_ms=200)
    async with inbound(callee.uri, answer_on_bridge=answer_on_bridge) as engine:
        caller = await sipp.caller(scenario, sip_address(engine), hold_ms=500)
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    assert calling.messages[1].first_line == "SIP/2.0 100 Trying"
    invite = called.received("INVITE")[0]
    assert "5550199" in invite.header("From"), "DV-22: the caller's number is presented"
    assert invite.header("Call-ID") != calling.sent("INVITE")[0].header("Call-ID")
    answered, bridged = calling.received("200 INVITE")[0], called.sent("200 INVITE")[0]
    assert (answered.at_utc >= bridged.at_utc) is answer_on_bridge, "DV-40"
    assert is_on_time(called.received("BYE")[0].at_utc - calling.sent("BYE")[0].at_utc, 0.0)
    assert calling.retransmissions == called.retransmissions == 0


async def test_a_caller_that_cancels_gets_487_and_its_target_a_cancel(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_rings_on")
    async with inbound(callee.uri, answer_on_bridge=True) as engine:
        caller = await sipp.caller("caller_cancels", sip_address(engine), hold_ms=300)
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    assert is_on_time(called.received("CANCEL")[0].at_utc - calling.sent("CANCEL")[0].at_utc, 0.0)
    assert "Call completed elsewhere" not in called.received("CANCEL")[0].header("Reason"), "DV-33"


async def test_dv34_a_cancel_that_crosses_our_200_releases_the_callee(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", hold_ms=200)
    async with inbound(callee.uri, answer_on_bridge=True) as engine:
        caller = await sipp.caller("caller_hangs_up_in_the_answer", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    assert [m.status for m in calling.received("200 INVITE")] == [200]
    assert not calling.received("487 INVITE")


@pytest.mark.parametrize(
    ("scenario", "status"),
    [("callee_busy", 486), ("callee_declines", 603), ("callee_unavailable", 480), ("callee_503", 503)],
)
async def test_dv40_a_failed_dial_refuses_the_unanswered_caller_with_the_code_of_section_9(
    sipp: SippBench, scenario: str, status: int
) -> None:
    callee = await sipp.callee(scenario)
    async with inbound(callee.uri, answer_on_bridge=True) as engine:
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
    calling.assert_passed()
    assert len(calling.received(f"{status} INVITE")) == 1
    assert not calling.received("200 INVITE")


async def test_a_ring_timeout_refuses_the_caller_with_480(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_rings_on")
    async with inbound(callee.uri, answer_on_bridge=True, timeout_s=0.4) as engine:
        caller = await sipp.caller("caller_is_refused", sip_address(engine))
        calling = await caller.finished()
        (await callee.finished()).assert_passed()
    calling.assert_passed()
    assert len(calling.received("480 INVITE")) == 1
    assert len(calling.received("180 INVITE")) == 1


async def test_an_unknown_number_is_404_and_a_stranger_403(sipp: SippBench) -> None:
    target = (TargetConfig(sip_uri="sip:bob@127.0.0.1:9"),)
    route = RouteConfig(number="5550177", targets=target)
    stranger = SourceConfig(name="pbx", addresses=("192.0.2.0/24",))
    async with (
        running(lab_config(routes=[route])) as open_engine,
        running(lab_config(routes=[route], sources=[stranger])) as closed_engine,
    ):
        addresses = [sip_address(engine) for engine in (open_engine, closed_engine)]
        callers = [await sipp.caller("caller_is_refused", address) for address in addresses]
        unknown, refused = [await caller.finished() for caller in callers]
    unknown.assert_passed()
    refused.assert_passed()
    assert len(unknown.received("404 INVITE")) == 1
    assert len(refused.received("403 INVITE")) == 1


async def test_the_callee_hanging_up_ends_the_callers_call(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=300)
    async with inbound(callee.uri) as engine:
        caller = await sipp.caller("caller_is_hung_up", sip_address(engine))
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()


async def test_simring_for_a_caller_joins_the_first_who_answers_and_cancels_the_others(
    sipp: SippBench,
) -> None:
    callees = await sipp.callee("load_simring", calls=3)
    uris = [callees.uri_for(user) for user in ("user1", "winner", "user2")]
    async with inbound(*uris, answer_on_bridge=True) as engine:
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=300)
        (await caller.finished()).assert_passed()
        seen = await callees.finished()
    seen.assert_passed(3)
    assert len(seen.received("CANCEL")) == 2
    assert len(seen.received("BYE")) == 1


async def test_many_callers_side_by_side_are_each_joined_to_their_own_callee(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", calls=30, hold_ms=100)
    async with inbound(callee.uri, answer_on_bridge=True) as engine:
        address = sip_address(engine)
        caller = await sipp.caller("caller_answers_basic", address, calls=30, rate=30, hold_ms=300)
        calling, called = await asyncio.gather(caller.finished(), callee.finished())
    calling.assert_passed(30)
    called.assert_passed(30)
    assert calling.retransmissions == called.retransmissions == 0


async def test_a_caller_that_never_acks_gets_the_200_again_and_then_a_bye(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers")
    async with inbound(callee.uri, answer_on_bridge=True, t1_ms=20) as engine:
        caller = await sipp.caller("caller_never_acks", sip_address(engine))
        calling, called = await caller.finished(), await callee.finished()
    calling.assert_passed()
    called.assert_passed()
    answers = calling.received("200 INVITE")
    assert len({answer.text for answer in answers}) == 1, "each copy is the same"
    assert 3 <= len(answers) <= 12
    (bye,) = calling.received("BYE")
    assert is_on_time(bye.at_utc - answers[0].at_utc, 64 * 0.02)
    assert len(called.received("BYE")) == 1


async def test_a_trunk_that_pings_with_options_is_told_what_we_allow(sipp: SippBench) -> None:
    async with inbound("sip:bob@127.0.0.1:9") as engine:
        caller = await sipp.caller("caller_pings", sip_address(engine))
        seen = await caller.finished()
    seen.assert_passed()
    (answer,) = seen.received("200 OPTIONS")
    assert {"INVITE", "ACK", "CANCEL", "BYE"} <= {each.strip() for each in answer.header("Allow").split(",")}
