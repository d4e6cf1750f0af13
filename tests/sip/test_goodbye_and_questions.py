"""What the application may add to a goodbye and sees of the peer's; requests of its own in a dialog."""

from __future__ import annotations

import pytest

from engine.sip.events import Answered, Confirmed, Ended, Failed, Replied, TurnToOffer
from engine.sip.types import Body, InviteState, WrongState
from engine.sip.types import Party as Side
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Wire

_EXTRA = (("X-Reason", "lunch"),)


class _Up:
    """Alice's call to bob, established."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.alice: Party = self.wire.add("192.0.2.1")
        self.bob: Party = self.wire.add("192.0.2.2")
        self.call = self.alice.invite("sip:bob@192.0.2.2")
        self.wire.run(until=1.0)
        self.theirs = self.bob.incoming()
        self.theirs.answer(ANSWER, self.wire.now)
        self.wire.run(until=2.0)
        assert self.alice.of(Answered)
        assert self.bob.of(Confirmed)


class _UpWithScript:
    """A call of alice's to a scripted far side, established."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.alice = self.wire.add("192.0.2.1")
        self.call = self.alice.invite("sip:far@192.0.2.9")
        self.far = Scripted(self.wire, self.alice)
        self.far.reply(200, body=ANSWER)


@pytest.mark.parametrize("by_caller", [True, False])
def test_a_bye_carries_our_headers_and_the_peer_sees_them(by_caller: bool) -> None:
    up = _Up()
    call, seen = (up.call, up.bob) if by_caller else (up.theirs, up.alice)
    call.hang_up(up.wire.now, "Q.850;cause=16", headers=_EXTRA)
    up.wire.run()
    ended = seen.of(Ended)[0]
    assert ended.by is Side.REMOTE
    assert ended.reason_header == "Q.850;cause=16"
    assert ended.request is not None
    assert ended.request.headers.get("X-Reason") == "lunch"
    own = (up.alice if by_caller else up.bob).of(Ended)[0]
    assert (own.by, own.reason_header, own.request) == (Side.LOCAL, "", None)
    up.wire.assert_silent()


def test_a_bye_that_has_to_wait_for_the_ack_still_carries_them() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    far.request("INVITE", body=OFFER)
    call = bob.incoming()
    call.answer(ANSWER, wire.now)
    call.hang_up(wire.now, headers=_EXTRA)
    wire.pump()
    assert far.received("BYE") == []
    to_tag = next(each for each in far.answered() if each.status == 200).to_tag
    far.request("ACK", to_tag=to_tag)
    wire.pump()
    assert far.last("BYE").headers.get("X-Reason") == "lunch"


def test_a_refusal_by_hanging_up_carries_them() -> None:
    wire = Wire()
    bob = wire.add("192.0.2.2")
    far = Scripted(wire, bob)
    far.request("INVITE", body=OFFER)
    bob.incoming().hang_up(wire.now, status=486, headers=_EXTRA)
    wire.pump()
    refusal = far.answered()[-1]
    assert (refusal.status, refusal.headers.get("X-Reason")) == (486, "lunch")


def test_what_would_break_a_message_is_refused_before_anything_is_sent() -> None:
    up = _Up()
    with pytest.raises(ValueError, match="X-Bad"):
        up.call.hang_up(up.wire.now, headers=(("X-Bad", "a\r\nVia: b"),))
    assert up.call.state is InviteState.ESTABLISHED


@pytest.mark.parametrize(("method", "status"), [("MESSAGE", 200), ("INFO", 405), ("NOTIFY", 481)])
def test_a_request_of_ours_reports_its_response(method: str, status: int) -> None:
    up = _UpWithScript()
    serial = up.call.send_request(method, up.wire.now, headers=_EXTRA, body=Body("text/plain", b"hello"))
    up.wire.pump()
    sent = up.far.last(method)
    assert (sent.body, sent.headers.get("X-Reason")) == (b"hello", "lunch")
    up.far.reply(100, sent)
    assert up.alice.of(Replied) == []
    up.far.reply(status, sent, reason="So Be It")
    (replied,) = up.alice.of(Replied)
    assert (replied.serial, replied.status, replied.reason) == (serial, status, "So Be It")
    assert up.call.is_over is (status == 481), "RFC 5057: 481 is the end of the dialog"


def test_two_requests_at_once_are_told_apart() -> None:
    up = _UpWithScript()
    first = up.call.send_request("MESSAGE", up.wire.now)
    up.wire.pump()
    asked = up.far.last("MESSAGE")
    second = up.call.send_request("MESSAGE", up.wire.now)
    up.wire.pump()
    assert first != second
    up.far.reply(202, up.far.last("MESSAGE"))
    up.far.reply(200, asked)
    assert [(each.serial, each.status) for each in up.alice.of(Replied)] == [(second, 202), (first, 200)]


def test_silence_is_408_and_the_end_of_the_call() -> None:
    up = _UpWithScript()
    serial = up.call.send_request("MESSAGE", up.wire.now)
    up.wire.run()
    (replied,) = up.alice.of(Replied)
    assert (replied.serial, replied.status, replied.response) == (serial, 408, None)
    assert up.alice.of(Ended)


@pytest.mark.parametrize(
    "method", ["INVITE", "BYE", "CANCEL", "ACK", "UPDATE", "PRACK", "REFER", "info", "A B", ""]
)
def test_methods_that_have_a_verb_of_their_own_are_refused(method: str) -> None:
    up = _UpWithScript()
    with pytest.raises(ValueError, match="not sent this way"):
        up.call.send_request(method, up.wire.now)


def test_nothing_is_asked_before_there_is_a_dialog_or_after_the_call() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    call = alice.invite("sip:far@192.0.2.9")
    with pytest.raises(WrongState):
        call.send_request("INFO", wire.now)
    far = Scripted(wire, alice)
    far.reply(486)
    assert alice.of(Failed)
    assert call.send_request("INFO", wire.now) == 0


@pytest.mark.parametrize("status", [200, 488])
def test_who_wants_to_change_the_session_next_is_told_once_when_it_is_its_turn(status: int) -> None:
    up = _UpWithScript()
    up.call.offer(OFFER, up.wire.now)
    up.wire.pump()
    up.call.wants_turn = True
    up.far.reply(status, up.far.last("INVITE"), body=ANSWER if status == 200 else None)
    assert len(up.alice.of(TurnToOffer)) == 1
    up.call.offer(OFFER, up.wire.now)
    up.wire.pump()
    up.far.reply(200, up.far.last("INVITE"), body=ANSWER)
    assert len(up.alice.of(TurnToOffer)) == 1
