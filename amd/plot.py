"""A picture of one recording: waveform, spectrogram, speech, beep and decision marks. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from amd.ear import Ear
from amd.events import Beep, Decision, GreetingEnded, Tone, Verdict
from amd.hearing import Hearing
from amd.params import SAMPLE_RATE_HZ
from amd.vad import Utterance

__all__ = ["draw", "speech_of"]

_COLOURS = {
    Verdict.HUMAN: "#2a7f2a",
    Verdict.MACHINE: "#b03030",
    Verdict.SILENCE: "#666666",
    Verdict.UNDECIDED: "#b08000",
}


def speech_of(pcm: NDArray[np.int16]) -> list[tuple[float, float]]:
    """The utterances heard in `pcm`, in seconds."""
    ear = Ear()
    utterances: list[Utterance] = []
    for _ in ear.hear(pcm):
        utterance = ear.speech.utterance
        if utterance is not None and (not utterances or utterances[-1] is not utterance):
            utterances.append(utterance)
    return [(u.start_sample / SAMPLE_RATE_HZ, u.end_sample / SAMPLE_RATE_HZ) for u in utterances]


def draw(pcm: NDArray[np.int16], hearing: Hearing, target: Path | IO[bytes], *, title: str) -> None:
    """Write a PNG. Raises ImportError without matplotlib (the extra `plot`)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    wave, spectrum = figure.subplots(2, 1, sharex=True)
    seconds = np.arange(len(pcm)) / SAMPLE_RATE_HZ
    wave.plot(seconds, pcm / 32768.0, linewidth=0.4, color="#30507a")
    wave.set_ylim(-1.0, 1.0)
    for start, end in speech_of(pcm):
        wave.axvspan(start, end, ymin=0.0, ymax=0.06, color="#3f8f3f")
    if len(pcm) >= 512:
        spectrum.specgram(
            pcm.astype(np.float64) + np.random.default_rng(0).standard_normal(len(pcm)) * 0.3,
            NFFT=320,
            noverlap=240,
            Fs=SAMPLE_RATE_HZ,
            cmap="magma",
        )
    spectrum.set_ylim(0, 4000)
    spectrum.set_ylabel("Hz")
    spectrum.set_xlabel("s")
    _mark(wave, spectrum, hearing)
    figure.suptitle(f"{title}: {hearing.label}", fontsize=10)
    figure.savefig(target, format="png")


def _mark(wave: Any, spectrum: Any, hearing: Hearing) -> None:
    for event in hearing.events:
        at = event.sample / SAMPLE_RATE_HZ
        match event:
            case Decision():
                colour = _COLOURS[event.verdict]
                wave.axvline(at, color=colour)
                word = "→ " + event.verdict.value if event.revised else event.verdict.value
                wave.text(at, 0.98, f" {word}: {event.reason}", color=colour, fontsize=8, va="top")
            case Beep():
                start, end = event.start_sample / SAMPLE_RATE_HZ, event.end_sample / SAMPLE_RATE_HZ
                for axes in (wave, spectrum):
                    axes.axvspan(start, end, color="#00a0c0", alpha=0.3)
                wave.axvline(at, color="#00a0c0", linestyle="--")
                wave.text(end, -0.98, f" beep {event.frequency_hz:.0f} Hz", color="#007090", fontsize=8)
            case Tone():
                wave.axvline(at, color="#8040a0", linestyle=":")
                wave.text(at, -0.8, f" {event.name.value}", color="#8040a0", fontsize=8)
            case GreetingEnded():
                wave.axvline(at, color="#b03030", linestyle=":")
