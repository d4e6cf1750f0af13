"""engine.routing.inbound: who may call, and whom a number rings."""

import pytest

from engine.config import RouteConfig, SourceConfig, TargetConfig
from engine.dial.request import DialRequest, TargetType
from engine.errors import ConfigError
from engine.routing.inbound import InboundRoutes, RunApplication, Sources
from engine.routing.numbers import Numbering

PBX = SourceConfig(name="pbx", addresses=("192.0.2.0/28", "2001:db8::/64"))
CARRIER = SourceConfig(name="carrier", addresses=("198.51.100.7",))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.15", "pbx"),
        ("192.0.2.16", None),
        ("2001:db8::77", "pbx"),
        ("2001:db8:1::77", None),
        ("::ffff:192.0.2.1", "pbx"),
        ("198.51.100.7", "carrier"),
        ("not an address", None),
    ],
)
def test_a_source_is_known_by_its_network_and_everybody_else_is_a_stranger(
    host: str, name: str | None
) -> None:
    sources = Sources([PBX, CARRIER])
    assert sources.name_of(host) == name
    assert sources.name_of(host) == name  # from memory


def test_a_flood_of_forged_addresses_does_not_fill_the_memory() -> None:
    sources = Sources([PBX])
    for i in range(20_000):
        sources.name_of(f"10.{i >> 16}.{(i >> 8) & 255}.{i & 255}")
    assert len(sources._known) <= 4097


def _route(number: str, to: str, **options: object) -> RouteConfig:
    return RouteConfig(number=number, targets=(TargetConfig(sip_uri=to),), **options)  # type: ignore[arg-type]


def test_the_first_route_that_fits_wins() -> None:
    routes = InboundRoutes(
        [
            _route("+1555010*", "sip:first@example.com"),
            _route("+1555*", "sip:second@example.com"),
            _route("*", "sip:rest@example.com", source="pbx"),
        ]
    )
    assert _target(routes, "+15550101") == "sip:first@example.com"
    assert _target(routes, "+15559999") == "sip:second@example.com"
    assert _target(routes, "100") == "sip:rest@example.com"
    assert routes.find("100", "carrier") is None


def test_only_the_star_is_special_in_a_number() -> None:
    routes = InboundRoutes([_route("1.0+*", "sip:a@example.com")])
    assert routes.find("1.0+7", "pbx") is not None
    assert routes.find("1x0+7", "pbx") is None


def test_all_fields_of_a_route_reach_the_dial() -> None:
    route = RouteConfig(
        number="*",
        targets=(
            TargetConfig(type="phone", number="+15550100", trunk="CarrierA"),
            TargetConfig(sip_uri="sip:bob@example.com", username="bob", password="secret"),
            TargetConfig(type="user", name="1001@sip.example.com", headers={"X-A": "1"}),
        ),
        timeout_s=12.0,
        time_limit_s=60.0,
        answer_on_bridge=True,
        dial_music="music.wav",
        caller_id="+15550199",
        headers={"X-B": "2"},
    )
    request = InboundRoutes([route]).find("100", "pbx")
    assert isinstance(request, DialRequest)
    assert request is not None
    assert [target.type for target in request.targets] == [TargetType.PHONE, TargetType.SIP, TargetType.USER]
    assert request.targets[0].trunk == "CarrierA"
    assert request.targets[1].credentials is not None
    assert request.targets[1].credentials.username == "bob"
    assert request.targets[2].headers == {"X-A": "1"}
    assert (request.timeout_s, request.time_limit_s, request.answer_on_bridge) == (12.0, 60.0, True)
    assert (request.dial_music, request.caller_id, request.headers) == (
        "music.wav",
        "+15550199",
        {"X-B": "2"},
    )


def test_a_route_that_could_never_be_dialled_is_a_config_error_naming_it() -> None:
    with pytest.raises(ConfigError) as caught:
        InboundRoutes([_route("1", "sip:a@example.com"), _route("2", "sip:b@example.com\r\nX: y")])
    assert caught.value.key == "route[1].targets[0].sip_uri"


def test_dv12_a_route_that_strict_numbering_would_refuse_is_a_config_error() -> None:
    route = RouteConfig(number="1", targets=(TargetConfig(type="phone", number="100"),))
    assert InboundRoutes([route], Numbering().check).find("1", "pbx") is not None
    with pytest.raises(ConfigError) as caught:
        InboundRoutes([route], Numbering(is_strict=True).check)
    assert caught.value.key == "route[0].targets[0].number"


def _target(routes: InboundRoutes, number: str) -> str:
    request = routes.find(number, "pbx")
    assert not isinstance(request, RunApplication)
    assert request is not None
    return request.targets[0].address


def test_a_route_may_leave_the_call_to_an_application() -> None:
    routes = InboundRoutes(
        [
            RouteConfig(number="+1555*", application="front desk"),
            RouteConfig(number="*", targets=(TargetConfig(sip_uri="sip:bob@example.com"),)),
        ]
    )
    assert routes.find("+15550100", "pbx") == RunApplication("front desk")
    assert isinstance(routes.find("+4930", "pbx"), DialRequest)
