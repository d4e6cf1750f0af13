"""Session timers (RFC 4028), both roles."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import AnswerReceived, Ended, OfferReceived
from engine.sip.types import EndCause, InviteState
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, OFFER, Party, Wire, sdp, state_of


def calling(
    se: str | None, allow: str = "INVITE, BYE, UPDATE", **params: Any
) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.invite("sip:bob@192.0.2.9", **params)
    far = Scripted(wire, alice)
    fields = (("Allow", allow), *((("Session-Expires", se), ("Require", "timer")) if se else ()))
    far.reply(200, body=ANSWER, fields=fields)
    return wire, alice, far


def called(**config: Any) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    bob = wire.add("192.0.2.2", **config)
    return wire, bob, Scripted(wire, bob)


def accept(wire: Wire, bob: Party, far: Scripted, se: str, **params: Any) -> str | None:
    fields = (("Session-Expires", se), ("Supported", "timer"), *params.pop("fields", ()))
    far.request("INVITE", body=OFFER, fields=fields, **params)
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    far.request("ACK", to_tag=far.answered()[-1].to_tag)
    return far.answered()[-1].headers.get("Session-Expires")


def test_the_invite_asks_for_what_is_configured_and_nothing_otherwise() -> None:
    _, _, far = calling(None, session_expires_s=600)
    assert far.last("INVITE").headers.get("Session-Expires") == "600"
    _, _, far = calling(None)
    assert "Session-Expires" not in far.last("INVITE").headers
    assert "timer" in far.last("INVITE").supported


def test_as_refresher_we_send_update_at_half_time_and_go_on() -> None:
    wire, alice, far = calling("100;refresher=uac", session_expires_s=100)
    for round_ in range(1, 4):
        wire.run(until=50.0 * round_ + 0.1)
        update = far.last("UPDATE")
        assert len(far.received("UPDATE")) == round_
        assert update.headers.get("Session-Expires") == "100;refresher=uac"
        assert update.body == b""
        far.reply(200, update, fields=(("Session-Expires", "100;refresher=uac"),))
        wire.now = 50.0 * round_
    assert not alice.of(Ended)


def test_without_update_at_the_peer_the_refresh_is_a_reinvite_with_the_same_sdp() -> None:
    wire, alice, far = calling("100;refresher=uac", allow="INVITE, BYE")
    wire.run(until=50.1)
    reinvite = far.last("INVITE")
    assert reinvite.to_tag == "far"
    assert reinvite.sdp == OFFER.data
    far.reply(200, reinvite, body=ANSWER, fields=(("Session-Expires", "100;refresher=uac"),))
    assert far.last("ACK").cseq.number == reinvite.cseq.number
    assert not alice.of(AnswerReceived)
    wire.run(until=99.0)
    assert not alice.of(Ended)


def test_an_interval_that_no_rfc_allows_does_not_make_us_busy() -> None:
    wire, alice, far = calling("1;refresher=uac")
    wire.run(until=14.9)
    assert not far.received("UPDATE")
    wire.run(until=15.1)
    assert far.received("UPDATE")
    assert not alice.of(Ended)


def test_an_answer_that_changed_in_a_refresh_is_reported() -> None:
    wire, alice, far = calling("100;refresher=uac", allow="INVITE, BYE")
    wire.run(until=50.1)
    far.reply(200, body=sdp("moved"), fields=(("Session-Expires", "100;refresher=uac"),))
    assert alice.one(AnswerReceived).body == sdp("moved")


def test_a_peer_that_does_not_refresh_gets_bye_before_the_time_is_over() -> None:
    wire, alice, far = calling("90;refresher=uas")
    wire.run(until=59.9)
    assert not alice.of(Ended)
    wire.run(until=60.1)
    ended = alice.one(Ended)
    assert (ended.cause, ended.at) == (EndCause.SESSION_EXPIRED, 60.0)
    assert far.received("BYE")


def test_a_refused_refresh_is_tried_again_and_then_the_session_expires() -> None:
    wire, alice, far = calling("100;refresher=uac")
    wire.run(until=50.1)
    far.reply(500, far.last("UPDATE"))
    wire.run(until=75.2)
    assert len({update.branch for update in far.received("UPDATE")}) == 2
    far.reply(500, far.last("UPDATE"))
    wire.run(until=100.1)
    assert alice.of(Ended)


@pytest.mark.parametrize("status", [405, 501])
def test_a_peer_that_allows_update_and_does_not_know_it_gets_a_reinvite(status: int) -> None:
    wire, alice, far = calling("90;refresher=uac", session_expires_s=90)
    for round_ in (1, 2):
        wire.run(until=45.0 * round_ + 0.1)
        if round_ == 1:
            far.reply(status, far.last("UPDATE"))
            wire.pump()
        refresh = far.last("INVITE")
        assert refresh.cseq.number == round_ + 2
        assert refresh.sdp == OFFER.data
        far.reply(200, refresh, body=ANSWER, fields=(("Session-Expires", "90;refresher=uac"),))
        wire.now = 45.0 * round_
    assert len(far.received("UPDATE")) == 1
    assert not alice.of(Ended)


def test_a_refresh_that_meets_422_is_repeated_with_a_longer_interval() -> None:
    wire, _, far = calling("100;refresher=uac", session_expires_s=100)
    wire.run(until=50.1)
    far.reply(422, far.last("UPDATE"), fields=(("Min-SE", "300"),))
    assert far.last("UPDATE").headers.get("Session-Expires") == "300;refresher=uac"
    assert far.last("UPDATE").headers.get("Min-SE") == "300"


def test_a_refresh_that_meets_481_ends_the_call() -> None:
    wire, alice, far = calling("100;refresher=uac")
    wire.run(until=50.1)
    far.reply(481, far.last("UPDATE"))
    assert alice.one(Ended).cause is EndCause.DIALOG_LOST


def test_the_callee_agrees_and_lets_the_caller_refresh() -> None:
    wire, bob, far = called()
    assert accept(wire, bob, far, "1800") == "1800;refresher=uac"
    assert "timer" in far.answered()[-1].require
    fields = (("Session-Expires", "1800;refresher=uac"),)
    far.request("UPDATE", to_tag=far.answered()[-1].to_tag, cseq=2, fields=fields)
    response = far.answered("UPDATE")[0]
    assert response.status == 200
    assert response.headers.get("Session-Expires") == "1800;refresher=uac"


def test_the_callee_refreshes_if_it_is_asked_to() -> None:
    wire, bob, far = called()
    assert accept(wire, bob, far, "90;refresher=uas", fields=(("Allow", "UPDATE"),)) == "90;refresher=uas"
    assert "timer" in far.answered()[-1].require
    wire.run(until=45.1)
    assert far.last("UPDATE").headers.get("Session-Expires") == "90;refresher=uac"


def test_a_caller_that_cannot_refresh_is_refreshed_for() -> None:
    """RFC 4028 §9: without `timer` in Supported the session timer is somebody else's wish, a proxy's."""
    wire, bob, far = called()
    far.request("INVITE", body=OFFER, fields=(("Session-Expires", "1800"),))
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    assert far.answered()[-1].headers.get("Session-Expires") == "1800;refresher=uas"
    assert "timer" not in far.answered()[-1].require


def test_the_callee_shortens_to_what_it_wants_but_not_below_min_se() -> None:
    wire, bob, far = called(session_expires_s=600)
    assert accept(wire, bob, far, "1800") == "600;refresher=uac"
    wire, bob, far = called(session_expires_s=600)
    assert accept(wire, bob, far, "1800", fields=(("Min-SE", "900"),)) == "900;refresher=uac"
    wire, bob, far = called(session_expires_s=600)
    assert accept(wire, bob, far, "700", fields=(("Min-SE", "900"),)) == "700;refresher=uac"


def test_the_callee_starts_a_timer_of_its_own_for_a_caller_without_one() -> None:
    wire, bob, far = called(session_expires_s=600)
    far.request("INVITE", body=OFFER)
    bob.incoming().answer(ANSWER, wire.now)
    wire.pump()
    assert far.answered()[-1].headers.get("Session-Expires") == "600;refresher=uas"
    assert "timer" not in far.answered()[-1].require


def test_the_configured_min_se_is_insisted_on() -> None:
    _, bob, far = called(min_se_s=300)
    far.request("INVITE", body=OFFER, fields=(("Session-Expires", "200"), ("Supported", "timer")))
    assert far.statuses() == [422]
    assert far.answered()[0].headers.get("Min-SE") == "300"
    assert not bob.happened


def test_two_stacks_keep_a_call_alive_for_hours_and_lose_it_when_one_is_gone() -> None:
    wire = Wire()
    alice, bob = wire.add("192.0.2.1", session_expires_s=90), wire.add("192.0.2.2")
    call = alice.invite("sip:bob@192.0.2.2")
    wire.run(until=1.0)
    bob.incoming().answer(ANSWER, wire.now)
    wire.run(until=7200.0)
    assert state_of(call) is InviteState.ESTABLISHED
    assert not bob.of(OfferReceived)
    wire.fate = lambda sent: []
    wire.run()
    assert alice.one(Ended)
    assert bob.one(Ended).cause is EndCause.SESSION_EXPIRED
    wire.assert_silent()
