"""REFER and its implicit subscription (RFC 3515, RFC 4488)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.sip.events import Ended, ReferProgress, ReferReceived
from engine.sip.types import Body, EndCause, WrongState
from tests.sip.scripted import Scripted
from tests.sip.test_session import Up, UpWithScript
from tests.support.wire import Wire

CAROL = "<sip:carol@example.com>"


def notify(up: UpWithScript, cseq: int, line: bytes, state: str, serial: str) -> None:
    fields = (("Event", f"refer{serial}"), ("Subscription-State", state))
    up.ask("NOTIFY", cseq, fields=fields, body=Body("message/sipfrag;version=2.0", line))


def progress(up: UpWithScript) -> list[tuple[int, str, bool]]:
    return [(p.status, p.reason, p.is_final) for p in up.alice.of(ReferProgress)]


def test_our_refer_is_accepted_and_its_notifies_tell_how_it_goes() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now, (("Referred-By", "<sip:alice@example.com>"),))
    up.wire.pump()
    refer = up.far.last("REFER")
    assert refer.headers.get("Refer-To") == CAROL
    assert refer.headers.get("Referred-By") == "<sip:alice@example.com>"
    assert refer.contacts
    up.far.reply(202, refer)
    serial = f";id={refer.cseq.number}"
    notify(up, 1, b"SIP/2.0 100 Trying", "active;expires=60", serial)
    notify(up, 2, b"SIP/2.0 200 OK\r\n", "terminated;reason=noresource", serial)
    assert progress(up) == [(202, "Accepted", False), (100, "Trying", False), (200, "OK", True)]
    assert up.far.statuses("NOTIFY") == [200, 200]
    notify(up, 3, b"SIP/2.0 200 OK", "terminated", serial)
    assert up.far.statuses("NOTIFY")[-1] == 481


def test_of_two_refers_each_notify_finds_its_own_by_the_id() -> None:
    """RFC 3515 §2.4.6: the id is the CSeq number of the REFER; without one it is the first."""
    up = UpWithScript()
    for _ in range(2):
        up.call.refer(CAROL, up.wire.now)
    up.wire.pump()
    first, second = up.far.received("REFER")
    notify(up, 1, b"SIP/2.0 486 Busy Here", "terminated", f";id={second.cseq.number}")
    notify(up, 2, b"SIP/2.0 200 OK", "terminated", f";id={second.cseq.number}")
    notify(up, 3, b"SIP/2.0 200 OK", "terminated", f";id={first.cseq.number}")
    assert up.far.statuses("NOTIFY") == [200, 481, 200]
    assert progress(up) == [(486, "Busy Here", True), (200, "OK", True)]


def test_a_notify_may_overtake_the_202() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now)
    up.wire.pump()
    notify(up, 1, b"SIP/2.0 100 Trying", "active", "")
    up.far.reply(202, up.far.last("REFER"))
    assert progress(up) == [(100, "Trying", False)]


def test_a_refused_refer_is_final() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now)
    up.wire.pump()
    up.far.reply(603, up.far.last("REFER"))
    assert progress(up) == [(603, "Decline", True)]


def test_without_subscription_the_response_is_all() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now, (("Refer-Sub", "false"),))
    up.wire.pump()
    up.far.reply(200, up.far.last("REFER"), fields=(("Refer-Sub", "false"),))
    assert progress(up) == [(200, "OK", True)]


def test_a_subscription_that_ends_without_result_is_final() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now)
    up.wire.pump()
    up.far.reply(202, up.far.last("REFER"))
    notify(up, 1, b"no status line", "terminated;reason=timeout", "")
    assert progress(up)[-1] == (500, "ended without result", True)


def test_a_refer_nobody_answers_ends_the_call() -> None:
    up = UpWithScript()
    up.call.refer(CAROL, up.wire.now)
    up.wire.run(until=40.0)
    assert up.alice.one(Ended).cause is EndCause.DIALOG_LOST
    assert progress(up)[-1][0] == 408


def test_a_notify_of_another_event_gets_489() -> None:
    up = UpWithScript()
    up.ask("NOTIFY", 1, fields=(("Event", "presence"), ("Subscription-State", "active")))
    assert up.far.statuses("NOTIFY") == [489]


def test_two_stacks_refer_and_report() -> None:
    up = Up()
    up.call.refer(CAROL, up.wire.now)
    up.wire.run(until=3.0)
    refer = up.bob.one(ReferReceived).refer
    assert refer.refer_to == CAROL
    assert refer.referred_by is None
    with pytest.raises(WrongState, match="not accepted"):
        refer.progress(up.wire.now, 180)
    refer.accept(up.wire.now)
    refer.progress(up.wire.now, 180)
    up.wire.run(until=4.0)
    refer.progress(up.wire.now, 486, "Busy There")
    refer.progress(up.wire.now, 200)
    up.wire.run(until=5.0)
    assert [(p.status, p.is_final) for p in up.alice.of(ReferProgress)] == [
        (202, False),
        (100, False),
        (180, False),
        (486, True),
    ]
    assert up.bob.sent.count("NOTIFY") == 3
    last = up.bob.requests("NOTIFY")[-1]
    assert last.headers.get("Subscription-State") == "terminated;reason=noresource"
    assert last.body == b"SIP/2.0 486 Busy There\r\n"
    with pytest.raises(WrongState, match="answered already"):
        refer.accept(up.wire.now)
    up.end()


def received(**more: Any) -> UpWithScript:
    up = UpWithScript()
    up.ask("REFER", 1, **{"fields": (("Refer-To", CAROL),), **more})
    return up


def test_a_refer_may_be_rejected() -> None:
    up = received()
    up.alice.one(ReferReceived).refer.reject(up.wire.now, 501)
    up.wire.pump()
    assert up.far.statuses("REFER") == [501]
    with pytest.raises(ValueError, match="refuse"):
        up.alice.one(ReferReceived).refer.reject(up.wire.now, 200)


def test_refer_sub_false_is_accepted_without_notify() -> None:
    up = received(fields=(("Refer-To", CAROL), ("Refer-Sub", "false"), ("Require", "norefersub")))
    refer = up.alice.one(ReferReceived).refer
    refer.accept(up.wire.now)
    refer.progress(up.wire.now, 200)
    up.wire.pump()
    assert up.far.answered("REFER")[0].headers.get("Refer-Sub") == "false"
    assert not up.far.received("NOTIFY")


@pytest.mark.parametrize("fields", [(), (("Refer-To", "<<"),), (("Refer-To", CAROL), ("Refer-To", CAROL))])
def test_a_refer_needs_exactly_one_readable_refer_to(fields: tuple[tuple[str, str], ...]) -> None:
    up = received(fields=fields)
    assert up.far.statuses("REFER") == [400]
    assert not up.alice.of(ReferReceived)


def test_an_unanswered_refer_does_not_outlive_the_call() -> None:
    up = received()
    refer = up.alice.one(ReferReceived).refer
    up.call.hang_up(up.wire.now)
    up.wire.pump()
    up.far.reply(200, up.far.last("BYE"))
    refer.accept(up.wire.now)
    refer.progress(up.wire.now, 200)
    up.wire.run()
    assert up.far.statuses("REFER") == [487]
    assert not up.far.received("NOTIFY")
    up.wire.assert_silent()


def test_refer_needs_an_established_call() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    call = alice.invite("sip:bob@192.0.2.9")
    with pytest.raises(WrongState, match="refer"):
        call.refer(CAROL, wire.now)
    Scripted(wire, alice).reply(180)
    with pytest.raises(WrongState, match="refer"):
        call.refer(CAROL, wire.now)
