"""Requests and targets: what is refused, and by which name; what is done with a warning."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.dial.request import Credentials, DialRequest, FromOverride, InvalidRequest, Target, TargetType
from engine.dial.safety import RESERVED_HEADERS, is_e164, merge_headers

BOB = Target.sip("sip:bob@example.com")


REFUSED: list[tuple[str, Callable[[], object]]] = [
    ("targets", lambda: DialRequest([])),
    ("timeout_s", lambda: DialRequest([BOB], timeout_s=0)),
    ("timeout_s", lambda: DialRequest([BOB], timeout_s=-1)),
    ("timeout_s", lambda: DialRequest([BOB], timeout_s=float("nan"))),
    ("timeout_s", lambda: DialRequest([BOB], timeout_s=float("inf"))),
    ("timeout_s", lambda: DialRequest([BOB], timeout_s=True)),
    ("time_limit_s", lambda: DialRequest([BOB], time_limit_s=0.0)),
    ("caller_id", lambda: DialRequest([BOB], caller_id="+1555\r\nX: y")),
    ("caller_name", lambda: DialRequest([BOB], caller_name="Alice\r\nX: y")),
    ("headers.X-Tag", lambda: DialRequest([BOB], headers={"X-Tag": "a\r\nVia: x"})),
    ("headers.X-Tag", lambda: DialRequest([BOB], headers={"X-Tag": "a\0"})),
    ("headers", lambda: DialRequest([BOB], headers={"X Tag": "a"})),
    ("headers", lambda: DialRequest([BOB], headers={"X-Tag:": "a"})),
    ("headers", lambda: DialRequest([BOB], headers={"": "a"})),
    ("proxy", lambda: DialRequest([BOB], proxy="proxy.example.com")),
    ("number", lambda: Target.phone("")),
    ("number", lambda: Target.phone("+1 555 0100")),
    ("sip_uri", lambda: Target.sip("bob@example.com")),
    ("sip_uri", lambda: Target.sip("sip:bob@")),
    ("sip_uri", lambda: Target.sip("sip:bob@example.com\r\n")),
    ("sip_uri", lambda: Target.sip("sip:bob@example.com>;x=<")),
    ("name", lambda: Target.user("")),
    ("name", lambda: Target.user("@example.com")),
    ("name", lambda: Target.user("bob@example.com@example.com")),
    ("credentials.password", lambda: Target.sip("sip:bob@example.com", username="bob")),
    ("credentials.username", lambda: Target.sip("sip:bob@example.com", password="secret")),
    ("credentials.username", lambda: Credentials("bob\r\n", "secret")),
    ("from.user", lambda: FromOverride(user="a@b")),
    ("from.host", lambda: FromOverride(host="example.com>")),
    ("override_to", lambda: Target.user("bob", override_to="bob@example.com")),
    ("headers.X-Tag", lambda: Target.phone("+15550100123", headers={"X-Tag": "\n"})),
]


@pytest.mark.parametrize(("field", "make"), REFUSED)
def test_dv11_what_cannot_be_carried_out_is_refused_by_its_name(
    field: str, make: Callable[[], object]
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        make()
    assert refusal.value.field == field
    assert refusal.value.status == 400
    assert str(refusal.value).startswith(f"400 {field}: ")


@pytest.mark.parametrize("bad", ["\r", "\n", "<", ">", '"', "@", " ", "\t", "\0", "\x7f", ":", "\u2028"])
def test_dv12_what_could_break_a_uri_user_is_always_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="caller_id"):
        DialRequest([BOB], caller_id=f"+1555{bad}0100")
    with pytest.raises(InvalidRequest, match="number"):
        Target.phone(f"+1555{bad}0100")


def test_dv12_a_safe_number_that_is_not_e164_is_accepted_with_a_warning() -> None:
    request = DialRequest([Target.phone("*21#")], caller_id="1001")
    assert request.warnings == (
        "caller_id: '1001' is not E.164",
        "targets[0].number: '*21#' is not E.164",
    )


@pytest.mark.parametrize(
    ("number", "is_good"),
    [
        ("+15550100123", True),
        ("+4917123", True),
        ("+123456789012345", True),
        ("+1234567890123456", False),
        ("+05550100", False),
        ("15550100123", False),
        ("+1555a", False),
        ("+١٢٣٤٥٦٧٨", False),
        ("+", False),
        ("", False),
    ],
)
def test_dv12_e164_is_a_plus_and_7_to_15_digits(number: str, is_good: bool) -> None:
    assert is_e164(number) is is_good


def test_dv10_duplicates_are_dialled_once_and_the_first_ten_are_used() -> None:
    phones = [Target.phone(f"+155501001{index:02}") for index in range(12)]
    request = DialRequest([phones[0], *phones, phones[3]])
    assert request.effective_targets == tuple(phones[:10])
    assert request.warnings == (
        "targets: 2 duplicates are dialled once",
        "targets: more than 10, not dialled: +15550100110",
        "targets: more than 10, not dialled: +15550100111",
    )


def test_dv10_the_same_text_of_another_type_is_another_target() -> None:
    request = DialRequest([Target.phone("1001"), Target.user("1001")])
    assert len(request.effective_targets) == 2


def test_dv10_the_first_of_two_duplicates_is_the_one_that_counts() -> None:
    request = DialRequest(
        [Target.phone("+15550100123", trunk="one"), Target.phone("+15550100123", trunk="two")]
    )
    assert [target.trunk for target in request.effective_targets] == ["one"]


def test_dv21_headers_take_precedence_from_engine_to_target() -> None:
    target = Target.phone("+15550100123", headers={"x-b": "target", "X-C": "target"})
    request = DialRequest([target], headers={"X-A": "verb", "X-B": "verb"})
    engine = [("User-Agent", "engine"), ("X-A", "engine")]
    identity = [("P-Asserted-Identity", "<sip:1@x>"), ("P-Asserted-Identity", "<tel:+1>")]
    assert request.headers_for(target, engine, identity) == (
        ("User-Agent", "engine"),
        ("X-A", "verb"),
        ("P-Asserted-Identity", "<sip:1@x>"),
        ("P-Asserted-Identity", "<tel:+1>"),
        ("x-b", "target"),
        ("X-C", "target"),
    )


def test_dv20_a_header_of_one_target_is_not_on_another() -> None:
    one, two = Target.phone("+15550100123", headers={"X-Carrier": "one"}), Target.phone("+15550100124")
    request = DialRequest([one, two])
    assert request.headers_for(one) == (("X-Carrier", "one"),)
    assert request.headers_for(two) == ()


@pytest.mark.parametrize("name", sorted(RESERVED_HEADERS))
def test_dv21_reserved_headers_are_dropped_with_a_warning(name: str) -> None:
    target = Target.phone("+15550100123", headers={name.title(): "x"})
    request = DialRequest([target], headers={name.upper(): "x", "X-Kept": "y"})
    assert request.headers_for(target) == (("X-Kept", "y"),)
    assert request.warnings == (
        f"headers.{name.upper()}: reserved, dropped",
        f"targets[0].headers.{name.title()}: reserved, dropped",
    )


def test_merging_no_layers_gives_no_headers() -> None:
    assert merge_headers() == ()


@pytest.mark.parametrize(
    ("text", "type_", "address"),
    [
        ("sip:bob@example.com", TargetType.SIP, "sip:bob@example.com"),
        ("SIPS:bob@example.com", TargetType.SIP, "SIPS:bob@example.com"),
        ("user:1001", TargetType.USER, "1001"),
        ("1001@example.com", TargetType.USER, "1001@example.com"),
        ("+15550100123", TargetType.PHONE, "+15550100123"),
        ("1001", TargetType.PHONE, "1001"),
    ],
)
def test_a_target_is_read_as_typed(text: str, type_: TargetType, address: str) -> None:
    target = Target.parse(text)
    assert (target.type, target.address) == (type_, address)


def test_a_number_that_is_a_uri_is_taken_for_one() -> None:
    assert Target.phone("sip:bob@example.com").type is TargetType.SIP


def test_ipv6_and_parameters_are_fine_in_a_uri() -> None:
    assert Target.sip("sip:bob@[2001:db8::1]:5070;transport=tcp").address.endswith("tcp")
    assert Target.sip("sip:192.0.2.1").type is TargetType.SIP


def test_a_password_is_never_printed() -> None:
    target = Target.sip("sip:bob@example.com", username="bob", password="secret")
    assert target.credentials == Credentials("bob", "secret")
    assert "secret" not in repr(DialRequest([target]))


def test_screening_may_be_asked_for_by_the_request_or_by_one_target() -> None:
    assert not DialRequest([BOB]).needs_screening
    assert DialRequest([BOB], confirm_hook="/c").needs_screening
    assert DialRequest([BOB, Target.phone("+15550100123", confirm_hook="/c")]).needs_screening
