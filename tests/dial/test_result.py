"""The fields of section 6.1."""

from __future__ import annotations

import msgspec

from engine.dial.leg import EndedBy
from engine.dial.outcome import DialStatus, TerminationReason
from engine.dial.result import DialResult, LegRecord
from engine.ids import CallSid


def record(leg: str, status: DialStatus, sip_status: int) -> LegRecord:
    return LegRecord(
        leg=CallSid(leg),
        type="sip",
        to="sip:bob@example.com",
        status=status,
        sip_status=sip_status,
        sip_reason="Busy Here",
        sip_call_id=f"{leg}@192.0.2.1",
    )


def result(leg: str | None, status: DialStatus = DialStatus.BUSY) -> DialResult:
    return DialResult(
        dial_id="d",
        dial_status=status,
        dial_sip_status=486,
        termination_reason=TerminationReason.ALL_FAILED,
        legs=(record("a", DialStatus.FAILED, 404), record("b", DialStatus.BUSY, 486)),
        leg=None if leg is None else CallSid(leg),
        ended_by=EndedBy.CALLEE,
        started_at_utc=0.0,
        ring_s=1.0,
        talk_s=0.0,
    )


def test_the_result_has_the_documented_names() -> None:
    assert msgspec.json.decode(result("b").to_json()) == {
        "dial_call_sid": "b",
        "dial_status": "busy",
        "dial_call_status": "busy",
        "dial_sip_status": 486,
        "dial_sbc_callid": "b@192.0.2.1",
        "dial_termination_reason": "all-failed",
        "dial_legs": [
            {
                "call_sid": "a",
                "type": "sip",
                "to": "sip:bob@example.com",
                "sip_status": 404,
                "sip_reason": "Busy Here",
                "status": "failed",
            },
            {
                "call_sid": "b",
                "type": "sip",
                "to": "sip:bob@example.com",
                "sip_status": 486,
                "sip_reason": "Busy Here",
                "status": "busy",
            },
        ],
    }


def test_the_older_name_of_queued_is_failed() -> None:
    fields = result("b", DialStatus.QUEUED).to_dict()
    assert (fields["dial_status"], fields["dial_call_status"]) == ("queued", "failed")


def test_a_result_without_a_deciding_branch_has_empty_ids() -> None:
    fields = result(None).to_dict()
    assert (fields["dial_call_sid"], fields["dial_sbc_callid"]) == ("", "")


def test_a_result_survives_being_written_as_json_and_read_again() -> None:
    whole = result("b")
    assert msgspec.json.decode(msgspec.json.encode(whole), type=DialResult) == whole
