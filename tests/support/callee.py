"""A callee made of samples: a real stream of ours, and at its far end a bare socket that says what it is
told.

Packets leave every 20 ms of the loop's time, also of a virtual one: twenty seconds of a call then take as
long as it takes to compute them, and the same samples are heard in every run.

    @in_virtual_time
    async def test_...() -> None:
        async with on_the_phone() as call:
            await call.says(HELLO, pause(2.0))
            assert call.verdicts == [Verdict.HUMAN]
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from amd import AmdEvent, Beep, Decision, GreetingEnded, Tone, Verdict
from engine.dial.bridge import CallerAudio
from engine.dial.dial import Dial, Happening
from engine.dial.events import DetectorFired
from engine.dial.leg import ParentLeg
from engine.dial.request import DialRequest, Target
from engine.dial.result import DialResult
from engine.softphone.spectrum import read_wav
from media import MediaPlane, MediaStream
from media.audio import Pcm
from media.codecs import PCMU, open_codec
from media.tones import Tone as ToneShape
from media.tones import render
from tests.media.far_side import FarSide, sdp
from tests.support.legs import FakeLegs
from tests.support.virtual_time import settle

__all__ = [
    "BEEP",
    "GREETING",
    "HELLO",
    "MESSAGE",
    "RATE_HZ",
    "Callee",
    "PhoneCall",
    "as_heard",
    "on_the_phone",
    "pause",
    "tone",
]

RATE_HZ = 8000
_FRAME = 160
_SOUNDS = Path(__file__).resolve().parents[2] / "engine" / "softphone"
_ULAW = open_codec(PCMU)


def pause(seconds: float) -> Pcm:
    """Digital silence."""
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def tone(*hz: float, seconds: float, on_off_s: tuple[float, ...] = (), level_dbov: float = -16.0) -> Pcm:
    """A tone, interrupted if told so, at -16 dBov per frequency."""
    return render(ToneShape(hz, on_off_s, level_dbov), RATE_HZ, 0, round(seconds * RATE_HZ))


def as_heard(*sounds: Pcm) -> Pcm:
    """What `Callee.heard` gives of it: each sound filled up to whole packets, through G.711, those of silence
    at both ends left out."""
    pcm = np.concatenate([np.pad(sound, (0, -len(sound) % _FRAME)) for sound in sounds])
    packets = _ULAW.decode(_ULAW.encode(pcm)).reshape(-1, _FRAME)
    loud = np.flatnonzero(packets.any(axis=1))
    return packets[loud[0] : loud[-1] + 1].reshape(-1)


def _read(name: str) -> Pcm:
    pcm, rate_hz = read_wav(_SOUNDS / name)
    assert rate_hz == RATE_HZ
    return pcm


GREETING = _read("greeting.wav")
"""Seven seconds of a spoken greeting."""
MESSAGE = _read("message.wav")
"""Three seconds of a spoken message."""
BEEP = tone(1000, seconds=0.5)


def _hello() -> Pcm:
    """The beginning of the greeting, faded out: as much as a person says who picks up."""
    word = GREETING[: round(0.62 * RATE_HZ)].astype(np.float64)
    word[-400:] *= np.linspace(1.0, 0.0, 400)
    return word.astype(np.int16)


HELLO = _hello()


class Callee:
    """A socket with a voice. It talks to `stream`, and keeps what `stream` says."""

    def __init__(self, stream: MediaStream) -> None:
        self.stream = stream
        self.far = FarSide()
        stream.create_offer()
        stream.receive_answer(sdp(self.far.port))
        self._due = asyncio.get_running_loop().time()
        self._heard: list[tuple[float, bytes]] = []

    async def says(self, *sounds: Pcm, loses: Sequence[int] = ()) -> None:
        """All of it, one packet per 20 ms; those at the places of `loses` never arrive."""
        pcm = np.concatenate(sounds)
        for place in range(len(pcm) // _FRAME):
            await self._tick()
            if place in loses:
                self.far.sequence = self.far.sequence + 1 & 0xFFFF
                self.far.timestamp = self.far.timestamp + _FRAME & 0xFFFFFFFF
            else:
                self.far.send(self.stream.port, _ULAW.encode(pcm[place * _FRAME : (place + 1) * _FRAME]))

    async def sends_nothing(self, seconds: float) -> None:
        """Not even silence: what many machines do while they record."""
        for _ in range(round(seconds * RATE_HZ) // _FRAME):
            await self._tick()
            self.far.timestamp = self.far.timestamp + _FRAME & 0xFFFFFFFF

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._due += _FRAME / RATE_HZ
        woken = loop.create_future()
        loop.call_at(self._due, woken.set_result, None)
        await woken
        self._listen()

    def _listen(self) -> None:
        now = asyncio.get_running_loop().time()
        self._heard += [(now, packet.payload) for packet in self.far.waiting() if packet.payload_type == 0]

    def is_listened_to(self) -> bool:
        """Our side decodes what it says."""
        return self.stream.rtp.is_watched

    def _voice(self) -> list[tuple[float, Pcm]]:
        """The packets with their times, without the silence before and after."""
        self._listen()
        decoded = [(at, _ULAW.decode(payload)) for at, payload in self._heard]
        loud = [place for place, (_, pcm) in enumerate(decoded) if pcm.any()]
        return decoded[loud[0] : loud[-1] + 1] if loud else []

    @property
    def first_heard_at(self) -> float:
        """When the stream began to speak, to 20 ms; IndexError if it never did."""
        return self._voice()[0][0]

    @property
    def heard(self) -> Pcm:
        """Everything the stream said, packet after packet, without pauses in which nothing was sent."""
        return np.concatenate([pcm for _, pcm in self._voice()] or [pause(0)])


class PhoneCall:
    """A dial in progress whose first leg is a `Callee`."""

    def __init__(self, dial: Dial, legs: FakeLegs, callee: Callee, task: asyncio.Task[DialResult]) -> None:
        """Use `on_the_phone`."""
        self.dial = dial
        self.leg, *self.others = legs.made
        self.callee = callee
        self.happenings: list[Happening] = []
        self._task = task
        dial.observe(self.happenings.append)

    async def sends_early_media(self) -> None:
        """183 with SDP."""
        self.leg.early_media()
        self.leg.media = self.callee.stream
        await settle()

    async def is_told(self, event: AmdEvent) -> None:
        """A detector says so."""
        self.dial.post(DetectorFired(self.leg.id, asyncio.get_running_loop().time(), event))
        await settle()

    async def answers(self) -> None:
        """The callee picks up."""
        self.leg.answer()
        await settle()

    async def says(self, *sounds: Pcm, loses: Sequence[int] = ()) -> None:
        """See `Callee.says`."""
        await self.callee.says(*sounds, loses=loses)

    async def says_until_we_hang_up(self, *sounds: Pcm) -> DialResult:
        """The same, then silence, until the dial is over; AssertionError if that takes a minute."""
        speaking = asyncio.create_task(self.says(*sounds, pause(60.0)), name="callee speaks")
        await asyncio.wait((speaking, self._task), return_when=asyncio.FIRST_COMPLETED)
        assert not speaking.done(), "nobody hung up"
        speaking.cancel()
        await asyncio.wait((speaking,))
        return self._task.result()

    async def result(self) -> DialResult:
        """The callee hangs up, if nobody did so far."""
        for leg in (self.leg, *self.others):
            if not leg.has_ended:
                leg.end()
        return await self._task

    @property
    def is_over(self) -> bool:
        return self.dial.result is not None

    @property
    def fired(self) -> list[DetectorFired]:
        """What came through the dial's inbox, in order."""
        return [each for each in self.happenings if isinstance(each, DetectorFired)]

    @property
    def events(self) -> list[AmdEvent]:
        """What the detector said, as the dial's observers heard it."""
        details = [each.detail for each in self.fired]
        return [each for each in details if isinstance(each, Decision | Beep | GreetingEnded | Tone)]

    @property
    def verdicts(self) -> list[Verdict]:
        return [event.verdict for event in self.events if isinstance(event, Decision)]

    @property
    def beeps(self) -> list[Beep]:
        return [event for event in self.events if isinstance(event, Beep)]


@asynccontextmanager
async def on_the_phone(
    *followers: Callable[[Dial], None],
    parent: ParentLeg | None = None,
    audio: CallerAudio | None = None,
    answers: bool = True,
    others: int = 0,
) -> AsyncIterator[PhoneCall]:
    """A dial to one callee, answered unless told otherwise; `followers` get it before it begins.

    `others`: so many more targets, without audio.
    """
    plane = MediaPlane()
    callee = Callee(plane.stream())
    legs = FakeLegs()
    names = ("bob", *(f"carol{i}" for i in range(others)))
    targets = tuple(Target.sip(f"sip:{name}@example.com") for name in names)
    dial = Dial(DialRequest(targets=targets), legs=legs, parent=parent, audio=audio)
    for follow in followers:
        follow(dial)
    task = asyncio.create_task(dial.run(), name="dial")
    await settle()
    legs[0].media = callee.stream
    call = PhoneCall(dial, legs, callee, task)
    try:
        if answers:
            await call.answers()
        yield call
    finally:
        await call.result()
        callee.far.close()
        await plane.close()
