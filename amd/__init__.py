"""Who answered: human, machine, silence, beep. Streaming, explainable, pure. See README.md."""

from amd.beep import BeepDetector
from amd.detector import AmdDetector
from amd.events import (
    AmdEvent,
    Beep,
    BeepShape,
    Decision,
    Evidence,
    GreetingEnded,
    Rule,
    Tone,
    ToneName,
    Verdict,
    hook_fields,
)
from amd.params import AmdParams

__all__ = [
    "AmdDetector",
    "AmdEvent",
    "AmdParams",
    "Beep",
    "BeepDetector",
    "BeepShape",
    "Decision",
    "Evidence",
    "GreetingEnded",
    "Rule",
    "Tone",
    "ToneName",
    "Verdict",
    "hook_fields",
]
