"""Requests in an established dialog: re-INVITE, UPDATE, glare, INFO, OPTIONS, CSeq order, the loss of the
dialog."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.sip.events import (
    Answered,
    AnswerReceived,
    Confirmed,
    Ended,
    InfoReceived,
    OfferReceived,
    OfferRejected,
    OfferWithdrawn,
    SipEvent,
)
from engine.sip.session import Call
from engine.sip.types import Address, Body, EndCause, Flow, InviteState, Transport, WrongState
from engine.sip.types import Party as Side
from engine.sip.uac import OutgoingInvite
from engine.sip.uas import IncomingInvite
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Sent, Wire, sdp, state_of


class Up:
    """A call between alice and bob, established."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.alice: Party = self.wire.add("192.0.2.1")
        self.bob: Party = self.wire.add("192.0.2.2")
        self.call: OutgoingInvite = self.alice.invite("sip:bob@192.0.2.2")
        self.wire.run(until=1.0)
        self.theirs: IncomingInvite = self.bob.incoming()
        self.theirs.answer(ANSWER, self.wire.now)
        self.wire.run(until=2.0)
        assert self.alice.of(Answered)
        assert self.bob.of(Confirmed)

    def end(self) -> None:
        self.call.hang_up(self.wire.now)
        self.wire.run()
        self.wire.assert_silent()


