"""Where an INVITE goes and what it says: hops, names, sizes, transports, header fields."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import Failed
from engine.sip.session import Call
from engine.sip.types import Address, FailureKind, Flow, Hop, InviteParams, Transport
from engine.sip.uac import OutgoingInvite
from tests.sip.scripted import Scripted
from tests.sip.test_uac import calling, failure_of
from tests.support import wire as support
from tests.support.wire import ANSWER, OFFER, Wire

HOP_9 = Hop(Transport.UDP, Address("192.0.2.9", 5060))
HOP_8 = Hop(Transport.UDP, Address("192.0.2.8", 5060))


def test_a_503_moves_on_to_the_next_hop_with_a_new_branch() -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@example.com", hops=(HOP_9, HOP_8))
    far.reply(503)
    (second,) = wire.raw["192.0.2.8"]
    assert isinstance(second.message, support.Request)
    assert second.message.branch != far.last("INVITE").branch
    assert second.message.call_id == far.last("INVITE").call_id
    assert not alice.of(Failed)
    other = Scripted(wire, alice, "192.0.2.8")
    other.reply(503)
    assert failure_of(alice).status == 503
    assert failure_of(alice).kind is FailureKind.REFUSED
    wire.run()
    wire.assert_silent()


def test_silence_moves_on_to_the_next_hop() -> None:
    wire, alice, _far = calling()
    alice.invite("sip:bob@example.com", hops=(HOP_9, HOP_8))
    wire.run(until=31.9)
    assert "192.0.2.8" not in wire.raw
    wire.run(until=32.1)
    assert "192.0.2.8" in wire.raw
    Scripted(wire, alice, "192.0.2.8").reply(486)
    assert failure_of(alice).status == 486


def test_a_refused_connection_moves_on_at_once_and_fails_with_503_at_the_end() -> None:
    wire, alice, _far = calling()
    wire.refuses |= {(Transport.UDP, "192.0.2.9"), (Transport.UDP, "192.0.2.8")}
    alice.invite("sip:bob@example.com", hops=(HOP_9, HOP_8))
    failed = alice.one(Failed)
    assert failed.at == 0.0
    assert (failed.failure.kind, failed.failure.status) == (FailureKind.TRANSPORT, 503)
    assert alice.sent == ["INVITE", "INVITE"]
    wire.run()
    wire.assert_silent()


def test_a_name_is_resolved_by_the_shell_and_its_hops_are_tried_in_order() -> None:
    wire, alice, far = calling()
    alice.names["example.com"] = (HOP_9, HOP_8)
    alice.invite("sip:bob@example.com;transport=udp")
    need = alice.one(support.ResolveNeeded)
    assert (need.host, need.port, need.transport, need.secure) == ("example.com", None, Transport.UDP, False)
    far.reply(503)
    assert "192.0.2.8" in wire.raw


def test_a_name_without_address_fails_as_unresolved() -> None:
    wire, alice, _ = calling()
    alice.names["example.com"] = ()
    alice.invite("sip:bob@example.com")
    assert (failure_of(alice).kind, failure_of(alice).status) == (FailureKind.UNRESOLVED, 503)
    wire.assert_silent()


def test_hanging_up_while_the_name_is_looked_up_ends_at_once_and_a_late_answer_is_ignored() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@example.com")
    call.hang_up(wire.now)
    wire.pump()
    assert failure_of(alice).kind is FailureKind.CANCELLED
    alice.stack.resolved(alice.one(support.ResolveNeeded).ticket, (HOP_9,), wire.now)
    wire.run()
    assert not far.received("INVITE")
    wire.assert_silent()


def test_the_ack_waits_for_the_name_in_the_contact() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(200, invite, body=ANSWER, fields=(("Contact", "<sip:bob@pc.example.com>"),))
    far.reply(200, invite, body=ANSWER, fields=(("Contact", "<sip:bob@pc.example.com>"),))
    assert not far.received("ACK")
    need = alice.one(support.ResolveNeeded)
    alice.stack.resolved(need.ticket, (HOP_9,), wire.now)
    wire.pump()
    assert far.last("ACK").uri == "sip:bob@pc.example.com"
    alice.names["pc.example.com"] = (HOP_9,)
    call.hang_up(wire.now)
    wire.pump()
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_a_request_over_1300_bytes_moves_to_tcp_and_back_when_tcp_is_refused() -> None:
    wire, alice, _far = calling(transports=(Transport.UDP, Transport.TCP))
    wire.refuses.add((Transport.TCP, "192.0.2.9"))
    alice.invite("sip:bob@192.0.2.9", headers=(("X-Long", "x" * 1300),))
    assert [sent.flow.transport for sent in wire.log] == [Transport.TCP, Transport.UDP]
    first, second = (sent.message for sent in wire.log)
    assert first.top_via.transport == "TCP"
    assert second.top_via.transport == "UDP"
    assert not alice.of(Failed)


def test_a_large_request_stays_on_udp_without_a_tcp_listener() -> None:
    wire, alice, _far = calling()
    alice.invite("sip:bob@192.0.2.9", headers=(("X-Long", "x" * 1300),))
    assert [sent.flow.transport for sent in wire.log] == [Transport.UDP]


def test_over_tcp_nothing_is_retransmitted() -> None:
    wire, alice, _far = calling(transports=(Transport.TCP,))
    alice.invite("sip:bob@192.0.2.9;transport=tcp")
    wire.run()
    assert alice.sent == ["INVITE"]
    assert failure_of(alice).kind is FailureKind.NO_RESPONSE


def test_an_ipv6_target_is_reached_from_the_ipv6_listener() -> None:
    wire = Wire()
    alice = wire.add("2001:db8::1")
    alice.invite("sip:bob@[2001:db8::9]:5070")
    (sent,) = wire.log
    assert sent.flow.remote == Address("2001:db8::9", 5070)
    assert sent.message.top_via.host == "2001:db8::1"
    assert sent.message.contacts[0].uri == "sip:[2001:db8::1]:5060"


def test_without_a_listener_for_the_transport_the_call_fails() -> None:
    _wire, alice, _ = calling()
    alice.invite("sip:bob@192.0.2.9;transport=tcp")
    assert failure_of(alice).kind is FailureKind.TRANSPORT


def test_a_given_flow_is_used_for_the_invite() -> None:
    wire, alice, _far = calling()
    flow = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.9", 40000))
    alice.invite("sip:bob@phone.invalid", flow=flow)
    assert wire.log[0].flow == flow


def test_an_outbound_proxy_is_a_preloaded_route() -> None:
    _wire, alice, far = calling()
    alice.invite("sip:bob@example.com", route=("<sip:192.0.2.9;lr>",))
    invite = far.last("INVITE")
    assert invite.uri == "sip:bob@example.com"
    assert invite.headers.get("Route") == "<sip:192.0.2.9;lr>"


# What it says.


def test_the_invite_says_who_calls_and_what_we_can_do() -> None:
    _wire, alice, far = calling(user_agent="demo")
    alice.invite(
        "sip:bob@192.0.2.9",
        from_='"Alice" <sip:alice@example.com>',
        to="<sip:bob@example.com>",
        headers=(("P-Asserted-Identity", "<sip:alice@example.com>"), ("X-Campaign", "7")),
        contact_user="alice",
        call_id="chosen@example.com",
    )
    invite = far.last("INVITE")
    assert (invite.from_.display_name, invite.from_.uri) == ("Alice", "sip:alice@example.com")
    assert invite.to.uri == "sip:bob@example.com"
    assert invite.call_id == "chosen@example.com"
    assert invite.headers.get("P-Asserted-Identity") == "<sip:alice@example.com>"
    assert invite.headers.get("X-Campaign") == "7"
    assert invite.headers.get("User-Agent") == "demo"
    assert invite.contacts[0].uri == "sip:alice@192.0.2.1:5060"
    assert {"INVITE", "PRACK", "UPDATE", "REFER"} <= invite.allow
    assert {"100rel", "timer"} <= invite.supported
    assert invite.sdp == OFFER.data
    assert invite.max_forwards == 70


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "sip:bob@192.0.2.9 SIP/2.0\r\nX: y"},
        {"target": "mailto:bob@example.com"},
        {"target": "sip:bob@192.0.2.9", "headers": (("X-Evil", "a\r\nVia: b"),)},
        {"target": "sip:bob@192.0.2.9", "from_": "<sip:a@example.com>\r\nX: y"},
        {"target": "sip:bob@name.example.com", "headers": (("X-Evil", "a\r\nVia: b"),)},
        {"target": "sip:bob@192.0.2.9", "route": ("<tel:5551234>",)},
    ],
)
def test_parameters_that_cannot_be_put_into_a_message_raise_and_leave_nothing(wrong: dict[str, Any]) -> None:
    wire, alice, _ = calling()
    params = InviteParams(**{"from_": "<sip:alice@example.com>", **wrong})
    with pytest.raises(ValueError, match=r".+"):
        alice.stack.invite(params, wire.now)
    assert alice.stack.describe() == ""
    assert not list(alice.stack.transmits())


def test_privacy_leaves_the_user_agent_out() -> None:
    _wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9", privacy=True)
    assert "User-Agent" not in far.last("INVITE").headers


def test_calls_have_their_own_ids_tags_and_branches() -> None:
    _wire, alice, far = calling()
    calls: list[Call] = [alice.invite("sip:bob@192.0.2.9") for _ in range(20)]
    invites = far.received("INVITE")
    assert len({call.call_id for call in calls}) == 20
    assert len({invite.from_tag for invite in invites}) == 20
    assert len({invite.branch for invite in invites}) == 20
    assert all(isinstance(call, OutgoingInvite) for call in calls)
