"""A session in virtual time: a real stream that sends real packets; hooks, files and voices cost no time.

Tones stand for files and voices, so that what was heard can be told from the packets.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import numpy as np

from engine.application.digits import Digit
from engine.application.document import parse_document
from engine.application.services import ApplicationServices, SessionDefaults
from engine.application.session import Ending, Session
from engine.dial.manager import DialManager
from engine.hooks import Hook
from engine.hooks.alerts import Alerts
from engine.hooks.call_hooks import HookKind, Payload
from engine.hooks.payloads import CallFacts
from engine.hooks.reply import HookReply
from engine.ids import CallSid
from engine.sounds import Sound, SoundError, SoundLibrary
from engine.speech.recognition import Recogniser, Recognisers
from engine.speech.synthesis import (
    Speech,
    Synthesiser,
    Synthesisers,
    SynthesisFailed,
    Utterance,
    Voice,
)
from engine.store.rows import AlertRow
from media import MediaConfig, MediaPlane, MediaStream
from media.audio import Pcm
from media.codecs import L16_16K, PCMU, open_codec
from media.negotiate import AudioCapabilities
from tests.application.verbs.streaming import ScriptedRecogniser
from tests.media.far_side import FarSide, Packet, sdp
from tests.sounds.server import tone
from tests.support.spectrum import hear
from tests.support.virtual_time import settle

__all__ = ["FACTS", "Party", "Stage", "on_stage"]

FACTS = CallFacts(
    call_sid="e35d4edf-efd2-424c-8667-c6c5f53b1e1b", direction="inbound", from_="+15550100", to="+15550199"
)


class Party:
    """A leg with a real stream, answered when asked to; remembers what it was asked."""

    def __init__(self, stream: MediaStream) -> None:
        self.id = CallSid(FACTS.call_sid)
        self.stream = stream
        self.has_answered = False
        self.has_early_media = False
        self.is_gone = False
        self.keyed: list[tuple[float, str, int]] = []

    @property
    def media(self) -> MediaStream | None:
        return self.stream if self.has_answered or self.has_early_media else None

    def open_early_media(self) -> None:
        self.has_early_media = True

    def answer(self) -> None:
        self.has_answered = True

    def send_dtmf(self, digits: str, *, duration_ms: int = 120) -> None:
        self.keyed.append((asyncio.get_running_loop().time(), digits, duration_ms))
        self.stream.send_dtmf(digits, duration_ms=duration_ms)


class Hooks:
    """`CallHooks` that remember, and answer what the test said."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, list[object]] = {}

    def notify(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.CALL_STATUS) -> None:
        self.told.append((hook.url, dict(payload)))

    async def ask(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.VERB_HOOK) -> HookReply:
        self.asked.append((hook.url, dict(payload)))
        return HookReply(200, self.answers.get(hook.url))


