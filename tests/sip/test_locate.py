"""Next hops that need no DNS, and what we write about ourselves."""

from __future__ import annotations

import pytest

from engine.sip.errors import ParseError
from engine.sip.locate import Destination, Listeners, destination_of, is_ip_literal
from engine.sip.types import Address, Flow, Hop, Listener, Transport


@pytest.mark.parametrize(
    ("uri", "hop"),
    [
        ("sip:bob@192.0.2.7", Hop(Transport.UDP, Address("192.0.2.7", 5060))),
        ("sip:bob@192.0.2.7:5080", Hop(Transport.UDP, Address("192.0.2.7", 5080))),
        ("sip:bob@192.0.2.7;transport=TCP", Hop(Transport.TCP, Address("192.0.2.7", 5060))),
        ("sip:bob@192.0.2.7;transport=tls", Hop(Transport.TLS, Address("192.0.2.7", 5061))),
        ("sips:bob@192.0.2.7", Hop(Transport.TLS, Address("192.0.2.7", 5061))),
        ("sips:bob@192.0.2.7;transport=tcp", Hop(Transport.TLS, Address("192.0.2.7", 5061))),
        ("sip:bob@[2001:db8::7]", Hop(Transport.UDP, Address("2001:db8::7", 5060))),
        ("sip:bob@example.com;maddr=192.0.2.7", Hop(Transport.UDP, Address("192.0.2.7", 5060))),
        ("sip:bob@192.0.2.7;transport=ws", Hop(Transport.WS, Address("192.0.2.7", 80))),
    ],
)
def test_a_literal_host_gives_the_hop(uri: str, hop: Hop) -> None:
    assert destination_of(uri).hop == hop


def test_a_name_gives_what_dns_needs_to_know() -> None:
    destination = destination_of("sips:bob@example.com:5071;transport=tcp")
    assert destination == Destination("example.com", 5071, Transport.TLS, True, None)


def test_an_unknown_transport_cannot_be_reached() -> None:
    with pytest.raises(ParseError, match="transport"):
        destination_of("sip:bob@192.0.2.7;transport=pigeon")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", True),
        ("2001:db8::1", True),
        ("example.com", False),
        ("256.1.1.1", False),
        ("1.2.3", False),
        ("1.2.3.4.5", False),
        ("host1", False),
        ("1.2.3.x4", False),
        ("1..2.3", False),
    ],
)
def test_ip_literals_are_told_from_names(host: str, expected: bool) -> None:
    assert is_ip_literal(host) is expected


ONE = Address("192.0.2.1", 5060)
TWO = Address("192.0.2.2", 5060)
SIX = Address("2001:db8::1", 5060)
PUBLIC = Address("198.51.100.1", 5060)
LISTENERS = Listeners(
    [
        Listener(Transport.UDP, ONE, PUBLIC),
        Listener(Transport.UDP, TWO, TWO),
        Listener(Transport.UDP, SIX, SIX),
        Listener(Transport.TCP, ONE, ONE),
    ]
)


def test_the_first_listener_of_transport_and_family_is_used_unless_another_is_asked_for() -> None:
    hop = Hop(Transport.UDP, Address("198.51.100.77", 5060))
    first = LISTENERS.for_hop(hop)
    assert first is not None
    assert first.bound == ONE
    second = LISTENERS.for_hop(hop, TWO)
    assert second is not None
    assert second.bound == TWO
    sixth = LISTENERS.for_hop(Hop(Transport.UDP, Address("2001:db8::9", 5060)))
    assert sixth is not None
    assert sixth.bound == SIX
    assert LISTENERS.for_hop(Hop(Transport.TLS, TWO)) is None
    assert LISTENERS.for_hop(Hop(Transport.TCP, Address("2001:db8::9", 5060))) is None


def test_the_advertised_address_goes_into_via_and_contact() -> None:
    point = LISTENERS.for_flow(Flow(Transport.UDP, ONE, TWO))
    assert point is not None
    assert point.via == "SIP/2.0/UDP 198.51.100.1:5060;rport;branch="
    assert point.contact("alice", secure=False) == "<sip:alice@198.51.100.1:5060>"
    six = LISTENERS.for_flow(Flow(Transport.UDP, SIX, Address("2001:db8::2", 5060)))
    assert six is not None
    assert six.via.startswith("SIP/2.0/UDP [2001:db8::1]:5060;")
    tcp = LISTENERS.for_flow(Flow(Transport.TCP, ONE, TWO))
    assert tcp is not None
    assert tcp.contact("", secure=False) == "<sip:192.0.2.1:5060;transport=tcp>"
