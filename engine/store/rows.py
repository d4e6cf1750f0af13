"""What the store keeps, as typed facts: calls, legs, alerts, deliveries that must not be lost.

Times ending in `_utc` are seconds since the epoch. A row is always written whole: a later version of the same
row replaces the earlier one, so that writing it twice, or after a pause, does no harm.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

__all__ = [
    "AlertRow",
    "CallQuery",
    "CallRow",
    "Delivery",
    "DeliveryState",
    "LegRow",
    "RtpQuality",
    "StatusStep",
    "StoreHealth",
]


class StatusStep(Struct, frozen=True):
    """One SIP status of a leg, sent or received."""

    at_utc: float
    sip_status: int
    sip_reason: str = ""
    call_status: str = ""


class RtpQuality(Struct, frozen=True, omit_defaults=True):
    """How the audio of one leg travelled (RFC 3550 §6.4)."""

    packets_sent: int = 0
    packets_received: int = 0
    packets_lost: int = 0
    """Of those the far side sent to us."""
    jitter_ms: float = 0.0
    remote_packets_lost: int | None = None
    """As the far side reported of what we sent; None: it reported nothing."""
    remote_jitter_ms: float | None = None
    round_trip_ms: float | None = None


class CallRow(Struct, frozen=True, kw_only=True):
    """One call under an application: a caller's leg, or a call created over REST."""

    call_sid: str
    direction: str
    """`inbound` or `outbound`."""
    from_: str = ""
    to: str = ""
    account_sid: str = ""
    application_sid: str = ""
    parent_call_sid: str = ""
    call_id: str = ""
    """SIP Call-ID."""
    trunk: str = ""
    originating_ip: str = ""
    call_status: str = "trying"
    sip_status: int = 0
    sip_reason: str = ""
    reason_header: str = ""
    """RFC 3326 Reason of the message that ended the call."""
    ended_by: str = ""
    """`caller`, `callee` or `engine`; empty while it lives."""
    started_utc: float = 0.0
    answered_utc: float | None = None
    ended_utc: float | None = None
    """None: the call is open."""
    duration_s: float | None = None
    """From answer to end."""
    statuses: tuple[StatusStep, ...] = ()
    """Every SIP status, in order."""
    codec: str = ""
    rtp: RtpQuality | None = None
    amd: str = ""
    """Verdict of the answering-machine detection; empty: none was asked for or made."""
    dial_status: str = ""
    """Result of the last dial this call executed."""
    customer_data: dict[str, object] = {}


class LegRow(Struct, frozen=True, kw_only=True):
    """One outbound branch of a dial."""

    leg_sid: str
    call_sid: str = ""
    """The parent call; empty: a dial without a caller."""
    dial_id: str = ""
    account_sid: str = ""
    type: str = ""
    """`phone`, `sip`, `user`."""
    from_: str = ""
    to: str = ""
    call_id: str = ""
    trunk: str = ""
    call_status: str = "trying"
    sip_status: int = 0
    sip_reason: str = ""
    reason_header: str = ""
    ended_by: str = ""
    is_answered_elsewhere: bool = False
    started_utc: float = 0.0
    ringing_utc: float | None = None
    answered_utc: float | None = None
    ended_utc: float | None = None
    """None: the leg is open."""
    duration_s: float | None = None
    statuses: tuple[StatusStep, ...] = ()
    codec: str = ""
    rtp: RtpQuality | None = None
    amd: str = ""


class AlertRow(Struct, frozen=True, kw_only=True):
    """Something a customer has to know and to repair: a bad document, a hook that does not answer."""

    alert_sid: str
    at_utc: float
    kind: str
    text: str
    path: str = ""
    """JSON path into the document at fault."""
    call_sid: str = ""
    account_sid: str = ""


class DeliveryState(StrEnum):
    """How far a delivery has come; a delivered one is deleted."""

    PROMISED = "promised"
    """What is to be said if this process does not live to say something better."""
    DUE = "due"


class Delivery(Struct, frozen=True, kw_only=True):
    """A hook that must not be lost, as it is to be sent."""

    key: str
    """Names the delivery for ever, also to the application: its idempotency key."""
    call_sid: str
    """The call in whose order it is sent."""
    account_sid: str = ""
    """Whose secrets sign it; secrets themselves are not stored."""
    kind: str = ""
    state: DeliveryState = DeliveryState.DUE
    sequence: int = 0
    """Order within one process."""
    created_utc: float = 0.0
    attempts: int = 0
    method: str = "POST"
    url: str = ""
    """Absolute."""
    username: str = ""
    password: str = ""
    body: bytes = b""
    """The payload as JSON."""


class CallQuery(Struct, frozen=True, kw_only=True):
    """Which calls to list; what is None or empty does not restrict. Newest first."""

    account_sid: str = ""
    from_: str = ""
    to: str = ""
    direction: str = ""
    call_status: str = ""
    started_from_utc: float | None = None
    started_before_utc: float | None = None
    is_open: bool | None = None
    limit: int = 100
    offset: int = 0


class StoreHealth(Struct, frozen=True):
    """How the store does, for readiness."""

    is_ready: bool
    """The last write succeeded."""
    queued: int
    """Rows not yet written."""
    dropped: int
    """Rows given up since the start because too many waited."""
    last_error: str = ""
    """Why the last write failed; empty: it did not."""
    failing_since_utc: float | None = None
