"""Targets: the dial contract, section 3, each type with the properties it has."""

from __future__ import annotations

import pytest

from engine.application.schema import Auth, From, PhoneTarget, SipTarget, TeamsTarget, UserTarget
from engine.dial import TargetType
from engine.hooks import Hook
from tests.application.documents import PHONE, SIP, USER, dial, refused, target

TEAMS = {"type": "teams", "number": "+15550100"}
EVERY = [PHONE, SIP, USER, TEAMS]


def faulty(raw: dict[str, object], below: str = "") -> str:
    """The problem with the third target, which must be said to be exactly there."""
    path, problem = refused({"verb": "dial", "target": [PHONE, USER, raw]})
    assert path == f"$[0].target[2]{below}"
    return problem


def test_the_type_decides_what_a_target_is() -> None:
    assert isinstance(target(**PHONE), PhoneTarget)
    assert isinstance(target(**SIP), SipTarget)
    assert isinstance(target(**USER), UserTarget)
    assert isinstance(target(**TEAMS), TeamsTarget)


def test_the_type_is_required_and_one_of_four() -> None:
    assert faulty({"number": "+15550100"}) == "missing required property `type`"
    assert "phone, sip, user, teams" in faulty({"type": "pstn", "number": "+15550100"}, ".type")
    faulty({"type": 3}, ".type")
    assert refused({"verb": "dial", "target": ["+15550100"]})[0] == "$[0].target[0]"


@pytest.mark.parametrize(
    ("raw", "missing"),
    [
        ({"type": "phone"}, "number"),
        ({"type": "sip"}, "sipUri"),
        ({"type": "user"}, "name"),
        ({"type": "teams"}, "number"),
    ],
)
def test_what_names_the_party_is_required(raw: dict[str, object], missing: str) -> None:
    assert faulty(raw) == f"missing required property `{missing}`"
    faulty(raw | {missing: 3}, f".{missing}")
    if missing != "sipUri":
        faulty(raw | {missing: ""}, f".{missing}")


def test_a_phone_may_name_its_trunk() -> None:
    assert target(**PHONE, trunk="CarrierA").trunk == "CarrierA"
    faulty({**PHONE, "trunk": 1}, ".trunk")


def test_a_sip_uri_may_stand_in_number_of_either_type() -> None:
    by_uri = target(type="sip", sipUri="sip:bob@example.com")
    assert target(type="sip", number="sip:bob@example.com") == by_uri
    phone = target(type="phone", number="sip:bob@example.com")
    assert phone.to_target().type is TargetType.SIP
    assert phone.to_target() == by_uri.to_target()
    faulty({"type": "sip", "number": "+15550100"}, ".number")
    faulty({"type": "sip", "number": "sip:bob@example.com", "sipUri": "sip:bob@example.com"}, ".number")


@pytest.mark.parametrize(
    "uri", ["sip:bob@example.com", "sips:bob@example.com:5061", "SIP:[2001:db8::1]:5060;lr"]
)
def test_sip_and_sips_uris_are_accepted(uri: str) -> None:
    assert target(type="sip", sipUri=uri).to_target().address == uri


@pytest.mark.parametrize(
    "uri",
    [
        "bob@example.com",
        "tel:+15550100",
        "sip:",
        "sip:a b@h",
        "sip:a@h\r\n",
        "<sip:a@h>",
        "sip:a@h:0",
        "sip:[::1",
    ],
)
def test_what_is_no_sip_uri_is_refused(uri: str) -> None:
    faulty({"type": "sip", "sipUri": uri}, ".sipUri")


@pytest.mark.parametrize("uri", ["sip:", "sip:a b@h", "sip:a@h:0"])
def test_what_is_no_sip_uri_is_refused_in_number_too(uri: str) -> None:
    faulty({"type": "sip", "number": uri}, ".number")
    faulty({"type": "phone", "number": uri}, ".number")


def test_dv23_credentials_are_both_or_none() -> None:
    assert target(**SIP, auth={"username": "u", "password": "p"}).auth == Auth(username="u", password="p")
    assert faulty({**SIP, "auth": {"username": "u"}}, ".auth") == "missing required property `password`"
    assert faulty({**SIP, "auth": {"password": "p"}}, ".auth") == "missing required property `username`"
    faulty({**SIP, "auth": {"username": "u", "password": ""}}, ".auth.password")
    faulty({**SIP, "auth": {"username": "u\r\n", "password": "p"}}, ".auth.username")
    faulty({**SIP, "auth": "u:p"}, ".auth")


def test_passwords_are_not_shown() -> None:
    assert "p4ss" not in repr(target(**SIP, auth={"username": "u", "password": "p4ss"}))


