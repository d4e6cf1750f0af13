"""Digest at the UAC: DV-23, RFC 3261 §22, RFC 7616."""

from __future__ import annotations

from engine.sip.digest import Credentials as Known
from engine.sip.digest import DigestResponse, make_challenge, verify
from engine.sip.events import Answered, Failed
from engine.sip.message import Request
from engine.sip.types import Credentials, FailureKind
from tests.sip.scripted import Scripted
from tests.support.wire import ANSWER, Party, Wire, sdp

BOB = Credentials("bob", "zanzibar")


def calling(*credentials: Credentials) -> tuple[Wire, Party, Scripted]:
    wire = Wire()
    alice = wire.add("192.0.2.1")
    alice.invite("sip:bob@192.0.2.9", credentials=credentials)
    return wire, alice, Scripted(wire, alice)


def www(nonce: str, **more: object) -> tuple[tuple[str, str], ...]:
    return (("WWW-Authenticate", make_challenge("example.com", nonce, **more)),)  # type: ignore[arg-type]


def proxy(nonce: str, realm: str = "proxy.example.com") -> tuple[tuple[str, str], ...]:
    return (("Proxy-Authenticate", make_challenge(realm, nonce)),)


def is_right(request: Request, field: str = "Authorization") -> bool:
    value = request.headers.get(field)
    return value is not None and verify(DigestResponse.parse(value), Known("bob", "zanzibar"), request)


def test_dv23_a_challenge_is_answered_with_a_new_cseq_and_branch_in_the_same_call() -> None:
    _, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    first, second = far.received("INVITE")
    assert far.received("ACK")
    assert (second.call_id, second.from_tag, second.to_tag) == (first.call_id, first.from_tag, "")
    assert second.cseq.number == first.cseq.number + 1
    assert second.branch != first.branch
    assert is_right(second)
    far.reply(200, body=ANSWER)
    assert alice.one(Answered)
    assert far.last("ACK").headers.get("Authorization") == second.headers.get("Authorization")
    assert far.last("ACK").cseq.number == second.cseq.number


def test_dv23_a_second_challenge_with_a_fresh_nonce_ends_the_branch() -> None:
    wire, alice, far = calling(BOB)
    far.reply(407, fields=proxy("n1"))
    far.reply(407, fields=proxy("n2"))
    failure = alice.one(Failed).failure
    assert (failure.kind, failure.status) == (FailureKind.REFUSED, 407)
    assert len(far.received("INVITE")) == 2
    wire.run()
    wire.assert_silent()


def test_dv23_a_stale_nonce_is_replaced_without_giving_up() -> None:
    _, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    far.reply(401, fields=www("n2", stale=True))
    assert len(far.received("INVITE")) == 3
    assert is_right(far.last("INVITE"))
    assert not alice.of(Failed)


def test_a_proxy_and_then_the_callee_may_both_ask() -> None:
    _, alice, far = calling(BOB)
    far.reply(407, fields=proxy("p1"))
    far.reply(401, fields=www("n1"))
    last = far.last("INVITE")
    assert is_right(last)
    assert is_right(last, "Proxy-Authorization")
    assert not alice.of(Failed)


def test_without_credentials_or_for_another_realm_the_challenge_is_the_outcome() -> None:
    _, alice, far = calling()
    far.reply(401, fields=www("n1"))
    assert alice.one(Failed).failure.status == 401
    _, carol, far = calling(Credentials("bob", "zanzibar", "other.example.com"))
    far.reply(401, fields=www("n1"))
    assert carol.one(Failed).failure.status == 401


def test_a_challenge_nobody_can_answer_is_the_outcome() -> None:
    _, alice, far = calling(BOB)
    far.reply(401, fields=(("WWW-Authenticate", 'Digest realm="x", nonce="y", algorithm=XYZ'),))
    assert alice.one(Failed).failure.status == 401


def test_control_characters_in_a_challenge_are_not_sent_back() -> None:
    wire, alice, far = calling(BOB)
    far.reply(401, fields=())
    alice.happened.clear()
    alice.invite("sip:bob@192.0.2.9", credentials=(BOB,))
    invite = far.last("INVITE")
    far.reply(401, invite, fields=(("WWW-Authenticate", 'Digest realm="x", nonce="MARK"'),))
    assert len(far.received("INVITE")) == 3
    alice.invite("sip:bob@192.0.2.9", credentials=(BOB,))
    invite = far.last("INVITE")
    raw = (
        "SIP/2.0 401 Unauthorized\r\n"
        + "".join(f"{n}: {invite.headers.get(n)}\r\n" for n in ("Via", "From", "Call-ID", "CSeq"))
        + f"To: {invite.headers.get('To')};tag=far\r\n"
        + 'WWW-Authenticate: Digest realm="x", nonce="a\x01b"\r\nContent-Length: 0\r\n\r\n'
    )
    wire.deliver(alice, raw.encode(), far.address)
    assert alice.one(Failed).failure.status == 401


def test_requests_in_the_dialog_carry_credentials_unasked_with_a_higher_count() -> None:
    wire, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    far.reply(200, body=ANSWER)
    call = alice.one(Answered).call
    call.hang_up(wire.now)
    wire.pump()
    bye = far.last("BYE")
    assert is_right(bye)
    assert DigestResponse.parse(bye.headers.get("Authorization") or "").nc == "00000002"


def test_a_new_nonce_for_a_later_request_of_the_dialog_is_answered() -> None:
    wire, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    far.reply(200, body=ANSWER)
    call = alice.one(Answered).call
    call.offer(sdp("hold"), wire.now)
    wire.pump()
    far.reply(401, fields=www("n2"))
    reinvite = far.last("INVITE")
    assert is_right(reinvite)
    assert DigestResponse.parse(reinvite.headers.get("Authorization") or "").nonce == "n2"
    far.reply(401, fields=www("n3"))
    assert len(far.received("INVITE")) == 4


def test_nextnonce_is_used_for_the_next_request() -> None:
    wire, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    far.reply(200, body=ANSWER, fields=(("Authentication-Info", 'nextnonce="n2"'),))
    alice.one(Answered).call.hang_up(wire.now)
    wire.pump()
    answer = DigestResponse.parse(far.last("BYE").headers.get("Authorization") or "")
    assert (answer.nonce, answer.nc) == ("n2", "00000001")


def test_dv20_credentials_of_one_call_never_appear_in_another() -> None:
    _wire, alice, far = calling(BOB)
    far.reply(401, fields=www("n1"))
    alice.invite("sip:carol@192.0.2.9")
    assert "Authorization" not in far.last("INVITE").headers
