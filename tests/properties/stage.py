"""One story of a whole dial, told on a wire in virtual time, with what must be true in the middle and at the
end of every one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Any

from msgspec import Struct
from structlog.testing import capture_logs

from engine.agenda import Agenda
from engine.config import RouteConfig, SourceConfig, TargetConfig
from engine.dial.bridge import Joint, MediaAudio
from engine.dial.dial import Dial, Happening, Observer
from engine.dial.events import Connect, Connected, Disconnect, LegTrying, Screened
from engine.dial.failure import Trouble
from engine.dial.leg import Inbox, Leg, LegMedia
from engine.dial.manager import DialManager
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.plan import SETTLE_S
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from engine.legs.factory import SipLegFactory
from engine.legs.services import LegServices
from engine.pbx import InboundCalls
from engine.routing.branches import Router
from engine.routing.directory import Directory
from engine.routing.inbound import InboundRoutes, Sources
from engine.routing.trunks import Trunks
from engine.sip.events import IncomingCall
from engine.sip.types import StackConfig
from media import AudioCapabilities, Bridge, MediaConfig, MediaPlane, MediaStream
from tests.support.wire_endpoint import LoopWire, WireDns, lossy
from tests.support.wire_phones import CalleePhone, CalleeScript, CallerPhone, CallerScript

__all__ = ["DNS_S", "PERFECT", "SETTLED_AT_S", "Ending", "Network", "Stage", "Story", "tell"]

BAD_UNTIL_S = 15.0
SETTLED_AT_S = 150.0
"""By then the network has been good for long enough: both ends agree about every call."""
FORGOTTEN_AFTER_S = 300.0
"""After the end of the last call, all timers have run."""

DNS_S = 0.2
"""Each question to the DNS takes so long; a name needs three in a row (NAPTR, SRV, A)."""
_EPSILON_S = 1e-6

_OURS = "192.0.2.1"
_CALLER = "192.0.2.2"
_FORK = "192.0.2.9"
_REFUSING = "192.0.2.8"
_ELSEWHERE = b'\r\nReason: SIP;cause=200;text="Call completed elsewhere"\r\n'


class Network(Struct, frozen=True, kw_only=True):
    seed: int
    loss: float
    doubled: float
    jitter_s: float
    batch_s: float
    """What arrives within this time is read in one go."""


PERFECT = Network(seed=0, loss=0.0, doubled=0.0, jitter_s=0.0, batch_s=0.001)


class Ending(Enum):
    """Who ends a conversation that nobody has ended when the network has long been good."""

    API = 1
    CALLER = 2
    CALLEE = 3


class Story(Struct, frozen=True, kw_only=True):
    callees: tuple[CalleeScript, ...]
    presences: tuple[str, ...]
    """Of each: `here`; `silent`: nobody at that address; `refusing`: ICMP says so; `named`: its name has to
    be looked up, and leads to an address that refuses before its own; `unknown`: a name without address."""
    dies_s: tuple[float | None, ...]
    """When the line to each callee is cut for ever."""
    accepts: tuple[bool, ...] | None
    """What the screening of each callee says (in a dial without caller); None: nobody is screened."""
    twin: CalleeScript | None
    """Rings together with the first callee, behind a proxy that forks."""
    caller: CallerScript | None
    caller_dies_s: float | None
    answer_on_bridge: bool
    timeout_s: float
    time_limit_s: float | None
    hang_up_s: float | None
    """When the dial is told to end, after its start."""
    ending: Ending
    session_expires_s: int | None
    network: Network


class _Silence:
    """In place of the ringback tone: its packets would be real."""

    def close(self) -> None: ...


def _ringback(end: LegMedia) -> Joint:
    return _Silence()


def _music(end: LegMedia, url: str, failed: Callable[[str], None]) -> Joint:
    raise AssertionError("no story has music")


def _bridge(caller: LegMedia, callee: LegMedia) -> Bridge:
    assert isinstance(caller, MediaStream)
    assert isinstance(callee, MediaStream)
    return Bridge(caller, callee)


class _Judge:
    """Screening that takes a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.running: dict[str, asyncio.TimerHandle] = {}

    def begin(self, leg: Leg, hook: str, inbox: Inbox) -> None:
        assert leg.id not in self.running
        is_accepted = hook == "/yes"
        self.running[leg.id] = self._loop.call_later(1.0, self._decide, leg, inbox, is_accepted)

    def stop(self, leg: Leg) -> None:
        timer = self.running.pop(leg.id, None)
        if timer is not None:
            timer.cancel()

    def _decide(self, leg: Leg, inbox: Inbox, is_accepted: bool) -> None:
        del self.running[leg.id]
        inbox.post(Screened(leg.id, self._loop.time(), is_accepted))


