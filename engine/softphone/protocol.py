"""What a phone process and its owner say to each other: one JSON object per line, typed by msgspec.

The owner writes `Envelope`s (a numbered command), the phone answers each with one `Reply` and reports what
happens to it as `Event`s. `at` is CLOCK_MONOTONIC in seconds, which all processes of a machine share.
Nothing here imports pjsua2: it is loaded in the phone process only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

from msgspec import Struct

from .config import Behaviour, Silence, Sound

__all__ = [
    "MAX_CALLS",
    "AnswerCall",
    "CallRefused",
    "CallState",
    "CallStateChanged",
    "Command",
    "DtmfMethod",
    "DtmfReceived",
    "Envelope",
    "Event",
    "FromChild",
    "HangUp",
    "Hold",
    "IncomingCall",
    "MediaChanged",
    "MediaDirection",
    "PhoneCallId",
    "PhoneExited",
    "PlaceCall",
    "Play",
    "ReadStatistics",
    "Record",
    "RegistrationChanged",
    "Reply",
    "Resume",
    "SendDtmf",
    "SetBehaviour",
    "Started",
    "StopPhone",
    "StopRecording",
    "StreamStatistics",
    "Transfer",
    "TransferProgress",
]

PhoneCallId = NewType("PhoneCallId", int)
"""Number of a call within one phone, from 1; never used twice in a phone's life."""

MAX_CALLS = 4
"""PJSUA_MAX_CALLS of the published wheel: a fifth call is refused with 486 by pjsua itself."""


# --- commands


class DtmfMethod(StrEnum):
    """How a digit travels."""

    RFC4733 = "rfc4733"
    """telephone-event (RFC 4733, successor of 2833)."""
    INFO = "info"
    """SIP INFO with application/dtmf-relay."""


class PlaceCall(Struct, frozen=True, tag=True):
    """Call somebody; the reply's `call` names the call."""

    uri: str
    sound: Sound = Silence()
    record: str = ""
    headers: dict[str, str] = {}


class AnswerCall(Struct, frozen=True, tag=True):
    """Send a provisional (1xx) or the answer (200); 183 opens early media."""

    call: PhoneCallId
    status: int = 200


class HangUp(Struct, frozen=True, tag=True):
    """BYE, CANCEL or the final refusal `status`, whichever the state asks for."""

    call: PhoneCallId
    status: int = 0
    reason: str = ""


class Hold(Struct, frozen=True, tag=True):
    """re-INVITE with sendonly/inactive."""

    call: PhoneCallId


class Resume(Struct, frozen=True, tag=True):
    """re-INVITE that ends the hold."""

    call: PhoneCallId


class SendDtmf(Struct, frozen=True, tag=True):
    """Key digits, one after the other."""

    call: PhoneCallId
    digits: str
    method: DtmfMethod = DtmfMethod.RFC4733
    duration_ms: int = 160


class Play(Struct, frozen=True, tag=True):
    """Replace what the phone says in this call."""

    call: PhoneCallId
    sound: Sound


class Record(Struct, frozen=True, tag=True):
    """Record what the other side says from now on."""

    call: PhoneCallId
    path: str


class StopRecording(Struct, frozen=True, tag=True):
    """Close the recording; the file is complete when the reply arrives."""

    call: PhoneCallId


class Transfer(Struct, frozen=True, tag=True):
    """REFER (blind transfer)."""

    call: PhoneCallId
    to: str


class ReadStatistics(Struct, frozen=True, tag=True):
    """The reply carries `statistics`."""

    call: PhoneCallId


class SetBehaviour(Struct, frozen=True, tag=True):
    """From the next incoming call on."""

    behaviour: Behaviour


class StopPhone(Struct, frozen=True, tag=True):
    """Hang up everything and leave."""


Command = (
    PlaceCall
    | AnswerCall
    | HangUp
    | Hold
    | Resume
    | SendDtmf
    | Play
    | Record
    | StopRecording
    | Transfer
    | ReadStatistics
    | SetBehaviour
    | StopPhone
)


