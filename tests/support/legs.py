"""Legs that do what a test tells them: typed doubles of the protocols in `engine.dial`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.dial.bridge import Joint
from engine.dial.events import (
    CallerAnswered,
    CallerGone,
    DialEvent,
    DtmfReceived,
    LegAnswered,
    LegEarlyMedia,
    LegEnded,
    LegHeldBack,
    LegRinging,
    LegTrying,
    Screened,
)
from engine.dial.failure import LegFailure, Phase, held_back, refused
from engine.dial.leg import Cause, EndedBy, Inbox, Leg, LegMedia, ParentLeg
from engine.dial.request import DialRequest, Target
from engine.ids import CallSid, new_call_sid

__all__ = ["FakeAudio", "FakeLeg", "FakeLegs", "FakeMedia", "FakeParent", "FakeScreening"]


class FakeMedia:
    """An end of audio that only knows its name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None: ...


class _NobodyListens:
    def post(self, event: DialEvent) -> None: ...


class FakeLeg:
    """A callee under the test's control.

    The test calls `ring`, `answer`, `refuse`, ... for what the far side does. After `hang_up` it behaves like
    a polite phone (487 or the end of the call, at once) unless `is_deaf`: then only `end` ends it.
    """

    __slots__ = (
        "_clock",
        "_id",
        "_inbox",
        "causes",
        "has_answered",
        "has_ended",
        "is_deaf",
        "is_held",
        "media",
    )

    def __init__(self, name: str, clock: Callable[[], float], *, is_deaf: bool = False) -> None:
        self._id = CallSid(name)
        self._clock = clock
        self._inbox: Inbox | None = None
        self.causes: list[Cause] = []
        """Every `hang_up`, in order."""
        self.has_answered = False
        self.has_ended = False
        self.is_deaf = is_deaf
        self.is_held = False
        """Held back by an admission limit: `start` sends nothing."""
        self.media: LegMedia | None = None

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def is_started(self) -> bool:
        return self._inbox is not None

    def start(self, inbox: Inbox) -> None:
        self._inbox = inbox
        if self.is_held:
            self._post(LegHeldBack(self._id, self._clock()))
        else:
            self.try_()

    def hang_up(self, cause: Cause) -> None:
        self.causes.append(cause)
        if not self.is_deaf and not self.has_ended:
            self.end()

    def detach(self) -> None:
        self._inbox = _NobodyListens()

    def try_(self) -> None:
        """The INVITE goes out."""
        self.is_held = False
        self._post(LegTrying(self._id, self._clock(), f"{self._id}@192.0.2.1"))

    def ring(self) -> None:
        self._post(LegRinging(self._id, self._clock()))

    def early_media(self) -> None:
        self.media = FakeMedia(self._id)
        self._post(LegEarlyMedia(self._id, self._clock()))

    def answer(self) -> None:
        self.has_answered = True
        self.media = self.media or FakeMedia(self._id)
        self._post(LegAnswered(self._id, self._clock()))

    def press(self, digit: str) -> None:
        """The callee dials a digit."""
        self._post(DtmfReceived(self._id, self._clock(), digit))

    def refuse(self, status: int, reason: str = "", phase: Phase = Phase.CALLING) -> None:
        """A final response 300-699."""
        self.fail(refused(status, reason, phase))

    def fail(self, failure: LegFailure) -> None:
        self.has_ended = True
        self._post(LegEnded(self._id, self._clock(), EndedBy.CALLEE, failure.sip_status, failure=failure))

    def end(self, by: EndedBy | None = None) -> None:
        """BYE after an answer, 487 before."""
        self.has_ended = True
        by = by or (EndedBy.ENGINE if self.causes else EndedBy.CALLEE)
        if self.is_held:
            self._post(LegEnded(self._id, self._clock(), by, failure=held_back()))
        elif self.has_answered:
            self._post(LegEnded(self._id, self._clock(), by, 200, "OK"))
        else:
            self._post(LegEnded(self._id, self._clock(), by, 487, failure=refused(487, "Request Terminated")))

    def _post(self, event: DialEvent) -> None:
        assert self._inbox is not None, "the leg was not started"
        self._inbox.post(event)