@pytest.mark.parametrize("name", ["carol@example.com", "carol", "1001"])
def test_a_user_may_leave_the_realm_to_the_account(name: str) -> None:
    assert target(type="user", name=name).to_target().address == name


@pytest.mark.parametrize(
    "name", ["@example.com", "ca rol@example.com", "carol@exa mple.com", "a@b@c", "carol\r\n"]
)
def test_what_is_no_user_is_refused(name: str) -> None:
    faulty({"type": "user", "name": name}, ".name")


def test_a_user_may_have_another_request_uri() -> None:
    assert target(**USER, overrideTo="sip:desk@192.0.2.7").to_target().override_to == "sip:desk@192.0.2.7"
    faulty({**USER, "overrideTo": "desk"}, ".overrideTo")


def test_teams_is_known_with_tenant_and_voicemail() -> None:
    teams = target(**TEAMS, tenant="example.com", vmail=True)
    assert (teams.tenant, teams.vmail) == ("example.com", True)
    faulty({**TEAMS, "number": "a@b"}, ".number")
    faulty({**TEAMS, "vmail": "yes"}, ".vmail")


@pytest.mark.parametrize("raw", EVERY, ids=lambda raw: raw["type"])
class TestWhatAllHave:
    def test_a_confirm_hook_and_its_alias_url(self, raw: dict[str, object]) -> None:
        assert target(**raw, confirmHook="/screen").confirm_hook == Hook("/screen")
        aliased = target(**raw, url={"url": "/screen", "method": "GET"})
        assert aliased.confirm_hook == Hook("/screen", "GET")
        assert aliased.url is None
        faulty({**raw, "confirmHook": "/a", "url": "/a"}, ".url")
        faulty({**raw, "confirmHook": 3}, ".confirmHook")
        faulty({**raw, "url": {"url": "/a", "metod": "GET"}}, ".url.metod")

    def test_headers(self, raw: dict[str, object]) -> None:
        assert target(**raw, headers={"X-Branch": 2}).headers == {"X-Branch": "2"}
        faulty({**raw, "headers": {"X-Branch": "a\nb"}}, ".headers['X-Branch']")

    def test_from(self, raw: dict[str, object]) -> None:
        override = {"user": "desk", "host": "pbx.example.com"}
        assert target(**raw, **{"from": override}).from_ == From(user="desk", host="pbx.example.com")
        faulty({**raw, "from": {"user": "desk", "name": "Desk"}}, ".from.name")
        faulty({**raw, "from": {"user": "de sk"}}, ".from.user")
        faulty({**raw, "from": {"host": "h;x"}}, ".from.host")

    def test_proxy(self, raw: dict[str, object]) -> None:
        assert target(**raw, proxy="sip:proxy.example.com").proxy == "sip:proxy.example.com"
        faulty({**raw, "proxy": "proxy.example.com"}, ".proxy")


@pytest.mark.parametrize(
    ("raw", "foreign"),
    [
        (PHONE, {"sipUri": "sip:a@h"}),
        (PHONE, {"auth": {"username": "u", "password": "p"}}),
        (PHONE, {"name": "bob"}),
        (PHONE, {"overrideTo": "sip:a@h"}),
        (SIP, {"trunk": "CarrierA"}),
        (SIP, {"name": "bob"}),
        (SIP, {"vmail": True}),
        (USER, {"number": "+15550100"}),
        (USER, {"trunk": "CarrierA"}),
        (USER, {"auth": {"username": "u", "password": "p"}}),
        (TEAMS, {"trunk": "CarrierA"}),
        (TEAMS, {"sipUri": "sip:a@h"}),
    ],
)
def test_dv02_a_property_of_another_type_is_unknown(
    raw: dict[str, object], foreign: dict[str, object]
) -> None:
    ((name, _),) = foreign.items()
    assert faulty({**raw, **foreign}, f".{name}").startswith("unknown property")


def test_what_is_decoded_becomes_what_the_dial_rings() -> None:
    verb = dial(
        target=[
            PHONE | {"trunk": "CarrierA", "headers": {"X-A": "1"}, "from": {"user": "7"}},
            SIP | {"auth": {"username": "u", "password": "p"}, "url": "/screen"},
            USER | {"proxy": "sip:p.example.com"},
        ]
    )
    phone, sip, user = (each.to_target() for each in verb.target if not isinstance(each, TeamsTarget))
    assert (phone.address, phone.trunk, dict(phone.headers)) == ("+15550100", "CarrierA", {"X-A": "1"})
    assert phone.from_ is not None
    assert phone.from_.user == "7"
    assert sip.credentials is not None
    assert (sip.credentials.username, sip.confirm_hook) == ("u", "/screen")
    assert (user.type, user.proxy) == (TargetType.USER, "sip:p.example.com")
