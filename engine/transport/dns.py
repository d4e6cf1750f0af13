"""DNS questions with a cache, for the resolver. dnspython speaks the protocol; nothing else here imports it.

Answers are kept for their TTL, absence for as long as the zone's SOA says (RFC 2308); a failed question
(time-out, SERVFAIL) for a moment only, so that a burst of dials does not wait for a dead server one by one;
what was known before goes on being used meanwhile, for a day (RFC 8767: stale is better than silent).
Identical questions in flight are one: a caller who gives up does not take the answer from the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rdtypes.IN.NAPTR
import dns.rdtypes.IN.SRV
import dns.resolver

__all__ = ["Answer", "CachedDns", "DnsClient", "DnsPython", "Naptr", "Srv"]

_MAX_TTL_S = 86400.0
_MAX_NEGATIVE_TTL_S = 300.0
_NEGATIVE_TTL_S = 30.0  # absence without a SOA that tells how long
_FAILURE_TTL_S = 2.0
_MAX_STALE_S = 86400.0


class Naptr(NamedTuple):
    """RFC 3403 §4, the fields RFC 3263 uses."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """RFC 2782."""

    priority: int
    weight: int
    port: int
    target: str


class Answer(NamedTuple):
    """The records of one question: `str` for A and AAAA, `Srv`, `Naptr`. None is an answer too."""

    records: tuple[str | Srv | Naptr, ...]
    ttl_s: float
    is_failure: bool = False
    """Nobody could say: time-out, SERVFAIL, unusable name."""


class _Entry(NamedTuple):
    good_until: float
    stale_until: float
    """Until then it is better than a failure."""
    answer: Answer


class DnsClient(Protocol):
    """One question to the DNS. Raises nothing for what the network or a server did."""

    async def query(self, name: str, kind: str) -> Answer:
        """`kind` is A, AAAA, SRV or NAPTR."""


class DnsPython:
    """`DnsClient` over dnspython."""

    __slots__ = ("_lifetime_s", "_resolver")

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        search: Sequence[str] = (),
        timeout_s: float = 1.0,
        lifetime_s: float = 2.5,
    ) -> None:
        """Ask `nameservers` (numeric address, port); without any, those of /etc/resolv.conf.

        `search` completes names of one label, the file's list if there are no `nameservers`. `timeout_s`
        bounds one try at one server, `lifetime_s` the question with all its tries.
        """
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        except dns.resolver.NoResolverConfiguration:
            self._resolver = dns.asyncresolver.Resolver(configure=False)
        if nameservers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in nameservers]
            self._resolver.search = [dns.name.from_text(domain) for domain in search]
        self._resolver.timeout = timeout_s
        self._lifetime_s = lifetime_s

    async def query(self, name: str, kind: str) -> Answer:
        try:
            is_bare = "." not in name
            answer = await self._resolver.resolve(
                dns.name.from_text(name, None if is_bare else dns.name.root),
                kind,
                raise_on_no_answer=False,
                search=is_bare,
                lifetime=self._lifetime_s,
            )
        except dns.resolver.NXDOMAIN as absent:
            responses: dict[dns.name.Name, dns.message.Message] = absent.kwargs["responses"]
            return Answer((), _negative_ttl_s(next(iter(responses.values()), None)))
        except (dns.exception.DNSException, OSError, ValueError):
            return Answer((), _FAILURE_TTL_S, is_failure=True)
        if answer.rrset is None:
            return Answer((), _negative_ttl_s(answer.response))
        records = tuple(record for rdata in answer.rrset if (record := _record(rdata)) is not None)
        return Answer(records, min(float(answer.chaining_result.minimum_ttl), _MAX_TTL_S))


class CachedDns:
    """A `DnsClient` that remembers and coalesces. Belongs to one loop; `close()` ends what is in flight."""

    __slots__ = ("_cache", "_client", "_clock", "_in_flight", "_max_entries")

    def __init__(
        self,
        client: DnsClient,
        clock: Callable[[], float] | None = None,
        *,
        max_entries: int = 10_000,
    ) -> None:
        """`clock` gives monotonic seconds; by default the running loop's."""
        self._client = client
        self._clock = clock
        self._max_entries = max_entries
        self._cache: dict[tuple[str, str], _Entry] = {}
        self._in_flight: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    @property
    def entry_count(self) -> int:
        return len(self._cache)

    async def query(self, name: str, kind: str) -> Answer:
        key = (name.lower().rstrip("."), kind)
        cached = self._cache.get(key)
        if cached is not None and self._now() < cached.good_until:
            return cached.answer
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(key), name=f"dns {kind} {key[0]}")
            self._in_flight[key] = task
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel the questions in flight and wait until they are gone."""
        tasks = tuple(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: tuple[str, str]) -> Answer:
        try:
            return self._remember(key, await self._client.query(*key))
        finally:
            del self._in_flight[key]

    def _remember(self, key: tuple[str, str], answer: Answer) -> Answer:
        """Keep the answer, or behind a failure what was known before; returns what is to be used."""
        now = self._now()
        good_until = stale_until = now + answer.ttl_s
        known = self._cache.get(key)
        if answer.is_failure and known is not None and now < known.stale_until:
            answer, stale_until = known.answer, known.stale_until
        elif answer.records:
            stale_until += _MAX_STALE_S
        if len(self._cache) >= self._max_entries:
            self._cache = {k: entry for k, entry in self._cache.items() if entry.good_until > now}
            if len(self._cache) >= self._max_entries:
                self._cache.clear()
        self._cache[key] = _Entry(good_until, stale_until, answer)
        return answer

    def _now(self) -> float:
        return self._clock() if self._clock is not None else asyncio.get_running_loop().time()


def _negative_ttl_s(response: dns.message.Message | None) -> float:
    if not isinstance(response, dns.message.QueryMessage):
        return _NEGATIVE_TTL_S
    chain = response.resolve_chaining()
    has_soa = any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)
    return min(float(chain.minimum_ttl), _MAX_NEGATIVE_TTL_S) if has_soa else _NEGATIVE_TTL_S


def _record(rdata: object) -> str | Srv | Naptr | None:
    match rdata:
        case dns.rdtypes.IN.A.A() | dns.rdtypes.IN.AAAA.AAAA():
            return str(rdata.address)
        case dns.rdtypes.IN.SRV.SRV():
            return Srv(rdata.priority, rdata.weight, rdata.port, _host(rdata.target))
        case dns.rdtypes.IN.NAPTR.NAPTR():
            return Naptr(
                rdata.order,
                rdata.preference,
                rdata.flags.decode("ascii", "replace").lower(),
                rdata.service.decode("ascii", "replace").upper(),
                _host(rdata.replacement),
            )
        case _:
            return None


def _host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
