"""Forks that are heard of late, behind a proxy that passes everything to everybody."""

from __future__ import annotations

from engine.sip.events import Confirmed, Ended
from engine.sip.types import InviteState
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Wire, state_of


def test_the_bye_of_a_late_fork_counts_on_from_the_prack_it_has_seen() -> None:
    # Its early dialog was forgotten with the call. A BYE with the number of the PRACK gets 500, and the fork
    # stays up for ever.
    wire = Wire()
    alice = wire.add("192.0.2.1")
    call = alice.invite("sip:bob@192.0.2.9")
    far = Scripted(wire, alice)
    invite = far.last("INVITE")
    reliable = (("Require", "100rel"), ("RSeq", "1"))
    far.reply(183, invite, tag="one", fields=reliable, body=ANSWER)
    prack = far.last("PRACK")
    far.reply(200, prack, tag="one")
    far.reply(200, invite, tag="two", body=ANSWER)
    call.hang_up(wire.now)
    wire.pump()
    far.reply(200, far.last("BYE"), tag="two")
    far.reply(200, invite, tag="one", body=ANSWER)
    bye = far.last("BYE")
    assert bye.to_tag == "one"
    assert bye.cseq.number > prack.cseq.number
    assert far.last("ACK").cseq.number == invite.cseq.number
    far.reply(200, bye, tag="one")
    wire.run()
    wire.assert_silent()


def test_the_ack_of_another_forks_refusal_does_not_confirm_our_200() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    invite = far.request("INVITE", body=OFFER)
    call = bob.incoming()
    call.answer(ANSWER, wire.now)
    wire.pump()
    far.request("ACK", to_tag="another", branch=invite.branch)
    assert not bob.of(Confirmed)
    far.request("ACK", to_tag=far.answered()[-1].to_tag)
    assert bob.of(Confirmed)
    assert state_of(call) is InviteState.ESTABLISHED


def test_a_200_of_which_only_another_forks_ack_came_ends_with_bye() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    invite = far.request("INVITE", body=OFFER)
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    far.request("ACK", to_tag="another", branch=invite.branch)
    wire.run(until=40.0)
    assert bob.one(Ended)
    assert "BYE" in bob.sent
