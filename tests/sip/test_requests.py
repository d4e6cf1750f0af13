"""Requests outside a dialog: what is refused and why, where responses go, peers without magic cookie."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import (
    AnswerReceived,
    Confirmed,
    Ended,
    Failed,
    IncomingCall,
    RequestReceived,
)
from engine.sip.types import Address, Body, Flow, Transport, WrongState
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Wire, sdp


def called(**config: Any) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    bob = wire.add("192.0.2.2", **config)
    return wire, bob, Scripted(wire, bob)


# What is refused.


@pytest.mark.parametrize(
    ("params", "status", "field", "value"),
    [
        ({"fields": (("Require", "foo, timer, bar"),)}, 420, "Unsupported", "bar, foo"),
        ({"body": Body("text/plain", b"hello")}, 415, "Accept", "application/sdp"),
        ({"body": OFFER, "fields": (("Content-Encoding", "gzip"),)}, 415, "Accept-Encoding", "identity"),
        ({"uri": "mailto:bob@example.com"}, 416, None, None),
        ({"fields": (("Max-Forwards", "0"),)}, 483, None, None),
        ({"fields": (("Max-Forwards", "x"),)}, 400, None, None),
        ({"without": ("Contact",)}, 400, None, None),
        ({"fields": (("Contact", "<<>"),)}, 400, None, None),
        ({"fields": (("Record-Route", "<sip:x"),)}, 400, None, None),
        ({"fields": (("Session-Expires", "20"), ("Supported", "timer"))}, 422, "Min-SE", "90"),
        ({"fields": (("Session-Expires", "soon"), ("Supported", "timer"))}, 400, None, None),
        ({"to_tag": "nobody"}, 481, None, None),
    ],
)
def test_an_invite_we_cannot_serve_is_refused_for_its_reason(
    params: dict[str, Any], status: int, field: str | None, value: str | None
) -> None:
    wire, bob, far = called()
    far.request("INVITE", **params)
    assert far.statuses() == [status]
    response = far.answered()[0]
    if field is not None and value is not None:
        assert value in (response.headers.get(field) or "")
    assert response.to_tag
    assert not bob.happened
    wire.run()
    wire.assert_silent()


def test_an_extension_we_demand_of_callers_gives_421() -> None:
    _, bob, far = called(demanded=("100rel",))
    far.request("INVITE", body=OFFER)
    assert far.statuses() == [421]
    assert far.answered()[0].headers.get("Require") == "100rel"
    far.request("INVITE", body=OFFER, call_id="call-2", fields=(("Supported", "100rel"),))
    assert bob.of(IncomingCall)


def test_a_body_of_unknown_type_that_is_optional_does_no_harm() -> None:
    _, bob, far = called()
    fields = (("Content-Disposition", "session; handling=optional"),)
    far.request("INVITE", body=Body("text/plain", b"hello"), fields=fields)
    assert bob.one(IncomingCall).body is None


MIXED = 'multipart/mixed;boundary="x"'


@pytest.mark.parametrize(
    ("body", "is_offer"),
    [
        (Body(MIXED, b"--x\r\nContent-Type: application/isup\r\n\r\n\x01\r\n--x--\r\n"), False),
        (Body(MIXED, b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--x--\r\n"), True),
        (Body("Application/SDP; charset=utf-8", b"v=0\r\n"), True),
        (Body("multipart/mixed", b"what"), True),
    ],
)
def test_only_a_session_description_is_an_offer(body: Body, is_offer: bool) -> None:
    """RFC 3261 §13.2.1: a body that is none leaves the offer to the 2xx, and its answer to the ACK."""
    wire, bob, far = called()
    far.request("INVITE", body=body)
    assert bob.one(IncomingCall).body == (body if is_offer else None)
    bob.incoming().answer(sdp("ours"), wire.now)
    wire.pump()
    far.request("ACK", to_tag=far.answered()[-1].to_tag, body=sdp("theirs"))
    assert len(bob.of(AnswerReceived)) == (0 if is_offer else 1)


def test_the_same_request_by_another_path_is_merged_with_482() -> None:
    wire, bob, far = called()
    far.request("INVITE", branch="z9hG4bKone", body=OFFER)
    far.request("INVITE", branch="z9hG4bKtwo", body=OFFER)
    assert far.statuses() == [100, 482]
    assert len(bob.of(IncomingCall)) == 1
    bob.incoming().reject(wire.now)
    wire.run()
    far.request("INVITE", branch="z9hG4bKthree", body=OFFER)
    assert len(bob.of(IncomingCall)) == 2


@pytest.mark.parametrize("method", ["SUBSCRIBE", "MESSAGE", "REGISTER", "PUBLISH", "REFER", "FOO"])
def test_unserved_methods_get_405_with_allow(method: str) -> None:
    _, _, far = called()
    far.request(method)
    (response,) = far.answered(method)
    assert response.status == 405
    assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"} <= response.allow


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY"])
def test_requests_of_unknown_dialogs_get_481(method: str) -> None:
    _, _, far = called()
    far.request(method)
    far.request(method, to_tag="x", cseq=2)
    assert far.statuses(method) == [481, 481]


def test_an_ack_for_nothing_is_ignored() -> None:
    wire, bob, far = called()
    far.request("ACK", to_tag="x")
    wire.run()
    assert bob.sent == []


def test_options_outside_a_dialog_tells_what_we_can_do() -> None:
    _, _, far = called()
    far.request("OPTIONS", fields=(("Max-Forwards", "0"),))
    (response,) = far.answered("OPTIONS")
    assert response.status == 200
    assert "INVITE" in response.allow
    assert {"100rel", "timer"} <= response.supported
    assert "application/sdp" in (response.headers.get("Accept") or "")


def test_methods_of_the_shell_are_passed_up_and_answered_by_it() -> None:
    wire, bob, far = called(passed_up=frozenset({"MESSAGE"}))
    far.request("MESSAGE", body=Body("text/plain", b"hello"))
    received = bob.one(RequestReceived)
    assert received.request.body == b"hello"
    received.pending.respond(wire.now, 202)
    wire.pump()
    assert far.statuses("MESSAGE") == [202]
    with pytest.raises(WrongState, match="answered"):
        received.pending.respond(wire.now, 200)
    wire.run()
    wire.assert_silent()


def test_a_request_that_cannot_be_parsed_gets_400_with_its_fields_echoed() -> None:
    wire, bob, far = called()
    broken = far.compose("OPTIONS").to_bytes().replace(b"CSeq: 1 OPTIONS", b"CSeq: one OPTIONS")
    bob.stack.receive(broken, Flow(Transport.UDP, Address("192.0.2.2", 5060), far.address), wire.now)
    (transmit,) = bob.stack.transmits()
    assert transmit.data.startswith(b"SIP/2.0 400 ")
    assert b"CSeq: one OPTIONS" in transmit.data
    assert transmit.flow.remote == far.address


# Where responses go.


def test_with_rport_the_response_goes_back_to_the_source_port() -> None:
    wire, bob, far = called()
    request = far.compose("OPTIONS", via="SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKr;rport")
    wire.deliver(bob, request.to_bytes(), Address("192.0.2.9", 41234))
    (sent,) = wire.log
    assert sent.flow.remote == Address("192.0.2.9", 41234)
    via = sent.message.top_via
    assert (via.rport, via.received) == (41234, "192.0.2.9")


def test_without_rport_it_goes_to_the_source_address_and_the_sent_by_port() -> None:
    wire, bob, far = called()
    request = far.compose("OPTIONS", via="SIP/2.0/UDP 198.51.100.9:5080;branch=z9hG4bKr")
    wire.deliver(bob, request.to_bytes(), Address("192.0.2.9", 41234))
    (sent,) = wire.log
    assert sent.flow.remote == Address("192.0.2.9", 5080)
    assert sent.message.top_via.received == "192.0.2.9"


def test_over_tcp_it_goes_back_over_the_connection() -> None:
    wire, bob, far = called(transports=(Transport.TCP,))
    request = far.compose("OPTIONS", via="SIP/2.0/TCP 198.51.100.9:5080;branch=z9hG4bKr")
    wire.deliver(bob, request.to_bytes(), Address("192.0.2.9", 41234), Transport.TCP)
    assert wire.log[0].flow.remote == Address("192.0.2.9", 41234)


# Peers without magic cookie (RFC 2543).


def test_an_old_peer_without_branch_is_matched_by_its_request() -> None:
    wire, bob, far = called()
    via = "SIP/2.0/UDP 192.0.2.9:5060"
    invite = far.compose("INVITE", via=via, body=OFFER)
    far.resend(invite)
    far.resend(invite)
    assert len(bob.of(IncomingCall)) == 1
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    far.request("ACK", via=via, to_tag=far.answered()[-1].to_tag)
    assert bob.one(Confirmed)
    far.request("BYE", via=via, to_tag=far.answered()[-1].to_tag, cseq=2)
    wire.run()
    assert bob.one(Ended)
    wire.assert_silent()


def test_a_call_of_an_old_peer_without_contact_is_ended_where_its_from_says() -> None:
    wire, bob, far = called()
    fields = (("From", "<sip:far@192.0.2.9:5060;user=phone>"),)
    via = "SIP/2.0/UDP 192.0.2.9:5060"
    far.request("INVITE", via=via, body=OFFER, without=("Contact",), fields=fields)
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    to_tag = far.answered()[-1].to_tag
    far.request("ACK", via=via, to_tag=to_tag, without=("Contact",), fields=fields)
    bob.incoming().hang_up(wire.now)
    wire.pump()
    assert far.last("BYE").uri == "sip:far@192.0.2.9:5060;user=phone"
    far.request("INVITE", body=OFFER, call_id="call-2", without=("Contact",))
    assert far.statuses()[-1] == 400


def test_an_old_peers_cancel_and_ack_find_its_invite() -> None:
    wire, bob, far = called()
    via = "SIP/2.0/UDP 192.0.2.9:5060"
    far.request("INVITE", via=via, body=OFFER)
    far.request("CANCEL", via="SIP/2.0/UDP 192.0.2.7:5060")  # §17.2.3: another's, the top Via differs
    assert far.statuses() == [100]
    far.request("CANCEL", via=via)
    assert far.statuses() == [100, 487]
    far.request("ACK", via=via, to_tag=far.answered()[-1].to_tag)
    wire.run(until=20.0)
    assert far.statuses() == [100, 487]
    assert bob.one(Failed)
    wire.run()
    wire.assert_silent()
