"""engine.routing.branches: a target becomes the INVITEs that reach it."""

import pytest

from engine.config import TrunkConfig, UserConfig
from engine.dial.failure import LegFailure, Trouble
from engine.dial.identity import CallerIdentity
from engine.dial.request import DialRequest, FromOverride, Target
from engine.errors import ConfigError
from engine.routing.branches import Branch, Router
from engine.routing.directory import Directory
from engine.routing.identity import identity_of
from engine.routing.trunks import Trunks
from engine.sip.message import Request, parse_message
from engine.sip.types import Credentials

TRUSTED = TrunkConfig(
    name="CarrierA",
    uri="sip:carrier.example.com;transport=tcp",
    username="alice",
    password="secret",
    from_domain="example.com",
    codecs=("PCMA",),
    headers={"X-Trunk": "A"},
    trusted=True,
    t1_ms=200,
    timer_b_s=6.0,
)
UNTRUSTED = TrunkConfig(name="CarrierB", uri="sip:198.51.100.9:5080")
USERS = (
    UserConfig(name="1001@SIP.example.com", contacts=("sip:1001@192.0.2.9:5062", "sip:1001@192.0.2.10")),
    UserConfig(name="1002@sip.example.com"),
)


def route(
    target: Target, *, caller: CallerIdentity | None = None, request: DialRequest | None = None
) -> list[Branch] | LegFailure:
    router = Router(Trunks([TRUSTED, UNTRUSTED]), Directory(USERS), lambda: "192.0.2.1")
    routed = router.route(target, request or DialRequest(targets=(target,)), caller)
    return routed if isinstance(routed, LegFailure) else list(routed)


def only(routed: list[Branch] | LegFailure) -> Branch:
    assert isinstance(routed, list)
    assert len(routed) == 1
    return routed[0]


def test_a_phone_number_goes_to_the_named_trunk_with_its_settings() -> None:
    branch = only(route(Target.phone("+15550100", trunk="CarrierA")))
    assert branch.params.target == "sip:+15550100@carrier.example.com;transport=tcp"
    assert branch.params.credentials == (Credentials("alice", "secret"),)
    assert branch.params.from_ == "<sip:dial-engine@example.com>"
    assert ("X-Trunk", "A") in branch.params.headers
    assert branch.codecs == ("PCMA",)
    assert branch.params.timers is not None
    assert (branch.params.timers.t1, branch.params.timers.b) == (0.2, 6.0)


def test_a_phone_number_without_a_trunk_name_goes_to_the_first() -> None:
    assert only(route(Target.phone("+15550100"))).params.target.endswith("carrier.example.com;transport=tcp")


def test_dv25_an_unknown_trunk_fails_with_503_no_route() -> None:
    failure = route(Target.phone("+15550100", trunk="Nobody"))
    assert isinstance(failure, LegFailure)
    assert (failure.sip_status, failure.reason, failure.trouble) == (503, "no-route", Trouble.NO_ROUTE)


def test_a_number_of_teams_goes_over_the_trunk_of_that_name_and_over_no_other() -> None:
    target = Target.teams("+15550100")
    failure = route(target)
    assert isinstance(failure, LegFailure)
    assert (failure.sip_status, failure.reason, failure.trouble) == (503, "no-route", Trouble.NO_ROUTE)
    trunks = Trunks([UNTRUSTED, TrunkConfig(name="teams", uri="sip:sbc.example.com")])
    router = Router(trunks, Directory([]), lambda: "192.0.2.1")
    routed = router.route(target, DialRequest(targets=(target,)), None)
    assert not isinstance(routed, LegFailure)
    assert only(list(routed)).params.target == "sip:+15550100@sbc.example.com"


def test_dv25_no_trunk_at_all_is_no_route() -> None:
    router = Router(Trunks([]), Directory([]), lambda: "192.0.2.1")
    target = Target.phone("+15550100")
    failure = router.route(target, DialRequest(targets=(target,)), None)
    assert isinstance(failure, LegFailure)
    assert failure.sip_status == 503


def test_all_contacts_of_a_user_ring_with_the_user_as_to() -> None:
    branches = route(Target.user("1001@sip.EXAMPLE.com"))
    assert isinstance(branches, list)
    assert [b.params.target for b in branches] == ["sip:1001@192.0.2.9:5062", "sip:1001@192.0.2.10"]
    assert {b.params.to for b in branches} == {"<sip:1001@sip.EXAMPLE.com>"}


@pytest.mark.parametrize(("name", "status"), [("1009@sip.example.com", 404), ("1002@sip.example.com", 480)])
def test_dv25_an_unknown_user_is_404_and_an_unregistered_one_480(name: str, status: int) -> None:
    failure = route(Target.user(name))
    assert isinstance(failure, LegFailure)
    assert failure.sip_status == status


def test_dv20_nothing_of_one_branch_appears_on_another() -> None:
    targets = (Target.phone("+15550100", trunk="CarrierA"), Target.sip("sip:bob@example.com"))
    request = DialRequest(targets=targets)
    other = only(route(targets[1], request=request)).params
    assert other.credentials == ()
    assert other.timers is None
    assert all(name != "X-Trunk" for name, _ in other.headers)
    assert other.from_ == "<sip:dial-engine@192.0.2.1>"


