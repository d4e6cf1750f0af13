"""Matrix 9 of the dial contract: REFER from either party (DV-82), by real phones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.softphone import Answer as Answers
from engine.softphone import CallState, PhoneCall, Tone
from tests.support.application import Answer, Script, WebApplication
from tests.support.phones import PhoneRack
from tests.support.two_phones import Bridged, bridged, hang_up

pytestmark = pytest.mark.lab

ELSEWHERE = "sip:+15550177@example.com"


async def outcome(call: PhoneCall) -> int:
    """The final status of a transfer as the phone that asked for it knows it."""
    async with asyncio.timeout(10):
        while not any(step.status >= 200 for step in call.transfer):  # noqa: ASYNC110 - the phone has no event
            await asyncio.sleep(0.01)
    return next(step.status for step in call.transfer if step.status >= 200)


def parties(call: Bridged, who: str) -> tuple[PhoneCall, str, str]:
    """The phone that refers, its leg's sid, and the other one's."""
    if who == "callee":
        return call.bob, call.bob_sid, call.alice_sid
    return call.alice, call.alice_sid, call.bob_sid


@pytest.mark.parametrize("who", ["callee", "caller"])
async def test_dv82_the_hook_is_told_and_its_document_runs_on_the_other_leg(
    rack: PhoneRack, who: str
) -> None:
    carol = await rack.phone("carol", Answers(sound=Tone(700)))
    async with WebApplication() as app:
        app.on(
            "/refer",
            [{"verb": "dial", "target": [{"type": "sip", "sipUri": carol.uri}], "actionHook": "/then"}],
        )
        app.on("/then")
        async with bridged(app, rack, referHook="/refer") as call:
            referrer, sid, other_sid = parties(call, who)
            other = call.alice if who == "callee" else call.bob
            await referrer.transfer_to(ELSEWHERE)
            told = (await app.request("/refer")).payload
            assert await outcome(referrer) == 200
            theirs = await carol.next_call()
            await theirs.until(CallState.CONFIRMED)
            assert other.state is CallState.CONFIRMED
            await referrer.hang_up()
            await theirs.hang_up()
            then = (await app.request("/then")).payload
            await other.until(CallState.DISCONNECTED)
            first = (await app.request("/dial")).payload
    details = told["refer_details"]
    assert details["refer_to_user"] == "+15550177"
    assert ELSEWHERE in details["sip_refer_to"]
    assert (details["referring_call_sid"], details["referred_call_sid"]) == (sid, other_sid)
    assert told["call_sid"] == sid
    assert (then["call_sid"], then["dial_status"]) == (other_sid, "completed")
    assert first["dial_termination_reason"] in ("replaced", "answered")


REFUSALS: dict[str, tuple[Script | None, int]] = {
    "403": (Answer(status=403), 403),
    "404": (Answer(status=404), 404),
    "503": (Answer(status=503), 503),
    "603": (Answer(status=603), 603),
    "a timeout": (Answer(gate=asyncio.Event()), 500),
    "a broken connection": (Answer(cut=True), 500),
    "no hook": (None, 501),
}


@pytest.mark.parametrize("how", REFUSALS)
async def test_section_4_4_what_is_no_success_refuses_the_refer(rack: PhoneRack, how: str) -> None:
    script, status = REFUSALS[how]
    properties: dict[str, Any] = {}
    async with WebApplication() as app:
        if script is not None:
            app.on("/refer", script)
            properties["referHook"] = "/refer"
        async with bridged(app, rack, options={"hook_timeout_s": 0.5}, **properties) as call:
            await call.bob.transfer_to(ELSEWHERE)
            assert await outcome(call.bob) == status
            assert call.alice.state is CallState.CONFIRMED
            assert call.bob.state is CallState.CONFIRMED
            told = await hang_up(call)
    assert told["dial_status"] == "completed"


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_section_4_4_a_success_without_a_document_accepts_and_changes_nothing(
    rack: PhoneRack, status: int
) -> None:
    async with WebApplication() as app:
        app.on("/refer", Answer(status=status))
        async with bridged(app, rack, referHook="/refer") as call:
            await call.bob.transfer_to(ELSEWHERE)
            assert await outcome(call.bob) == 200
            assert call.alice.state is CallState.CONFIRMED
            await call.alice.hang_up()
            await call.alice.until(CallState.DISCONNECTED)
            await call.bob.until(CallState.DISCONNECTED)
