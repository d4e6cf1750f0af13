"""Rows for the tests of the store."""

from __future__ import annotations

from engine.store import AlertRow, CallRow, Delivery, LegRow, RtpQuality, StatusStep

__all__ = ["ACCOUNT", "CALL", "an_alert", "call_row", "delivery", "leg_row"]

ACCOUNT = "de190aaa-e84b-4bb2-86e3-0e6b5f8c2a11"
CALL = "e35d4edf-efd2-424c-8667-c6c5f53b1e1b"


def call_row(call_sid: str = CALL, started_utc: float = 1000.0, **more: object) -> CallRow:
    """A whole call, ended."""
    facts: dict[str, object] = {
        "direction": "inbound",
        "from_": "+15550100",
        "to": "+15550101",
        "account_sid": ACCOUNT,
        "application_sid": "33b259c1-303d-486a-a8dd-5d5b1a0c7c55",
        "call_id": "b770aa5a@example.com",
        "trunk": "CarrierA",
        "originating_ip": "198.51.100.7",
        "call_status": "completed",
        "sip_status": 200,
        "sip_reason": "OK",
        "reason_header": "Q.850;cause=16",
        "ended_by": "caller",
        "answered_utc": started_utc + 2.5,
        "ended_utc": started_utc + 12.5,
        "duration_s": 10.0,
        "statuses": (
            StatusStep(started_utc, 100, "Trying", "trying"),
            StatusStep(started_utc + 2.5, 200, "OK", "in-progress"),
        ),
        "codec": "PCMA/8000",
        "rtp": RtpQuality(packets_sent=500, packets_received=498, packets_lost=2, jitter_ms=1.5),
        "amd": "human",
        "dial_status": "completed",
        "customer_data": {"order": 7, "tags": ["a", "ü"]},
    }
    return CallRow(call_sid=call_sid, started_utc=started_utc, **{**facts, **more})  # type: ignore[arg-type]


def leg_row(leg_sid: str, call_sid: str = CALL, started_utc: float = 1000.5, **more: object) -> LegRow:
    """A branch that was rung and let go."""
    facts: dict[str, object] = {
        "type": "phone",
        "to": "+15550102",
        "call_status": "no-answer",
        "sip_status": 487,
        "is_answered_elsewhere": True,
        "ringing_utc": started_utc + 1,
        "ended_utc": started_utc + 5,
        "statuses": (StatusStep(started_utc + 1, 180, "Ringing", "ringing"),),
    }
    return LegRow(leg_sid=leg_sid, call_sid=call_sid, started_utc=started_utc, **{**facts, **more})  # type: ignore[arg-type]


def an_alert(sid: str, at_utc: float = 1000.0, **more: str) -> AlertRow:
    """A document that was not valid."""
    return AlertRow(
        alert_sid=sid,
        at_utc=at_utc,
        kind="malformed-document",
        text="unknown verb",
        path="$[0].verb",
        call_sid=CALL,
        **{"account_sid": ACCOUNT, **more},
    )


def delivery(key: str, **more: object) -> Delivery:
    """A hook that must not be lost."""
    facts: dict[str, object] = {
        "call_sid": CALL,
        "account_sid": ACCOUNT,
        "kind": "call:status",
        "created_utc": 1000.0,
        "url": "https://app.example.com/status#rc=2",
        "username": "alice",
        "password": "secret",
        "body": b'{"call_status":"completed"}',
    }
    return Delivery(key=key, **{**facts, **more})  # type: ignore[arg-type]