class Stage:
    """Everything of one story."""

    ours: LegServices
    dials: DialManager
    inbound: InboundCalls

    def __init__(self, story: Story) -> None:
        self.story = story
        network = story.network
        fate = lossy(
            network.seed,
            loss=network.loss,
            doubled=network.doubled,
            jitter_s=network.jitter_s,
            until_s=BAD_UNTIL_S,
        )
        self.wire = LoopWire(fate, batch_s=network.batch_s)
        self.phones: list[list[CalleePhone]] = []
        """Of each target: none if nobody is there, two behind the fork."""
        self.caller: CallerPhone | None = None
        self.started: list[Dial] = []
        self.seen: list[tuple[float, Happening]] = []
        self.mishaps: list[dict[str, Any]] = []
        self._loop = asyncio.get_running_loop()
        self.judge = _Judge(self._loop)
        self._loop.set_exception_handler(lambda _, context: self.mishaps.append(context))

    @property
    def results(self) -> list[DialResult]:
        return self.told(DialResult)

    def told(self, kind: type[Any]) -> list[Any]:
        """What observers were told, of one kind."""
        return [what for _, what in self.seen if isinstance(what, kind)]

    def when(self, kind: type[Any]) -> float | None:
        """When observers were told so for the first time."""
        return next((at for at, what in self.seen if isinstance(what, kind)), None)

    async def set(self) -> None:
        """Phones and engine, ready for the first INVITE."""
        story, wire = self.story, self.wire
        for who, (script, presence) in enumerate(zip(story.callees, story.presences, strict=True)):
            host, port = f"192.0.2.{10 + who}", 40000 + 4 * who
            if presence == "refusing":
                wire.refuses.add(host)
            is_there = presence in ("here", "named")
            phones = [await CalleePhone.at(wire, host, port, script)] if is_there else []
            dies_s = story.dies_s[who]
            if phones and dies_s is not None:
                phones[0].is_mortal = True
                self._loop.call_later(dies_s, wire.cut, host)
            if presence == "here" and who == 0 and story.twin is not None:
                phones.append(await CalleePhone.at(wire, "192.0.2.20", port + 2, story.twin))
                wire.forks[_FORK] = (host, "192.0.2.20")
            self.phones.append(phones)
        agenda = Agenda(self._loop)
        endpoint = await wire.endpoint(
            _OURS,
            on_call=self._take,
            dns=WireDns(self._names(), delay_s=DNS_S),
            stack=StackConfig(listeners=(), session_expires_s=story.session_expires_s),
            agenda=agenda,
        )
        media = MediaPlane(MediaConfig(rtp_timeout_s=None, rtcp=False))
        self.ours = LegServices(endpoint, media)
        router = Router(Trunks(()), Directory(()), lambda: _OURS)
        self.dials = DialManager(
            legs=SipLegFactory(self.ours, router, lambda _: AudioCapabilities()),
            audio=MediaAudio(bridge=_bridge, ringback=_ringback, music=_music),
            screening=self.judge,
            agenda=agenda,
        )
        self.dials.observe_all(self._watch)
        if story.caller is not None:
            self.caller = await CallerPhone.at(wire, _CALLER, 41000)
            if story.caller_dies_s is not None:
                self.caller.is_mortal = True
                self._loop.call_later(story.caller_dies_s, wire.cut, _CALLER)
            route = RouteConfig(
                number="555",
                targets=tuple(TargetConfig(sip_uri=uri) for uri in self._uris()),
                timeout_s=story.timeout_s,
                time_limit_s=story.time_limit_s,
                answer_on_bridge=story.answer_on_bridge,
            )
            sources = Sources([SourceConfig(name="pbx", addresses=(_CALLER,))])
            self.inbound = InboundCalls(self.ours, self.dials, sources, InboundRoutes([route]))

    def begin(self) -> None:
        """The caller calls, or the dial starts by itself."""
        story = self.story
        if self.caller is not None and story.caller is not None:
            self.caller.dial(f"sip:555@{_OURS}", story.caller)
            return
        accepts = story.accepts
        hooks = ["/yes" if each else "/no" for each in accepts] if accepts else [""] * len(story.callees)
        request = DialRequest(
            [Target.sip(uri, confirm_hook=hook) for uri, hook in zip(self._uris(), hooks, strict=True)],
            timeout_s=story.timeout_s,
            time_limit_s=story.time_limit_s,
        )
        self.dials.start(request)

    def _uris(self) -> list[str]:
        hosts = [
            f"phone{who}.example.com" if presence in ("named", "unknown") else f"192.0.2.{10 + who}"
            for who, presence in enumerate(self.story.presences)
        ]
        if self.wire.forks:
            hosts[0] = _FORK
        return [f"sip:bob@{host}" for host in hosts]

    def _names(self) -> dict[str, tuple[str, ...]]:
        self.wire.refuses.add(_REFUSING)
        return {
            f"phone{who}.example.com": (_REFUSING, f"192.0.2.{10 + who}")
            for who, presence in enumerate(self.story.presences)
            if presence == "named"
        }

    def _take(self, incoming: IncomingCall) -> None:
        self.inbound.take(incoming)

    def _watch(self, dial: Dial) -> Observer:
        self.started.append(dial)
        if self.story.hang_up_s is not None:
            self._loop.call_later(self.story.hang_up_s, dial.hang_up)
        return lambda what: self.seen.append((self._loop.time(), what))

    # --- what must be true

    def check_agreement(self) -> None:
        """The network has been good for long: both ends of every call agree whether it is up."""
        dial = self.started[0] if self.started else None
        winner = dial.winner if dial is not None and dial.result is None else None
        up = [who for who, phones in enumerate(self.phones) for phone in phones if phone.is_up]
        dead = {who for who, phones in enumerate(self.phones) for phone in phones if phone.is_mortal}
        rings = [phone for phone in self._all_phones() if phone.is_busy and not phone.is_up]
        assert all(phone.is_mortal for phone in rings), "rings for nobody"
        callers = [self.caller] if self.caller is not None and not self.caller.is_mortal else []
        if dial is None or winner is None:
            assert dead.issuperset(up), "talks to nobody"
            assert not any(caller.is_busy for caller in callers), "the caller waits for nobody"
        else:
            talks = self._uris().index(dial.target_of(winner.id).address)
            assert dead.issuperset(set(up) ^ {talks}), "talks to somebody else"
            assert up.count(talks) <= 1, "talks to two forks"
            assert all(caller.is_up for caller in callers), "nobody talks to the callee"

    def end(self) -> None:
        """Whoever is still talking is ended by the one the story names."""
        match self.story.ending:
            case Ending.CALLEE:
                for phone in self._all_phones():
                    phone.hang_up()
            case Ending.CALLER if self.caller is not None:
                self.caller.hang_up()
            case _:
                for dial in self.dials:
                    dial.hang_up()
        for dial in self.dials:  # whose line is cut hangs up in vain
            self._loop.call_later(50.0, dial.hang_up)

    def check_end(self) -> None:
        """All timers have run."""
        self._check_nothing_is_left()
        for phone in (*self._all_phones(), *([self.caller] if self.caller else [])):
            assert len(phone.calls) <= 1
            if phone.is_mortal:
                continue
            assert [end.call for end in phone.ends] == phone.calls
        assert len(self.results) == len(self.started)
        assert len(self.started) == 1 or (self.caller is not None and not self.started)
        if self.results:
            self._check_result(self.results[0])

    def _check_nothing_is_left(self) -> None:
        assert self.mishaps == []
        self.wire.assert_silent()
        assert not self.judge.running
        assert not self.ours.media.streams
        assert self.ours.media.ports.in_use == 0
        assert not self.ours.media.is_keeping_house
        assert len(self.dials) == 0
        assert self.caller is None or len(self.inbound) == 0

    def _check_result(self, result: DialResult) -> None:
        assert self.seen[-1][1] is result
        assert result.error == ""
        assert len(result.legs) == len(self.story.callees)
        connects = self.told(Connect)
        assert len(connects) <= 1
        assert len(self.told(Connected)) <= len(connects)
        assert [record.leg for record in result.legs if record.status is DialStatus.COMPLETED] == (
            [result.leg] if result.is_answered else []
        )
        decided_at, finished_at = self.when(Disconnect), self.when(DialResult)
        assert finished_at is not None
        assert decided_at is None or finished_at - decided_at <= SETTLE_S + _EPSILON_S
        self._check_ring_timer(result)
        if result.is_answered:
            assert [connect.leg for connect in connects] == [result.leg]
        if self.story.accepts is None:
            self._check_reasons(connects[0].leg if connects else None, result)
        for record, phones in zip(result.legs, self.phones, strict=True):
            assert record.status is not DialStatus.QUEUED
            is_alone = len(phones) == 1
            assert not any(phone.gave_up for phone in phones if is_alone and not phone.is_mortal)
            if record.leg == result.leg and result.is_answered:
                assert any(phone.has_answered for phone in phones)
            if record.failure is not None and record.failure.trouble is Trouble.RESPONSE:
                assert record.sip_status in {phone.code_sent for phone in phones}, self.wire.ladder()
        if self.caller is not None and self.story.answer_on_bridge and not connects:
            assert not self.caller.is_confirmed, "answered without anybody to talk to"

    def _check_ring_timer(self, result: DialResult) -> None:
        """DV-32: from the first INVITE that left, else from the start; the screened are given their time."""
        decided_at = self.when(Disconnect)
        if self.told(Connect) or self.story.accepts is not None or decided_at is None:
            return
        first_at = min((event.at for event in self.told(LegTrying)), default=self.seen[0][0])
        rang_s = decided_at - first_at
        assert rang_s <= self.story.timeout_s + _EPSILON_S
        if result.termination_reason is TerminationReason.RING_TIMEOUT:
            assert rang_s >= self.story.timeout_s - _EPSILON_S

    def _check_reasons(self, winner: str | None, result: DialResult) -> None:
        """DV-33: losers are told, and only losers, that the call was completed elsewhere."""
        for who, record in enumerate(result.legs):
            is_loser = winner is not None and record.leg != winner
            for carried in self.wire.log:
                if (carried.sender, carried.receiver) != (_OURS, f"192.0.2.{10 + who}"):
                    continue
                # A fork beyond the first is dismissed before anybody has lost.
                goodbyes = (b"CANCEL ",) if self.wire.forks else (b"CANCEL ", b"BYE ")
                if carried.data.startswith(goodbyes):
                    assert (_ELSEWHERE in carried.data) == is_loser, carried

    def _all_phones(self) -> list[CalleePhone]:
        return [phone for phones in self.phones for phone in phones]


async def tell(story: Story) -> Stage:
    """From the first INVITE until everything is forgotten. Raises AssertionError."""
    stage = Stage(story)
    with capture_logs() as lines:
        await stage.set()
        async with stage.dials:
            stage.begin()
            await asyncio.sleep(SETTLED_AT_S)
            stage.check_agreement()
            stage.end()
            await asyncio.sleep(FORGOTTEN_AFTER_S)
            stage.check_end()
        await stage.wire.close()
        await stage.ours.media.close()
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]
    return stage
