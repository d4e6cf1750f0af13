"""The wire between endpoints does what it says, and what it carries is a real call."""

from __future__ import annotations

import asyncio

from engine.sip.events import Answered, CallEvent, Ended, Failed, IncomingCall
from engine.sip.types import FailureKind, InviteParams
from tests.support.virtual_time import in_virtual_time
from tests.support.wire import ANSWER, OFFER
from tests.support.wire_endpoint import LoopWire, WireDns, WireEndpoint, lossy


class _Heard:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    def on_sip_event(self, event: CallEvent) -> None:
        self.events.append(event)


async def _alice_and_bob(wire: LoopWire, dns: WireDns | None = None) -> tuple[WireEndpoint, WireEndpoint]:
    def pick_up(event: IncomingCall) -> None:
        event.call.owner = _Heard()
        event.call.answer(ANSWER, event.at)

    return await wire.endpoint("192.0.2.1", dns=dns), await wire.endpoint("192.0.2.2", on_call=pick_up)


def _to(target: str) -> InviteParams:
    return InviteParams(target=target, from_="<sip:alice@example.com>", body=OFFER)


@in_virtual_time
async def test_a_call_over_a_bad_wire_is_answered_ended_and_forgotten() -> None:
    wire = LoopWire(lossy(7, loss=0.3, doubled=0.6, jitter_s=0.8, until_s=20.0))
    alice, _bob = await _alice_and_bob(wire)
    heard = _Heard()
    call = alice.invite(_to("sip:bob@192.0.2.2"), heard)
    await asyncio.sleep(60.0)
    assert [each for each in heard.events if isinstance(each, Answered)]
    call.hang_up(alice.now())
    alice.touch()
    await asyncio.sleep(200.0)
    assert isinstance(heard.events[-1], Ended)
    wire.assert_silent()
    assert any(not each.delays_s for each in wire.log)
    assert any(len(each.delays_s) > 1 for each in wire.log)
    assert "INVITE 1 INVITE" in wire.ladder()
    await wire.close()


@in_virtual_time
async def test_messages_that_are_due_together_arrive_in_the_order_in_which_they_left() -> None:
    wire = LoopWire()
    alice, _bob = await _alice_and_bob(wire)
    call = alice.invite(_to("sip:bob@192.0.2.2"), _Heard())
    await asyncio.sleep(1.0)
    assert [each.title for each in wire.log[:3]] == ["INVITE 1 INVITE", "100 1 INVITE", "200 1 INVITE"]
    call.hang_up(alice.now())
    alice.touch()
    await asyncio.sleep(200.0)
    wire.assert_silent()
    await wire.close()


@in_virtual_time
async def test_a_name_leads_to_its_addresses_in_their_order_and_past_one_that_refuses() -> None:
    wire = LoopWire()
    wire.refuses.add("192.0.2.9")
    dns = WireDns({"bob.example.com": ("192.0.2.9", "192.0.2.2")}, delay_s=0.5)
    alice, _bob = await _alice_and_bob(wire, dns)
    heard = _Heard()
    call = alice.invite(_to("sip:bob@bob.example.com"), heard)
    await asyncio.sleep(3.0)
    assert [each for each in heard.events if isinstance(each, Answered)], wire.ladder()
    call.hang_up(alice.now())
    alice.touch()
    await asyncio.sleep(200.0)
    wire.assert_silent()
    await wire.close()


@in_virtual_time
async def test_a_host_that_refuses_fails_at_once_and_one_that_is_not_there_after_32_seconds() -> None:
    wire = LoopWire()
    wire.refuses.add("192.0.2.9")
    alice, _bob = await _alice_and_bob(wire)
    refused, silent = _Heard(), _Heard()
    alice.invite(_to("sip:bob@192.0.2.9"), refused)
    alice.invite(_to("sip:bob@192.0.2.8"), silent)
    await asyncio.sleep(100.0)
    (first,), (second,) = refused.events, silent.events
    assert isinstance(first, Failed)
    assert first.failure.kind is FailureKind.TRANSPORT
    assert first.at < 0.1
    assert isinstance(second, Failed)
    assert second.failure.kind is FailureKind.NO_RESPONSE
    assert 32.0 <= second.at < 32.1
    wire.assert_silent()
    await wire.close()
