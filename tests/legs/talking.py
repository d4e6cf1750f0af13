"""Far sides with a voice: each says one tone and hears what is said to it; two of them, joined by us."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from engine.dial.events import CallerGone, LegAnswered
from engine.dial.leg import Cause
from engine.ids import new_call_sid
from engine.legs.inbound_leg import InboundLeg
from engine.legs.notes import LegConfirmed, LegGone
from engine.legs.services import SDP, dtmf_of
from engine.legs.sip_leg import SipLeg
from engine.sip.events import (
    Answered,
    AnswerReceived,
    CallEvent,
    IncomingCall,
    InfoReceived,
    OfferReceived,
    OfferRejected,
)
from engine.sip.session import Call
from engine.sip.types import Body, InviteParams
from media import Bridge, MediaConfig, MediaPlane, MediaStream
from media.audio import Pcm
from media.tones import Tone, ToneSource
from tests.legs.support import FarSide, Inbox, open_pair

__all__ = ["Talk", "TalkingPhone", "talking"]

_RATE_HZ = 8000


class TalkingPhone(FarSide):
    """Answers every offer with its own stream, unless `refuses`."""

    def __init__(self, plane: MediaPlane, hz: float) -> None:
        super().__init__()
        self.hz = hz
        self.refuses = 0
        """Status with which later offers are refused; 0: none is."""
        self.is_silent = False
        """Later offers are neither answered nor refused."""
        self.offers: list[bytes] = []
        """Bodies of all later offers, empty where there was none."""
        self.stream: MediaStream = plane.stream()
        self.stream.play(ToneSource(Tone((hz,)), _RATE_HZ))
        self.stream.add_tap(self._hear)
        self._heard: list[tuple[float, Pcm]] = []
        self.session: Call | None = None

    @property
    def rtp_port(self) -> int:
        return self.stream.port

    @property
    def peer_port(self) -> int | None:
        """Where it sends its audio."""
        media = self.stream.negotiated
        return media.remote.port if media is not None and media.remote is not None else None

    def on_sip_event(self, event: CallEvent) -> None:
        match event:
            case OfferReceived():
                self.offers.append(event.body.data if event.body is not None else b"")
                if self.is_silent:
                    pass
                elif self.refuses:
                    event.call.reject_offer(event.at, self.refuses)
                elif event.body is None:
                    event.call.answer_offer(Body(SDP, self.stream.create_offer()), event.at)
                else:
                    event.call.answer_offer(Body(SDP, self.stream.receive_offer(event.body.data)), event.at)
                self.endpoint.touch()
            case AnswerReceived():
                # An offer that was tried again after glare is forgotten by then: the peer's came in between.
                is_forgotten = not self.stream.has_pending_offer
                self.stream.receive_answer(event.body.data, is_refresh=is_forgotten)
            case OfferRejected():
                self.stream.withdraw_offer()
            case Answered():
                assert event.body is not None
                self.stream.receive_answer(event.body.data)
            case _:
                pass
        super().on_sip_event(event)

    async def offer(self, *, holding: bool) -> None:
        """Re-INVITE, as soon as the one before has been answered."""
        session = self.session
        assert session is not None
        await self.settled(lambda: session.can_offer)
        sdp = self.stream.hold() if holding else self.stream.resume()
        session.offer(Body(SDP, sdp), self.now)
        self.endpoint.touch()

    def _hear(self, pcm: Pcm) -> None:
        self._heard.append((time.monotonic(), pcm))

    def level_of(self, hz: float, last_s: float = 0.2) -> float:
        """Amplitude of this tone in what was heard lately; 0.0 if nothing was."""
        since = time.monotonic() - last_s
        pieces = [pcm for at, pcm in self._heard if at >= since]
        if not pieces:
            return 0.0
        pcm = np.concatenate(pieces).astype(np.float64)
        phase = 2j * np.pi * hz * np.arange(len(pcm)) / _RATE_HZ
        return float(2 * abs(np.dot(pcm, np.exp(-phase))) / len(pcm))

    async def hears(self, hz: float, *, within_s: float = 5.0) -> None:
        """Return when this tone is clearly what is heard."""
        await self.settled_elsewhere(lambda: self.level_of(hz) > 1000.0, within_s=within_s)

    async def hears_nothing_of(self, hz: float, *, within_s: float = 5.0) -> None:
        await self.settled_elsewhere(lambda: self.level_of(hz) < 100.0, within_s=within_s)


class Talk:
    """Alice, who called us, and bob, whom we called, joined by a bridge."""

    def __init__(
        self, alice: TalkingPhone, bob: TalkingPhone, caller: InboundLeg, callee: SipLeg, bridge: Bridge
    ) -> None:
        self.alice = alice
        self.bob = bob
        self.caller = caller
        self.callee = callee
        self.bridge = bridge

    def packets(self) -> int:
        """RTP that came to us, from both."""
        ours = [self.caller.statistics(), self.callee.statistics()]
        return sum(each.packets_received for each in ours if each is not None)

    def infos_of_bob(self) -> list[str]:
        """Digits that came to bob by INFO."""
        found = [dtmf_of(each.body) for each in self.bob.events if isinstance(each, InfoReceived)]
        return [keyed[0] for keyed in found if keyed is not None]

    async def both_hear(self) -> None:
        await self.alice.hears(self.bob.hz)
        await self.bob.hears(self.alice.hz)

    async def quiet_here(self) -> bool:
        """No RTP comes to us for 0.3 s. What was on its way may still arrive at first."""
        await asyncio.sleep(0.1)
        before = self.packets()
        await asyncio.sleep(0.3)
        return self.packets() == before


@asynccontextmanager
async def talking(media: MediaConfig | None = None) -> AsyncIterator[Talk]:
    """Both up and joined, each hearing the other; ended and cleaned up at the end."""
    arrived = Inbox()
    plane = MediaPlane(MediaConfig())
    async with open_pair(on_call=arrived.put, media=media) as (services, _):
        alice, bob = TalkingPhone(plane, 425.0), TalkingPhone(plane, 1025.0)
        await alice.endpoint.start()
        await bob.endpoint.start()
        bound = services.endpoint.listeners[0].bound
        call = alice.call(f"sip:5550100@{bound.host}:{bound.port}", Body(SDP, alice.stream.create_offer()))
        alice.session = call
        caller = InboundLeg(new_call_sid(), services, await arrived.until(IncomingCall))
        callee = SipLeg(new_call_sid(), services, InviteParams(target=bob.uri, from_="<sip:a@example.com>"))
        notes, callee_inbox, caller_inbox = Inbox(), Inbox(), Inbox()
        caller.watch(notes.put)
        caller.attach(caller_inbox)
        callee.watch(notes.put)
        callee.start(callee_inbox)
        ringing = await bob.incoming()
        bob.session = ringing
        ringing.answer(Body(SDP, bob.stream.receive_offer(ringing.request.body)), bob.now)
        bob.endpoint.touch()
        await callee_inbox.until(LegAnswered)
        caller.answer()
        await notes.until(LegConfirmed, count=2)
        assert caller.media is not None
        assert callee.media is not None
        bridge = Bridge(caller.media, callee.media)
        bridge.open()
        talk = Talk(alice, bob, caller, callee, bridge)
        try:
            await talk.both_hear()
            yield talk
        finally:
            caller.hang_up()
            callee.hang_up(Cause.NORMAL)
            await notes.until(LegGone, count=2)
            await caller_inbox.until(CallerGone)
            for phone in (alice, bob):
                phone.stream.close()
                await phone.endpoint.stop(1.0)
    await plane.close()
