"""A whole call between two stacks: the shape everything else is a deviation from."""

from __future__ import annotations

from engine.sip.events import Answered, Confirmed, Ended, Failed, IncomingCall, Provisional
from engine.sip.types import EndCause, FailureKind, InviteState, Party
from tests.support.wire import ANSWER, OFFER, Wire, state_of


def test_a_call_rings_is_answered_and_ends_by_the_callers_bye() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    incoming = bob.one(IncomingCall)
    assert incoming.body == OFFER
    incoming.call.ring(wire.now)
    wire.run(until=2.0)
    assert state_of(call) is InviteState.PROCEEDING
    incoming.call.answer(ANSWER, wire.now)
    wire.run(until=3.0)
    assert state_of(call) is InviteState.ESTABLISHED
    assert alice.one(Answered).body == ANSWER
    assert bob.one(Confirmed).call is incoming.call
    call.hang_up(wire.now)
    wire.run()
    assert alice.sent == ["INVITE", "ACK", "BYE"]
    assert bob.sent == ["100 INVITE", "180 INVITE", "200 INVITE", "200 BYE"]
    assert [p.status for p in alice.of(Provisional)] == [100, 180]
    ended = alice.one(Ended)
    assert (ended.by, ended.cause) == (Party.LOCAL, EndCause.HANG_UP)
    assert bob.one(Ended).by is Party.REMOTE
    assert not alice.of(Failed)
    assert not bob.of(Failed)
    wire.assert_silent()


def test_a_call_ends_by_the_callees_bye() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().answer(ANSWER, wire.now)
    wire.run(until=2.0)
    bob.incoming().hang_up(wire.now, 'SIP;cause=200;text="Done"')
    wire.run()
    ended = alice.one(Ended)
    assert ended.by is Party.REMOTE
    assert ended.reason_header == 'SIP;cause=200;text="Done"'
    assert state_of(call) is InviteState.ENDED
    assert bob.one(Ended).by is Party.LOCAL
    wire.assert_silent()


def test_a_busy_callee_is_acknowledged_and_reported() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().reject(wire.now, 486)
    wire.run()
    failure = alice.one(Failed).failure
    assert (failure.kind, failure.status, failure.reason) == (FailureKind.REFUSED, 486, "Busy Here")
    assert alice.sent == ["INVITE", "ACK"]
    assert bob.one(Failed).failure.kind is FailureKind.REJECTED
    wire.assert_silent()


def test_a_cancelled_call_ends_with_487() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().ring(wire.now)
    wire.run(until=2.0)
    call.hang_up(wire.now, 'SIP;cause=200;text="Call completed elsewhere"')
    call.hang_up(wire.now)
    wire.run()
    assert alice.sent == ["INVITE", "CANCEL", "ACK"]
    assert (
        alice.requests("CANCEL")[0].headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    )
    failure = alice.one(Failed).failure
    assert (failure.kind, failure.status, failure.after_hang_up) == (FailureKind.CANCELLED, 487, True)
    assert bob.one(Failed).failure.kind is FailureKind.CALLER_GONE
    wire.assert_silent()
