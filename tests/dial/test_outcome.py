"""The tables of sections 6.2, 6.3 and 9, row by row."""

from __future__ import annotations

import pytest

from engine.dial.failure import (
    Fault,
    LegFailure,
    Phase,
    Trouble,
    held_back,
    internal_error,
    media_failed,
    no_response,
    no_route,
    refused,
    transport_failed,
)
from engine.dial.leg import EndedBy
from engine.dial.outcome import (
    BranchEnd,
    DialStatus,
    How,
    StatusMap,
    TerminationReason,
    best,
    how_it_failed,
    of_branch,
    to_caller,
    without_winner,
)
from engine.errors import ConfigError
from engine.ids import CallSid

A = CallSid("a")

ROWS_OF_62 = [
    (How.CONNECTED, 200, "completed"),
    (How.DECLINED, 200, "busy"),
    (How.RESPONSE, 486, "busy"),
    (How.RESPONSE, 600, "busy"),
    (How.RESPONSE, 603, "busy"),
    (How.RESPONSE, 607, "busy"),
    (How.RESPONSE, 480, "no-answer"),
    (How.RESPONSE, 408, "no-answer"),
    (How.GIVEN_UP, 487, "no-answer"),
    (How.GIVEN_UP, 200, "no-answer"),
    (How.RESPONSE, 487, "no-answer"),
    *[(How.RESPONSE, code, "failed") for code in (404, 604, 410, 484, 485, 416)],
    *[(How.RESPONSE, code, "failed") for code in (401, 407, 403)],
    *[
        (How.RESPONSE, code, "failed")
        for code in (405, 406, 413, 414, 415, 420, 421, 423, 482, 483, 488, 606, 422, 481, 499)
    ],
    *[(How.RESPONSE, code, "failed") for code in (500, 501, 502, 503, 504, 505, 513, 580, 599)],
    *[(How.RESPONSE, code, "failed") for code in (608, 601, 699)],
    *[(How.RESPONSE, code, "failed") for code in (300, 301, 302, 305, 380)],
    (How.NO_RESPONSE, 408, "failed"),
    (How.TRANSPORT, 503, "failed"),
    (How.NO_ROUTE, 503, "failed"),
    (How.NO_ROUTE, 404, "failed"),
    (How.NO_ROUTE, 480, "failed"),
    (How.MEDIA, 488, "failed"),
    (How.INTERNAL, 500, "failed"),
    (How.HELD_BACK, 0, "queued"),
]


@pytest.mark.parametrize(("how", "code", "status"), ROWS_OF_62)
def test_dv50_one_branch_has_the_status_of_its_row(how: How, code: int, status: str) -> None:
    assert of_branch(BranchEnd(A, how, code)) == status


def test_dv50_every_way_to_end_has_a_row() -> None:
    assert {how for how, _, _ in ROWS_OF_62} == set(How)


def test_dv50_a_deployment_overrides_a_single_code_and_nothing_else() -> None:
    mapped = StatusMap({603: DialStatus.FAILED})
    assert of_branch(BranchEnd(A, How.RESPONSE, 603), mapped) is DialStatus.FAILED
    assert of_branch(BranchEnd(A, How.RESPONSE, 486), mapped) is DialStatus.BUSY
    assert of_branch(BranchEnd(A, How.DECLINED, 200), mapped) is DialStatus.BUSY


@pytest.mark.parametrize("code", [100, 200, 299, 700])
def test_dv50_an_override_is_for_final_responses_of_failed_branches(code: int) -> None:
    with pytest.raises(ConfigError, match=f"status_map.{code}"):
        StatusMap({code: DialStatus.BUSY})


def test_dv50_the_first_and_the_last_final_response_can_be_mapped() -> None:
    mapped = StatusMap({300: DialStatus.BUSY, 699: DialStatus.NO_ANSWER})
    assert (mapped.of_response(300), mapped.of_response(699)) == (DialStatus.BUSY, DialStatus.NO_ANSWER)


