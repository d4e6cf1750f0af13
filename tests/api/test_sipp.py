"""The native API with SIPp as the far side: a simring, a machine that is heard, messages judged by others."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from media.audio import Pcm
from tests.api.serving import api, services
from tests.api.test_events import listening
from tests.support.callee import BEEP, GREETING, pause
from tests.support.sipp import SippBench
from tests.support.talking_sipp import callee_that_says

pytestmark = pytest.mark.lab


@pytest.fixture
async def sipp(tmp_path: Path) -> AsyncIterator[SippBench]:
    async with SippBench(tmp_path) as bench:
        yield bench


async def test_a_simring_over_http_cancels_who_did_not_win(sipp: SippBench) -> None:
    busy, rings = await sipp.callee("callee_busy"), await sipp.callee("callee_rings_on")
    async with api() as http:
        targets = [busy.uri, rings.uri]
        result = await http("POST", "/v1/dials?wait=true", {"targets": targets, "timeout_s": 0.8})
        assert (result.json["dial_status"], result.json["dial_sip_status"]) == ("no-answer", 487)
        assert result.json["dial_termination_reason"] == "ring-timeout"
        assert [leg["sip_status"] for leg in result.json["dial_legs"]] == [486, 487]
    (await busy.finished()).assert_passed()
    (await rings.finished()).assert_passed()


async def test_a_machine_is_heard_left_a_message_and_told_in_the_stream(
    sipp: SippBench, tmp_path: Path
) -> None:
    said = np.concatenate([pause(0.3), GREETING, pause(0.4), BEEP, pause(4.0)])
    callee = await callee_that_says(sipp, "machine", tmp_path, said)

    async def sounds(name: str) -> Pcm:
        return (8000 * np.sin(np.arange(4000) * 2 * math.pi * 440 / 8000)).astype(np.int16)

    recordings = tmp_path / "recordings"
    recordings.mkdir()
    async with api(services(sounds=sounds, recordings=recordings)) as http:
        body = {"targets": [callee.uri], "after_beep": "message.wav", "record": True}
        where = (await http("POST", "/v1/dials", body)).headers["location"]
        async with listening(http, where) as listener:
            heard = await listener.rest()
        told = [each.data["type"] for each in heard if each.name == "amd"]
        assert told[0] == "amd_machine_detected"
        assert "amd_tone_detected" in told
        assert heard[-1].data["dial_status"] == "completed"
        wav = await http("GET", f"{where}/recording")
        assert len(wav.body) > 2 * 8000 * 2
