"""The scenarios judged by SIPp itself: a lab test that fails then points at the engine, not at its peer."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.support.sipp import SCENARIOS, SippBench

pytestmark = pytest.mark.lab

ALL = sorted(path.stem for path in SCENARIOS.glob("*.xml"))


@pytest.mark.parametrize(
    ("caller", "callee"),
    [
        ("caller_answers_basic", "callee_answers"),
        ("caller_answers_basic", "callee_early_media"),
        ("caller_delayed_offer", "callee_answers"),
        ("caller_cancels", "callee_rings_on"),
        ("caller_cancels", "load_simring"),
        ("caller_is_refused", "callee_busy"),
        ("caller_is_refused", "callee_declines"),
        ("caller_is_refused", "callee_unavailable"),
        ("caller_is_refused", "callee_503"),
        ("load_caller", "load_callee"),
    ],
)
async def test_caller_and_callee_scenarios_fit_each_other(sipp: SippBench, caller: str, callee: str) -> None:
    called = await sipp.callee(callee)
    calling = await sipp.caller(caller, ("127.0.0.1", called.port), hold_ms=50)
    (await calling.finished()).assert_passed()
    result = await called.finished()
    result.assert_passed()
    assert result.messages[0].first_line.startswith("INVITE sip:5550100@")
    assert len(result.received("INVITE")) == 1


async def test_what_sipp_refuses_is_reported_with_its_reason(sipp: SippBench) -> None:
    busy = await sipp.callee("callee_busy")
    hopeful = await sipp.caller("caller_answers_basic", ("127.0.0.1", busy.port))
    result = await hopeful.finished()
    assert (result.exit_code, result.successful, result.failed) == (1, 0, 1)
    with pytest.raises(AssertionError, match=r"unexpected message.*486 Busy Here"):
        result.assert_passed()


async def test_load_scenarios_work_in_numbers(sipp: SippBench) -> None:
    callee = await sipp.callee("load_callee", calls=60, trace=False)
    caller = await sipp.caller("load_caller", ("127.0.0.1", callee.port), calls=60, rate=60, hold_ms=20)
    (await caller.finished()).assert_passed(60)
    (await callee.finished()).assert_passed(60)


@pytest.mark.parametrize("scenario", ALL)
async def test_sipp_accepts_every_scenario(sipp: SippBench, scenario: str) -> None:
    keys = {
        "contact": "sip:carol@192.0.2.1",
        "answer": "486 Busy Here",
        "from": "<sip:alice@example.com>",
        "identity": "P-Asserted-Identity: <sip:alice@example.com>",
        "privacy": "Privacy: none",
    }
    if scenario.startswith(("caller", "load_caller")):
        started = await sipp.caller(scenario, ("127.0.0.1", 9), timeout_s=2, keys=keys)
    else:
        started = await sipp.callee(scenario, keys=keys)
    await started.stop()


@pytest.mark.parametrize("scenario", ALL)
def test_every_scenario_is_in_the_table(scenario: str) -> None:
    table = (SCENARIOS / "README.md").read_text()
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{scenario}` |")]
    test = SCENARIOS.parent / row.split("`")[-2]
    name = scenario.removesuffix("_401").removesuffix("_407")
    assert f'"{name}' in test.read_text() or f'f"{name}_' in test.read_text(), f"{test} does not use it"
    assert ET.parse(SCENARIOS / f"{scenario}.xml").getroot().get("name")
