"""Answering-machine detection on a live call: the callee's audio into `amd`, its events into the dial.

The detector hears a tap, so the bridge never waits for it (DV-71). It begins when the callee is connected and
ends when it has nothing more to say, or with the call. Packets that were lost are told to it as time that
passed, not as the concealment a person would hear.

What the network says before the answer (ringback, busy, a special information tone) can be named too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import numpy as np

from amd import AmdDetector, AmdEvent, AmdParams, Tone
from engine.dial.dial import Dial, Happening
from engine.dial.events import Connected, DetectorFired, HangUpLeg, LegEarlyMedia, LegEnded
from engine.dial.result import DialResult
from engine.ids import CallSid
from media import MediaStream
from media.audio import Pcm

__all__ = ["LiveDetector", "StreamDetector"]

_RATE_HZ = 8000
_LONGEST_LOSS = 640
"""80 ms: four packets in a row are lost at random once in 160,000 at 5 %. What is missing for longer is a
sender that fell silent: many machines send nothing at all once they record."""
_WITHOUT_END = AmdParams(no_speech_timeout_ms=3_600_000, decision_timeout_ms=3_600_000)


class LiveDetector:
    """Listens to the connected callee of one dial.

        detector = LiveDetector(on_event=print)
        detector.follow(dial)

    Every event also goes into the dial's inbox as `DetectorFired`, so that all observers see it. A call that
    ends undecided gives the best guess there is, with `Rule.AUDIO_ENDED`; when it was the callee who hung up,
    the dial is over by then and only `on_event` is told.
    """

    __slots__ = ("_detector", "_dial", "_early", "_hears_early_media", "_listener", "_on_event")

    def __init__(
        self,
        params: AmdParams | None = None,
        *,
        on_event: Callable[[AmdEvent], None] | None = None,
        early_media: bool = False,
    ) -> None:
        """`early_media`: name the tones that targets send before the answer (`Tone` events of their legs,
        positions counted from the beginning of that audio)."""
        self._detector = AmdDetector(params)
        self._on_event = on_event
        self._hears_early_media = early_media
        self._dial: Dial | None = None
        self._listener: StreamDetector | None = None
        self._early: dict[CallSid, _EarlyListener] = {}

    def follow(self, dial: Dial) -> None:
        """From now on; the detection begins with the connection."""
        self._dial = dial
        dial.observe(self._on_happening)

    def _on_happening(self, happening: Happening) -> None:
        match happening:
            case LegEarlyMedia(leg=leg) if self._hears_early_media:
                self._listen_early(leg)
            case Connected():
                self._listen()
            case HangUpLeg(leg=leg) | LegEnded(leg=leg):
                self._leg_is_over(leg)
            case DialResult():
                self._stop()
            case _:
                pass

    # -- after the answer ---------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._stop_early()
        winner = self._dial.winner if self._dial is not None else None
        if winner is None or winner.media is None:
            return
        leg = winner.id
        self._listener = StreamDetector(
            cast(MediaStream, winner.media), self._detector, lambda event: self._tell(leg, event)
        )

    def _leg_is_over(self, leg: CallSid) -> None:
        early = self._early.pop(leg, None)
        if early is not None:
            early.close()
        winner = self._dial.winner if self._dial is not None else None
        if self._listener is not None and winner is not None and winner.id == leg:
            self._listener.finish()

    def _tell(self, leg: CallSid, event: AmdEvent) -> None:
        if self._dial is not None:
            self._dial.post(DetectorFired(leg, asyncio.get_running_loop().time(), event))
        if self._on_event is not None:
            self._on_event(event)

    def _stop(self) -> None:
        self._stop_early()
        if self._listener is not None:
            self._listener.close()

    # -- before the answer --------------------------------------------------------------------------------

    def _listen_early(self, leg: CallSid) -> None:
        media = self._dial.leg(leg).media if self._dial is not None else None
        if media is None or leg in self._early or self._listener is not None:
            return
        self._early[leg] = _EarlyListener(cast(MediaStream, media), lambda event: self._tell(leg, event))

    def _stop_early(self) -> None:
        for listener in self._early.values():
            listener.close()
        self._early.clear()


class StreamDetector:
    """One stream's tap, one detector; begins at once. `tell` is called on the loop for every event."""

    __slots__ = ("_detector", "_lost", "_stream", "_tell")

    def __init__(self, stream: MediaStream, detector: AmdDetector, tell: Callable[[AmdEvent], None]) -> None:
        self._stream: MediaStream | None = stream
        self._detector = detector
        self._tell = tell
        self._lost = 0
        """Samples missing since the last packet."""
        stream.add_tap(self._hear, sample_rate_hz=_RATE_HZ, lost=self._miss)

    def finish(self) -> None:
        """No more audio comes."""
        if self._stream is not None:
            self._take(self._detector.finish())
        self.close()

    def close(self) -> None:
        """Idempotent."""
        if self._stream is not None:
            self._stream.remove_tap(self._hear)
            self._stream = None

    def _hear(self, pcm: Pcm) -> None:
        self._lost = 0
        self._take(self._detector.push(pcm))

    def _miss(self, samples: int) -> None:
        lost = min(samples, _LONGEST_LOSS - self._lost)
        self._lost += lost
        if lost:
            self._take(self._detector.push_lost(lost))
        if samples > lost:
            self._take(self._detector.push(np.zeros(samples - lost, np.int16)))

    def _take(self, event: AmdEvent | None) -> None:
        while event is not None:
            self._tell(event)
            event = next(self._detector.events(), None)
        if self._detector.is_finished:
            self._finished()

    def _finished(self) -> None:
        self.close()


class _EarlyListener(StreamDetector):
    """Hears what comes before the answer: only named tones are told, for nobody has answered yet."""

    __slots__ = ()

    def __init__(self, stream: MediaStream, tell: Callable[[AmdEvent], None]) -> None:
        super().__init__(
            stream, AmdDetector(_WITHOUT_END), lambda e: tell(e) if isinstance(e, Tone) else None
        )

    def _finished(self) -> None:
        """An announcement was taken for a machine, and its wait is over: what follows may be a tone."""
        self._detector = AmdDetector(_WITHOUT_END)
