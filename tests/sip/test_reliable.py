"""Reliable provisional responses (RFC 3262), both roles, with offer and answer in them (RFC 6337)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import (
    Answered,
    AnswerReceived,
    Confirmed,
    Failed,
    OfferReceived,
    Provisional,
)
from engine.sip.stack import SipStack
from engine.sip.types import (
    Address,
    FailureKind,
    InviteState,
    Listener,
    StackConfig,
    Transport,
    WrongState,
)
from engine.sip.uas import IncomingInvite
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Wire, sdp, state_of

RELIABLE = (("Require", "100rel"),)


def rseq(number: int) -> tuple[tuple[str, str], ...]:
    return (*RELIABLE, ("RSeq", str(number)))


# The caller's side.


def calling(**params: Any) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.invite("sip:bob@192.0.2.9", **params)
    return wire, alice, Scripted(wire, alice)


def test_dv44_a_reliable_provisional_gets_prack_with_its_numbers_in_its_dialog() -> None:
    _, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(180, fields=rseq(7), tag="one")
    prack = far.last("PRACK")
    assert prack.headers.get("RAck") == f"7 {invite.cseq.number} INVITE"
    assert (prack.to_tag, prack.cseq.number) == ("one", invite.cseq.number + 1)
    assert prack.uri == "sip:far@192.0.2.9"
    assert alice.one(Provisional).is_reliable


def test_each_fork_is_pracked_in_its_own_dialog() -> None:
    _, _, far = calling()
    invite = far.last("INVITE")
    far.reply(180, invite, fields=rseq(7), tag="one")
    far.reply(180, invite, fields=rseq(900), tag="two")
    assert [(p.to_tag, p.headers.get("RAck")) for p in far.received("PRACK")] == [
        ("one", "7 1 INVITE"),
        ("two", "900 1 INVITE"),
    ]


def test_a_repeated_or_overtaking_provisional_is_not_pracked() -> None:
    _, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(180, invite, fields=rseq(7))
    far.reply(180, invite, fields=rseq(7))
    far.reply(183, invite, fields=rseq(9))
    assert len(far.received("PRACK")) == 1
    assert len(alice.of(Provisional)) == 1
    far.reply(183, invite, fields=rseq(8))
    far.reply(183, invite, fields=rseq(9))
    assert len(far.received("PRACK")) == 3


def test_the_answer_in_a_reliable_provisional_is_the_answer() -> None:
    wire, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(183, invite, fields=rseq(1), body=sdp("early answer"))
    far.reply(200, invite, body=sdp("to be ignored"))
    answered = alice.one(Answered)
    assert (answered.body, answered.was_early) == (sdp("early answer"), True)
    assert alice.one(Provisional).body == sdp("early answer")
    assert answered.call.can_offer
    wire.run(until=1.0)


def test_an_offer_in_a_reliable_provisional_is_answered_in_the_prack() -> None:
    wire, alice, far = calling(body=None)
    invite = far.last("INVITE")
    far.reply(183, invite, fields=rseq(1), body=sdp("their offer"))
    assert not far.received("PRACK")
    offer = alice.one(OfferReceived)
    assert (offer.body, offer.method) == (sdp("their offer"), "PRACK")
    offer.call.answer_offer(sdp("our answer"), wire.now)
    wire.pump()
    assert far.last("PRACK").sdp == sdp("our answer").data
    far.reply(200, far.last("PRACK"))
    far.reply(200, invite)
    assert alice.one(Answered).was_early
    assert far.received("ACK")


def test_an_offer_in_the_200_waits_for_its_answer_before_the_ack() -> None:
    wire, alice, far = calling(body=None)
    invite = far.last("INVITE")
    far.reply(200, invite, body=sdp("their offer"))
    far.reply(200, invite, body=sdp("their offer"))
    assert alice.one(Answered).body is None
    offer = alice.one(OfferReceived)
    assert offer.method == "ACK"
    assert not far.received("ACK")
    offer.call.answer_offer(sdp("our answer"), wire.now)
    wire.pump()
    assert far.last("ACK").sdp == sdp("our answer").data
    far.reply(200, invite, body=sdp("their offer"))
    assert len(far.received("ACK")) == 2


def test_hanging_up_instead_of_answering_the_offer_acknowledges_and_says_bye() -> None:
    wire, alice, far = calling(body=None)
    far.reply(200, body=sdp("their offer"))
    alice.one(Answered).call.hang_up(wire.now)
    wire.pump()
    assert far.last("ACK").body == b""
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_refusing_the_offer_in_a_200_acknowledges_and_says_bye() -> None:
    wire, alice, far = calling(body=None)
    far.reply(200, body=sdp("their offer"))
    alice.one(Answered).call.reject_offer(wire.now)
    wire.pump()
    assert far.received("ACK")
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_update_in_an_early_dialog_both_ways() -> None:
    wire, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(183, invite, fields=(*rseq(1), ("Allow", "UPDATE")), body=ANSWER)
    call = alice.one(Provisional).call
    call.update(sdp("change"), wire.now)
    wire.pump()
    far.reply(200, far.last("UPDATE"), body=sdp("changed"))
    assert alice.one(AnswerReceived).body == sdp("changed")
    far.request("UPDATE", call_id=invite.call_id, to_tag=invite.from_tag, cseq=9, body=sdp("theirs"))
    offer = alice.one(OfferReceived)
    offer.call.answer_offer(sdp("ours"), wire.now)
    wire.pump()
    assert far.answered("UPDATE")[0].sdp == sdp("ours").data
    far.reply(486, invite)
    wire.run()
    wire.assert_silent()


def test_update_before_the_first_answer_is_refused() -> None:
    wire, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(183, invite, fields=(("Allow", "UPDATE"),), body=ANSWER)
    with pytest.raises(WrongState, match="update"):
        alice.one(Provisional).call.update(sdp("change"), wire.now)
    far.request("UPDATE", call_id=invite.call_id, to_tag=invite.from_tag, body=sdp("theirs"))
    assert far.statuses("UPDATE") == [491]


def test_reliability_can_be_demanded() -> None:
    _, _, far = calling(require_100rel=True)
    assert "100rel" in far.last("INVITE").require


# The callee's side.


def called(
    *, fields: tuple[tuple[str, str], ...] = RELIABLE, **params: Any
) -> tuple[Wire, Party, Scripted, IncomingInvite]:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    params.setdefault("body", OFFER)
    far.request("INVITE", fields=fields, **params)
    return wire, bob, far, bob.incoming()


def prack(far: Scripted, cseq: int, **params: Any) -> None:
    response = [r for r in far.answered() if r.rseq is not None][-1]
    far.request(
        "PRACK",
        to_tag=response.to_tag,
        cseq=cseq,
        fields=(("RAck", f"{response.rseq} 1 INVITE"),),
        **params,
    )


def test_a_provisional_is_reliable_when_the_caller_requires_it() -> None:
    wire, _, far, call = called()
    call.ring(wire.now)
    wire.run(until=3.9)
    responses = [r for r in far.answered() if r.status == 180]
    assert [sent.at for sent in wire.log if sent.title == "180 INVITE"] == [0.0, 0.5, 1.5, 3.5]
    assert "100rel" in responses[0].require
    assert 1 <= (responses[0].rseq or 0) < 2**31
    prack(far, 2)
    assert far.statuses("PRACK") == [200]
    wire.run(until=100.0)
    assert len([r for r in far.answered() if r.status == 180]) == 4


def test_the_repetition_of_a_provisional_doubles_without_limit_and_504_ends_it() -> None:
    wire, bob, far, call = called()
    call.ring(wire.now)
    wire.run(until=40.0)
    assert [s.at for s in wire.log if s.title == "180 INVITE"] == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    failed = bob.one(Failed)
    assert (failed.at, failed.failure.kind, failed.failure.status) == (32.0, FailureKind.REJECTED, 504)
    assert 504 in far.statuses()
    wire.run()
    wire.assert_silent()


def test_while_it_rings_a_new_reliable_provisional_comes_every_two_and_a_half_minutes() -> None:
    wire, _, far, call = called()
    call.ring(wire.now)
    wire.pump()
    prack(far, 2)
    wire.run(until=150.1)
    assert far.statuses().count(180) == 2
    first, second = (r.rseq or 0 for r in far.answered() if r.status == 180)
    assert second == first + 1
    prack(far, 3)
    call.reject(wire.now)
    wire.run()
    wire.assert_silent()


def test_a_supporting_caller_gets_reliability_only_if_asked_for() -> None:
    wire, _, far, call = called(fields=(("Supported", "100rel"),))
    call.ring(wire.now)
    call.ring(wire.now, 183, ANSWER, reliable=True)
    wire.pump()
    assert [(r.status, r.rseq is not None) for r in far.answered()] == [
        (100, False),
        (180, False),
        (183, True),
    ]


def test_a_caller_without_100rel_never_gets_it() -> None:
    wire, _, far, call = called(fields=())
    call.ring(wire.now, reliable=True)
    wire.pump()
    assert "Require" not in far.answered()[-1].headers


def test_a_second_provisional_waits_for_the_prack_of_the_first() -> None:
    wire, _, far, call = called()
    call.ring(wire.now)
    call.ring(wire.now, 183, ANSWER)
    wire.pump()
    assert far.statuses() == [100, 180]
    first = far.answered()[-1].rseq or 0
    prack(far, 2)
    assert far.statuses() == [100, 180, 183]
    assert far.answered()[-1].rseq == first + 1


def test_a_prack_that_matches_nothing_gets_481_and_one_without_rack_400() -> None:
    wire, _, far, call = called()
    call.ring(wire.now)
    wire.pump()
    tag = far.answered()[-1].to_tag
    far.request("PRACK", to_tag=tag, cseq=2, fields=(("RAck", "1 1 BYE"),))
    far.request("PRACK", to_tag=tag, cseq=3)
    far.request("PRACK", to_tag=tag, cseq=4, fields=(("RAck", "what"),))
    assert far.statuses("PRACK") == [481, 400, 400]
    prack(far, 5)
    assert far.statuses("PRACK")[-1] == 200


def test_the_200_waits_for_the_prack_of_a_provisional_with_sdp() -> None:
    wire, bob, far, call = called()
    call.ring(wire.now, 183, ANSWER)
    call.answer(ANSWER, wire.now)
    wire.pump()
    assert far.statuses() == [100, 183]
    with pytest.raises(WrongState):
        call.answer(ANSWER, wire.now)
    prack(far, 2)
    assert far.statuses() == [100, 183, 200]
    assert far.answered()[-1].body == b""
    far.request("ACK", to_tag=far.answered()[-1].to_tag)
    assert bob.one(Confirmed)


def test_the_200_does_not_wait_for_the_prack_of_a_provisional_without_sdp() -> None:
    wire, _, far, call = called()
    call.ring(wire.now)
    call.answer(ANSWER, wire.now)
    wire.run(until=0.4)
    assert far.statuses() == [100, 180, 200]
    assert far.answered()[-1].sdp == ANSWER.data
    wire.run(until=5.0)
    assert far.statuses().count(180) == 1


def test_our_offer_in_a_reliable_provisional_is_answered_in_the_prack() -> None:
    wire, bob, far, call = called(body=None)
    call.ring(wire.now, 183, sdp("our offer"))
    wire.pump()
    prack(far, 2, body=sdp("their answer"))
    assert bob.one(AnswerReceived).body == sdp("their answer")
    call.answer(None, wire.now)
    wire.pump()
    assert state_of(call) is InviteState.ESTABLISHED


def test_a_new_offer_in_the_prack_is_answered_in_its_200() -> None:
    wire, bob, far, call = called()
    call.ring(wire.now, 183, ANSWER)
    wire.pump()
    prack(far, 2, body=sdp("second offer"))
    assert bob.one(OfferReceived).method == "PRACK"
    call.answer_offer(sdp("second answer"), wire.now)
    wire.pump()
    assert far.answered("PRACK")[0].sdp == sdp("second answer").data


def test_cancel_stops_the_repetition() -> None:
    wire, bob, far, call = called(branch="z9hG4bKc")
    call.ring(wire.now)
    far.request("CANCEL", branch="z9hG4bKc")
    wire.run()
    assert far.statuses().count(180) == 1
    assert bob.one(Failed).failure.status == 487
    wire.assert_silent()


def test_two_stacks_do_it_with_each_other_over_loss() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    serial = iter(range(10_000))
    wire.fate = lambda sent: [] if next(serial) % 3 == 1 else [0.01]
    call = alice.invite("sip:bob@192.0.2.2", require_100rel=True)
    wire.run(until=5.0)
    bob.incoming().ring(wire.now, 183, ANSWER)
    wire.run(until=20.0)
    bob.incoming().answer(None, wire.now)
    wire.run(until=40.0)
    assert state_of(call) is InviteState.ESTABLISHED
    assert alice.one(Answered).was_early
    assert bob.one(Confirmed)
    call.hang_up(wire.now)
    wire.run()
    wire.assert_silent()


def test_a_prack_that_our_200_has_overtaken_is_answered_all_the_same() -> None:
    """RFC 3262 §3: "it MUST be prepared to process PRACK requests for those outstanding responses"."""
    wire, bob, far, call = called()
    call.ring(wire.now)
    call.answer(ANSWER, wire.now)
    wire.pump()
    prack(far, 2)
    prack(far, 3)
    assert far.statuses("PRACK") == [200, 481]
    far.request("ACK", to_tag=far.answered()[-1].to_tag)
    assert bob.one(Confirmed)


@pytest.mark.parametrize("random_bytes", [b"\x00", b"\xff"])
def test_the_first_rseq_is_between_1_and_2_to_the_31_minus_1(random_bytes: bytes) -> None:
    """RFC 3262 §3; zero would be no RSeq."""
    listener = Listener(Transport.UDP, Address("192.0.2.2", 5060), Address("192.0.2.2", 5060))
    wire = Wire()
    bob = wire.add("192.0.2.2")
    bob.stack = SipStack(StackConfig(listeners=(listener,)), lambda count: random_bytes * count)
    far = Scripted(wire, bob)
    far.request("INVITE", body=OFFER, fields=RELIABLE)
    bob.incoming().ring(wire.now)
    wire.pump()
    assert 1 <= (far.answered()[-1].rseq or 0) < 2**31


@pytest.mark.parametrize("is_theirs", [True, False])
def test_a_change_in_a_fork_that_loses_does_not_keep_the_winner_from_changing(is_theirs: bool) -> None:
    wire, alice, far = calling()
    invite = far.last("INVITE")
    far.reply(183, invite, tag="one", fields=(*rseq(1), ("Allow", "UPDATE")), body=ANSWER)
    far.reply(200, far.last("PRACK"), tag="one")
    call = alice.one(Provisional).call
    if is_theirs:
        far.request(
            "UPDATE", call_id=invite.call_id, to_tag=invite.from_tag, from_tag="one", body=sdp("theirs")
        )
        assert alice.one(OfferReceived)
    else:
        call.update(sdp("change"), wire.now)
        wire.pump()
    far.reply(200, invite, tag="two", body=ANSWER)
    if is_theirs:
        assert far.statuses("UPDATE") == [487]
        call.answer_offer(sdp("too late"), wire.now)
    else:
        far.reply(200, far.last("UPDATE"), tag="one", body=sdp("too late"))
    assert call.can_offer
    call.offer(sdp("change"), wire.now)
    wire.pump()
    far.reply(200, far.last("INVITE"), tag="two", body=sdp("changed"))
    assert alice.one(AnswerReceived).body == sdp("changed")
    call.hang_up(wire.now)
    wire.run()
    wire.assert_silent()
