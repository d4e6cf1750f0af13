"""What the detectors have to say: frozen facts, positions in samples at 8 kHz from the first sample heard.

The names of the decision follow the dial verb's `amd` property; `hook_fields` gives the words that its
`actionHook` sends, in both vocabularies (`event`/`amd_type` and `type`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias, assert_never

from msgspec import Struct

from amd.params import SAMPLE_RATE_HZ

__all__ = [
    "AmdEvent",
    "Beep",
    "BeepShape",
    "Decision",
    "Evidence",
    "GreetingEnded",
    "Rule",
    "Tone",
    "ToneName",
    "Verdict",
    "hook_fields",
    "seconds",
]


class Verdict(StrEnum):
    """Who answered."""

    HUMAN = "human"
    MACHINE = "machine"
    SILENCE = "silence"
    """Nobody spoke within `no_speech_timeout_ms`."""
    UNDECIDED = "undecided"
    """Somebody spoke, and `decision_timeout_ms` passed without a decision."""


class Rule(StrEnum):
    """What a decision rests on. The value is the `reason` of the hook."""

    SHORT_GREETING = "short greeting"
    """Speech that is short for the pause after it."""
    LONG_GREETING = "long greeting"
    """Speech that goes on longer than people who answer a telephone do."""
    WORD_COUNT = "word count"
    """At least `threshold_word_count` words."""
    BEEP = "beep"
    """A record beep."""
    NO_SPEECH = "no speech"
    TIMEOUT = "timeout"
    AUDIO_ENDED = "audio ended"
    """The best guess when no more audio comes (`AmdDetector.finish`)."""


class Evidence(Struct, frozen=True):
    """What was measured when a decision fell; durations in seconds of audio."""

    onset_s: float | None = None
    """From the first sample to the first speech; None: no speech yet."""
    elapsed_s: float = 0.0
    """From the first speech to the decision."""
    speech_s: float = 0.0
    """Speech heard, pauses not counted."""
    run_s: float = 0.0
    """The latest utterance: speech without a pause of 0.3 s."""
    longest_run_s: float = 0.0
    pause_s: float = 0.0
    """Silence since the last speech; 0 while somebody speaks."""
    utterances: int = 0
    words: int = 0
    """Stretches of at least 100 ms of speech between gaps of 50 ms, since the last pause of 0.8 s."""
    machine_probability: float = 0.5
    """By the model (`amd/model.py`), before any rule."""


class Decision(Struct, frozen=True):
    """One verdict. A later one with `revised` replaces it."""

    verdict: Verdict
    rule: Rule
    confidence: float
    """0–1: how often a decision like this one is right (calibrated, see the README)."""
    reason: str
    """In plain words, for a person: "2.9 s of speech without a pause"."""
    evidence: Evidence
    sample: int
    """Samples heard when it was decided."""
    revised: bool = False


class GreetingEnded(Struct, frozen=True):
    """After `machine`: nobody has spoken for `greeting_completion_timeout_ms`."""

    speech_end_sample: int
    sample: int


class BeepShape(StrEnum):
    """How the frequency of a beep runs."""

    SINGLE = "single"
    DUAL = "dual"
    HARMONIC = "harmonic"
    CHIRP = "chirp"
    STEP = "step"


class Beep(Struct, frozen=True):
    """A record beep, reported once, as soon as it has ended."""

    frequency_hz: float
    """The strongest line; of a chirp or a step, where it begins."""
    frequencies_hz: tuple[float, ...]
    """All lines, or the course of a chirp or a step."""
    shape: BeepShape
    duration_ms: float
    level_dbov: float
    """RMS over the beep; a full-scale sine has -3 dBov."""
    variance: float
    """Variance of the frequency over the beep's steady parts, Hz²."""
    start_sample: int
    end_sample: int
    sample: int
    """Samples heard when it was reported."""


class ToneName(StrEnum):
    """Signals of the network and of machines which are not speech and not a record beep."""

    BUSY = "busy"
    CALL_WAITING = "call waiting"
    DIAL = "dial"
    DTMF = "dtmf"
    FAX_CED = "fax ced"
    FAX_CNG = "fax cng"
    MODEM = "modem"
    MUSIC = "music"
    REORDER = "reorder"
    RINGBACK = "ringback"
    SIT = "sit"
    STEADY = "steady"
    """A tone too long for a beep which no table names."""


class Tone(Struct, frozen=True):
    """A named signal, reported when it is sure; a cadence once, not once per burst."""

    name: ToneName
    meaning: str
    """In plain words: the SIT's cause, the DTMF digit, the country family of a ringback."""
    frequencies_hz: tuple[float, ...]
    start_sample: int
    sample: int


AmdEvent: TypeAlias = Decision | GreetingEnded | Beep | Tone


def hook_fields(event: AmdEvent, *, language: str = "") -> dict[str, str | float] | None:
    """The body of the `amd` hook for `event`, without `call_sid`; None: this event is not sent.

    A named tone is not in the hook's vocabulary, and an undecided call has only the long name.
    """
    match event:
        case Decision(verdict=Verdict.HUMAN | Verdict.MACHINE as verdict):
            return {
                "event": "amd",
                "amd_type": verdict.value,
                "type": f"amd_{verdict.value}_detected",
                "reason": event.rule.value,
                "greeting": "",
                "language": language,
            }
        case Decision(verdict=Verdict.SILENCE):
            return {"event": "silence", "type": "amd_no_speech_detected"}
        case Decision():
            return {"type": "amd_decision_timeout"}
        case GreetingEnded():
            return {"event": "silence", "type": "amd_machine_stopped_speaking"}
        case Beep():
            return {
                "event": "beep",
                "type": "amd_tone_detected",
                "frequency": round(event.frequency_hz),
                "variance": round(event.variance, 1),
            }
        case Tone():
            return None
        case _:
            assert_never(event)


def seconds(sample: int) -> float:
    """`sample` as seconds since the first sample."""
    return sample / SAMPLE_RATE_HZ
