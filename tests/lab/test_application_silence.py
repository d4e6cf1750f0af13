"""A callee that never says a word, as the application and the caller are told (6.2, section 9)."""

from __future__ import annotations

import socket

import pytest

from tests.support.application import WebApplication
from tests.support.running_application import application_engine
from tests.support.running_engine import lab_config, sip_address
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


async def test_section_6_2_and_9_no_response_at_all_is_failed_408_and_408_for_the_caller(
    sipp: SippBench,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        target = [{"type": "sip", "sipUri": f"sip:nobody@127.0.0.1:{deaf.getsockname()[1]}"}]
        base = lab_config(timer_b_s=0.6)
        async with WebApplication() as app, application_engine(app, base=base) as engine:
            app.on("/call", [{"verb": "dial", "answerOnBridge": True, "target": target, "timeout": 10}])
            app.on("/dial")
            caller = await sipp.caller("caller_is_refused", sip_address(engine))
            calling = await caller.finished()
            told = (await app.request("/dial")).payload
    calling.assert_passed()
    assert (told["dial_status"], told["dial_sip_status"]) == ("failed", 408)
    assert told["dial_termination_reason"] == "all-failed"
    assert len(calling.received("408 INVITE")) == 1
