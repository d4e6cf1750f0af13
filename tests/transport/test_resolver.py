from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.sip.types import Address, Hop, Transport
from engine.transport.dns import Answer, DnsPython, Naptr, Srv
from engine.transport.hosts import HostsFile
from engine.transport.resolver import Resolver, order_by_weight
from tests.transport.dns_servers import dnsmasq

UDP, TCP, TLS, WS, WSS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.WS, Transport.WSS
Records = Mapping[tuple[str, str], tuple[str | Srv | Naptr, ...]]
NO_HOSTS = HostsFile("/nonexistent")


class Zone:
    """A DNS that answers from a table: (name, kind) to records."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.asked: list[tuple[str, str]] = []

    async def query(self, name: str, kind: str) -> Answer:
        self.asked.append((name, kind))
        return Answer(self.records.get((name, kind), ()), 60.0)


def hop(transport: Transport, host: str, port: int) -> Hop:
    return Hop(transport, Address(host, port))


def resolver(zone: Zone, *, transports: tuple[Transport, ...] = (UDP, TCP), seed: int = 1) -> Resolver:
    return Resolver(dns=zone, hosts=NO_HOSTS, transports=transports, rng=random.Random(seed))


PBX: dict[tuple[str, str], tuple[str | Srv | Naptr, ...]] = {
    ("pbx.example.com", "A"): ("192.0.2.1",),
    ("pbx.example.com", "AAAA"): ("2001:db8::1",),
}


@pytest.mark.parametrize(
    ("host", "port", "transport", "secure", "expected"),
    [
        ("192.0.2.1", None, None, False, hop(UDP, "192.0.2.1", 5060)),
        ("192.0.2.1", 5080, None, False, hop(UDP, "192.0.2.1", 5080)),
        ("192.0.2.1", None, TCP, False, hop(TCP, "192.0.2.1", 5060)),
        ("192.0.2.1", None, None, True, hop(TLS, "192.0.2.1", 5061)),
        ("192.0.2.1", None, TCP, True, hop(TLS, "192.0.2.1", 5061)),
        ("192.0.2.1", None, WS, True, hop(WSS, "192.0.2.1", 443)),
        ("192.0.2.1", None, TLS, False, hop(TLS, "192.0.2.1", 5061)),
        ("[2001:db8::1]", None, None, False, hop(UDP, "2001:db8::1", 5060)),
        ("2001:db8::1", 5070, TCP, False, hop(TCP, "2001:db8::1", 5070)),
    ],
)
async def test_a_numeric_host_needs_no_dns(
    host: str, port: int | None, transport: Transport | None, secure: bool, expected: Hop
) -> None:
    zone = Zone({})
    assert await resolver(zone).resolve(host, port=port, transport=transport, secure=secure) == [expected]
    assert zone.asked == []


async def test_sips_never_goes_over_udp() -> None:
    assert await resolver(Zone(PBX)).resolve("192.0.2.1", transport=UDP, secure=True) == []


async def test_an_explicit_port_means_addresses_only() -> None:
    zone = Zone(PBX)
    hops = await resolver(zone).resolve("pbx.example.com", port=5080)
    assert hops == [hop(UDP, "192.0.2.1", 5080), hop(UDP, "2001:db8::1", 5080)]
    assert {kind for _, kind in zone.asked} == {"A", "AAAA"}


async def test_an_explicit_transport_asks_for_its_srv_records_only() -> None:
    zone = Zone(PBX | {("_sip._tcp.example.com", "SRV"): (Srv(1, 0, 5070, "pbx.example.com"),)})
    hops = await resolver(zone).resolve("example.com", transport=TCP)
    assert hops == [hop(TCP, "192.0.2.1", 5070), hop(TCP, "2001:db8::1", 5070)]
    assert zone.asked[0] == ("_sip._tcp.example.com", "SRV")
    assert not [kind for _, kind in zone.asked if kind == "NAPTR"]


async def test_an_explicit_transport_without_srv_uses_addresses_and_the_default_port() -> None:
    assert await resolver(Zone(PBX)).resolve("pbx.example.com", transport=TCP) == [
        hop(TCP, "192.0.2.1", 5060),
        hop(TCP, "2001:db8::1", 5060),
    ]


async def test_naptr_chooses_the_transport_by_order_then_preference() -> None:
    zone = Zone(
        PBX
        | {
            ("example.com", "NAPTR"): (
                Naptr(20, 1, "s", "SIP+D2U", "_sip._udp.example.com"),
                Naptr(10, 50, "s", "SIP+D2U", "_sip._udp.other.example.com"),
                Naptr(10, 10, "s", "SIP+D2T", "_sip._tcp.example.com"),
                Naptr(5, 1, "s", "SIPS+D2T", "_sips._tcp.example.com"),  # we have no TLS
                Naptr(1, 1, "u", "E2U+SIP", ""),  # ENUM, not for us
            ),
            ("_sip._tcp.example.com", "SRV"): (Srv(1, 0, 5071, "pbx.example.com"),),
            ("_sip._udp.example.com", "SRV"): (Srv(1, 0, 5072, "pbx.example.com"),),
        }
    )
    hops = await resolver(zone).resolve("example.com")
    assert hops == [hop(TCP, "192.0.2.1", 5071), hop(TCP, "2001:db8::1", 5071)]


async def test_a_naptr_that_leads_to_no_srv_gives_way_to_the_next() -> None:
    zone = Zone(
        PBX
        | {
            ("example.com", "NAPTR"): (
                Naptr(10, 10, "s", "SIP+D2T", "_sip._tcp.gone.example.com"),
                Naptr(20, 10, "s", "SIP+D2U", "_sip._udp.example.com"),
            ),
            ("_sip._udp.example.com", "SRV"): (Srv(1, 0, 5072, "pbx.example.com"),),
        }
    )
    assert (await resolver(zone).resolve("example.com"))[0] == hop(UDP, "192.0.2.1", 5072)


async def test_sips_uses_only_secure_services() -> None:
    zone = Zone(
        PBX
        | {
            ("example.com", "NAPTR"): (
                Naptr(10, 10, "s", "SIP+D2T", "_sip._tcp.example.com"),
                Naptr(20, 10, "s", "SIPS+D2T", "_sips._tcp.example.com"),
            ),
            ("_sips._tcp.example.com", "SRV"): (Srv(1, 0, 5061, "pbx.example.com"),),
        }
    )
    with_tls = resolver(zone, transports=(UDP, TCP, TLS))
    assert (await with_tls.resolve("example.com", secure=True))[0] == hop(TLS, "192.0.2.1", 5061)


async def test_without_naptr_the_first_of_our_transports_that_has_srv_is_used() -> None:
    zone = Zone(PBX | {("_sip._tcp.example.com", "SRV"): (Srv(1, 0, 5073, "pbx.example.com"),)})
    assert (await resolver(zone).resolve("example.com"))[0] == hop(TCP, "192.0.2.1", 5073)
    both = Zone(
        dict(zone.records) | {("_sip._udp.example.com", "SRV"): (Srv(1, 0, 5074, "pbx.example.com"),)}
    )
    assert (await resolver(both).resolve("example.com"))[0] == hop(UDP, "192.0.2.1", 5074)


async def test_without_naptr_and_srv_addresses_and_the_default_port_are_used() -> None:
    zone = Zone(PBX)
    assert await resolver(zone).resolve("pbx.example.com.") == [
        hop(UDP, "192.0.2.1", 5060),
        hop(UDP, "2001:db8::1", 5060),
    ]
    assert zone.asked[0] == ("pbx.example.com", "NAPTR")


async def test_an_srv_target_of_a_dot_says_there_is_no_service() -> None:
    zone = Zone(PBX | {("_sip._udp.pbx.example.com", "SRV"): (Srv(0, 0, 0, ""),)})
    assert await resolver(zone, transports=(UDP,)).resolve("pbx.example.com") == []


async def test_srv_records_are_tried_by_priority() -> None:
    zone = Zone(
        {
            ("_sip._udp.example.com", "SRV"): (
                Srv(30, 1, 5060, "c.example.com"),
                Srv(10, 1, 5060, "a.example.com"),
                Srv(20, 1, 5060, "b.example.com"),
            ),
            ("a.example.com", "A"): ("192.0.2.1", "192.0.2.2"),
            ("c.example.com", "A"): ("192.0.2.3",),
        }
    )
    assert await resolver(zone).resolve("example.com") == [
        hop(UDP, "192.0.2.1", 5060),
        hop(UDP, "192.0.2.2", 5060),
        hop(UDP, "192.0.2.3", 5060),
    ]


def test_weights_are_shares_of_the_first_place_and_zero_is_almost_never() -> None:
    rng = random.Random(4711)
    records = [Srv(1, 0, 1, "zero"), Srv(1, 30, 1, "light"), Srv(1, 60, 1, "heavy"), Srv(2, 99, 1, "backup")]
    first: Counter[str] = Counter()
    for _ in range(4000):
        ordered = order_by_weight(records, rng)
        assert sorted(ordered) == sorted(records)
        assert ordered[-1].target == "backup"
        first[ordered[0].target] += 1
    assert 0.60 < first["heavy"] / 4000 < 0.72
    assert 0.27 < first["light"] / 4000 < 0.39
    assert 0 < first["zero"] < 4000 * 0.03


async def test_a_name_in_the_hosts_file_is_an_address_at_once(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("2001:db8::7 phone\n192.0.2.7 phone\n192.0.2.8 sip1.example.com\n")
    zone = Zone({("_sip._udp.example.com", "SRV"): (Srv(1, 0, 5075, "sip1.example.com"),)})
    with_hosts = Resolver(dns=zone, hosts=HostsFile(path), transports=(UDP,))
    assert await with_hosts.resolve("phone") == [hop(UDP, "192.0.2.7", 5060), hop(UDP, "2001:db8::7", 5060)]
    assert zone.asked == []
    assert await with_hosts.resolve("example.com") == [hop(UDP, "192.0.2.8", 5075)]
    only_v4 = Resolver(dns=zone, hosts=HostsFile(path), families=("A",))
    assert await only_v4.resolve("phone", port=5090) == [hop(UDP, "192.0.2.7", 5090)]


async def test_a_resolution_that_takes_too_long_has_no_hops() -> None:
    class Silent:
        async def query(self, name: str, kind: str) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    silent = Resolver(dns=Silent(), hosts=NO_HOSTS, timeout_s=0.02)
    assert await silent.resolve("example.com") == []
    await silent.close()


@pytest.mark.parametrize(
    "host", ["", ".", "exa mple.com", "a" * 300, "-", "\x00", "::g", "[", "ä.example.com"]
)
async def test_a_nonsense_name_has_no_hops(host: str) -> None:
    nowhere = DnsPython([("127.0.0.1", 1)], timeout_s=0.05, lifetime_s=0.1)
    bad = Resolver(dns=nowhere, hosts=NO_HOSTS)
    assert await bad.resolve(host) == []
    await bad.close()


async def test_the_whole_way_with_a_real_dns_server() -> None:
    async with dnsmasq(
        "--naptr-record=example.com,10,10,S,SIP+D2T,,_sip._tcp.example.com",
        "--naptr-record=example.com,20,10,S,SIP+D2U,,_sip._udp.example.com",
        "--srv-host=_sip._tcp.example.com,sip1.example.com,5071,10,100",
        "--srv-host=_sip._tcp.example.com,sip2.example.com,5072,20,100",
        "--srv-host=_sip._udp.plain.example.com,sip2.example.com,5073,1,1",
        "--host-record=sip1.example.com,192.0.2.1,2001:db8::1",
        "--host-record=sip2.example.com,192.0.2.2",
        "--cname=alias.example.com,sip2.example.com",
        "--local-ttl=60",
    ) as server:
        real = Resolver(dns=DnsPython([server.address]), hosts=NO_HOSTS)
        assert await real.resolve("example.com") == [
            hop(TCP, "192.0.2.1", 5071),
            hop(TCP, "2001:db8::1", 5071),
            hop(TCP, "192.0.2.2", 5072),
        ]
        assert await real.resolve("plain.example.com") == [hop(UDP, "192.0.2.2", 5073)]
        assert await real.resolve("alias.example.com", port=5099) == [hop(UDP, "192.0.2.2", 5099)]
        assert await real.resolve("alias.example.com") == [hop(UDP, "192.0.2.2", 5060)]
        assert await real.resolve("nobody.example.com") == []
        # A burst for a new name, then again what is known: the server hears one question of each kind.
        await asyncio.gather(*(real.resolve("sip1.example.com", port=5060) for _ in range(100)))
        await asyncio.gather(*(real.resolve("example.com") for _ in range(100)))
        await real.resolve("end.example.com", port=1)
        await server.read_log(until="query[AAAA] end.example.com")
        assert server.questions("NAPTR").count("example.com") == 1
        assert server.questions("A").count("sip1.example.com") == 1
        assert server.questions("A").count("nobody.example.com") == 1
        await real.close()
