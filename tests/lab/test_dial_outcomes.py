"""One target, every way it can end: what the far side saw on the wire and what the dial says about it."""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest

from engine import Target
from engine.config import TrunkConfig
from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus, TerminationReason
from tests.support.ports import free_port
from tests.support.running_engine import lab_config, ring, running
from tests.support.sipp import SippBench, TracedMessage
from tests.support.timing import is_on_time
from tests.transport.dns_servers import dnsmasq

pytestmark = pytest.mark.lab


def branch(message: TracedMessage) -> str:
    """Of the topmost Via."""
    return message.header("Via").partition("branch=")[2].partition(";")[0]


def number(message: TracedMessage) -> int:
    """Of the CSeq."""
    return int(message.header("CSeq").split()[0])


def digest_response(fields: dict[str, str], password: str) -> str:
    """RFC 7616 §3.4.1 with MD5 and qop=auth, written down anew: SIPp checks no Proxy-Authorization."""

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    secret = md5(fields["username"], fields["realm"], password)
    nonce, count, client = fields["nonce"], fields["nc"], fields["cnonce"]
    return md5(secret, nonce, count, client, fields["qop"], md5("INVITE", fields["uri"]))


async def test_an_answered_target_is_acked_connected_and_hung_up_in_its_dialog(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_answers", hold_ms=150)
    async with running() as engine:
        result = await ring(engine, callee.uri, time_limit_s=0.4)
        seen = await callee.finished()
    seen.assert_passed()
    invite, ack, bye = (seen.received(method)[0] for method in ("INVITE", "ACK", "BYE"))
    answer = seen.sent("200 INVITE")[0]
    assert len({branch(invite), branch(ack), branch(bye)}) == 3
    assert (number(ack), number(bye)) == (number(invite), number(invite) + 1)
    assert ack.header("To") == bye.header("To") == answer.header("To")
    assert ack.first_line.split()[1] == answer.header("Contact").strip("<>")
    assert invite.header("Content-Type") == "application/sdp"
    assert seen.retransmissions == 0
    assert result.dial_status is DialStatus.COMPLETED
    assert result.dial_sip_status == 200
    assert result.termination_reason is TerminationReason.TIME_LIMIT
    assert is_on_time(result.ring_s, 0.15)
    assert is_on_time(result.talk_s, 0.4)
    (leg,) = result.legs
    assert leg.sip_call_id == invite.header("Call-ID")


async def test_a_callee_that_hangs_up_ends_a_completed_dial(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_hangs_up", hold_ms=300)
    async with running() as engine:
        result = await ring(engine, callee.uri)
        seen = await callee.finished()
    seen.assert_passed()
    assert len(seen.received("200 BYE")) == 1
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)
    assert (result.termination_reason, result.ended_by) == (TerminationReason.ANSWERED, EndedBy.CALLEE)
    assert is_on_time(result.talk_s, 0.3)


@pytest.mark.parametrize(
    ("scenario", "sip_status", "status"),
    [
        ("callee_busy", 486, DialStatus.BUSY),
        ("callee_declines", 603, DialStatus.BUSY),
        ("callee_unavailable", 480, DialStatus.NO_ANSWER),
        ("callee_503", 503, DialStatus.FAILED),
    ],
)
async def test_dv50_a_refusal_is_acked_and_becomes_the_status_of_the_table(
    sipp: SippBench, scenario: str, sip_status: int, status: DialStatus
) -> None:
    callee = await sipp.callee(scenario)
    async with running() as engine:
        result = await ring(engine, callee.uri)
        seen = await callee.finished()
    seen.assert_passed()
    (invite,), (ack,) = seen.received("INVITE"), seen.received("ACK")
    (refusal,) = seen.sent(f"{sip_status} INVITE")
    assert branch(ack) == branch(invite)
    assert (number(ack), ack.header("To")) == (number(invite), refusal.header("To"))
    assert [m.method for m in seen.messages if not m.was_sent] == ["INVITE", "ACK"]
    assert (result.dial_status, result.dial_sip_status) == (status, sip_status)
    assert result.termination_reason is TerminationReason.ALL_FAILED
    assert result.legs[0].sip_reason == refusal.first_line.split(" ", 2)[2]


async def test_dv32_the_ring_timer_cancels_with_the_branch_and_number_of_the_invite(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_rings_on")
    async with running() as engine:
        result = await ring(engine, callee.uri, timeout_s=0.5)
        seen = await callee.finished()
    seen.assert_passed()
    (invite,), (cancel,), (ack,) = (seen.received(method) for method in ("INVITE", "CANCEL", "ACK"))
    assert branch(invite) == branch(cancel) == branch(ack)
    assert number(invite) == number(cancel) == number(ack)
    assert cancel.first_line.split()[1] == invite.first_line.split()[1]
    assert "tag=" not in cancel.header("To")
    assert "Call completed elsewhere" not in cancel.header("Reason")
    assert is_on_time(cancel.at_utc - invite.at_utc, 0.5)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)
    assert result.termination_reason is TerminationReason.RING_TIMEOUT


async def test_dv41_early_media_is_no_answer(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_early_media", hold_ms=300)
    async with running() as engine:
        result = await ring(engine, callee.uri, time_limit_s=0.2)
        (await callee.finished()).assert_passed()
    (leg,) = result.legs
    assert leg.early_media_at is not None
    assert leg.answered_at is not None
    assert is_on_time(leg.answered_at - leg.early_media_at, 0.3)
    assert is_on_time(result.talk_s, 0.2)


async def test_dv41_early_media_does_not_stop_the_ring_timer(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_early_media", hold_ms=5000)
    async with running() as engine:
        result = await ring(engine, callee.uri, timeout_s=0.4)
        seen = await callee.stop()
    assert len(seen.received("CANCEL")) == 1
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.NO_ANSWER, 487)


@pytest.mark.parametrize("status", [401, 407])
async def test_dv23_a_challenge_is_answered_in_the_same_call_with_the_next_number(
    sipp: SippBench, status: int
) -> None:
    callee = await sipp.callee(f"callee_wants_auth_{status}")
    async with running() as engine:
        target = Target.sip(callee.uri, username="alice", password="secret")
        result = await ring(engine, target, time_limit_s=0.1)
        seen = await callee.finished()
    seen.assert_passed()
    first, second = seen.received("INVITE")
    assert (first.header("Call-ID"), first.header("From")) == (
        second.header("Call-ID"),
        second.header("From"),
    )
    assert number(second) == number(first) + 1
    assert branch(second) != branch(first)
    credentials = second.header("Authorization" if status == 401 else "Proxy-Authorization")
    assert credentials.startswith("Digest ")
    fields = dict(re.findall(r'(\w+)="?([^",]+)"?', credentials.removeprefix("Digest ")))
    assert (fields["qop"], fields["nc"], fields["opaque"]) == ("auth", "00000001", "5ccc")
    assert fields["uri"] == second.first_line.split()[1]
    assert fields["response"] == digest_response(fields, "secret")
    assert "secret" not in credentials
    assert result.dial_status is DialStatus.COMPLETED


async def test_dv23_wrong_credentials_are_tried_once(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_wants_auth_401")
    async with running() as engine:
        result = await ring(engine, Target.sip(callee.uri, username="alice", password="wrong"))
        seen = await callee.finished()
    seen.assert_passed()
    assert len(seen.received("INVITE")) == 2
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 403)


async def test_dv23_without_credentials_the_challenge_is_the_result(sipp: SippBench) -> None:
    callee = await sipp.callee("callee_wants_auth_407")
    async with running() as engine:
        result = await ring(engine, callee.uri)
        seen = await callee.stop()
    assert [m.method for m in seen.messages if not m.was_sent] == ["INVITE", "ACK"]
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 407)


async def test_dv24_a_redirect_is_followed_with_the_identity_of_the_branch(sipp: SippBench) -> None:
    there = await sipp.callee("callee_answers")
    here = await sipp.callee("callee_redirects", keys={"contact": there.uri_for("carol")})
    async with running() as engine:
        result = await ring(engine, here.uri, time_limit_s=0.2, caller_id="+15550123")
        redirecting, answering = await here.finished(), await there.finished()
    redirecting.assert_passed()
    answering.assert_passed()
    (first,), (second,) = redirecting.received("INVITE"), answering.received("INVITE")
    assert second.first_line == f"INVITE {there.uri_for('carol')} SIP/2.0"
    assert first.header("From") == second.header("From")
    assert "+15550123" in second.header("From")
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)


