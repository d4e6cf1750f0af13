"""Places at a host: given in order, few for one that fails, passed on by who no longer wants one."""

from __future__ import annotations

import asyncio

from engine.hooks.hosts import HostGate, HostGates
from tests.support.virtual_time import in_virtual_time, settle


async def taken(gate: HostGate, log: list[str], name: str) -> None:
    await gate.enter()
    log.append(name)


@in_virtual_time
async def test_places_are_given_in_the_order_of_asking() -> None:
    gate, log = HostGate(2, 1), list[str]()
    tasks = [asyncio.create_task(taken(gate, log, name)) for name in "abcd"]
    await settle()
    assert log == ["a", "b"]
    gate.leave(has_answered=True)
    await settle()
    assert log == ["a", "b", "c"]
    gate.leave(has_answered=True)
    await asyncio.gather(*tasks)
    assert log == ["a", "b", "c", "d"]
    assert not gate.is_idle
    for _ in range(2):
        gate.leave(has_answered=True)
    assert gate.is_idle


@in_virtual_time
async def test_after_ten_failures_in_a_row_a_host_has_few_places_until_it_answers() -> None:
    gate = HostGate(4, 1)
    for n in range(10):
        assert not gate.is_suspect, n
        await gate.enter()
        gate.leave(has_answered=False)
    assert gate.is_suspect
    assert gate.is_idle
    assert not gate.is_clean
    log = list[str]()
    tasks = [asyncio.create_task(taken(gate, log, name)) for name in "abc"]
    await settle()
    assert log == ["a"]
    gate.leave(has_answered=None)  # nobody knows: nothing changes
    await settle()
    assert log == ["a", "b"]
    gate.leave(has_answered=True)
    await asyncio.gather(*tasks)
    await gate.enter()
    await gate.enter()
    assert not gate.is_suspect


@in_virtual_time
async def test_who_stops_waiting_leaves_the_queue_and_a_place_just_given_is_passed_on() -> None:
    gate, log = HostGate(1, 1), list[str]()
    await gate.enter()
    a, b, c = (asyncio.create_task(taken(gate, log, name)) for name in "abc")
    await settle()
    b.cancel()
    await settle()
    gate.leave(has_answered=True)  # the place is a's now, who has not run yet
    a.cancel()
    await asyncio.gather(a, b, return_exceptions=True)
    await c
    assert log == ["c"]
    gate.leave(has_answered=True)
    assert gate.is_clean


@in_virtual_time
async def test_hosts_that_are_well_are_forgotten_and_those_in_trouble_are_not() -> None:
    gates = HostGates(100)
    well, ill = gates.of("http://well.example.com:80"), gates.of("http://ill.example.com:80")
    for gate, name, has_answered in ((well, "well", True), (ill, "ill", False)):
        await gate.enter()
        gate.leave(has_answered=has_answered)
        gates.forget(f"http://{name}.example.com:80", gate)
    assert len(gates) == 1
    assert gates.of("http://ill.example.com:80") is ill
    for n in range(5000):
        gates.of(f"http://{n}.example.com:80")
    assert len(gates) <= 4097
