"""A callee handed over by its dial, with real calls: nobody is hung up; it can be the caller of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from engine.dial.dial import Dial
from engine.dial.leg import Cause, EndedBy, Leg, ParentLeg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.request import DialRequest, Target
from engine.ids import new_call_sid
from engine.legs.caller_audio import caller_audio
from engine.legs.caller_leg import CallerLeg
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import LegConfirmed, LegGone
from engine.legs.services import SDP, LegServices
from engine.legs.sip_leg import SipLeg
from engine.sip.events import Ended, IncomingCall
from engine.sip.types import Body, InviteParams
from media import MediaConfig, MediaPlane
from media.tones import RINGBACK_US
from tests.legs.support import Inbox, open_pair
from tests.legs.talking import TalkingPhone


class _Legs:
    """Routing: a target's address is where its INVITE goes."""

    def __init__(self, services: LegServices) -> None:
        self._services = services
        self.gone = Inbox()
        self.made: list[SipLeg] = []

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        leg = SipLeg(
            new_call_sid(), self._services, InviteParams(target=target.address, from_="<sip:a@example.com>")
        )
        leg.watch(self._on_note)
        self.made.append(leg)
        return (leg,)

    def _on_note(self, note: object) -> None:
        if isinstance(note, LegGone):
            self.gone.put(note)


class _Scene:
    """Alice has called us and talks to bob through a dial; carol waits to be called."""

    def __init__(self, services: LegServices, phones: Sequence[TalkingPhone]) -> None:
        self.alice, self.bob, self.carol = phones
        self.legs = _Legs(services)
        self.audio = caller_audio(RINGBACK_US)
        self.tasks: list[asyncio.Task[object]] = []

    def dial(self, uri: str, parent: ParentLeg) -> Dial:
        request = DialRequest([Target.sip(uri)], answer_on_bridge=True)
        dial = Dial(request, legs=self.legs, parent=parent, audio=self.audio)
        self.tasks.append(asyncio.get_running_loop().create_task(dial.run()))
        return dial

    async def answers(self, phone: TalkingPhone) -> None:
        call = await phone.incoming()
        phone.session = call
        call.answer(Body(SDP, phone.stream.receive_offer(call.request.body)), phone.now)
        phone.endpoint.touch()


@asynccontextmanager
async def _talking() -> AsyncIterator[tuple[_Scene, InboundLeg, Dial]]:
    arrived, plane = Inbox(), MediaPlane(MediaConfig())
    async with open_pair(on_call=arrived.put) as (services, _):
        phones = [TalkingPhone(plane, hz) for hz in (425.0, 1025.0, 1725.0)]
        for phone in phones:
            await phone.endpoint.start()
        scene = _Scene(services, phones)
        bound = services.endpoint.listeners[0].bound
        offer = Body(SDP, scene.alice.stream.create_offer())
        scene.alice.session = scene.alice.call(f"sip:5550100@{bound.host}:{bound.port}", offer)
        caller, notes = InboundLeg(new_call_sid(), services, await arrived.until(IncomingCall)), Inbox()
        caller.watch(notes.put)
        dial = scene.dial(scene.bob.uri, caller)
        await scene.answers(scene.bob)
        await notes.until(LegConfirmed)
        await scene.alice.hears(scene.bob.hz)
        await scene.bob.hears(scene.alice.hz)
        yield scene, caller, dial
        caller.hang_up()
        for leg in scene.legs.made:
            leg.hang_up(Cause.NORMAL)
        await notes.until(LegGone)
        await scene.legs.gone.until(LegGone, count=len(scene.legs.made))
        await asyncio.gather(*scene.tasks)
        for phone in phones:
            phone.stream.close()
            await phone.endpoint.stop(1.0)
    await plane.close()


async def test_both_stay_up_apart_and_the_callee_gets_somebody_of_its_own() -> None:
    async with _talking() as (scene, caller, dial):
        taken: list[Leg] = []
        assert await dial.hand_over(taken.append)
        result = await dial.wait()
        assert result.termination_reason is TerminationReason.REPLACED
        assert result.dial_status is DialStatus.COMPLETED
        await scene.bob.hears_nothing_of(scene.alice.hz)
        await scene.alice.hears_nothing_of(scene.bob.hz)
        (leg,) = taken
        assert isinstance(leg, SipLeg)
        assert leg.is_answered
        assert not caller.is_over
        assert not [event for event in (*scene.alice.events, *scene.bob.events) if isinstance(event, Ended)]
        scene.dial(scene.carol.uri, CallerLeg(leg))
        await scene.answers(scene.carol)
        await scene.bob.hears(scene.carol.hz)
        await scene.carol.hears(scene.bob.hz)
        assert not caller.is_over, "alice waits for what comes next"


async def test_the_end_of_the_one_given_away_is_told_to_its_new_owner_only() -> None:
    async with _talking() as (scene, caller, dial):
        seen: list[object] = []
        dial.observe(seen.append)
        notes = Inbox()

        def take(leg: Leg) -> None:
            assert isinstance(leg, SipLeg)
            leg.watch(notes.put)

        assert await dial.hand_over(take)
        result = await dial.wait()
        assert scene.bob.session is not None
        scene.bob.session.hang_up(scene.bob.now, "Q.850;cause=16")
        scene.bob.endpoint.touch()
        gone = await notes.until(LegGone)
        assert (gone.by, gone.reason_header) == (EndedBy.CALLEE, "Q.850;cause=16")
        assert seen[-1] is result
        assert not caller.is_over


async def test_a_bye_on_its_way_when_it_is_taken_is_told_at_once() -> None:
    async with _talking() as (scene, caller, dial):
        notes, leg = Inbox(), scene.legs.made[0]
        assert scene.bob.session is not None
        asked = dial.hand_over(lambda taken: leg.watch(notes.put))
        leg.hang_up(Cause.REQUESTED)  # ends before the dial has looked into its inbox
        assert await asked
        assert (await notes.until(LegGone)).by is EndedBy.ENGINE
        assert (await dial.wait()).termination_reason is TerminationReason.REPLACED
        assert not caller.is_over
