"""The words of the hook (DV-70) for each event."""

from __future__ import annotations

import pytest

from amd import (
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


def decided(verdict: Verdict, rule: Rule) -> Decision:
    return Decision(verdict, rule, 0.9, "words", Evidence(), 8000)


BEEP = Beep(1000.4, (1000.4,), BeepShape.SINGLE, 300.0, -12.0, 0.04, 8000, 10400, 10880)


def test_dv70_amd_type_is_present_only_when_the_event_is_amd() -> None:
    human = hook_fields(decided(Verdict.HUMAN, Rule.SHORT_GREETING), language="en-US")
    assert human == {
        "event": "amd",
        "amd_type": "human",
        "type": "amd_human_detected",
        "reason": "short greeting",
        "greeting": "",
        "language": "en-US",
    }
    machine = hook_fields(decided(Verdict.MACHINE, Rule.LONG_GREETING))
    assert machine is not None
    assert (machine["type"], machine["reason"]) == ("amd_machine_detected", "long greeting")


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (decided(Verdict.SILENCE, Rule.NO_SPEECH), {"event": "silence", "type": "amd_no_speech_detected"}),
        (decided(Verdict.UNDECIDED, Rule.TIMEOUT), {"type": "amd_decision_timeout"}),
        (GreetingEnded(8000, 24000), {"event": "silence", "type": "amd_machine_stopped_speaking"}),
        (BEEP, {"event": "beep", "type": "amd_tone_detected", "frequency": 1000, "variance": 0.0}),
        (Tone(ToneName.BUSY, "line busy", (480.0, 620.0), 0, 8000), None),
    ],
)
def test_dv70_every_other_event_has_its_words_and_no_amd_type(
    event: AmdEvent, fields: dict[str, str | float] | None
) -> None:
    assert hook_fields(event) == fields