@pytest.mark.parametrize("status", [DialStatus.COMPLETED, DialStatus.QUEUED])
def test_dv50_an_override_cannot_turn_a_failure_into_a_success(status: DialStatus) -> None:
    with pytest.raises(ConfigError, match="603"):
        StatusMap({603: status})


def test_dv51_the_statuses_are_final_values_only() -> None:
    assert {status.value for status in DialStatus} == {"completed", "failed", "busy", "no-answer", "queued"}


FAILURES = [
    (refused(486, "Busy Here"), How.RESPONSE, Fault.CALLEE),
    (refused(503, "Service Unavailable"), How.RESPONSE, Fault.TRUNK),
    (refused(403, "Forbidden"), How.RESPONSE, Fault.TRUNK),
    (refused(302, "Moved"), How.RESPONSE, Fault.TRUNK),
    (refused(482, "Loop Detected"), How.RESPONSE, Fault.UNKNOWN),
    (refused(608, "Rejected"), How.RESPONSE, Fault.TRUNK),
    (no_response(), How.NO_RESPONSE, Fault.NETWORK),
    (transport_failed("connection refused"), How.TRANSPORT, Fault.NETWORK),
    (no_route(), How.NO_ROUTE, Fault.ENGINE),
    (no_route(480, "not registered"), How.NO_ROUTE, Fault.CALLEE),
    (media_failed("no common codec"), How.MEDIA, Fault.CALLEE),
    (media_failed("no port left", 503), How.MEDIA, Fault.ENGINE),
    (held_back(), How.HELD_BACK, Fault.ENGINE),
    (internal_error("KeyError"), How.INTERNAL, Fault.ENGINE),
]


@pytest.mark.parametrize(("failure", "how", "fault"), FAILURES)
def test_a_failure_says_who_has_to_act_and_finds_its_row(failure: LegFailure, how: How, fault: Fault) -> None:
    assert how_it_failed(failure) is how
    assert failure.fault is fault


def test_every_kind_of_trouble_finds_its_row() -> None:
    assert {failure.trouble for failure, _, _ in FAILURES} == set(Trouble)


def test_a_408_after_ringing_keeps_its_phase() -> None:
    assert refused(408, "Request Timeout", Phase.RINGING).phase is Phase.RINGING


def ends(*codes: int | tuple[How, int]) -> list[BranchEnd]:
    """Branches a, b, c, ... in order of arrival; a bare number is a received response."""
    pairs = [(How.RESPONSE, code) if isinstance(code, int) else code for code in codes]
    return [BranchEnd(CallSid(chr(ord("a") + index)), *pair) for index, pair in enumerate(pairs)]


ROWS_OF_63: list[tuple[list[BranchEnd], str, int, str]] = [
    (ends(486, 404), "a", 486, "busy"),
    (ends(404, 486), "b", 486, "busy"),
    (ends(503, 486), "b", 486, "busy"),
    (ends(486, 603), "b", 603, "busy"),
    (ends(404, 604), "b", 604, "failed"),
    (ends(480, 486), "b", 486, "busy"),
    (ends(480, 404), "a", 480, "no-answer"),
    (ends(500, 503), "a", 500, "failed"),
    (ends(503, 500), "b", 500, "failed"),
    (ends(407, 486), "a", 407, "failed"),
    (ends((How.TRANSPORT, 503), 404), "b", 404, "failed"),
    (ends((How.DECLINED, 200), 486), "a", 200, "busy"),
    (ends(486, (How.DECLINED, 200)), "b", 200, "busy"),
    # rules 3 to 7 beyond the printed examples
    (ends((How.DECLINED, 200), 600), "a", 200, "busy"),
    (ends(600, 603), "a", 600, "busy"),
    (ends(603, 600), "a", 603, "busy"),
    (ends(608, 606, 604, 607, 603), "e", 603, "busy"),
    (ends(608, 606, 604, 607), "d", 607, "busy"),
    (ends(608, 606, 604), "c", 604, "failed"),
    (ends(608, 606), "b", 606, "failed"),
    (ends(699, 608), "b", 608, "failed"),
    (ends(486, 302), "b", 302, "failed"),
    (ends(404, 420, 415), "c", 415, "failed"),
    (ends(484, 486), "a", 484, "failed"),
    (ends(487, 408, 480), "c", 480, "no-answer"),
    (ends(404, 410), "a", 404, "failed"),
    (ends(410, 404), "a", 410, "failed"),
    (ends((How.NO_RESPONSE, 408), 404), "a", 408, "failed"),
    (ends((How.NO_RESPONSE, 408), 486), "b", 486, "busy"),
    (ends(503, (How.INTERNAL, 500)), "b", 500, "failed"),
    (ends((How.HELD_BACK, 0), 503), "b", 503, "failed"),
    (ends((How.HELD_BACK, 0)), "a", 0, "queued"),
    (ends((How.GIVEN_UP, 487), 404), "b", 404, "failed"),
]