def test_dv21_later_layers_replace_headers_whatever_their_case_and_reserved_ones_are_dropped() -> None:
    target = Target.phone("+15550100", trunk="CarrierA", headers={"x-b": "target", "Via": "evil"})
    request = DialRequest(targets=(target,), headers={"x-trunk": "verb", "X-B": "verb"})
    headers = only(route(target, request=request)).params.headers
    assert ("x-trunk", "verb") in headers
    assert ("x-b", "target") in headers
    assert {name.lower() for name, _ in headers} == {"x-trunk", "x-b"}


def test_dv21_a_given_asserted_identity_is_sent_as_is_and_does_not_change_from() -> None:
    caller = CallerIdentity("+15550111", asserted=("<sip:+15550111@example.com>",))
    target = Target.sip("sip:bob@example.com")
    request = DialRequest(targets=(target,), headers={"P-Asserted-Identity": "<sip:+15550999@example.com>"})
    params = only(route(target, caller=caller, request=request)).params
    assert params.headers == (("P-Asserted-Identity", "<sip:+15550999@example.com>"),)
    assert params.from_ == "<sip:+15550111@192.0.2.1>"


def test_dv22_caller_id_and_name_are_presented() -> None:
    target = Target.sip("sip:bob@example.com")
    request = DialRequest(targets=(target,), caller_id="+15550199", caller_name='Alice "A"')
    assert only(route(target, request=request)).params.from_ == r'"Alice \"A\"" <sip:+15550199@192.0.2.1>'


def test_dv22_a_restricted_caller_is_anonymous_and_only_a_trusted_trunk_learns_who_it_is() -> None:
    caller = CallerIdentity("+15550111", True, ("<sip:+15550111@example.com>",), "id")
    trusted = only(route(Target.phone("+15550100", trunk="CarrierA"), caller=caller)).params
    untrusted = only(route(Target.phone("+15550100", trunk="CarrierB"), caller=caller)).params
    assert trusted.from_ == untrusted.from_ == "Anonymous <sip:anonymous@anonymous.invalid>"
    assert ("Privacy", "id") in trusted.headers
    assert ("Privacy", "id") in untrusted.headers
    assert ("P-Asserted-Identity", "<sip:+15550111@example.com>") in trusted.headers
    assert all(name != "P-Asserted-Identity" for name, _ in untrusted.headers)


def test_a_target_may_override_user_and_host_of_from() -> None:
    target = Target.sip("sip:bob@example.com", from_=FromOverride("alice", "2001:db8::1"))
    assert only(route(target)).params.from_ == "<sip:alice@[2001:db8::1]>"


@pytest.mark.parametrize(
    ("proxy", "route_element"),
    [
        ("sip:proxy.example.com", "<sip:proxy.example.com;lr>"),
        ("sip:proxy.example.com;lr", "<sip:proxy.example.com;lr>"),
        ("sip:proxy.example.com;transport=tcp", "<sip:proxy.example.com;transport=tcp;lr>"),
    ],
)
def test_an_outbound_proxy_becomes_a_loose_route(proxy: str, route_element: str) -> None:
    target = Target.sip("sip:bob@example.com", proxy=proxy)
    assert only(route(target)).params.route == (route_element,)


def test_a_targets_own_proxy_and_credentials_win() -> None:
    target = Target.sip("sip:bob@example.com", username="u", password="p", proxy="sip:own.example.com")
    params = only(route(target, request=DialRequest(targets=(target,), proxy="sip:all.example.com"))).params
    assert params.route == ("<sip:own.example.com;lr>",)
    assert params.credentials == (Credentials("u", "p"),)


def test_a_trunk_with_an_unusable_uri_is_a_config_error() -> None:
    with pytest.raises(ConfigError) as caught:
        Trunks([TRUSTED, TrunkConfig(name="bad", uri="http://example.com")])
    assert caught.value.key == "trunk[1].uri"


def invite(from_: str, *more: str) -> Request:
    lines = [
        "INVITE sip:100@192.0.2.1 SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1",
        f"From: {from_};tag=1",
        "To: <sip:100@192.0.2.1>",
        "Call-ID: a@192.0.2.2",
        "CSeq: 1 INVITE",
        *more,
        "Content-Length: 0",
        "",
        "",
    ]
    message = parse_message("\r\n".join(lines).encode())
    assert isinstance(message, Request)
    return message


@pytest.mark.parametrize(
    ("from_", "more", "expected"),
    [
        ("<sip:+15550111@192.0.2.2>", (), CallerIdentity("+15550111")),
        ("<tel:+15550111>", (), CallerIdentity("+15550111")),
        ("<sip:+15550111;isub=1@192.0.2.2;user=phone>", (), CallerIdentity("+15550111")),
        ("<sip:alice;day=tuesday@192.0.2.2>", (), CallerIdentity("alice;day=tuesday")),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', (), CallerIdentity("", True)),
        (
            "<sip:+15550111@192.0.2.2>",
            ("Privacy: header; id", "P-Asserted-Identity: <sip:a@example.com>, <tel:+15550111>"),
            CallerIdentity("+15550111", True, ("<sip:a@example.com>, <tel:+15550111>",), "header; id"),
        ),
        ("<sip:+15550111@192.0.2.2>", ("Privacy: none",), CallerIdentity("+15550111", False, (), "none")),
    ],
)
def test_dv22_the_callers_identity_is_read_from_its_invite(
    from_: str, more: tuple[str, ...], expected: CallerIdentity
) -> None:
    assert identity_of(invite(from_, *more)) == expected
