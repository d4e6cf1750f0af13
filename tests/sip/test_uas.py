"""IncomingInvite and what is refused before there is one: RFC 3261 §8.2, §13.3, §9.2."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import (
    AnswerReceived,
    Confirmed,
    Ended,
    Failed,
    IncomingCall,
)
from engine.sip.types import EndCause, FailureKind, InviteState, Transport, WrongState
from engine.sip.types import Party as Side
from engine.sip.uas import IncomingInvite
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Wire, sdp, state_of


def called(**config: Any) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    bob = wire.add("192.0.2.2", **config)
    return wire, bob, Scripted(wire, bob)


def invited(**params: Any) -> tuple[Wire, Party, Scripted, IncomingInvite]:
    wire, bob, far = called()
    params.setdefault("body", OFFER)
    far.request("INVITE", **params)
    return wire, bob, far, bob.incoming()


def answered(**params: Any) -> tuple[Wire, Party, Scripted, IncomingInvite]:
    wire, bob, far, call = invited(**params)
    call.answer(ANSWER, wire.now)
    wire.pump()
    return wire, bob, far, call


def ack(far: Scripted, cseq: int = 1, **params: Any) -> None:
    far.request("ACK", to_tag=far.answered()[-1].to_tag, cseq=cseq, **params)


# Provisional responses and answer.


def test_dv05_100_is_sent_at_once_without_tag_and_nothing_else() -> None:
    wire, _, far, call = invited()
    wire.run(until=10.0)
    assert far.statuses() == [100]
    assert far.answered()[0].to_tag == ""
    assert state_of(call) is InviteState.PROCEEDING


def test_180_183_and_200_have_one_tag_and_our_contact() -> None:
    wire, bob, far, call = invited()
    call.ring(wire.now)
    call.ring(wire.now, 183, sdp("early"), reason="Here It Comes")
    call.answer(ANSWER, wire.now, headers=(("X-Answer", "1"),))
    wire.pump()
    responses = far.answered()
    assert [r.status for r in responses] == [100, 180, 183, 200]
    assert len({r.to_tag for r in responses[1:]}) == 1
    assert responses[2].sdp == sdp("early").data
    assert responses[2].reason == "Here It Comes"
    assert [r.contacts[0].uri for r in responses[1:]] == ["sip:192.0.2.2:5060"] * 3
    assert responses[3].sdp == ANSWER.data
    assert responses[3].headers.get("X-Answer") == "1"
    assert "UPDATE" in responses[3].allow
    ack(far)
    assert bob.one(Confirmed).call is call


def test_while_it_rings_the_last_provisional_is_repeated_every_minute() -> None:
    wire, bob, far, call = invited()
    call.ring(wire.now)
    call.ring(wire.now, 182, reason="Second In Line")
    wire.run(until=190.0)
    assert far.statuses() == [100, 180, 182, 182, 182, 182]
    assert [sent.at for sent in wire.log if sent.title == "182 INVITE"] == [0.0, 60.0, 120.0, 180.0]
    call.reject(wire.now)
    wire.run()
    assert far.statuses().count(182) == 4
    assert bob.one(Failed)
    wire.assert_silent()


def test_the_record_route_is_echoed_and_followed() -> None:
    wire, _, far, call = answered(fields=(("Record-Route", "<sip:192.0.2.9:5070;lr>, <sip:192.0.2.50;lr>"),))
    assert far.answered()[-1].headers.get("Record-Route") == "<sip:192.0.2.9:5070;lr>, <sip:192.0.2.50;lr>"
    ack(far)
    call.hang_up(wire.now)
    wire.pump()
    bye = far.last("BYE")
    assert bye.headers.get_all("Route") == ["<sip:192.0.2.9:5070;lr>", "<sip:192.0.2.50;lr>"]
    assert bye.uri == "sip:far@192.0.2.9"


def test_a_retransmitted_invite_gets_the_last_response_again() -> None:
    wire, _, far = called()
    invite = far.compose("INVITE", body=OFFER)
    far.resend(invite)
    far.resend(invite)
    assert far.statuses() == [100, 100]
    assert len(wire.parties["192.0.2.2"].of(IncomingCall)) == 1


def test_the_200_is_repeated_until_the_ack_comes() -> None:
    wire, _, far, _ = answered()
    wire.run(until=8.0)
    times = [sent.at for sent in wire.log if sent.title == "200 INVITE"]
    assert times == [0.0, 0.5, 1.5, 3.5, 7.5]
    ack(far)
    wire.run(until=100.0)
    assert far.statuses().count(200) == 5


def test_the_200_is_repeated_every_t2_and_over_tcp_too_until_64_t1() -> None:
    """§13.3.1.4: end to end, so the transport does not matter."""
    for transport in (Transport.UDP, Transport.TCP):
        wire = Wire()
        bob = wire.add("192.0.2.2", transports=(transport,))
        far = Scripted(wire, bob)
        invite = far.compose("INVITE", via=f"SIP/2.0/{transport} 192.0.2.9:5060;branch=z9hG4bKa", body=OFFER)
        wire.deliver(bob, invite.to_bytes(), far.address, transport)
        bob.incoming().answer(ANSWER, wire.now)
        wire.run(until=31.9)
        times = [sent.at for sent in wire.log if sent.title == "200 INVITE"]
        assert times == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_a_200_that_is_never_acknowledged_ends_with_bye() -> None:
    wire, bob, far, call = answered()
    wire.run(until=40.0)
    ended = bob.one(Ended)
    assert (ended.at, ended.by, ended.cause) == (32.0, Side.NOBODY, EndCause.NO_ACK)
    far.reply(200, far.last("BYE"))
    wire.run()
    assert state_of(call) is InviteState.ENDED
    wire.assert_silent()


def test_hanging_up_before_the_ack_waits_for_it_before_bye() -> None:
    wire, bob, far, call = answered()
    call.hang_up(wire.now, "SIP;cause=200")
    call.hang_up(wire.now)
    wire.run(until=1.0)
    assert bob.one(Ended).by is Side.LOCAL
    assert not far.received("BYE")
    assert far.statuses().count(200) == 2
    ack(far)
    assert far.last("BYE").headers.get("Reason") == "SIP;cause=200"
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_hanging_up_without_any_ack_says_bye_after_64_t1() -> None:
    wire, bob, far, call = answered()
    call.hang_up(wire.now)
    wire.run(until=31.9)
    assert not far.received("BYE")
    wire.run(until=32.0)
    assert far.received("BYE")
    wire.run()
    assert len(bob.of(Ended)) == 1
    wire.assert_silent()


def test_a_bye_that_overtakes_the_ack_ends_the_call() -> None:
    wire, bob, far, _ = answered()
    far.request("BYE", to_tag=far.answered()[-1].to_tag, cseq=2)
    assert far.statuses("BYE") == [200]
    assert bob.one(Ended).by is Side.REMOTE
    ack(far)
    wire.run()
    assert not bob.of(Confirmed)
    assert far.statuses().count(200) == 1
    wire.assert_silent()


def test_a_delayed_offer_is_made_in_the_200_and_answered_in_the_ack() -> None:
    wire, bob, far, call = invited(body=None)
    assert bob.one(IncomingCall).body is None
    call.answer(sdp("our offer"), wire.now)
    wire.pump()
    assert far.answered()[-1].sdp == sdp("our offer").data
    ack(far, body=sdp("their answer"))
    assert bob.one(AnswerReceived).body == sdp("their answer")
    assert bob.of(Confirmed)


def test_an_invite_with_an_offer_cannot_be_answered_without_sdp() -> None:
    wire, _, far, call = invited()
    with pytest.raises(ValueError, match="answer"):
        call.answer(None, wire.now)
    call.answer(ANSWER, wire.now)
    wire.pump()
    assert far.statuses() == [100, 200]


def test_wrong_calls_raise_with_the_state_in_the_message() -> None:
    wire, _, _, call = answered()
    with pytest.raises(WrongState, match="established"):
        call.answer(ANSWER, wire.now)
    with pytest.raises(WrongState, match="established"):
        call.reject(wire.now, 486)
    with pytest.raises(WrongState, match="established"):
        call.ring(wire.now)
    with pytest.raises(WrongState, match="offer"):
        call.offer(OFFER, wire.now)
    with pytest.raises(WrongState, match="answer_offer"):
        call.answer_offer(OFFER, wire.now)


def test_fields_that_cannot_be_sent_raise_before_anything_changes() -> None:
    wire, bob, far, call = invited()
    bad = (("X-Evil", "a\r\nVia: b"),)
    with pytest.raises(ValueError, match="X-Evil"):
        call.ring(wire.now, headers=bad)
    with pytest.raises(ValueError, match="X-Evil"):
        call.answer(ANSWER, wire.now, headers=bad)
    with pytest.raises(ValueError, match="X-Evil"):
        call.reject(wire.now, headers=bad)
    with pytest.raises(ValueError, match="Reason"):
        call.hang_up(wire.now, "a\r\nVia: b")
    assert far.statuses() == [100]
    call.answer(ANSWER, wire.now)
    wire.pump()
    assert far.statuses() == [100, 200]
    ack(far)
    assert bob.of(Confirmed)


def test_statuses_out_of_range_raise() -> None:
    wire, _, _, call = invited()
    with pytest.raises(ValueError, match="provisional"):
        call.ring(wire.now, 200)
    with pytest.raises(ValueError, match="reject"):
        call.reject(wire.now, 200)


# Refusal, CANCEL, early BYE.


def test_a_refusal_is_repeated_until_acknowledged() -> None:
    wire, bob, far, call = invited()
    call.reject(wire.now, 486, headers=(("Retry-After", "30"),))
    wire.run(until=2.0)
    assert far.statuses() == [100, 486, 486, 486]
    assert far.answered()[-1].headers.get("Retry-After") == "30"
    failure = bob.one(Failed).failure
    assert (failure.kind, failure.status) == (FailureKind.REJECTED, 486)
    invite = bob.one(IncomingCall).request
    far.request("ACK", to_tag=far.answered()[-1].to_tag, branch=invite.branch)
    wire.run()
    assert far.statuses() == [100, 486, 486, 486]
    wire.assert_silent()


def test_a_refusal_is_repeated_at_intervals_up_to_t2_until_timer_h() -> None:
    wire, bob, _, call = invited()
    call.reject(wire.now, 486)
    wire.run()
    times = [sent.at for sent in wire.log if sent.title == "486 INVITE"]
    assert times == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert wire.now == 32.0
    assert bob.one(Failed)
    wire.assert_silent()


def test_timer_i_absorbs_copies_of_the_ack_for_t4() -> None:
    wire, bob, far, call = invited()
    call.reject(wire.now, 486)
    wire.pump()
    ack = far.request("ACK", to_tag=far.answered()[-1].to_tag, branch=bob.one(IncomingCall).request.branch)
    wire.run(until=4.9)
    far.resend(ack)
    assert "INVITE" in bob.stack.describe()
    wire.run(until=5.1)
    wire.assert_silent()


def test_timer_j_answers_copies_of_a_request_for_64_t1() -> None:
    wire, _, far = called()
    options = far.request("OPTIONS")
    wire.run(until=31.9)
    far.resend(options)
    assert far.statuses("OPTIONS") == [200, 200]
    assert len({response.to_bytes() for response in far.answered("OPTIONS")}) == 1
    wire.run()
    assert wire.now == 32.0
    wire.assert_silent()


def test_hang_up_before_an_answer_refuses_with_the_given_status() -> None:
    wire, bob, far, call = invited()
    call.hang_up(wire.now, status=603)
    wire.pump()
    assert far.statuses() == [100, 603]
    assert bob.one(Failed).failure.status == 603


def test_cancel_gets_200_and_the_invite_487() -> None:
    wire, bob, far, call = invited(branch="z9hG4bKx")
    call.ring(wire.now)
    far.request("CANCEL", branch="z9hG4bKx")
    assert far.statuses("CANCEL") == [200]
    assert far.statuses() == [100, 180, 487]
    assert far.answered("CANCEL")[0].to_tag == far.answered()[-1].to_tag
    failure = bob.one(Failed).failure
    assert (failure.kind, failure.status) == (FailureKind.CALLER_GONE, 487)
    call.answer(ANSWER, wire.now)
    call.ring(wire.now)
    call.reject(wire.now)
    call.hang_up(wire.now)
    wire.run()
    assert 200 not in far.statuses()
    wire.assert_silent()


def test_cancel_after_our_200_has_no_effect_but_its_own_200() -> None:
    _wire, bob, far, call = answered(branch="z9hG4bKx")
    far.request("CANCEL", branch="z9hG4bKx")
    assert far.statuses("CANCEL") == [200]
    ack(far)
    assert state_of(call) is InviteState.ESTABLISHED
    assert not bob.of(Failed)


def test_an_invite_that_expires_unanswered_gets_487() -> None:
    """§13.3.1; some gateways say how long they will let it ring."""
    wire, bob, far, call = invited(fields=(("Expires", "20"),))
    call.ring(wire.now)
    wire.run(until=19.9)
    assert far.statuses() == [100, 180]
    wire.run(until=20.1)
    failure = bob.one(Failed).failure
    assert (failure.kind, failure.status) == (FailureKind.CALLER_GONE, 487)
    assert far.statuses()[:3] == [100, 180, 487]
    wire.run()
    wire.assert_silent()


@pytest.mark.parametrize("expires", ["20", "0", "soon"])
def test_expires_means_nothing_to_an_answered_call_or_if_it_makes_no_sense(expires: str) -> None:
    wire, bob, far, call = invited(fields=(("Expires", expires),))
    wire.run(until=10.0)
    assert not bob.of(Failed)
    call.answer(ANSWER, wire.now)
    wire.pump()
    ack(far)
    wire.run(until=100.0)
    assert state_of(call) is InviteState.ESTABLISHED
    assert not bob.of(Ended)


def test_cancel_for_nothing_gets_481() -> None:
    _, _, far = called()
    far.request("CANCEL")
    assert far.statuses("CANCEL") == [481]


def test_a_bye_in_the_early_dialog_gets_200_and_the_invite_487() -> None:
    wire, bob, far, call = invited()
    call.ring(wire.now)
    wire.pump()
    far.request("BYE", to_tag=far.answered()[-1].to_tag, cseq=2)
    assert far.statuses("BYE") == [200]
    assert far.statuses()[-1] == 487
    assert bob.one(Failed).failure.kind is FailureKind.CALLER_GONE
