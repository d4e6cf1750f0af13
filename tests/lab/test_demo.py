"""`dial-engine demo`, whole: four real phones, and the proof it prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from engine.demo import run_demo
from engine.dial.outcome import DialStatus
from tests.support.tools import require_pjsua2

pytestmark = pytest.mark.lab


async def test_the_demo_proves_a_simring_with_audio_both_ways_and_a_message_after_the_beep(
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
    assert shown.count("proved") == 3
