"""`dial-engine demo`, whole: real phones, a web application, and the proof it prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from engine.demo import run_demo
from engine.dial.outcome import DialStatus
from tests.support.tools import require_pjsua2

pytestmark = pytest.mark.lab


async def test_the_demo_proves_a_simring_a_message_after_the_beep_and_a_document_with_screening(
    tmp_path: Path,
) -> None:
    require_pjsua2()
    out = io.StringIO()
    outcome = await run_demo(out, keep=tmp_path)
    assert outcome.is_proved, out.getvalue()
    result = outcome.simring.result
    assert (result.dial_status, result.dial_sip_status) == (DialStatus.COMPLETED, 200)
    assert [(leg.status.value, leg.sip_status) for leg in result.legs] == [
        ("completed", 200),
        ("busy", 486),
        ("no-answer", 487),
    ]
    shown = out.getvalue()
    for line in (
        "486 Busy Here",
        "CANCEL",
        "487 Request Terminated",
        "dial_status=completed  dial_sip_status=200",
    ):
        assert line in shown
    assert shown.count("proved") == 5
    document = outcome.document
    assert document.is_proved
    paths = [path for path, _ in document.told]
    assert [path for path in paths if path != "status"] == [
        "call", "confirm", "pressed", "amd", "dtmf", "dialled"
    ]  # fmt: skip
    assert [words[0] for words in document.statuses.values()] == ["trying"] * 4
    assert sorted(words[-1] for words in document.statuses.values()) == [
        "busy", "completed", "completed", "no-answer"
    ]  # fmt: skip