class Files:
    """A `SoundLibrary` of tones: `440x2` is 440 Hz for two seconds, `440x2@5` comes after five seconds."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.cancelled = 0

    async def get(self, url: str, *, sample_rate_hz: int = 8000) -> Sound:
        self.asked.append((url, sample_rate_hz))
        what, _, delay = url.partition("@")
        try:
            await asyncio.sleep(float(delay or 0))
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        hz, _, seconds = what.partition("x")
        if not seconds:
            raise SoundError(url, "it is not there")
        return Sound(tone(float(hz), float(seconds), sample_rate_hz), sample_rate_hz)


class Whistler:
    """A `Synthesiser` that says every character as 0.1 s of a tone; refuses what holds "no"."""

    def __init__(self, vendor: str, hz: float) -> None:
        self.vendor = vendor
        self.hz = hz
        self.said: list[Utterance] = []

    async def say(self, utterance: Utterance, *, sample_rate_hz: int = 8000) -> Speech:
        self.said.append(utterance)
        await asyncio.sleep(0)
        if "no" in utterance.text:
            raise SynthesisFailed(f"{self.vendor} does not say that")
        pcm = tone(self.hz, len(utterance.text) * 0.1, sample_rate_hz)
        problem = f"there is no voice {utterance.voice!r}" if utterance.voice == "Salli" else ""
        return Speech(pcm, sample_rate_hz, problem)

    async def voices(self) -> Sequence[Voice]:
        return ()

    async def close(self) -> None: ...


class _Owner:
    def facts(self) -> CallFacts:
        return FACTS

    def saw_early_media(self) -> None: ...

    def saw_answer(self) -> None: ...

    def tag(self, data: Mapping[str, object]) -> None: ...

    def use_status_hook(self, hook: Hook) -> None: ...


class _AlertList:
    def __init__(self) -> None:
        self.rows: list[AlertRow] = []

    def alert(self, row: AlertRow) -> None:
        self.rows.append(row)


class Stage:
    """One call under a document."""

    def __init__(
        self, party: Party, far: FarSide, defaults: SessionDefaults | None, *, is_bare: bool
    ) -> None:
        self.party = party
        self.far = far
        self.hooks = Hooks()
        self.files = Files()
        self.voices = [Whistler("own", 500), Whistler("other", 900)]
        self.recogniser = ScriptedRecogniser()
        self._alerts = _AlertList()
        self._packets: list[Packet] = []
        by_vendor: dict[str, Synthesiser] = {voice.vendor: voice for voice in self.voices}
        recognisers: dict[str, Recogniser] = {"scripted": self.recogniser}
        services = ApplicationServices(
            dials=cast(DialManager, None),
            make_hooks=cast(Any, None),
            alerts=Alerts(self._alerts),
            sounds=None if is_bare else cast(SoundLibrary, self.files),
            synthesisers=None if is_bare else Synthesisers(by_vendor, default="own"),
            recognisers=None if is_bare else Recognisers(recognisers, default="scripted"),
        )
        self.session = Session(party, services, _Owner(), cast(Any, self.hooks), defaults=defaults)

    @property
    def alerts(self) -> list[tuple[str, str]]:
        """Kind and text."""
        return [(row.kind, row.text) for row in self._alerts.rows]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def start(self, *document: object) -> asyncio.Task[Ending]:
        """Run it, beside the test."""
        return asyncio.create_task(self.session.run(parse_document(list(document))), name="session")

    async def run(self, *document: object) -> float:
        """Run it to its end; how long it took."""
        began = self.now
        await self.start(*document)
        return self.now - began

    def key(self, digits: str) -> None:
        """The party presses keys."""
        for digit in digits:
            self.session.digits.push(Digit(digit, self.now, 100))

    def hang_up(self) -> None:
        """The party is gone."""
        self.party.is_gone = True
        self.party.stream.close()
        self.session.leg_gone()

    def listen(self) -> None:
        """Take what has come, before the kernel has no room for more."""
        self._packets += self.far.waiting()

    def packets(self) -> list[Packet]:
        """What the far side got since it was asked last."""
        self.listen()
        packets, self._packets = self._packets, []
        return packets

    def heard(self) -> Pcm:
        """The same as audio; digits left out."""
        codec = open_codec(PCMU)
        payloads = [packet.payload for packet in self.packets() if packet.payload_type == 0]
        return codec.decode(b"".join(payloads)) if payloads else np.zeros(0, np.int16)

    def heard_tones(self) -> list[tuple[int, float]]:
        """The same as frequencies (to 50 Hz; 0 is silence) and seconds, in order."""
        pcm, step, found = self.heard(), 800, list[tuple[int, float]]()
        for at in range(0, len(pcm) - step + 1, step):
            piece = pcm[at : at + step]
            hz = round(hear(piece, 8000).hz / 50) * 50 if np.abs(piece).mean() > 500 else 0
            if found and found[-1][0] == hz:
                found[-1] = (hz, round(found[-1][1] + 0.1, 1))
            else:
                found.append((hz, 0.1))
        return found


@asynccontextmanager
async def on_stage(
    *, defaults: SessionDefaults | None = None, is_bare: bool = False, is_wide: bool = False
) -> AsyncIterator[Stage]:
    """`is_bare`: an engine without sounds, voices and recognisers. `is_wide`: 16 kHz audio, not PCMU."""
    plane, far = MediaPlane(MediaConfig(rtcp=False)), FarSide()
    stream = plane.stream(AudioCapabilities(codecs=(L16_16K if is_wide else PCMU,)))
    codec = "96 L16/16000" if is_wide else "0 PCMU/8000"
    stream.receive_offer(sdp(far.port, codecs=(codec, f"101 telephone-event/{codec.partition('/')[2]}")))
    stage = Stage(Party(stream), far, defaults, is_bare=is_bare)
    asyncio.get_running_loop().add_reader(far.rtp, stage.listen)
    try:
        yield stage
        await stage.session.close()
        await settle()
        assert not stream._listeners, "a tap was left behind"
        assert not stage.session.digits._listeners, "a listener for digits was left behind"
    finally:
        asyncio.get_running_loop().remove_reader(far.rtp)
        await plane.close()
        far.close()
