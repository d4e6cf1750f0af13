"""3xx (DV-24, RFC 3261 §8.1.3.4) and 422 (RFC 4028 §7.3)."""

from __future__ import annotations

from typing import Any

from engine.sip.events import Answered, Failed
from engine.sip.types import FailureKind, Transport
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, Party, Wire


def calling(**params: Any) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.invite("sip:bob@192.0.2.9", **params)
    return wire, alice, Scripted(wire, alice)


def contacts(*values: str) -> tuple[tuple[str, str], ...]:
    return (("Contact", ", ".join(values)),)


def test_dv24_contacts_are_tried_in_q_order_and_the_branch_keeps_its_identity() -> None:
    wire, alice, far = calling(headers=(("X-Campaign", "7"),))
    far.reply(302, fields=contacts("<sip:low@192.0.2.11>;q=0.1", "<sip:high@192.0.2.12>;q=0.9"))
    high = Scripted(wire, alice, "192.0.2.12")
    first, second = far.last("INVITE"), high.last("INVITE")
    assert second.uri == "sip:high@192.0.2.12"
    assert (second.call_id, second.from_tag, second.to) == (first.call_id, first.from_tag, first.to)
    assert second.cseq.number == first.cseq.number + 1
    assert second.headers.get("X-Campaign") == "7"
    high.reply(486)
    low = Scripted(wire, alice, "192.0.2.11")
    low.reply(200, body=ANSWER)
    assert alice.one(Answered)
    assert low.received("ACK")


def test_dv24_a_loop_ends_the_branch() -> None:
    wire, alice, far = calling()
    far.reply(302, fields=contacts("<sip:bob@192.0.2.10>"))
    other = Scripted(wire, alice, "192.0.2.10")
    other.reply(302, fields=contacts("<sip:bob@192.0.2.9>"))
    failure = alice.one(Failed).failure
    assert (failure.kind, failure.status) == (FailureKind.REFUSED, 302)
    wire.run()
    wire.assert_silent()


def test_dv24_at_most_five_redirects_are_followed() -> None:
    wire, alice, far = calling()
    for serial in range(10, 16):
        far.reply(302, fields=contacts(f"<sip:bob@192.0.2.{serial}>"))
        if alice.of(Failed):
            break
        far = Scripted(wire, alice, f"192.0.2.{serial}")
    assert serial == 15
    assert alice.one(Failed).failure.status == 302
    assert alice.sent.count("INVITE") == 6


def test_dv24_a_3xx_without_usable_contact_ends_the_branch() -> None:
    for fields in (
        (),
        contacts("<mailto:bob@example.com>"),
        contacts("<tel:+15550100>"),
        (("Contact", "<<"),),
    ):
        _, alice, far = calling()
        far.reply(302, fields=fields)
        assert alice.one(Failed).failure.status == 302


def test_a_redirect_to_half_the_world_is_followed_to_ten_contacts_only() -> None:
    wire, alice, far = calling()
    far.reply(302, fields=contacts(*(f"<sip:bob@192.0.2.{serial}>" for serial in range(20, 200))))
    for serial in range(20, 200):
        if alice.of(Failed):
            break
        Scripted(wire, alice, f"192.0.2.{serial}").reply(404)
    assert alice.one(Failed).failure.status == 404
    assert alice.sent.count("INVITE") == 11


def test_redirects_can_be_turned_off() -> None:
    _, alice, far = calling(max_redirects=0)
    far.reply(302, fields=contacts("<sip:bob@192.0.2.10>"))
    assert alice.one(Failed).failure.status == 302


def test_a_6xx_of_one_contact_ends_the_search() -> None:
    wire, alice, far = calling()
    far.reply(302, fields=contacts("<sip:a@192.0.2.11>;q=0.9", "<sip:b@192.0.2.12>;q=0.1"))
    Scripted(wire, alice, "192.0.2.11").reply(603)
    assert alice.one(Failed).failure.status == 603
    assert "192.0.2.12" not in wire.raw


def test_headers_in_a_contact_uri_are_not_obeyed() -> None:
    wire, alice, far = calling()
    far.reply(302, fields=contacts("<sip:bob@192.0.2.10;method=BYE?Replaces=x>"))
    assert Scripted(wire, alice, "192.0.2.10").last("INVITE").uri == "sip:bob@192.0.2.10"


def test_a_sips_call_is_not_redirected_to_plain_sip() -> None:
    wire = Wire()
    alice = wire.add("192.0.2.1", transports=(Transport.TLS,))
    alice.invite("sips:bob@192.0.2.9")
    far = Scripted(wire, alice)
    far.reply(302, fields=contacts("<sip:bob@192.0.2.10>"))
    assert alice.one(Failed).failure.status == 302


def test_a_session_interval_too_small_is_raised_to_what_the_peer_wants() -> None:
    wire, alice, far = calling(session_expires_s=90)
    assert far.last("INVITE").session_expires is not None
    far.reply(422, fields=(("Min-SE", "1800"),))
    again = far.last("INVITE")
    assert again.session_expires is not None
    assert (again.session_expires.delta_s, again.min_se_s) == (1800, 1800)
    far.reply(422, fields=(("Min-SE", "1800"),))
    assert alice.one(Failed).failure.status == 422
    wire.run()
    wire.assert_silent()
