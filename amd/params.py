"""Parameters: the dial verb's `amd` timers and thresholds, with its defaults, and the few of our own."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["FRAME", "SAMPLE_RATE_HZ", "AmdParams"]

SAMPLE_RATE_HZ = 8000
FRAME = 160
"""Samples per analysis step: 20 ms. The detectors think in whole steps, whatever the size of a push."""


class AmdParams(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Milliseconds unless the name says otherwise; every time is a time of audio, not of the clock."""

    no_speech_timeout_ms: int = 5000
    """Silence from the answer on → `silence`."""
    decision_timeout_ms: int = 15000
    """No decision → `undecided`."""
    tone_timeout_ms: int = 20000
    """Stop waiting for a beep when `machine` was decided, and nobody has spoken, for so long."""
    greeting_completion_timeout_ms: int = 2000
    """Silence after a machine's greeting → it stopped speaking."""
    greeting_completion_after_beep_ms: int = 1000
    """The same once a beep was heard."""
    threshold_word_count: int = 9
    """A greeting of at least this many words → `machine`; 0: never by words."""
    revision_window_ms: int = 12000
    """How long after `human` or `silence` the detector goes on listening for a beep or a greeting that
    goes on; 0: the first decision is final."""
    machine_probability: float = 0.885
    """While somebody speaks: decide `machine` when the model is at least so sure."""
    human_probability: float = 0.78
    """In a pause: decide `human` when the model is at least so sure that it is not a machine."""
    pause_ms: int = 600
    """No decision for `human` in a shorter pause."""
    goes_on_after_ms: int = 2000
    """Speech that sets in within this time after the greeting belongs to it, and when it then lasts..."""
    goes_on_ms: int = 2200
    """...so long without a pause, `human` is revised to `machine`: a person waits to be answered."""
