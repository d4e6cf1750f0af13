"""Nothing received makes the core raise, and nothing received leaves anything behind for ever."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.sip.message import Request
from engine.sip.session import Call
from engine.sip.stack import SipStack
from engine.sip.types import Address, Credentials, Flow, InviteState, Transport, WrongState
from engine.sip.uas import IncomingInvite
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Wire, sdp

FLOW = Flow(Transport.UDP, Address("192.0.2.1", 5060), Address("192.0.2.9", 5060))

NASTY = [
    b"",
    b"\x00",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"a" * 70000,
    b"SIP/2.0 200 OK\r\n\r\n",
    b"INVITE sip:x SIP/2.0\r\n\r\n",
    (
        b"INVITE sip:x@y SIP/3.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
    ),
]

values = st.sampled_from(
    [
        "",
        "<",
        '"',
        '"\x01" <sip:a@b>;tag=1',
        "<sip:far@192.0.2.9>",
        "<sip:far@host.example.com;transport=carrier-pigeon>",
        "<sips:far@192.0.2.9>",
        "*",
        "<tel:+15550100>",
        "<sip:far@192.0.2.9;maddr=;lr>",
        "<sip:[::1>",
        "999999999999999999999",
        "-1",
        "0",
        "1 1 INVITE",
        "90;refresher=uac",
        "90;refresher=uas;refresher=uac",
        "100rel",
        "100rel, timer",
        "timer",
        "refer;id=x",
        "terminated",
        "active;;;=",
        "\udcff\udcfe",
        "Digest",
        'Digest realm="x", nonce="y"',
        'Digest realm="x", nonce="y", stale=true',
        'nextnonce="z"',
        'nextnonce="z',
        'Digest realm="x", nonce="y',
        'Digest realm="x", nonce="a\x01b"',
        "gzip",
        "multipart/mixed;boundary=x",
        "text/plain; handling=optional",
        "UPDATE, INVITE",
    ]
)
names = st.sampled_from(
    [
        "Contact",
        "Record-Route",
        "Require",
        "RSeq",
        "RAck",
        "Session-Expires",
        "Min-SE",
        "Supported",
        "Allow",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Authentication-Info",
        "Retry-After",
        "Content-Type",
        "Content-Encoding",
        "Content-Disposition",
        "Event",
        "Subscription-State",
        "Refer-To",
        "Reason",
        "Max-Forwards",
        "Route",
    ]
)
fields = st.lists(st.tuples(names, values), max_size=4)
statuses = st.sampled_from(
    [100, 180, 183, 199, 200, 202, 302, 401, 407, 408, 422, 481, 486, 487, 491, 503, 603]
)
methods = st.sampled_from(
    ["INVITE", "ACK", "BYE", "CANCEL", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "OPTIONS"]
)
answers = st.tuples(st.just("reply"), statuses, fields, st.sampled_from(["", "far", "fork", "x\x01y"]))
replies = st.tuples(st.just("reply to last"), statuses, fields, st.sampled_from(["", "far"]))
asks = st.tuples(st.just("ask"), methods, fields, st.integers(0, 4))
nothing: st.SearchStrategy[list[tuple[str, str]]] = st.just([])
waits = st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 40.0]), nothing, st.just(0))
acts = st.tuples(
    st.just("act"),
    st.sampled_from(
        ["hang_up", "offer", "update", "info", "refer", "answer_offer", "ring", "answer", "reject"]
    ),
    nothing,
    st.just(0),
)
scripts = st.lists(st.one_of(answers, replies, asks, asks, waits, acts), max_size=14)


def as_received(message: bytes, more: list[tuple[str, str]]) -> bytes:
    """Put fields in as bytes, so that what could never be built is received all the same."""
    head, separator, body = message.partition(b"\r\n\r\n")
    lines = "".join(f"\r\n{name}: {value}" for name, value in more)
    return head + lines.encode("utf-8", "surrogateescape") + separator + body


@settings(max_examples=120, deadline=None)
@given(st.one_of(st.sampled_from(NASTY), st.binary(max_size=400)))
def test_any_bytes_are_survived(data: bytes) -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.stack.receive(data, FLOW, 0.0)
    list(alice.stack.transmits())
    assert alice.stack.describe() == ""


@settings(max_examples=250, deadline=None)
@given(scripts, st.booleans())
def test_a_far_side_that_says_anything_at_all_is_survived_and_forgotten(
    script: list[tuple[str, Any, list[tuple[str, str]], Any]], is_delayed_offer: bool
) -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    far = Scripted(wire, alice)
    credentials = (Credentials("alice", "secret"),)
    body = None if is_delayed_offer else OFFER
    call = alice.invite("sip:far@192.0.2.9", credentials=credentials, body=body)
    for kind, what, more, extra in script:
        invites = far.received("INVITE")
        invite = invites[-1]
        match kind:
            case "reply" | "reply to last":
                request = invite if kind == "reply" else last_request(wire, invite)
                tag = f";tag={extra}" if extra and not request.to_tag else ""
                echoed = [("Via", "via"), ("From", "from"), ("Call-ID", "call-id"), ("CSeq", "cseq")]
                lines = [f"{name}: {request.headers.get(key)}" for name, key in echoed]
                text = "\r\n".join(
                    [f"SIP/2.0 {what} Whatever", *lines, f"To: {request.headers.get('to')}{tag}"]
                )
                data = text.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + ANSWER.data
                alice.stack.receive(as_received(data, more), FLOW, wire.now)
            case "ask":
                own = [r for r in far.answered() if r.to_tag and r.call_id == "call-1"]
                theirs = extra == 4 and own
                asked = far.compose(
                    what,
                    call_id="call-1" if theirs or not extra else invite.call_id,
                    to_tag=own[-1].to_tag if theirs else invite.from_tag if extra else "",
                    cseq=extra,
                    body=sdp("x"),
                )
                alice.stack.receive(as_received(asked.to_bytes(), more), FLOW, wire.now)
            case "wait":
                wire.run(until=wire.now + what)
            case "act":
                for each in list(alice.stack._calls):
                    act(each, what, wire.now)
        for transmit in alice.stack.transmits():
            wire.carry(alice, transmit)
        list(alice.stack.events())
    call.hang_up(wire.now)
    drain(alice.stack, wire)


def last_request(wire: Wire, invite: Request) -> Request:
    """The latest request of ours, CANCEL, BYE or whatever it was."""
    sent = [one.message for one in wire.log if isinstance(one.message, Request) and one.title != "ACK"]
    return sent[-1] if sent else invite


def act(call: Call, what: str, now: float) -> None:
    """What an owner may do, whenever."""
    is_asked = isinstance(call, IncomingInvite) and call.state is InviteState.PROCEEDING
    with suppress(WrongState):  # It may not be the time for that.
        match what:
            case "hang_up":
                call.hang_up(now)
            case "offer":
                call.offer(OFFER, now)
            case "update":
                call.update(OFFER, now)
            case "info":
                call.send_info(OFFER, now)
            case "refer":
                call.refer("<sip:carol@example.com>", now)
            case "answer_offer":
                call.answer_offer(ANSWER, now)
            case "ring" if is_asked and isinstance(call, IncomingInvite):
                call.ring(now, 183, ANSWER, reliable=True)
            case "answer" if is_asked and isinstance(call, IncomingInvite):
                call.answer(ANSWER, now)
            case "reject" if is_asked and isinstance(call, IncomingInvite):
                call.reject(now)


def drain(stack: SipStack, wire: Wire) -> None:
    """Let all timers run; calls that came in are given up."""
    for event_call in list(stack._calls):
        event_call.hang_up(wire.now)
    for _ in range(10_000):
        list(stack.transmits())
        list(stack.events())
        at = stack.timeout()
        if at is None:
            break
        stack.handle_timeout(at)
    # A name nobody resolves keeps its request waiting: that is the shell's to end.
    for ticket in list(stack._tickets):
        stack.resolved(ticket, (), wire.now)
    for _ in range(10_000):
        at = stack.timeout()
        if at is None:
            break
        stack.handle_timeout(at)
    assert stack.describe() == ""


def test_an_extension_name_that_cannot_be_sent_back_is_left_out() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    data = as_received(far.compose("INVITE", body=OFFER).to_bytes(), [("Require", "a\x01b, foo")])
    wire.deliver(bob, data, far.address)
    assert far.answered()[0].headers.get("Unsupported") == "foo"


def test_a_flood_of_invites_that_nobody_answers_costs_each_the_same() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    dice = random.Random(1)
    for serial in range(200):
        far.request("INVITE", call_id=f"c{serial}", from_tag=f"t{dice.random()}", body=OFFER)
    for call in list(bob.stack._calls):
        call.hang_up(wire.now)
    wire.run()
    wire.assert_silent()
