"""Answering-machine detection on a live call: the callee's audio into `amd`, its events into the dial.

The detector hears a tap, so the bridge never waits for it (DV-71). It begins when the callee is connected and
ends when it has nothing more to say, or with the call. Packets that were lost are told to it as time that
passed, not as the concealment a person would hear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from amd import AmdDetector, AmdEvent, AmdParams
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, DetectorFired
from engine.dial.result import DialResult
from engine.ids import CallSid
from media import MediaStream
from media.audio import Pcm

__all__ = ["LiveDetector"]

_RATE_HZ = 8000


class LiveDetector:
    """Listens to the connected callee of one dial.

        detector = LiveDetector(on_event=print)
        detector.follow(dial)

    Every event also goes into the dial's inbox as `DetectorFired`, so that all observers see it.
    """

    __slots__ = ("_detector", "_dial", "_leg", "_on_event", "_stream")

    def __init__(
        self, params: AmdParams | None = None, *, on_event: Callable[[AmdEvent], None] | None = None
    ) -> None:
        self._detector = AmdDetector(params)
        self._on_event = on_event
        self._dial: Dial | None = None
        self._leg: CallSid | None = None
        self._stream: MediaStream | None = None

    def follow(self, dial: Dial) -> None:
        """From the connection on."""
        self._dial = dial
        dial.observe(self._on_happening)

    def _on_happening(self, happening: Happening) -> None:
        if isinstance(happening, Connected):
            self._listen()
        elif isinstance(happening, DialResult):
            self._stop()

    def _listen(self) -> None:
        winner = self._dial.winner if self._dial is not None else None
        if winner is None or winner.media is None:
            return
        self._leg = winner.id
        self._stream = cast(MediaStream, winner.media)
        self._stream.add_tap(self._hear, sample_rate_hz=_RATE_HZ, lost=self._miss)

    def _hear(self, pcm: Pcm) -> None:
        self._tell(self._detector.push(pcm))

    def _miss(self, samples: int) -> None:
        self._tell(self._detector.push_lost(samples))

    def _tell(self, event: AmdEvent | None) -> None:
        while event is not None:
            if self._dial is not None and self._leg is not None:
                self._dial.post(DetectorFired(self._leg, asyncio.get_running_loop().time(), event))
            if self._on_event is not None:
                self._on_event(event)
            event = next(self._detector.events(), None)
        if self._detector.is_finished:
            self._stop()

    def _stop(self) -> None:
        if self._stream is not None:
            self._stream.remove_tap(self._hear)
            self._stream = None
