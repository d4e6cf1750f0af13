"""Where to send a request: RFC 3263, with the SRV order of RFC 2782.

| the URI has                 | transport                        | address and port                        |
|-----------------------------|----------------------------------|-----------------------------------------|
| transport=, port            | that                             | A and AAAA, that port                   |
| transport=, no port         | that                             | its SRV; else A and AAAA, default port   |
| no transport=, port         | UDP, sips: TLS                   | A and AAAA, that port                   |
| neither                     | NAPTR; else first with SRV;      | SRV; else A/AAAA, default port          |
|                             | else UDP, sips: TLS              |                                         |

A numeric host needs no DNS. A name in /etc/hosts (or localhost) is used as an address at once: who wrote it
there meant it, and a lookup that must time out first helps nobody. No hops means the name leads nowhere.
Once a transport is chosen its hops are all there is (§4.3 walks the SRV records, not the transports).
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
from collections.abc import Iterable, Sequence

from engine.sip.types import Address, Hop, Transport
from engine.transport.dns import CachedDns, DnsClient, DnsPython, Naptr, Srv
from engine.transport.hosts import HostsFile

__all__ = ["Family", "Resolver", "order_by_weight"]

Family = str  # "A" or "AAAA": the query is the family

_SERVICES: dict[str, Transport] = {  # RFC 3263 §4.1, RFC 7118 §8
    "SIP+D2U": Transport.UDP,
    "SIP+D2T": Transport.TCP,
    "SIPS+D2T": Transport.TLS,
    "SIP+D2W": Transport.WS,
    "SIPS+D2W": Transport.WSS,
}
_SRV_PREFIXES: dict[Transport, str] = {
    Transport.UDP: "_sip._udp.",
    Transport.TCP: "_sip._tcp.",
    Transport.TLS: "_sips._tcp.",
    Transport.WS: "_sip._ws.",
    Transport.WSS: "_sips._ws.",
}
_DEFAULT_PORTS: dict[Transport, int] = {
    Transport.UDP: 5060,
    Transport.TCP: 5060,
    Transport.TLS: 5061,
    Transport.WS: 80,
    Transport.WSS: 443,
}
_SECURED: dict[Transport, Transport] = {Transport.TCP: Transport.TLS, Transport.WS: Transport.WSS}
_MAX_HOPS = 16


class Resolver:
    """Names to hops. Safe to share by all calls of a process; `await close()` at the end."""

    __slots__ = ("_dns", "_families", "_hosts", "_random", "_timeout_s", "_transports")

    def __init__(
        self,
        *,
        dns: DnsClient | None = None,
        hosts: HostsFile | None = None,
        transports: Sequence[Transport] = (Transport.UDP, Transport.TCP),
        families: Sequence[Family] = ("A", "AAAA"),
        timeout_s: float = 8.0,
        rng: random.Random | None = None,
    ) -> None:
        """`transports` are those we have, the preferred first; `families` likewise, the order of addresses.

        `timeout_s` bounds a whole resolution; what is known by then is not used, the result is no hops.
        """
        self._dns = CachedDns(dns if dns is not None else DnsPython())
        self._hosts = hosts if hosts is not None else HostsFile()
        self._transports = tuple(transports)
        self._families = tuple(families)
        self._timeout_s = timeout_s
        self._random = rng if rng is not None else random.Random()

    async def resolve(
        self,
        host: str,
        *,
        port: int | None = None,
        transport: Transport | None = None,
        secure: bool = False,
    ) -> list[Hop]:
        """The next hops for a URI's host, best first; empty if there are none. Raises nothing for bad names.

        host: name or numeric address (IPv6 with or without brackets); port, transport: those written in the
        URI; secure: sips.
        """
        if transport is not None and secure:
            transport = _SECURED.get(transport, transport)
        if secure and transport is not None and not transport.is_secure:
            return []
        host = host.removeprefix("[").removesuffix("]").rstrip(".")
        try:
            async with asyncio.timeout(self._timeout_s):
                hops = await self._resolve(host, port, transport, secure)
        except TimeoutError:
            return []
        return list(dict.fromkeys(hops))[:_MAX_HOPS]

    async def close(self) -> None:
        await self._dns.close()

    async def _resolve(
        self, host: str, port: int | None, transport: Transport | None, secure: bool
    ) -> list[Hop]:
        plain = transport or (Transport.TLS if secure else Transport.UDP)
        if _is_numeric(host):
            return _hops(plain, [host], port)
        known = self._in_our_families(self._hosts.lookup(host))
        if known:
            return _hops(plain, known, port)
        if port is not None:
            return _hops(plain, await self._addresses(host), port)
        if transport is not None:
            found = await self._srv(_SRV_PREFIXES[transport] + host, transport)
        else:
            found = await self._by_naptr(host, secure)
            if found is None:
                found = await self._by_srv(host, secure)
        if found is not None:
            return found
        return _hops(plain, await self._addresses(host), None)

    async def _by_naptr(self, host: str, secure: bool) -> list[Hop] | None:
        """None: no NAPTR record that we can use."""
        answer = await self._dns.query(host, "NAPTR")
        records = [record for record in answer.records if isinstance(record, Naptr) and record.flags == "s"]
        for record in sorted(records, key=lambda r: (r.order, r.preference)):
            transport = _SERVICES.get(record.service)
            if transport not in self._usable(secure):
                continue
            hops = await self._srv(record.replacement, transport)
            if hops is not None:
                return hops
        return None

    async def _by_srv(self, host: str, secure: bool) -> list[Hop] | None:
        """Without NAPTR: SRV of every transport we have, in our order of preference (§4.1)."""
        transports = self._usable(secure)
        found = await asyncio.gather(*(self._srv(_SRV_PREFIXES[t] + host, t) for t in transports))
        present = [hops for hops in found if hops is not None]
        return next((hops for hops in present if hops), [] if present else None)

    async def _srv(self, name: str, transport: Transport) -> list[Hop] | None:
        """The hops of an SRV name; None: no such record. A target of "." offers nothing (RFC 2782)."""
        answer = await self._dns.query(name, "SRV")
        records = [record for record in answer.records if isinstance(record, Srv)]
        if not records:
            return None
        ordered = [
            record for record in order_by_weight(records, self._random) if record.target not in ("", ".")
        ]
        addresses = await asyncio.gather(*(self._addresses(record.target) for record in ordered[:_MAX_HOPS]))
        return [
            Hop(transport, Address(address, record.port))
            for record, found in zip(ordered, addresses, strict=False)
            for address in found
        ]

    async def _addresses(self, host: str) -> list[str]:
        known = self._in_our_families(self._hosts.lookup(host))
        if known:
            return known
        answers = await asyncio.gather(*(self._dns.query(host, family) for family in self._families))
        return [record for answer in answers for record in answer.records if isinstance(record, str)]

    def _usable(self, secure: bool) -> list[Transport]:
        return [t for t in self._transports if t.is_secure or not secure]

    def _in_our_families(self, addresses: Iterable[str]) -> list[str]:
        listed = list(addresses)
        return [a for family in self._families for a in listed if (":" in a) == (family == "AAAA")]


def order_by_weight(records: Iterable[Srv], rng: random.Random) -> list[Srv]:
    """Lower priority first; within one, a weighted draw without replacement as RFC 2782 prescribes."""
    ordered: list[Srv] = []
    by_priority: dict[int, list[Srv]] = {}
    for record in records:
        by_priority.setdefault(record.priority, []).append(record)
    for priority in sorted(by_priority):
        # Weight 0 goes to the front of the line: it is drawn only when the number is 0.
        left = sorted(by_priority[priority], key=lambda record: record.weight > 0)
        while left:
            drawn = rng.randint(0, sum(record.weight for record in left))
            for index, record in enumerate(left):
                drawn -= record.weight
                if drawn <= 0:
                    ordered.append(left.pop(index))
                    break
    return ordered


def _hops(transport: Transport, hosts: Iterable[str], port: int | None) -> list[Hop]:
    number = _DEFAULT_PORTS[transport] if port is None else port
    return [Hop(transport, Address(host, number)) for host in hosts]


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
