from __future__ import annotations

import asyncio
import itertools

import pytest

from engine.legs.services import dtmf_of
from engine.sip.events import Ended, InfoReceived
from media.dtmf import DtmfReceiver
from tests.application.stage import NUMBER
from tests.application.stage import on_stage as on_sip_stage
from tests.application.verbs.sounding import Stage, on_stage
from tests.legs.support import sdp
from tests.support.virtual_time import in_virtual_time


def heard(stage: Stage) -> list[tuple[str, float]]:
    """Digits and their length as the far side understands the events."""
    receiver, digits = DtmfReceiver(), list[tuple[str, float]]()
    for packet in stage.packets():
        if packet.payload_type == 101:
            digit = receiver.push(packet.payload, packet.timestamp)
            if digit is not None:
                digits.append((digit.digit, digit.duration_ms))
    return digits


@in_virtual_time
async def test_digits_are_sent_one_after_the_other_and_it_ends_when_the_last_is_out() -> None:
    async with on_stage() as stage:
        took = await stage.run({"verb": "dtmf", "dtmf": "159*#aD", "duration": 200})
        assert took == pytest.approx(7 * 0.28, abs=0.01)
        assert stage.party.has_answered
        assert heard(stage) == [(digit, 200) for digit in "159*#AD"]
        times = [at for at, _, _ in stage.party.keyed]
        assert [later - at for at, later in itertools.pairwise(times)] == [pytest.approx(0.28)] * 6


@in_virtual_time
async def test_a_digit_lasts_half_a_second_unless_said_otherwise() -> None:
    async with on_stage() as stage:
        await stage.run({"verb": "dtmf", "dtmf": "5"})
        assert heard(stage) == [("5", 500)]


@pytest.mark.parametrize(("duration", "sent"), [(1, 40), (60_000, 8180)])
def test_a_duration_no_event_can_have_is_the_nearest_one(duration: float, sent: float) -> None:
    @in_virtual_time
    async def run() -> None:
        async with on_stage() as stage:
            await stage.run({"verb": "dtmf", "dtmf": "5", "duration": duration})
            assert heard(stage) == [("5", sent)]

    run()


@in_virtual_time
async def test_hanging_up_leaves_the_other_digits_unsent() -> None:
    async with on_stage() as stage:
        running = stage.start({"verb": "dtmf", "dtmf": "123456", "duration": 200})
        await asyncio.sleep(0.5)
        stage.hang_up()
        await running
        assert [digit for _, digit, _ in stage.party.keyed] == ["1", "2"]


async def test_a_party_without_telephone_event_gets_one_info_per_digit_in_order() -> None:
    async with on_sip_stage() as stage:
        # The first digit is there before the ACK, in which case no request may be sent yet.
        stage.app.on("/call", [{"verb": "dtmf", "dtmf": "15#A", "duration": 100}])
        bound = stage.services.endpoint.listeners[0].bound
        stage.caller.call(f"sip:{NUMBER}@{bound.host}:{bound.port}", sdp(40000, event=False))
        await stage.caller.until(Ended)
        infos = [event for event in stage.caller.events if isinstance(event, InfoReceived)]
        assert [dtmf_of(info.body) for info in infos] == [("1", 100), ("5", 100), ("#", 100), ("A", 100)]
        for earlier, later in itertools.pairwise(infos):
            assert later.at - earlier.at > 0.05
        await stage.quiet()
