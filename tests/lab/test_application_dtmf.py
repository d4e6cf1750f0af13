"""Matrix 10 of the dial contract: sequences of keys during a conversation (DV-80, DV-81)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from engine.softphone import DtmfMethod
from tests.support.application import WebApplication
from tests.support.callee import pause, tone
from tests.support.phones import PhoneRack
from tests.support.running_application import application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench
from tests.support.talking_sipp import callee_that_says
from tests.support.two_phones import Bridged, bridged, hang_up

pytestmark = pytest.mark.lab


def captured(app: WebApplication) -> list[tuple[str, str]]:
    """What dtmfHook was told: direction of the leg and sequence, in order."""
    return [(told["direction"], told["dtmf"]) for told in app.payloads("/dtmf")]


@pytest.mark.parametrize("method", list(DtmfMethod))
@pytest.mark.parametrize("hook", ["/dtmf", {"url": "/dtmf", "method": "GET"}], ids=["POST", "GET"])
async def test_dv80_a_sequence_of_either_party_is_told_and_still_reaches_the_other(
    rack: PhoneRack, method: DtmfMethod, hook: Any
) -> None:
    async with WebApplication() as app:
        app.on("/dtmf", [{"verb": "hangup"}])
        async with bridged(app, rack, dtmfCapture=["*2", "#1"], dtmfHook=hook) as call:
            await call.bob.send_dtmf("7*2", method)
            told = await app.told("/dtmf", dtmf="*2")
            await call.alice.send_dtmf("#1", method)
            await app.told("/dtmf", dtmf="#1")
            assert await call.alice.until_keyed("7*2") == "7*2", "DV-81"
            assert await call.bob.until_keyed("#1") == "#1", "DV-81"
            result = await hang_up(call)
    assert captured(app) == [("outbound", "*2"), ("inbound", "#1")]
    assert told.payload["call_sid"] == call.bob_sid
    assert told.payload["parent_call_sid"] == call.alice_sid
    assert told.payload["call_status"] == "in-progress"
    assert result["dial_status"] == "completed", "the hook's document was ignored"


async def key(call: Bridged, *steps: tuple[str, float]) -> None:
    """Bob keys digits, each after so many seconds."""
    for digit, after_s in steps:
        await asyncio.sleep(after_s)
        await call.bob.send_dtmf(digit)
        keyed = len(call.alice.keyed)
        await call.alice.until_keyed("x" * (keyed + 1))


async def test_dv80_slow_digits_are_one_sequence_for_3_s_and_not_longer(rack: PhoneRack) -> None:
    async with WebApplication() as app:
        app.on("/dtmf")
        async with bridged(app, rack, dtmfCapture=["12"], dtmfHook="/dtmf") as call:
            await key(call, ("1", 0), ("2", 3.5))
            assert captured(app) == []
            await key(call, ("1", 0), ("2", 2.0))
            await app.told("/dtmf", dtmf="12")
            await hang_up(call)
    assert captured(app) == [("outbound", "12")]


async def test_dv80_of_overlapping_patterns_the_longest_matches_and_the_buffer_is_cleared(
    rack: PhoneRack,
) -> None:
    async with WebApplication() as app:
        app.on("/dtmf")
        async with bridged(app, rack, dtmfCapture=["3", "23", "1"], dtmfHook="/dtmf") as call:
            await call.bob.send_dtmf("231")
            await app.told("/dtmf", dtmf="1")
            await hang_up(call)
    assert captured(app) == [("outbound", "23"), ("outbound", "1")]


async def test_dv80_the_object_form_watches_each_side_for_its_own(rack: PhoneRack) -> None:
    async with WebApplication() as app:
        app.on("/dtmf")
        capture = {"childCall": ["*1"], "parentCall": ["*2"]}
        async with bridged(app, rack, dtmfCapture=capture, dtmfHook="/dtmf") as call:
            await call.bob.send_dtmf("*2*1")
            await app.told("/dtmf", dtmf="*1")
            await call.alice.send_dtmf("*1*2")
            await app.told("/dtmf", dtmf="*2")
            await hang_up(call)
    assert captured(app) == [("outbound", "*1"), ("inbound", "*2")]


async def test_dv80_keys_that_are_tones_in_the_audio_are_captured_where_configured(
    sipp: SippBench, tmp_path: Path
) -> None:
    """Of a callee without telephone-event; two tones each (697 and 1209 Hz are a 1)."""
    keys = ((941, 1209), (697, 1209), (941, 1477))
    pcm = np.concatenate(
        [pause(1.0), *(part for hz in keys for part in (tone(*hz, seconds=0.15), pause(0.2)))]
    )
    callee = await callee_that_says(sipp, "keys", tmp_path, pcm, has_events=False)
    base = lab_config()
    options = replace(base, media=replace(base.media, in_band_dtmf=True))
    document = {
        "target": [{"type": "sip", "sipUri": callee.uri}],
        "dtmfCapture": ["*1#"],
        "dtmfHook": "/dtmf",
    }
    async with WebApplication() as app, application_engine(app, base=options) as engine:
        app.on("/call", [{"verb": "dial", **document}])
        app.on("/dtmf")
        app.on("/dial")
        caller = await sipp.caller("caller_answers_basic", sip_address(engine), hold_ms=3500)
        told = await app.request("/dtmf")
        (await caller.finished()).assert_passed()
        (await callee.finished()).assert_passed()
    assert (told.payload["dtmf"], told.payload["direction"]) == ("*1#", "outbound")
