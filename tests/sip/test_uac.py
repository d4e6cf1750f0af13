"""OutgoingInvite against scripted far sides: RFC 3261 §13.2, §9.1 and what the field adds."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import Answered, Ended, Failed, Provisional
from engine.sip.types import (
    Address,
    Body,
    Failure,
    FailureKind,
    Hop,
    InviteState,
    Party,
    Timers,
    Transport,
)
from tests.sip.scripted import Scripted
from tests.support import wire as support
from tests.support.wire import ANSWER, Wire, sdp, state_of

HOP_9 = Hop(Transport.UDP, Address("192.0.2.9", 5060))
HOP_8 = Hop(Transport.UDP, Address("192.0.2.8", 5060))


def calling(**config: Any) -> tuple[Wire, support.Party, Scripted]:
    wire = Wire()
    alice = wire.add("192.0.2.1", **config)
    return wire, alice, Scripted(wire, alice)


def failure_of(party: support.Party) -> Failure:
    return party.one(Failed).failure


# Final classes.


@pytest.mark.parametrize("status", [300, 400, 403, 404, 408, 480, 486, 488, 500, 503, 600, 603, 699])
def test_every_refusal_is_acknowledged_in_the_transaction_and_reported(status: int) -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(status, reason="As it was said", fields=(("Retry-After", "7"),))
    failure = failure_of(alice)
    assert (failure.kind, failure.status, failure.reason) == (FailureKind.REFUSED, status, "As it was said")
    assert failure.retry_after_s == 7
    ack = far.last("ACK")
    assert ack.branch == invite.branch
    assert ack.to_tag == "far"
    far.reply(status, invite)
    assert len(far.received("ACK")) == 2
    assert len(alice.of(Failed)) == 1
    wire.run()
    wire.assert_silent()


def test_a_provisional_without_to_tag_makes_no_dialog_but_progress() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(183, tag="", body=ANSWER)
    assert alice.one(Provisional).to_tag == ""
    assert alice.one(Provisional).body == ANSWER
    assert call.dialog is None
    assert state_of(call) is InviteState.PROCEEDING
    far.reply(200, body=ANSWER)
    call.hang_up(wire.now)
    wire.pump()
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_no_response_at_all_fails_after_timer_b_with_seven_transmissions() -> None:
    wire, alice, _far = calling()
    alice.invite("sip:bob@192.0.2.9")
    wire.run()
    failed = alice.one(Failed)
    assert failed.at == 32.0
    assert (failed.failure.kind, failed.failure.status) == (FailureKind.NO_RESPONSE, 408)
    assert not failed.failure.had_provisional
    times = [sent.at for sent in wire.raw["192.0.2.9"]]
    assert times == [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    wire.assert_silent()


def test_timer_b_is_configurable_per_call() -> None:
    wire, alice, _ = calling()
    alice.invite("sip:bob@192.0.2.9", timers=Timers(timer_b=4.0))
    wire.run()
    assert alice.one(Failed).at == 4.0


def test_the_body_of_the_answer_is_that_of_the_2xx_else_of_the_same_dialogs_provisional() -> None:
    _wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    far.reply(183, tag="one", body=sdp("one"))
    far.reply(183, tag="two", body=sdp("two"))
    far.reply(200, tag="one")
    answered = alice.one(Answered)
    assert (answered.body, answered.to_tag, answered.was_early) == (sdp("one"), "one", False)


def test_a_2xx_is_acknowledged_once_per_copy_and_reported_once() -> None:
    _wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    for _ in range(3):
        far.reply(200, invite, body=ANSWER)
    acks = far.received("ACK")
    assert len(acks) == 3
    assert len({ack.to_bytes() for ack in acks}) == 1
    assert acks[0].branch != invite.branch
    assert acks[0].cseq.number == invite.cseq.number
    assert len(alice.of(Answered)) == 1


def test_the_ack_goes_to_the_contact_by_the_route_of_the_2xx() -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    routes = (
        ("Record-Route", "<sip:192.0.2.21;lr>, <sip:192.0.2.20;lr>"),
        ("Contact", "<sip:bob@192.0.2.33:5070>"),
    )
    far.reply(200, body=ANSWER, fields=routes)
    (sent,) = wire.raw["192.0.2.20"]
    assert isinstance(sent.message, support.Request)
    assert sent.message.uri == "sip:bob@192.0.2.33:5070"
    assert sent.message.headers.get_all("Route") == ["<sip:192.0.2.20;lr>", "<sip:192.0.2.21;lr>"]


def test_a_strict_router_gets_its_uri_as_request_uri_and_the_target_as_last_route() -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    routes = (
        ("Record-Route", "<sip:192.0.2.21;lr>, <sip:192.0.2.20>"),
        ("Contact", "<sip:bob@192.0.2.33>"),
    )
    far.reply(200, body=ANSWER, fields=routes)
    (sent,) = wire.raw["192.0.2.20"]
    assert isinstance(sent.message, support.Request)
    assert sent.message.uri == "sip:192.0.2.20"
    assert sent.message.headers.get_all("Route") == ["<sip:192.0.2.21;lr>", "<sip:bob@192.0.2.33>"]


def test_a_2xx_with_unreadable_contact_and_record_route_is_still_answered_and_ended() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(200, body=ANSWER, fields=(("Contact", "nonsense"), ("Record-Route", "<<<")))
    assert far.received("ACK")
    call.hang_up(wire.now)
    wire.pump()
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


# Forks.


def test_dv34_the_first_of_several_2xx_wins_and_the_others_get_ack_and_bye() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(180, invite, tag="one")
    far.reply(180, invite, tag="two")
    assert [p.to_tag for p in alice.of(Provisional)] == ["one", "two"]
    far.reply(200, invite, tag="two", body=ANSWER)
    far.reply(200, invite, tag="one", body=ANSWER)
    far.reply(200, invite, tag="three", body=ANSWER)
    assert alice.one(Answered).to_tag == "two"
    assert [ack.to_tag for ack in far.received("ACK")] == ["two", "one", "three"]
    byes = far.received("BYE")
    assert [bye.to_tag for bye in byes] == ["one", "three"]
    for bye in byes:
        far.reply(200, bye)
    far.reply(200, invite, tag="one", body=ANSWER)
    assert [ack.to_tag for ack in far.received("ACK")][-1] == "one"
    assert len(far.received("BYE")) == 2
    assert state_of(call) is InviteState.ESTABLISHED
    call.hang_up(wire.now)
    wire.pump()
    assert far.last("BYE").to_tag == "two"
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()


def test_early_dialogs_that_never_answer_are_gone_when_no_2xx_can_come_any_more() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(180, invite, tag="silent")
    far.reply(200, invite, tag="winner", body=ANSWER)
    assert "silent" in alice.stack.describe()
    wire.run(until=33.0)
    assert "silent" not in alice.stack.describe()
    assert "winner" in alice.stack.describe()
    assert state_of(call) is InviteState.ESTABLISHED


def test_a_flood_of_forks_is_reported_but_not_remembered() -> None:
    _, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    for serial in range(100):
        far.reply(180, invite, tag=f"fork{serial}")
    assert len(alice.of(Provisional)) == 100
    assert alice.stack.describe().count("<dialog") == 32
    far.reply(200, invite, tag="fork99", body=ANSWER)
    assert alice.one(Answered).to_tag == "fork99"


# The goodbye (ARCHITECTURE §5, DV-34).


def test_dv34_a_cancel_is_held_until_a_provisional_response_comes() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    call.hang_up(wire.now, "SIP;cause=487")
    wire.pump()
    assert not far.received("CANCEL")
    assert state_of(call) is InviteState.ENDING
    far.reply(100, tag="")
    cancel = far.last("CANCEL")
    invite = far.last("INVITE")
    assert (cancel.uri, cancel.branch, cancel.cseq.number) == (invite.uri, invite.branch, invite.cseq.number)
    assert cancel.to_tag == ""
    assert cancel.headers.get("Reason") == "SIP;cause=487"
    far.reply(180)
    assert len(far.received("CANCEL")) == 1
    assert not alice.of(Provisional)
    far.reply(200, cancel)
    far.reply(487, invite)
    failure = failure_of(alice)
    assert (failure.kind, failure.status, failure.after_hang_up) == (FailureKind.CANCELLED, 487, True)
    assert far.received("ACK")
    wire.run()
    wire.assert_silent()


def test_dv34_a_held_cancel_without_any_response_ends_at_timer_b() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    call.hang_up(wire.now)
    wire.run()
    failed = alice.one(Failed)
    assert (failed.at, failed.failure.status, failed.failure.kind) == (32.0, 487, FailureKind.CANCELLED)
    assert not far.received("CANCEL")
    wire.assert_silent()


def test_dv34_a_200_after_cancel_is_acked_and_then_bye_is_sent() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(180, invite)
    call.hang_up(wire.now, "SIP;cause=200")
    wire.pump()
    far.reply(200, invite, body=ANSWER)
    far.reply(200, far.last("CANCEL"))
    failure = failure_of(alice)
    assert (failure.kind, failure.status, failure.answered_late) == (FailureKind.CANCELLED, 487, True)
    assert not alice.of(Answered)
    assert len(far.received("ACK")) == 1
    bye = far.last("BYE")
    assert bye.headers.get("Reason") == "SIP;cause=200"
    far.reply(200, invite, body=ANSWER)
    assert len(far.received("ACK")) == 2
    assert state_of(call) is InviteState.ENDING
    far.reply(200, bye)
    assert state_of(call) is InviteState.ENDED
    wire.run()
    wire.assert_silent()


def test_a_200_to_a_call_hung_up_before_any_provisional_is_acked_and_ended() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    call.hang_up(wire.now)
    far.reply(200, body=ANSWER)
    assert not far.received("CANCEL")
    assert far.received("ACK")
    far.reply(200, far.last("BYE"))
    assert failure_of(alice).answered_late
    wire.run()
    wire.assert_silent()


def test_64_t1_after_a_cancel_without_final_response_it_ends() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(180)
    wire.run(until=100.0)
    assert state_of(call) is InviteState.PROCEEDING
    call.hang_up(wire.now)
    wire.pump()
    far.reply(200, far.last("CANCEL"))
    wire.run()
    assert alice.one(Failed).at == 132.0
    assert failure_of(alice).status == 487
    wire.assert_silent()


def test_a_refusal_that_crosses_the_cancel_is_reported_as_it_came() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(180)
    call.hang_up(wire.now)
    wire.pump()
    far.reply(486)
    failure = failure_of(alice)
    assert (failure.status, failure.kind, failure.after_hang_up) == (486, FailureKind.REFUSED, True)


@pytest.mark.parametrize("status", [302, 401, 407, 422, 503])
def test_nothing_is_tried_again_once_the_owner_has_hung_up(status: int) -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9", hops=(HOP_9, HOP_8))
    far.reply(180)
    call.hang_up(wire.now)
    wire.pump()
    far.reply(status, fields=(("Contact", "<sip:bob@192.0.2.10>"), ("Min-SE", "300")))
    assert (failure_of(alice).kind, failure_of(alice).status) == (FailureKind.CANCELLED, 487)
    assert len(far.received("INVITE")) == 1
    assert "192.0.2.10" not in wire.raw
    assert "192.0.2.8" not in wire.raw
    wire.run()
    wire.assert_silent()


def test_hanging_up_again_and_again_does_nothing_more() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(200, body=ANSWER)
    for _ in range(3):
        call.hang_up(wire.now)
        wire.pump()
    assert len(far.received("BYE")) == 1
    assert len(alice.of(Ended)) == 1
    wire.run()
    call.hang_up(wire.now)
    wire.pump()
    wire.assert_silent()


def test_a_bye_that_nobody_answers_ends_by_timer_f() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(200, body=ANSWER)
    call.hang_up(wire.now)
    wire.run()
    assert state_of(call) is InviteState.ENDED
    assert alice.one(Ended).by is Party.LOCAL
    wire.assert_silent()


def test_a_bye_in_an_early_dialog_from_the_callee_cancels_the_invite() -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(180, invite)
    far.request("BYE", call_id=invite.call_id, from_tag="far", to_tag=invite.from_tag)
    assert far.statuses("BYE") == [200]
    assert far.received("CANCEL")
    far.reply(487, invite)
    failure = failure_of(alice)
    assert (failure.kind, failure.after_hang_up) == (FailureKind.REFUSED, False)
    wire.run()
    wire.assert_silent()


def test_a_bye_in_one_of_several_early_dialogs_ends_that_one_only() -> None:
    _wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    invite = far.last("INVITE")
    far.reply(180, invite, tag="one")
    far.reply(180, invite, tag="two")
    far.request("BYE", call_id=invite.call_id, from_tag="one", to_tag=invite.from_tag)
    assert not far.received("CANCEL")
    far.reply(200, invite, tag="two", body=ANSWER)
    assert alice.one(Answered).to_tag == "two"


def test_hanging_up_after_the_callees_early_bye_sends_no_second_cancel() -> None:
    wire, alice, far = calling()
    call = alice.invite("sip:far@192.0.2.9")
    wire.pump()
    far.reply(180)
    invite = far.last("INVITE")
    far.request("BYE", to_tag=invite.from_tag, call_id=invite.call_id)
    call.hang_up(wire.now)
    wire.run(until=0.1)
    assert len(far.received("CANCEL")) == 1
    far.reply(200, far.last("CANCEL"))
    far.reply(487)
    wire.run()
    assert alice.one(Failed).failure.status == 487
    wire.assert_silent()
    assert not alice.stack.layer._by_remote


def test_a_bye_in_an_early_dialog_of_an_earlier_attempt_cancels_nothing_without_a_provisional() -> None:
    hops = tuple(Hop(Transport.UDP, Address(host, 5060)) for host in ("192.0.2.9", "192.0.2.8"))
    wire, alice, far = calling()
    alice.invite("sip:far@192.0.2.9", hops=hops)
    wire.pump()
    far.reply(180)
    far.reply(503)
    wire.pump()
    invite = far.last("INVITE")
    far.request("BYE", to_tag=invite.from_tag, call_id=invite.call_id)
    wire.run(until=0.1)
    assert alice.sent.count("INVITE") == 2
    assert "CANCEL" not in alice.sent
    assert far.statuses("BYE") == [200]


def test_the_route_set_is_that_of_the_2xx_whatever_the_provisional_said() -> None:
    """§13.2.2.4: "the route set ... MUST be recomputed based on the 2xx response"."""
    wire, alice, far = calling()
    call = alice.invite("sip:bob@192.0.2.9")
    far.reply(180, fields=(("Record-Route", "<sip:192.0.2.20;lr>"), ("Contact", "<sip:bob@192.0.2.30>")))
    fields = (("Record-Route", "<sip:192.0.2.21;lr>"), ("Contact", "<sip:bob@192.0.2.31>"))
    far.reply(200, body=ANSWER, fields=fields)
    call.hang_up(wire.now)
    wire.pump()
    for method in ("ACK", "BYE"):
        request = Scripted(wire, alice, "192.0.2.21").last(method)
        assert request.uri == "sip:bob@192.0.2.31"
        assert [str(route) for route in request.routes] == ["<sip:192.0.2.21;lr>"]


def test_a_body_in_a_response_that_is_no_session_description_is_no_answer() -> None:
    wire, alice, far = calling()
    alice.invite("sip:bob@192.0.2.9")
    far.reply(183, body=Body("text/html", b"<p>soon</p>"))
    far.reply(200, body=Body("text/plain", b"hello"))
    wire.pump()
    assert [event.body for event in alice.of(Provisional)] == [None]
    assert alice.one(Answered).body is None


def test_the_callee_says_what_it_is_where_the_caller_does() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1", user_agent="one"), wire.add("192.0.2.2", user_agent="two")
    alice.invite("sip:bob@192.0.2.2")
    wire.run(until=0.1)
    bob.incoming().answer(ANSWER, wire.now)
    wire.run(until=0.2)
    assert alice.requests("INVITE")[0].headers.get("User-Agent") == "one"
    assert bob.responses(200)[0].headers.get("Server") == "two"


def test_what_table_1_forbids_is_left_out_of_request_uri_and_to() -> None:
    """§19.1.1: headers and method in neither, port and the way there not in To; tel is left alone."""
    wire, alice, far = calling()
    hops = (Hop(Transport.UDP, Address("192.0.2.9", 5060)),)
    for target, uri, to in (
        (
            "sip:bob@192.0.2.9:5070;transport=udp;user=phone?Subject=hi",
            "sip:bob@192.0.2.9:5070;transport=udp;user=phone",
            "<sip:bob@192.0.2.9;user=phone>",
        ),
        ("sip:bob@example.com", "sip:bob@example.com", "<sip:bob@example.com>"),
        ("tel:+15550100;ext=7", "tel:+15550100;ext=7", "<tel:+15550100;ext=7>"),
    ):
        alice.invite(target, hops=hops)
        wire.pump()
        invite = far.last("INVITE")
        assert (invite.uri, invite.headers.get("To")) == (uri, to)


def test_a_tel_call_whose_callee_has_no_usable_contact_is_ended_on_the_way_it_went() -> None:
    wire, alice, far = calling()
    call = alice.invite("tel:+15550100", route=("<sip:192.0.2.9;lr>",))
    far.reply(200, body=ANSWER, fields=(("Contact", "<tel:+15550100>"),))
    call.hang_up(wire.now)
    wire.pump()
    assert far.last("ACK").uri == far.last("BYE").uri == "tel:+15550100"
    far.reply(200, far.last("BYE"))
    wire.run()
    wire.assert_silent()
