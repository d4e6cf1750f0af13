"""Who the callee sees calling (DV-21, DV-22)."""

from __future__ import annotations

import pytest

from engine.dial.identity import CallerIdentity, PresentedIdentity, present
from engine.dial.request import DialRequest, FromOverride, Target

TARGET = Target.phone("+15550100199")
PAI = "<sip:+15550100123@example.com>"
OPEN = CallerIdentity("+15550100123", asserted=(PAI,))
HIDDEN = CallerIdentity("", is_restricted=True, asserted=(PAI,), privacy="id")


def shown(
    caller: CallerIdentity | None,
    *,
    caller_id: str = "",
    caller_name: str = "",
    forward_pai: bool = True,
    is_trusted: bool = False,
    target: Target = TARGET,
) -> PresentedIdentity:
    request = DialRequest([target], caller_id=caller_id, caller_name=caller_name, forward_pai=forward_pai)
    return present(request, target, caller, is_trusted=is_trusted, default_user="engine")


def test_dv22_from_is_the_callers_number_unless_a_caller_id_is_given() -> None:
    assert shown(OPEN).from_user == "+15550100123"
    assert shown(OPEN, caller_id="+15550100100").from_user == "+15550100100"


def test_dv22_the_display_name_is_the_caller_name() -> None:
    assert shown(OPEN, caller_name="Alice").display_name == "Alice"
    assert shown(OPEN).display_name == ""


def test_without_a_caller_the_default_user_calls() -> None:
    assert shown(None) == PresentedIdentity("engine", "", "", ())


def test_dv22_a_restricted_caller_is_anonymous() -> None:
    assert shown(HIDDEN, caller_name="Alice") == PresentedIdentity(
        "anonymous", "anonymous.invalid", "Anonymous", (("Privacy", "id"),)
    )


def test_dv22_only_a_trusted_trunk_learns_who_a_restricted_caller_is() -> None:
    assert shown(HIDDEN, is_trusted=True).headers == (("P-Asserted-Identity", PAI), ("Privacy", "id"))
    assert shown(HIDDEN, caller_id="+15550100100").headers == (("Privacy", "id"),)


def test_dv22_a_caller_id_unhides_only_what_it_says() -> None:
    assert shown(HIDDEN, caller_id="+15550100100").from_user == "+15550100100"
    assert shown(HIDDEN, caller_id="+15550100100").from_host == ""


@pytest.mark.parametrize(
    ("privacy", "sent"),
    [
        ("", "id"),
        ("none", "id"),
        ("id", "id"),
        ("ID;critical", "ID;critical"),
        ("user; header", "user; header; id"),
    ],
)
def test_dv22_privacy_id_is_added_to_what_the_caller_asked_for(privacy: str, sent: str) -> None:
    caller = CallerIdentity(is_restricted=True, privacy=privacy)
    assert shown(caller).headers == (("Privacy", sent),)


def test_identity_headers_are_copied_unless_forwarding_is_off() -> None:
    assert shown(OPEN).headers == (("P-Asserted-Identity", PAI),)
    assert shown(OPEN, forward_pai=False).headers == ()
    assert shown(HIDDEN, forward_pai=False, is_trusted=True).headers == (("Privacy", "id"),)


def test_one_branch_overrides_user_or_host_of_from() -> None:
    target = Target.phone("+15550100199", from_=FromOverride(host="trunk.example.com"))
    assert (shown(OPEN, target=target).from_user, shown(OPEN, target=target).from_host) == (
        "+15550100123",
        "trunk.example.com",
    )


def test_dv21_an_asserted_identity_in_headers_is_sent_as_is_and_does_not_change_from() -> None:
    target = Target.phone("+15550100199", headers={"P-Asserted-Identity": "<tel:+15550100111>"})
    request = DialRequest([target])
    identity = present(request, target, OPEN, is_trusted=False)
    assert identity.from_user == "+15550100123"
    assert request.headers_for(target, identity.headers) == (("P-Asserted-Identity", "<tel:+15550100111>"),)
