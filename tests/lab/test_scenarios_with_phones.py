"""The callee scenarios judged by a second stack: a pjsua2 phone does what they demand of a caller."""

from __future__ import annotations

import asyncio

import pytest

from engine.softphone import Account, CallState, MediaDirection
from tests.support.phones import PhoneRack
from tests.support.sipp import SippBench

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(
    "scenario",
    [
        "callee_answers",
        "callee_early_media",
        "callee_loses_first_ack",
        "callee_200_twice",
        "callee_100rel",
        "callee_wants_auth_401",
        "callee_wants_auth_407",
        "callee_session_timer",
        "load_callee",
    ],
)
async def test_a_phone_talks_to_the_callee_and_hangs_up(
    sipp: SippBench, rack: PhoneRack, scenario: str
) -> None:
    callee = await sipp.callee(scenario, hold_ms=50)
    alice = await rack.phone("alice", account=Account(username="alice", password="secret"))
    call = await alice.call(callee.uri)
    await call.until(CallState.CONFIRMED)
    await asyncio.sleep(0.7)  # long enough for what the scenario does before it expects the BYE
    await call.hang_up()
    (await callee.finished()).assert_passed()


@pytest.mark.parametrize("scenario", ["callee_hangs_up", "callee_bye_at_once"])
async def test_the_callee_hangs_up_on_the_phone(sipp: SippBench, rack: PhoneRack, scenario: str) -> None:
    callee = await sipp.callee(scenario, hold_ms=100)
    alice = await rack.phone("alice")
    call = await alice.call(callee.uri)
    assert (await call.until(CallState.DISCONNECTED)).message.startswith("BYE ")
    (await callee.finished()).assert_passed()


async def test_the_callee_holds_and_resumes_the_phone(sipp: SippBench, rack: PhoneRack) -> None:
    callee = await sipp.callee("callee_reinvite_hold", hold_ms=200)
    alice = await rack.phone("alice")
    call = await alice.call(callee.uri)
    await call.until_media(MediaDirection.REMOTE_HOLD)
    await call.until_media(MediaDirection.ACTIVE)
    await call.until(CallState.DISCONNECTED)
    (await callee.finished()).assert_passed()


@pytest.mark.parametrize(
    ("scenario", "status"), [("callee_busy", 486), ("callee_503", 503), ("callee_wants_auth_401", 403)]
)
async def test_the_callee_refuses_the_phone(
    sipp: SippBench, rack: PhoneRack, scenario: str, status: int
) -> None:
    callee = await sipp.callee(scenario)
    alice = await rack.phone("alice", account=Account(username="alice", password="wrong"))
    call = await alice.call(callee.uri)
    assert (await call.until(CallState.DISCONNECTED)).status == status
    (await callee.finished()).assert_passed()


async def test_a_redirected_phone_calls_the_other_callee(sipp: SippBench, rack: PhoneRack) -> None:
    there = await sipp.callee("callee_hangs_up", hold_ms=50)
    here = await sipp.callee("callee_redirects", keys={"contact": there.uri_for("carol")})
    alice = await rack.phone("alice")
    call = await alice.call(here.uri)
    await call.until(CallState.DISCONNECTED)
    (await here.finished()).assert_passed()
    if call.time_of(CallState.CONFIRMED) is not None:  # pjsua follows a 302 only if it was built to
        (await there.finished()).assert_passed()


@pytest.mark.parametrize("scenario", ["callee_rings_on", "callee_late_200_after_cancel"])
async def test_the_phone_gives_up(sipp: SippBench, rack: PhoneRack, scenario: str) -> None:
    callee = await sipp.callee(scenario)
    alice = await rack.phone("alice")
    call = await alice.call(callee.uri)
    await call.until(CallState.EARLY)
    await call.hang_up()
    await call.until(CallState.DISCONNECTED)
    (await callee.finished()).assert_passed()


async def test_a_phone_registers_and_ends_its_registration_when_it_stops(
    sipp: SippBench, rack: PhoneRack
) -> None:
    registrar = await sipp.callee("registrar_accepts")
    account = Account(
        aor="sip:alice@example.com",
        registrar=f"sip:127.0.0.1:{registrar.port}",
        username="alice",
        password="secret",
    )
    alice = await rack.phone("alice", account=account)
    assert (await alice.registered()).is_registered
    await alice.stop()
    seen = await registrar.finished()
    seen.assert_passed()
    assert {m.header("To") for m in seen.received("REGISTER")} == {"<sip:alice@example.com>"}


async def test_a_registration_with_a_wrong_password_is_reported(sipp: SippBench, rack: PhoneRack) -> None:
    registrar = await sipp.callee("registrar_accepts")
    uri = f"sip:127.0.0.1:{registrar.port}"
    account = Account(aor="sip:alice@example.com", registrar=uri, username="alice", password="wrong")
    alice = await rack.phone("alice", account=account)
    answer = await alice.registered()
    assert (answer.is_registered, answer.status) == (False, 403)
    (await registrar.finished()).assert_passed()
