"""The six verbs: describing, draining, forgetting."""

from __future__ import annotations

import gc
import weakref

from engine.sip.events import Answered, Ended, Failed, ResolveNeeded
from engine.sip.types import Address, Flow, InviteParams, Transport
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, Wire


class Owner:
    """Freed when the call is, if it is held by nothing else."""


def test_describe_names_every_live_thing_and_is_empty_at_the_end() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    assert alice.stack.describe() == ""
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().ring(wire.now)
    wire.run(until=2.0)
    text = alice.stack.describe()
    assert f"<OutgoingInvite {call.call_id} proceeding>" in text
    assert f"<dialog {call.call_id} " in text
    assert "early" in text
    assert "<client INVITE " in text
    assert "<server INVITE " in bob.stack.describe()
    assert "<IncomingInvite " in bob.stack.describe()
    alice.invite("sip:bob@unknown.example.com")
    assert f"<ticket {alice.one(ResolveNeeded).ticket}>" in alice.stack.describe()
    alice.stack.resolved(alice.one(ResolveNeeded).ticket, (), wire.now)
    call.hang_up(wire.now)
    wire.run()
    wire.assert_silent()


def test_a_finished_call_is_freed_by_counting_references_alone() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    far = Scripted(wire, alice)
    gc.collect()
    gc.disable()
    try:
        call = alice.invite("sip:bob@192.0.2.9")
        far.reply(180)
        far.reply(200, body=ANSWER)
        call.hang_up(wire.now)
        wire.pump()
        far.reply(200, far.last("BYE"))
        call.owner = owner = Owner()
        seen = weakref.ref(owner)
        wire.run()
        alice.happened.clear()
        del call, owner
        assert seen() is None
    finally:
        gc.enable()


def test_the_timer_heap_does_not_grow_with_finished_calls() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    far = Scripted(wire, alice)
    for _ in range(300):
        alice.invite("sip:bob@192.0.2.9")
        far.reply(486)
    wire.run(until=40.0)
    assert len(alice.stack.timers) == 0
    assert len(alice.stack.housekeeping) == 0
    assert len(alice.of(Failed)) == 300
    wire.assert_silent()


def test_patience_lets_what_only_absorbs_repetitions_wait_and_nothing_else() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    far = Scripted(wire, alice)
    alice.invite("sip:bob@192.0.2.9")
    retransmission = alice.stack.timeout()
    assert retransmission is not None
    assert alice.stack.timeout(0.25) == retransmission
    far.reply(486)
    timer_d = alice.stack.timeout()
    assert timer_d == wire.now + 32.0
    assert alice.stack.timeout(0.25) == timer_d + 0.25
    other = alice.invite("sip:bob@192.0.2.9")
    assert alice.stack.timeout(0.25) == wire.now + 0.5
    other.hang_up(wire.now)
    wire.run()
    wire.assert_silent()


def test_an_owner_given_to_invite_is_there_before_the_first_event() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    owner = object()
    params = InviteParams(target="sip:bob@192.0.2.9", from_="<sip:alice@example.com>")
    wire.refuses.add((Transport.UDP, "192.0.2.9"))
    from_here = alice.stack.invite(params, 0.0, owner)
    wire.pump()
    assert alice.one(Failed).call is from_here
    assert from_here.owner is owner


def test_a_call_over_websocket_stays_on_its_connection() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2", transports=(Transport.WS,))
    far = Scripted(wire, bob)
    contact = (("Contact", "<sip:x@df7jal23ls0d.invalid;transport=ws>"),)
    via = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKw"
    invite = far.compose("INVITE", via=via, fields=contact, body=ANSWER)
    source = Address("192.0.2.9", 41000)
    wire.deliver(bob, invite.to_bytes(), source, Transport.WS)
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    tag = [sent for sent in wire.log if sent.title == "200 INVITE"][-1].message.to_tag
    ack = far.compose("ACK", via=via + "2", to_tag=tag)
    wire.deliver(bob, ack.to_bytes(), source, Transport.WS)
    bob.incoming().hang_up(wire.now)
    wire.pump()
    bye = wire.log[-1]
    assert bye.title == "BYE"
    assert bye.flow == Flow(Transport.WS, Address("192.0.2.2", 5060), source)
    assert not bob.of(ResolveNeeded)
    assert bob.of(Ended)
    assert not bob.of(Answered)
