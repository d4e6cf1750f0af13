from __future__ import annotations

import ipaddress

import pytest

from engine.sip.types import Address, Transport
from engine.transport.config import EndpointConfig, ListenOn
from engine.transport.link import Counters
from engine.transport.listening import advertise, open_links
from tests.transport.recording import Recording


async def test_all_transports_of_one_entry_share_a_port_the_kernel_chose() -> None:
    config = EndpointConfig(listen=(ListenOn(host="127.0.0.1"), ListenOn(host="::1")))
    opened = await open_links(config, Recording(), Counters())
    links = [link for link, _ in opened]
    assert [(link.transport, link.bound.host) for link in links] == [
        (Transport.UDP, "127.0.0.1"),
        (Transport.TCP, "127.0.0.1"),
        (Transport.UDP, "::1"),
        (Transport.TCP, "::1"),
    ]
    assert links[0].bound.port == links[1].bound.port > 0
    assert links[2].bound.port == links[3].bound.port > 0
    for link in links:
        link.close()
        await link.wait_closed()


async def test_a_transport_we_do_not_have_is_refused() -> None:
    config = EndpointConfig(listen=(ListenOn(host="127.0.0.1", transports=(Transport.TLS,)),))
    with pytest.raises(ValueError, match="TLS"):
        await open_links(config, Recording(), Counters())


def test_what_is_advertised_is_what_was_asked_for_else_what_is_bound() -> None:
    bound = Address("192.0.2.1", 5070)
    assert advertise(bound, ListenOn(host="192.0.2.1")) == bound
    nat = ListenOn(host="192.0.2.1", advertised_host="198.51.100.7", advertised_port=5060)
    assert advertise(bound, nat) == Address("198.51.100.7", 5060)
    assert advertise(bound, ListenOn(host="192.0.2.1", advertised_host="sip.example.com")) == Address(
        "sip.example.com", 5070
    )


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_is_never_advertised(wildcard: str) -> None:
    host, port = advertise(Address(wildcard, 5060), ListenOn(host=wildcard))
    address = ipaddress.ip_address(host)
    assert not address.is_unspecified
    assert address.version == ipaddress.ip_address(wildcard).version
    assert port == 5060