class Envelope(Struct, frozen=True):
    """One line to the phone."""

    id: int
    command: Command


# --- replies and events


class StreamStatistics(Struct, frozen=True):
    """RTP counters of a call's audio as the phone sees them (its RTCP state)."""

    codec: str
    clock_rate_hz: int
    remote_rtp: str
    packets_sent: int
    packets_received: int
    packets_lost: int
    packets_discarded: int
    jitter_ms: float


class Reply(Struct, frozen=True, tag=True):
    """To one command; `error` is empty if it was carried out."""

    id: int
    error: str = ""
    call: PhoneCallId | None = None
    statistics: StreamStatistics | None = None


class CallState(StrEnum):
    """pjsip's view of the INVITE session."""

    CALLING = "calling"
    INCOMING = "incoming"
    EARLY = "early"
    CONNECTING = "connecting"
    CONFIRMED = "confirmed"
    DISCONNECTED = "disconnected"


class MediaDirection(StrEnum):
    """Which way audio flows, as the phone sees it."""

    NONE = "none"
    ACTIVE = "active"
    LOCAL_HOLD = "local-hold"
    REMOTE_HOLD = "remote-hold"
    ERROR = "error"


class Started(Struct, frozen=True, tag=True):
    """First line of a phone that works, or the reason why it does not."""

    address: str = ""
    port: int = 0
    tcp_port: int = 0
    error: str = ""


class IncomingCall(Struct, frozen=True, tag=True):
    """An INVITE arrived."""

    call: PhoneCallId
    remote_uri: str
    """From, as received."""
    local_uri: str
    call_id: str
    invite: str
    """The whole message, for assertions on headers."""
    at: float


class CallStateChanged(Struct, frozen=True, tag=True):
    """A step of the INVITE session; DISCONNECTED is the last of a call, recordings are complete by then."""

    call: PhoneCallId
    state: CallState
    status: int
    """Last SIP status, 0 if there was none."""
    reason: str
    at: float
    message: str = ""
    """The SIP message that caused the step, if one did: e.g. a BYE with its Reason header."""


class MediaChanged(Struct, frozen=True, tag=True):
    """Audio began, stopped or was negotiated anew."""

    call: PhoneCallId
    direction: MediaDirection
    codec: str
    remote_rtp: str
    at: float


class DtmfReceived(Struct, frozen=True, tag=True):
    """The other side pressed a key."""

    call: PhoneCallId
    digit: str
    method: DtmfMethod
    duration_ms: int
    at: float


class TransferProgress(Struct, frozen=True, tag=True):
    """NOTIFY of a REFER we sent (RFC 3515)."""

    call: PhoneCallId
    status: int
    reason: str
    is_final: bool
    at: float


class RegistrationChanged(Struct, frozen=True, tag=True):
    """The registrar answered."""

    is_registered: bool
    status: int
    reason: str
    at: float


class CallRefused(Struct, frozen=True, tag=True):
    """pjsua refused an INVITE without asking us: all lines busy, or unusable SDP."""

    remote_uri: str
    status: int
    reason: str
    at: float


class PhoneExited(Struct, frozen=True, tag=True):
    """The process is gone. Made by the owner's side, never sent over the pipe."""

    exit_code: int
    """Negative: killed by that signal."""
    was_asked: bool
    """False: it crashed."""
    last_words: str
    """End of its standard error."""


Event = (
    IncomingCall
    | CallStateChanged
    | MediaChanged
    | DtmfReceived
    | TransferProgress
    | RegistrationChanged
    | CallRefused
    | PhoneExited
)

FromChild = (
    Started
    | Reply
    | IncomingCall
    | CallStateChanged
    | MediaChanged
    | DtmfReceived
    | TransferProgress
    | RegistrationChanged
    | CallRefused
)
