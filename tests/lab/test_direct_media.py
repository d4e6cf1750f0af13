"""Media past us between two pjsua2 phones, and back: what they recorded, and the packets that came to us."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.application.direct_media import DirectMedia
from engine.dial.events import LegAnswered
from engine.dial.leg import Cause
from engine.ids import new_call_sid
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import LegConfirmed, LegGone
from engine.legs.sip_leg import SipLeg
from engine.sip.events import IncomingCall
from engine.sip.types import InviteParams
from engine.softphone import Answer, CallState, MediaDirection, Tone
from media import Bridge
from tests.legs.support import Inbox, open_pair
from tests.support.phones import PhoneRack
from tests.support.spectrum import assert_hears, tone_seconds

pytestmark = pytest.mark.lab

ALICE_HZ, BOB_HZ = 500, 1000
STRETCH_S = 1.2


def _packets(*legs: InboundLeg | SipLeg) -> int:
    statistics = [leg.statistics() for leg in legs]
    return sum(each.packets_received for each in statistics if each is not None)


async def test_dv83_exit_media_path_between_two_phones_with_a_hold_and_back(
    rack: PhoneRack, tmp_path: Path
) -> None:
    heard_by_alice, heard_by_bob = tmp_path / "alice.wav", tmp_path / "bob.wav"
    bob = await rack.phone("bob", Answer(sound=Tone(BOB_HZ)))
    alice = await rack.phone("alice")
    arrived, notes, answered = Inbox(), Inbox(), Inbox()
    async with open_pair(on_call=arrived.put) as (services, _):
        host, port = services.endpoint.listeners[0].bound
        call = await alice.call(f"sip:5550100@{host}:{port}", record=heard_by_alice, sound=Tone(ALICE_HZ))
        caller = InboundLeg(new_call_sid(), services, await arrived.until(IncomingCall))
        callee = SipLeg(new_call_sid(), services, InviteParams(target=bob.uri, from_="<sip:a@example.com>"))
        for leg in (caller, callee):
            leg.watch(notes.put)
        callee.start(answered)
        await answered.until(LegAnswered)
        caller.answer()
        await notes.until(LegConfirmed, count=2)
        theirs = await bob.next_call()
        await theirs.until(CallState.CONFIRMED)
        await call.until(CallState.CONFIRMED)
        await theirs.record(heard_by_bob)
        assert caller.media is not None
        assert callee.media is not None
        Bridge(caller.media, callee.media).open()
        await asyncio.sleep(STRETCH_S)
        direct = DirectMedia(caller, callee)
        assert await direct.go()
        await asyncio.sleep(0.6)  # what was on its way, and a phone that was misled by it
        before = _packets(caller, callee)
        await asyncio.sleep(STRETCH_S)
        await theirs.hold()
        await call.until_media(MediaDirection.REMOTE_HOLD)
        await theirs.resume()
        await call.until_media(MediaDirection.ACTIVE)
        await asyncio.sleep(STRETCH_S)
        assert _packets(caller, callee) == before, "not one packet passes us, hold and resume included"
        assert await direct.come_back()
        await asyncio.sleep(STRETCH_S)
        assert _packets(caller, callee) - before > 2 * 0.8 * STRETCH_S / 0.02, "all of them do"
        direct.close()
        caller.hang_up()
        callee.hang_up(Cause.NORMAL)
        await notes.until(LegGone, count=2)
        await theirs.until(CallState.DISCONNECTED)
        await call.until(CallState.DISCONNECTED)
    for path, hz in ((heard_by_alice, BOB_HZ), (heard_by_bob, ALICE_HZ)):
        assert_hears(path, hz, start_s=0.5)
        seconds = 0.1 * len(tone_seconds(path, hz))
        assert seconds > 0.9 * 4 * STRETCH_S, "heard through all of it: here, directly, here again"
