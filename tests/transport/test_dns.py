from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from engine.transport.dns import Answer, CachedDns, DnsPython, Naptr, Srv
from tests.transport.dns_servers import dnsmasq, scripted_dns


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Table:
    """A DNS that answers from a table and counts; questions wait while `gate` is closed."""

    def __init__(self, answers: dict[tuple[str, str], Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str]] = []
        self.was_asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def query(self, name: str, kind: str) -> Answer:
        self.asked.append((name, kind))
        self.was_asked.set()
        await self.gate.wait()
        return self.answers.get((name, kind), Answer((), 30.0))


A_RECORD = Answer(("192.0.2.1",), 60.0)


async def test_an_answer_is_kept_for_its_ttl_and_no_longer() -> None:
    clock, table = Clock(), Table({("pbx.example.com", "A"): A_RECORD})
    cache = CachedDns(table, clock)
    assert await cache.query("pbx.example.com", "A") == A_RECORD
    clock.now += 59.9
    assert await cache.query("PBX.example.com.", "A") == A_RECORD
    assert len(table.asked) == 1
    clock.now += 0.1
    await cache.query("pbx.example.com", "A")
    assert len(table.asked) == 2


async def test_absence_is_kept_too() -> None:
    clock, table = Clock(), Table({})
    cache = CachedDns(table, clock)
    for _ in range(3):
        assert (await cache.query("pbx.example.com", "SRV")).records == ()
    assert len(table.asked) == 1


async def test_identical_questions_in_flight_are_one_question() -> None:
    table = Table({("pbx.example.com", "A"): A_RECORD})
    table.gate.clear()
    cache = CachedDns(table)
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(cache.query("pbx.example.com", "A")) for _ in range(50)]
        other = group.create_task(cache.query("pbx.example.com", "AAAA"))
        await table.was_asked.wait()
        table.gate.set()
    assert {task.result() for task in waiting} == {A_RECORD}
    assert other.result().records == ()
    assert table.asked == [("pbx.example.com", "A"), ("pbx.example.com", "AAAA")]


async def test_a_caller_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    table = Table({("pbx.example.com", "A"): A_RECORD})
    table.gate.clear()
    cache = CachedDns(table)
    impatient = asyncio.create_task(cache.query("pbx.example.com", "A"))
    patient = asyncio.create_task(cache.query("pbx.example.com", "A"))
    await table.was_asked.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    table.gate.set()
    assert await patient == A_RECORD
    assert len(table.asked) == 1


async def test_close_leaves_no_question_in_flight() -> None:
    table = Table({})
    table.gate.clear()
    cache = CachedDns(table)
    waiting = asyncio.create_task(cache.query("pbx.example.com", "A"))
    await table.was_asked.wait()
    await cache.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("dns")] == []


async def test_a_cache_full_of_expired_answers_makes_room() -> None:
    clock, table = Clock(), Table({})
    cache = CachedDns(table, clock, max_entries=10)
    for number in range(10):
        await cache.query(f"host{number}.example.com", "A")
    clock.now += 31
    await cache.query("another.example.com", "A")
    assert cache.entry_count == 1
    for number in range(30):
        await cache.query(f"host{number}.example.com", "A")
    assert cache.entry_count <= 10


async def test_while_the_dns_fails_what_was_known_is_used_for_a_day() -> None:
    key = ("pbx.example.com", "A")
    clock, table = Clock(), Table({key: A_RECORD})
    cache = CachedDns(table, clock)
    await cache.query(*key)
    table.answers[key] = Answer((), 2.0, is_failure=True)
    clock.now += 3600
    assert await cache.query(*key) == A_RECORD
    assert await cache.query(*key) == A_RECORD
    assert len(table.asked) == 2, "the failing server is left alone for two seconds"
    clock.now += 86400
    assert (await cache.query(*key)).is_failure
    table.answers[key] = Answer((), 30.0)
    clock.now += 2.0
    assert await cache.query(*key) == Answer((), 30.0), "absence is an answer, not a failure"