class UpWithScript:
    """A call of alice's to a scripted far side, established."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.alice = self.wire.add("192.0.2.1")
        self.call = self.alice.invite("sip:far@192.0.2.9")
        self.far = Scripted(self.wire, self.alice)
        self.invite = self.far.last("INVITE")
        self.far.reply(200, body=ANSWER, fields=(("Allow", "INVITE, UPDATE, BYE"),))

    def ask(self, method: str, cseq: int, **more: object) -> None:
        self.far.request(
            method,
            call_id=self.invite.call_id,
            to_tag=self.invite.from_tag,
            cseq=cseq,
            **more,  # type: ignore[arg-type]
        )


def may_offer(call: Call) -> bool:
    """`call.can_offer`, which the type checker would take for a constant."""
    return call.can_offer


# Changing the session.


@pytest.mark.parametrize("by_callee", [False, True])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_either_side_changes_the_session_and_the_other_answers(method: str, by_callee: bool) -> None:
    up = Up()
    asking, asked = (up.theirs, up.call) if by_callee else (up.call, up.theirs)
    asker, answerer = (up.bob, up.alice) if by_callee else (up.alice, up.bob)
    change = asking.offer if method == "INVITE" else asking.update
    change(sdp("hold"), up.wire.now)
    assert not may_offer(asking)
    up.wire.run(until=3.0)
    offer = answerer.one(OfferReceived)
    assert (offer.body, offer.method) == (sdp("hold"), method)
    with pytest.raises(WrongState, match="remote offer"):
        asked.offer(sdp("x"), up.wire.now)
    asked.answer_offer(sdp("held"), up.wire.now)
    up.wire.run(until=4.0)
    assert asker.one(AnswerReceived).body == sdp("held")
    assert may_offer(asking)
    assert may_offer(asked)
    up.end()


def test_a_refused_change_leaves_the_call_as_it_was() -> None:
    up = Up()
    up.call.offer(sdp("video"), up.wire.now)
    up.wire.run(until=3.0)
    up.theirs.reject_offer(up.wire.now)
    up.wire.run(until=4.0)
    rejected = up.alice.one(OfferRejected)
    assert (rejected.status, rejected.reason) == (488, "Not Acceptable Here")
    assert up.call.dialog is not None
    assert up.call.dialog.negotiation.remote == ANSWER
    assert may_offer(up.call)
    up.end()


def test_an_offerless_reinvite_asks_for_our_offer_and_is_answered_in_the_ack() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1)
    offer = up.alice.one(OfferReceived)
    assert (offer.body, offer.method) == (None, "INVITE")
    up.call.answer_offer(sdp("our offer"), up.wire.now)
    up.wire.pump()
    assert up.far.answered()[-1].sdp == sdp("our offer").data
    up.ask("ACK", 1, body=sdp("their answer"))
    assert up.alice.one(AnswerReceived).body == sdp("their answer")
    up.wire.run(until=50.0)
    assert up.far.statuses().count(200) == 1
    assert state_of(up.call) is InviteState.ESTABLISHED


def test_the_200_to_a_reinvite_is_repeated_and_without_ack_the_call_ends() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"))
    up.call.answer_offer(sdp("held"), up.wire.now)
    up.wire.run(until=40.0)
    assert up.far.statuses().count(200) > 5
    assert up.alice.one(Ended).cause is EndCause.NO_ACK
    assert up.far.received("BYE")


def test_glare_of_two_reinvites_is_resolved_by_back_off() -> None:
    up = Up()
    for party, call in ((up.alice, up.call), (up.bob, up.theirs)):
        party.on_event = lambda event, call=call: (
            call.answer_offer(sdp("fine"), up.wire.now) if isinstance(event, OfferReceived) else None
        )
    up.call.offer(sdp("from alice"), up.wire.now)
    up.theirs.offer(sdp("from bob"), up.wire.now)
    up.wire.run(until=2.1)
    assert up.alice.responses(491)
    assert up.bob.responses(491)
    up.wire.run(until=10.0)
    assert up.alice.one(AnswerReceived).body == sdp("fine")
    assert up.bob.one(AnswerReceived).body == sdp("fine")
    bobs, alices = ([sent.at for sent in party.sent_messages("INVITE")][-1] for party in (up.bob, up.alice))
    assert 2.0 <= bobs <= 4.1
    assert 4.1 <= alices <= 6.1
    up.end()


def test_after_many_491_the_owner_is_told() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    for _ in range(8):
        up.wire.pump()
        up.far.reply(491)
        up.wire.run(until=up.wire.now + 4.0)
    assert up.alice.one(OfferRejected).status == 491
    assert len({invite.branch for invite in up.far.received("INVITE")}) == 9


def test_a_second_reinvite_before_the_first_is_answered_gets_500_with_retry_after() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"))
    up.ask("INVITE", 2, body=sdp("more"))
    assert up.far.statuses() == [100, 500]
    assert 0 <= int(up.far.answered()[-1].headers.get("Retry-After") or "-1") <= 10
    up.ask("UPDATE", 3, body=sdp("more"))
    assert up.far.statuses("UPDATE") == [500]


def test_a_reinvite_while_ours_is_under_way_gets_491() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.ask("INVITE", 1, body=sdp("hold"))
    up.ask("UPDATE", 2, body=sdp("hold"))
    assert up.far.statuses() == [491]
    assert up.far.statuses("UPDATE") == [491]


def test_a_cancelled_reinvite_is_withdrawn() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"), branch="z9hG4bKre")
    up.ask("CANCEL", 1, branch="z9hG4bKre")
    assert up.far.statuses() == [100, 487]
    assert up.alice.one(OfferWithdrawn)
    up.call.answer_offer(sdp("held"), up.wire.now)  # Its owner may not have heard of the CANCEL yet.
    up.call.reject_offer(up.wire.now)
    assert up.far.statuses() == [100, 487]
    assert may_offer(up.call)
    up.ask("INVITE", 2, body=sdp("hold"))
    up.call.answer_offer(sdp("held"), up.wire.now)
    with pytest.raises(WrongState):  # Now it has no excuse.
        up.call.answer_offer(sdp("held"), up.wire.now)


def test_hanging_up_ends_a_pending_reinvite_of_the_peer_with_487() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"))
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    assert up.far.statuses() == [100, 487]
    up.far.reply(200, up.far.last("BYE"))
    up.wire.run()
    up.wire.assert_silent()


def test_a_reinvite_left_without_final_response_does_not_outlive_the_call() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.pump()
    up.far.reply(100, tag="")
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    up.far.reply(200, up.far.last("BYE"))
    up.wire.run()
    up.wire.assert_silent()


def test_a_late_200_to_a_reinvite_after_the_end_is_still_acknowledged() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.pump()
    reinvite = up.far.last("INVITE")
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    up.far.reply(200, reinvite, body=sdp("held"))
    assert up.far.last("ACK").cseq.number == reinvite.cseq.number
    assert not up.alice.of(AnswerReceived)


def test_each_copy_of_the_200_to_a_reinvite_is_acknowledged() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.pump()
    for _ in range(2):
        up.far.reply(200, body=sdp("held"))
    assert len(up.far.received("ACK")) == 3
    assert len(up.alice.of(AnswerReceived)) == 1


def test_a_200_without_answer_counts_as_refused() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.pump()
    up.far.reply(200)
    assert "no answer" in up.alice.one(OfferRejected).reason
    assert may_offer(up.call)


def test_update_needs_a_peer_that_allows_it() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    call = alice.invite("sip:far@192.0.2.9")
    Scripted(wire, alice).reply(200, body=ANSWER, fields=(("Allow", "INVITE, BYE"),))
    with pytest.raises(WrongState, match="update"):
        call.update(sdp("hold"), wire.now)


def test_the_contact_of_a_reinvite_moves_the_remote_target() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"), fields=(("Contact", "<sip:far@192.0.2.10>"),))
    up.call.answer_offer(sdp("held"), up.wire.now)
    up.ask("ACK", 1)
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    assert Scripted(up.wire, up.alice, "192.0.2.10").last("BYE").uri == "sip:far@192.0.2.10"


def test_the_contact_of_a_refused_reinvite_does_not() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=sdp("hold"), fields=(("Contact", "<sip:far@192.0.2.10>"),))
    up.call.reject_offer(up.wire.now)
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    assert up.far.received("BYE")


def test_the_contact_of_an_update_without_offer_moves_the_remote_target() -> None:
    up = UpWithScript()
    up.ask("UPDATE", 1, fields=(("Contact", "<sip:far@192.0.2.10>"),))
    assert up.far.statuses("UPDATE") == [200]
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    assert Scripted(up.wire, up.alice, "192.0.2.10").last("BYE").uri == "sip:far@192.0.2.10"


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_the_contact_of_a_2xx_to_our_change_moves_the_remote_target(method: str) -> None:
    up = UpWithScript()
    (up.call.offer if method == "INVITE" else up.call.update)(sdp("hold"), up.wire.now)
    up.wire.pump()
    moved = (("Contact", "<sip:far@192.0.2.10>"),)
    up.far.reply(200, up.far.last(method), body=sdp("held"), fields=moved)
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    there = Scripted(up.wire, up.alice, "192.0.2.10")
    assert there.last("BYE").uri == "sip:far@192.0.2.10"
    assert len(there.received("ACK")) == (method == "INVITE")


@pytest.mark.parametrize("method", ["INFO", "OPTIONS", "PRACK"])
def test_the_contact_of_other_requests_moves_nothing(method: str) -> None:
    up = UpWithScript()
    fields = (("Contact", "<sip:far@192.0.2.10>"), ("RAck", "1 1 INVITE"))
    up.ask(method, 1, fields=fields)
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    assert up.far.last("BYE").uri == "sip:far@192.0.2.9"


def test_an_unsupported_body_in_a_reinvite_gets_415_and_the_call_goes_on() -> None:
    up = UpWithScript()
    up.ask("INVITE", 1, body=Body("text/plain", b"x"))
    assert up.far.statuses() == [415]
    up.ask("INVITE", 2, fields=(("Require", "unheard-of"),))
    assert up.far.statuses() == [415, 420]
    assert state_of(up.call) is InviteState.ESTABLISHED


# Other requests.


def test_a_request_with_a_lower_cseq_gets_500() -> None:
    up = UpWithScript()
    up.ask("INFO", 5)
    up.ask("INFO", 4)
    up.ask("INFO", 5)
    up.ask("BYE", 4)
    assert up.far.statuses("INFO") == [200, 500, 500]
    assert up.far.statuses("BYE") == [500]
    assert not up.alice.of(Ended)


def test_an_info_package_nobody_has_offered_to_receive_gets_469() -> None:
    """RFC 6086 §4.2.2; an INFO without one is the older usage (`test_info_reaches_the_other_owner`)."""
    up = UpWithScript()
    up.ask("INFO", 1, fields=(("Info-Package", "conference"),), body=Body("text/plain", b"x"))
    assert up.far.statuses("INFO") == [469]
    assert up.far.answered("INFO")[0].headers.get("Recv-Info") == ""
    assert not up.alice.of(InfoReceived)


def test_info_reaches_the_other_owner() -> None:
    up = Up()
    up.call.send_info(Body("application/dtmf-relay", b"Signal=5\r\n"), up.wire.now)
    up.wire.run(until=3.0)
    assert up.bob.one(InfoReceived).body == Body("application/dtmf-relay", b"Signal=5\r\n")
    assert up.bob.responses(200, "INFO")
    up.end()


def test_options_in_the_dialog_is_answered() -> None:
    up = Up()
    up.theirs.send_options(up.wire.now)
    up.wire.run(until=3.0)
    assert "INVITE" in up.alice.responses(200, "OPTIONS")[0].allow
    up.end()


@pytest.mark.parametrize("method", ["SUBSCRIBE", "MESSAGE", "FOO"])
def test_unserved_methods_in_the_dialog_get_405(method: str) -> None:
    up = UpWithScript()
    up.ask(method, 1)
    assert up.far.statuses(method) == [405]


def test_prack_for_nothing_gets_481() -> None:
    up = UpWithScript()
    up.ask("PRACK", 1, fields=(("RAck", "1 1 INVITE"),))
    assert up.far.statuses("PRACK") == [481]


# The end of the dialog (RFC 5057).


@pytest.mark.parametrize("status", [404, 410, 481, 482, 604])
def test_a_response_that_says_the_dialog_is_gone_ends_the_call(status: int) -> None:
    up = UpWithScript()
    up.call.send_info(sdp("x"), up.wire.now)
    up.wire.pump()
    up.far.reply(status, up.far.last("INFO"))
    ended = up.alice.one(Ended)
    assert (ended.by, ended.cause, ended.status) == (Side.NOBODY, EndCause.DIALOG_LOST, status)
    assert not up.far.received("BYE")
    up.wire.run()
    up.wire.assert_silent()


@pytest.mark.parametrize("method", ["INVITE", "INFO"])
def test_a_408_ends_the_call_with_a_bye_for_the_peer_may_be_there(method: str) -> None:
    """§12.2.1.2: the UAC terminates the dialog, and §15 says how."""
    up = UpWithScript()
    if method == "INVITE":
        up.call.offer(sdp("hold"), up.wire.now)
    else:
        up.call.send_info(sdp("x"), up.wire.now)
    up.wire.pump()
    up.far.reply(408, up.far.last(method))
    assert (up.alice.one(Ended).cause, up.alice.one(Ended).status) == (EndCause.DIALOG_LOST, 408)
    assert up.far.received("BYE")


@pytest.mark.parametrize("status", [400, 403, 415, 488, 500, 503, 603])
def test_a_response_that_concerns_only_the_request_does_not(status: int) -> None:
    up = UpWithScript()
    up.call.send_info(sdp("x"), up.wire.now)
    up.wire.pump()
    up.far.reply(status, up.far.last("INFO"))
    assert not up.alice.of(Ended)


def test_silence_to_a_reinvite_ends_the_call_with_bye() -> None:
    up = UpWithScript()
    up.call.offer(sdp("hold"), up.wire.now)
    up.wire.run(until=40.0)
    ended = up.alice.one(Ended)
    assert (ended.cause, ended.status) == (EndCause.DIALOG_LOST, 408)
    assert up.far.received("BYE")
    up.wire.run()
    up.wire.assert_silent()


def test_two_byes_that_cross_end_both_sides_once() -> None:
    up = Up()
    up.call.hang_up(up.wire.now)
    up.theirs.hang_up(up.wire.now)
    up.wire.run()
    assert up.alice.one(Ended).by is Side.LOCAL
    assert up.bob.one(Ended).by is Side.LOCAL
    up.wire.assert_silent()


def test_a_bye_of_the_caller_that_crosses_the_200_leaves_no_ghost() -> None:
    wire = Wire(delay_s=0.1)
    alice, bob = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().ring(wire.now)
    wire.run(until=2.0)
    call.hang_up(wire.now)
    bob.incoming().answer(ANSWER, wire.now)
    wire.run()
    assert alice.sent == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert bob.one(Ended).by is Side.REMOTE
    wire.assert_silent()


def test_a_lost_bye_is_repeated() -> None:
    up = Up()
    lost: list[Sent] = []

    def lose_two_byes(sent: Sent) -> list[float]:
        if sent.title == "BYE" and len(lost) < 2:
            lost.append(sent)
            return []
        return [0.001]

    up.wire.fate = lose_two_byes
    up.call.hang_up(up.wire.now)
    up.wire.run()
    assert up.alice.sent.count("BYE") == 3
    assert up.bob.one(Ended)
    up.wire.assert_silent()


@pytest.mark.parametrize("is_outgoing", [True, False])
def test_methods_of_a_call_that_is_over_do_nothing(is_outgoing: bool) -> None:
    up = Up()
    wire = up.wire
    call: Call = up.call if is_outgoing else up.theirs
    call.hang_up(wire.now)
    wire.run()
    before = len(wire.log)
    acts: tuple[Callable[[], None], ...] = (
        lambda: call.offer(OFFER, wire.now),
        lambda: call.update(OFFER, wire.now),
        lambda: call.answer_offer(ANSWER, wire.now),
        lambda: call.reject_offer(wire.now),
        lambda: call.send_info(sdp("digits"), wire.now),
        lambda: call.send_options(wire.now),
        lambda: call.refer("<sip:carol@example.com>", wire.now),
        lambda: call.hang_up(wire.now),
    )
    for act in acts:
        act()
    if isinstance(call, IncomingInvite):
        call.ring(wire.now)
        call.answer(ANSWER, wire.now)
        call.reject(wire.now)
    wire.run()
    assert len(wire.log) == before
    wire.assert_silent()


def test_an_answer_to_a_reinvite_that_a_bye_has_overtaken_does_nothing() -> None:
    """Both come in one batch: the owner hears of the offer when the call is over already."""
    up = UpWithScript()

    def answer(event: SipEvent) -> None:
        if isinstance(event, OfferReceived):
            up.call.answer_offer(sdp("held"), up.wire.now)

    up.alice.on_event = answer
    local = Address("192.0.2.1", 5060)
    flow = Flow(Transport.UDP, local, up.far.address)
    tag = up.far.last("INVITE").from_tag
    for method, cseq, body in (("INVITE", 1, sdp("hold")), ("BYE", 2, None)):
        request = up.far.compose(method, to_tag=tag, call_id=up.call.call_id, cseq=cseq, body=body)
        up.alice.stack.receive(request.to_bytes(), flow, up.wire.now)
    up.wire.pump()
    assert up.far.statuses() == [100, 487]
    assert up.alice.one(Ended)


def test_what_cannot_be_sent_in_the_dialog_raises_before_anything_changes() -> None:
    up = UpWithScript()
    broken = Body("text/plain\r\nX: y", b"")
    acts: tuple[Callable[[], None], ...] = (
        lambda: up.call.offer(broken, up.wire.now),
        lambda: up.call.send_info(broken, up.wire.now),
        lambda: up.call.send_info(sdp("x"), up.wire.now, (("X", "a\rb"),)),
        lambda: up.call.refer("<sip:carol@example.com>\r\nX: y", up.wire.now),
    )
    for act in acts:
        with pytest.raises(ValueError, match="control character"):
            act()
    assert may_offer(up.call)
    up.call.send_info(sdp("x"), up.wire.now)
    up.wire.pump()
    assert up.far.last("INFO").cseq.number == up.far.last("INVITE").cseq.number + 1