class FakeLegs:
    """A `LegFactory` that gives every target one `FakeLeg` named a, b, c, ... in the order of the targets."""

    def __init__(
        self, clock: Callable[[], float] | None = None, *, is_deaf: bool = False, is_held: bool = False
    ) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self._is_deaf = is_deaf
        self._is_held = is_held
        self.made: list[FakeLeg] = []

    def legs_for(self, target: Target, request: DialRequest, parent: ParentLeg | None) -> Sequence[Leg]:
        leg = FakeLeg(chr(ord("a") + len(self.made)), self._clock, is_deaf=self._is_deaf)
        leg.is_held = self._is_held
        self.made.append(leg)
        return (leg,)

    def __getitem__(self, index: int) -> FakeLeg:
        return self.made[index]


class FakeParent:
    """A caller under the test's control; `log` has what the dial made it do."""

    def __init__(
        self, clock: Callable[[], float] | None = None, *, is_answered: bool = False, is_slow: bool = False
    ) -> None:
        """`is_slow`: its media is known only when the test calls `ack` (an INVITE without offer)."""
        self._clock = clock or asyncio.get_running_loop().time
        self._id = new_call_sid()
        self._is_answered = is_answered
        self._is_slow = is_slow
        self._inbox: Inbox | None = None
        self._is_gone = False
        self.media: LegMedia | None = FakeMedia("caller")
        self.log: list[str] = []

    @property
    def id(self) -> CallSid:
        return self._id

    @property
    def has_answered(self) -> bool:
        return self._is_answered

    @property
    def is_attached(self) -> bool:
        return self._inbox is not None

    def attach(self, inbox: Inbox) -> None:
        self._inbox = inbox
        if self._is_gone:
            inbox.post(CallerGone(self._clock()))

    def detach(self) -> None:
        self._inbox = None

    def ring(self) -> None:
        self.log.append("180")

    def open_early_media(self) -> None:
        self.log.append("183")

    def answer(self) -> None:
        self.log.append("200")
        self._is_answered = not self._is_slow

    def ack(self) -> None:
        """The ACK of a slow caller brings the media."""
        self._is_answered = True
        self._post(CallerAnswered(self._clock()))

    def go(self) -> None:
        """BYE or CANCEL."""
        self._is_gone = True
        self._post(CallerGone(self._clock()))

    def _post(self, event: DialEvent) -> None:
        if self._inbox is not None:
            self._inbox.post(event)


class _FakeJoint:
    def __init__(self, audio: FakeAudio, what: str) -> None:
        self._audio = audio
        self._what = what

    def close(self) -> None:
        if self._audio.now_playing == self._what:
            self._audio.now_playing = ""


@dataclass
class FakeAudio:
    """What the caller hears, as words: `ringback`, `music URL`, `leg a`; `played` has all of it in order."""

    now_playing: str = ""
    played: list[str] = field(default_factory=list)
    music_failed: Callable[[str], None] | None = None

    def join(self, caller: ParentLeg, callee: Leg) -> Joint:
        return self._play(f"leg {callee.id}")

    def ringback(self, caller: ParentLeg) -> Joint:
        return self._play("ringback")

    def music(self, caller: ParentLeg, url: str, failed: Callable[[str], None]) -> Joint:
        self.music_failed = failed
        return self._play(f"music {url}")

    def _play(self, what: str) -> Joint:
        assert not self.now_playing, f"{what} while {self.now_playing} is heard"
        self.now_playing = what
        self.played.append(what)
        return _FakeJoint(self, what)


class FakeScreening:
    """A `Screening` in which the test decides."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or asyncio.get_running_loop().time
        self.running: dict[CallSid, Inbox] = {}
        self.hooks: list[tuple[CallSid, str]] = []

    def begin(self, leg: Leg, hook: str, inbox: Inbox) -> None:
        self.hooks.append((leg.id, hook))
        self.running[leg.id] = inbox

    def stop(self, leg: Leg) -> None:
        self.running.pop(leg.id, None)

    def decide(self, leg: Leg, *, is_accepted: bool) -> None:
        self.running.pop(leg.id).post(Screened(leg.id, self._clock(), is_accepted))
