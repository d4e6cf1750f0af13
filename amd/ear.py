"""The part that both detectors share: audio in; for each 20 ms what was measured, said and signalled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from amd.bursts import BurstTracer
from amd.events import Beep, Tone
from amd.features import FrameAnalyser, Step
from amd.music import MusicTracker
from amd.tones import ToneJudge
from amd.vad import SpeechTracker

__all__ = ["Ear"]

_TONE_STEPS = 4
"""Steps after which a steady line is a tone and no voice."""
_LEAD_SAMPLES = 800
"""Speech began well before a tone, or it is the tone's own beginning, taken for speech."""
_AUDIBLE_DBOV = -45.0
_LOST_CHUNK = 1600


class Ear:
    """One analysis of the audio for the detectors of speech, beeps and tones."""

    __slots__ = ("_analyser", "_judge", "_tracer", "music", "speech")

    def __init__(self) -> None:
        self._analyser = FrameAnalyser()
        self._tracer = BurstTracer()
        self._judge = ToneJudge()
        self.speech = SpeechTracker()
        self.music = MusicTracker()

    @property
    def is_tone_sounding(self) -> bool:
        """A tone sounds now, whatever it will turn out to be."""
        return self._tracer.tone_steps >= _TONE_STEPS

    def may_be_human(self, now: int) -> bool:
        """Nothing speaks against it but what was said: no music, no data, no keys."""
        onset = self.speech.onset_sample
        return not (
            self.is_tone_sounding
            or self.music.is_likely
            or (onset is not None and self._judge.forbids_human(now, onset))
        )

    def hear(self, pcm: NDArray[np.int16]) -> Iterator[tuple[Step, Beep | Tone | None]]:
        """int16[n], mono, 8 kHz; yields once per full 20 ms. The step is valid until the next one."""
        return self._hear(pcm, lost=False)

    def miss(self, n_samples: int) -> Iterator[tuple[Step, Beep | Tone | None]]:
        """`n_samples` never arrived: silence of known length, which ends neither a word nor a tone."""
        while n_samples > 0:
            chunk = min(n_samples, _LOST_CHUNK)
            n_samples -= chunk
            yield from self._hear(np.zeros(chunk, np.int16), lost=True)

    def _hear(self, pcm: NDArray[np.int16], *, lost: bool) -> Iterator[tuple[Step, Beep | Tone | None]]:
        speech, tracer, music = self.speech, self._tracer, self.music
        for step in self._analyser.push(pcm, lost=lost):
            burst = tracer.push(step, self._analyser.newest)
            began = speech.onset_sample
            before = speech.utterance
            steady = tracer.tone_steps >= _TONE_STEPS
            speech.push(step, is_tone=steady)
            if speech.utterance is not before:
                self._judge.forget()
            spoken = began is not None and (burst is None or began < burst.start_sample - _LEAD_SAMPLES)
            signal = self._judge.hear(
                burst,
                step.end_sample,
                spoken=spoken,
                is_sounding=tracer.is_sounding,
                is_note=burst is not None and music.led_to(burst.duration_s),
            )
            if burst is not None and self._judge.was_signal:
                speech.retract(burst.start_sample)
            music.push(
                is_audible=step.level_dbov > max(_AUDIBLE_DBOV, speech.floor_dbov + 8.0),
                steady_hz=step.lines[0][0] if steady and step.lines else 0.0,
            )
            if signal is None and music.is_sure and not self._judge.is_recent(step.end_sample):
                signal = self._judge.music(step.end_sample)
            yield step, signal
