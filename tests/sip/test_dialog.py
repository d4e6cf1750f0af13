"""Dialogs: where their requests go and what they say (RFC 3261 §12)."""

from __future__ import annotations

from engine.sip.dialog import request_path
from engine.sip.events import Answered, Ended, Failed, OfferRejected, ResolveNeeded
from engine.sip.types import Address, EndCause, FailureKind, Hop, Transport
from tests.sip.scripted import Scripted
from tests.sip.test_session import UpWithScript
from tests.support.wire import ANSWER, OFFER, Wire, sdp

HOP_9 = Hop(Transport.UDP, Address("192.0.2.9", 5060))
HOP_8 = Hop(Transport.UDP, Address("192.0.2.8", 5060))


def test_the_path_of_a_request_is_loose_strict_or_direct() -> None:
    target = "sip:bob@192.0.2.4"
    assert request_path(target, ()) == (target, (), target)
    loose = ("<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>")
    assert request_path(target, loose) == (target, loose, "sip:p1.example.com;lr")
    strict = ("<sip:p1.example.com>", "<sip:p2.example.com;lr>")
    assert request_path(target, strict) == (
        "sip:p1.example.com",
        ("<sip:p2.example.com;lr>", "<sip:bob@192.0.2.4>"),
        "sip:p1.example.com",
    )


def test_a_name_in_the_contact_is_looked_up_once_per_dialog() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.names["pc.example.com"] = (HOP_9,)
    call = alice.invite("sip:bob@192.0.2.9")
    far = Scripted(wire, alice)
    far.reply(200, body=ANSWER, fields=(("Contact", "<sip:bob@pc.example.com>"),))
    for _ in range(3):
        call.send_info(sdp("x"), wire.now)
        wire.pump()
    assert len(far.received("INFO")) == 3
    assert len(alice.of(ResolveNeeded)) <= 2


def test_a_request_in_the_dialog_tries_the_next_hop_too() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.names["pc.example.com"] = (HOP_9, HOP_8)
    call = alice.invite("sip:bob@192.0.2.9")
    far = Scripted(wire, alice)
    far.reply(200, body=ANSWER, fields=(("Contact", "<sip:bob@pc.example.com>"),))
    wire.refuses.add((Transport.UDP, "192.0.2.9"))
    call.hang_up(wire.now)
    wire.pump()
    other = Scripted(wire, alice, "192.0.2.8")
    assert other.last("BYE").branch != far.last("ACK").branch
    other.reply(200, other.last("BYE"))
    assert alice.one(Ended)
    wire.run()
    wire.assert_silent()


def test_a_reinvite_that_cannot_be_delivered_leaves_the_call_up() -> None:
    up = UpWithScript()
    up.wire.refuses.add((Transport.UDP, "192.0.2.9"))
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.pump()
    assert up.alice.one(OfferRejected).status == 503
    assert not up.alice.of(Ended)
    assert up.call.can_offer


def test_a_contact_that_cannot_be_resolved_does_not_keep_a_call_from_ending() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.names["nowhere.example.com"] = ()
    call = alice.invite("sip:bob@192.0.2.9")
    Scripted(wire, alice).reply(200, body=ANSWER, fields=(("Contact", "<sip:bob@nowhere.example.com>"),))
    assert alice.one(Answered)
    call.hang_up(wire.now)
    wire.run()
    assert alice.one(Ended).cause is EndCause.HANG_UP
    wire.assert_silent()


def test_cseq_grows_by_one_in_each_direction_independently() -> None:
    up = UpWithScript()
    first = up.invite.cseq.number
    for _ in range(2):
        up.call.send_info(sdp("x"), up.wire.now)
    up.wire.pump()
    assert [info.cseq.number for info in up.far.received("INFO")] == [first + 1, first + 2]
    up.ask("INFO", 700)
    up.ask("INFO", 701)
    assert up.far.statuses("INFO") == [200, 200]


def test_the_tags_and_uris_of_the_dialog_go_back_as_they_came() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    odd = '"Cärol \\"C\\" Example" <sip:far@example.com;user=phone>;x=1;tag=far'
    far.request("INVITE", fields=(("From", odd),), body=OFFER)
    call = bob.incoming()
    call.answer(ANSWER, wire.now)
    wire.pump()
    tag = far.answered()[-1].to_tag
    far.request("ACK", to_tag=tag)
    call.hang_up(wire.now)
    wire.pump()
    bye = far.last("BYE")
    assert bye.headers.get("To") == odd
    assert bye.from_tag == tag
    assert bye.call_id == "call-1"


def test_dv34_the_caller_hangs_up_in_the_moment_of_the_answer() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    far = Scripted(wire, alice)

    def hang_up_when_answered(event: object) -> None:
        if isinstance(event, Answered):
            event.call.hang_up(wire.now)
            event.call.hang_up(wire.now)

    alice.on_event = hang_up_when_answered
    alice.invite("sip:bob@192.0.2.9")
    far.reply(200, body=ANSWER)
    assert alice.sent == ["INVITE", "ACK", "BYE"]
    far.reply(200, far.last("BYE"))
    wire.run()
    assert alice.one(Ended)
    wire.assert_silent()


def test_a_call_to_a_host_that_refuses_udp_fails_at_once_as_transport() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    wire.refuses.add((Transport.UDP, "192.0.2.9"))
    alice.invite("sip:bob@192.0.2.9")
    failed = alice.one(Failed)
    assert (failed.failure.kind, failed.failure.reason) == (FailureKind.TRANSPORT, "refused")
    wire.run()
    wire.assert_silent()