async def test_dv24_a_redirect_in_a_circle_ends_the_branch(sipp: SippBench) -> None:
    here, there = free_port(), free_port()
    first = await sipp.callee("callee_redirects", keys={"contact": f"sip:bob@127.0.0.1:{there}"}, port=here)
    second = await sipp.callee("callee_redirects", keys={"contact": f"sip:bob@127.0.0.1:{here}"}, port=there)
    async with running() as engine:
        result = await ring(engine, first.uri_for("bob"))
        for callee in (first, second):
            (await callee.finished()).assert_passed()
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 302)


async def test_a_503_moves_the_call_to_the_next_hop_of_the_trunk(sipp: SippBench) -> None:
    full, free = await sipp.callee("callee_503"), await sipp.callee("callee_answers")
    records = (
        f"--srv-host=_sip._udp.trunk.example.com,a.trunk.example.com,{full.port},10,0",
        f"--srv-host=_sip._udp.trunk.example.com,b.trunk.example.com,{free.port},20,0",
        "--host-record=a.trunk.example.com,127.0.0.1",
        "--host-record=b.trunk.example.com,127.0.0.1",
    )
    async with dnsmasq(*records) as dns:
        trunk = TrunkConfig(name="CarrierA", uri="sip:trunk.example.com")
        config = lab_config(trunks=[trunk], name_servers=(f"127.0.0.1:{dns.address[1]}",))
        async with running(config) as engine:
            result = await ring(engine, Target.phone("+15550142", trunk="CarrierA"), time_limit_s=0.2)
            first, second = await full.finished(), await free.finished()
    first.assert_passed()
    second.assert_passed()
    (tried,), (reached,) = first.received("INVITE"), second.received("INVITE")
    assert tried.first_line == reached.first_line
    assert "+15550142" in reached.first_line
    assert branch(tried) != branch(reached)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)


async def test_a_refused_connection_fails_at_once_and_not_after_timer_b() -> None:
    async with running() as engine:
        result = await ring(engine, f"sip:bob@127.0.0.1:{free_port()}", within_s=3.0)
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.FAILED, 503)


async def test_dv20_several_dials_side_by_side_share_nothing(sipp: SippBench) -> None:
    names = ["callee_answers", "callee_busy", "callee_declines", "callee_unavailable", "callee_hangs_up"]
    callees = [await sipp.callee(name, hold_ms=100) for name in names]
    async with running() as engine:
        results = await asyncio.gather(
            *(ring(engine, Target.sip(c.uri, headers={"X-Name": c.name}), time_limit_s=0.5) for c in callees)
        )
        seen = [await callee.finished() for callee in callees]
    for one in seen:
        one.assert_passed()
    invites = [one.received("INVITE")[0] for one in seen]
    assert [invite.header("X-Name") for invite in invites] == names
    assert len({invite.header("Call-ID") for invite in invites}) == len(names)
    assert len({invite.header("From").partition("tag=")[2] for invite in invites}) == len(names)
    assert [result.dial_sip_status for result in results] == [200, 486, 603, 480, 200]