async def test_names_of_one_label_are_completed_by_the_search_list() -> None:
    async with dnsmasq("--host-record=pbx.example.com,192.0.2.1") as server:
        client = DnsPython([server.address], search=["other.example.com", "example.com"])
        assert (await client.query("pbx", "A")).records == ("192.0.2.1",)
        assert (await client.query("nobody", "A")).records == ()


async def test_dnsmasq_answers_every_kind_of_record_we_use() -> None:
    async with dnsmasq(
        "--host-record=sip1.example.com,192.0.2.1,2001:db8::1,120",
        "--cname=alias.example.com,sip1.example.com,90",
        "--srv-host=_sip._udp.example.com,sip1.example.com,5070,10,20",
        "--naptr-record=example.com,50,60,S,SIP+D2U,,_sip._udp.example.com",
        "--local-ttl=77",
    ) as server:
        client = DnsPython([server.address])
        assert await client.query("sip1.example.com", "A") == Answer(("192.0.2.1",), 120.0)
        assert await client.query("sip1.example.com", "AAAA") == Answer(("2001:db8::1",), 120.0)
        assert (await client.query("alias.example.com", "A")).records == ("192.0.2.1",)
        assert await client.query("_sip._udp.example.com", "SRV") == Answer(
            (Srv(10, 20, 5070, "sip1.example.com"),), 77.0
        )
        naptr = await client.query("example.com", "NAPTR")
        assert naptr.records == (Naptr(50, 60, "s", "SIP+D2U", "_sip._udp.example.com"),)
        assert await client.query("nobody.example.com", "A") == Answer((), 30.0)


async def test_the_soa_says_how_long_absence_is_known() -> None:
    def absent(query: dns.message.Message) -> Sequence[dns.message.Message]:
        response = dns.message.make_response(query)
        if "nobody" in query.question[0].name.to_text():
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = "ns.example.com. hostmaster.example.com. 1 7200 900 1209600 45"
        response.authority.append(dns.rrset.from_text("example.com.", 3600, "IN", "SOA", soa))
        return [response]

    async with scripted_dns(absent) as server:
        client = DnsPython([server])
        assert await client.query("nobody.example.com", "A") == Answer((), 45.0)
        assert await client.query("somebody.example.com", "SRV") == Answer((), 45.0)


async def test_servfail_and_refused_are_failures_and_soon_asked_again() -> None:
    for code in (dns.rcode.SERVFAIL, dns.rcode.REFUSED):

        def broken(query: dns.message.Message, code: dns.rcode.Rcode = code) -> Sequence[dns.message.Message]:
            response = dns.message.make_response(query)
            response.set_rcode(code)
            return [response]

        async with scripted_dns(broken) as server:
            answer = await DnsPython([server], timeout_s=0.2, lifetime_s=0.5).query("pbx.example.com", "A")
            assert answer.is_failure
            assert answer.ttl_s <= 2.0


async def test_a_silent_server_costs_the_lifetime_and_no_more() -> None:
    async with scripted_dns(lambda query: []) as server:
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer = await DnsPython([server], timeout_s=0.1, lifetime_s=0.3).query("pbx.example.com", "A")
        assert answer.is_failure
        assert loop.time() - started < 2.0


async def test_a_lost_answer_is_asked_for_again() -> None:
    seen: list[str] = []

    def forgetful(query: dns.message.Message) -> Sequence[dns.message.Message]:
        seen.append(query.question[0].name.to_text())
        if len(seen) == 1:
            return []
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1"))
        return [response]

    async with scripted_dns(forgetful) as server:
        answer = await DnsPython([server], timeout_s=0.1, lifetime_s=3.0).query("pbx.example.com", "A")
    assert answer == A_RECORD
    assert len(seen) == 2


@pytest.mark.parametrize("name", ["", "a" * 64 + ".example.com", "..", "x." * 200, "a b\x00c"])
async def test_a_name_that_cannot_be_asked_for_is_a_failure_not_an_exception(name: str) -> None:
    async with scripted_dns(lambda query: []) as server:
        answer = await DnsPython([server], timeout_s=0.05, lifetime_s=0.1).query(name, "A")
        assert answer.is_failure