@pytest.mark.parametrize(("branches", "leg", "code", "status"), ROWS_OF_63)
def test_dv52_the_best_response_of_several_branches_is_reported(
    branches: list[BranchEnd], leg: str, code: int, status: str
) -> None:
    verdict = without_winner(branches)
    assert (verdict.leg, verdict.sip_status, verdict.dial_status) == (leg, code, status)


def test_a_declined_branch_is_reported_as_screening_declined() -> None:
    verdict = without_winner(ends((How.DECLINED, 200), 486))
    assert verdict.termination_reason is TerminationReason.SCREENING_DECLINED


def test_a_missing_route_is_reported_as_no_route() -> None:
    verdict = without_winner(ends((How.NO_ROUTE, 503)))
    assert verdict.termination_reason is TerminationReason.NO_ROUTE
    assert verdict.ended_by is EndedBy.ENGINE


def test_branches_we_gave_up_are_never_chosen() -> None:
    assert best(ends((How.GIVEN_UP, 487), (How.GIVEN_UP, 200))) is None
    verdict = without_winner([])
    assert (verdict.dial_status, verdict.sip_status, verdict.leg) == (DialStatus.NO_ANSWER, 487, None)


ALL_FAILED = TerminationReason.ALL_FAILED
ROWS_OF_9 = [
    (487, TerminationReason.RING_TIMEOUT, 480),
    (486, ALL_FAILED, 486),
    (600, ALL_FAILED, 600),
    (603, ALL_FAILED, 603),
    (200, TerminationReason.SCREENING_DECLINED, 603),
    *[(code, ALL_FAILED, code) for code in (404, 604, 410, 484, 480)],
    (503, ALL_FAILED, 503),
    (503, TerminationReason.NO_ROUTE, 503),
    (404, TerminationReason.NO_ROUTE, 404),
    (500, ALL_FAILED, 500),
    (502, ALL_FAILED, 500),
    (580, ALL_FAILED, 500),
    (403, ALL_FAILED, 403),
    (607, ALL_FAILED, 607),
    (0, TerminationReason.RING_TIMEOUT, 480),
    (0, ALL_FAILED, 503),
    (487, TerminationReason.CALLER_GONE, 487),
    (None, None, 603),
]


@pytest.mark.parametrize(("code", "reason", "answer"), ROWS_OF_9)
def test_an_unanswered_caller_gets_the_response_of_section_9(
    code: int | None, reason: TerminationReason | None, answer: int
) -> None:
    assert to_caller(code, reason) == answer


def test_a_deployment_maps_the_response_to_the_caller() -> None:
    assert to_caller(603, ALL_FAILED, {603: 486}) == 486
    assert to_caller(486, ALL_FAILED, {603: 486}) == 486
