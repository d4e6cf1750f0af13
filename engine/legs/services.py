"""What every leg of a process shares, and the two translations all of them need: SDP and DTMF bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from engine.sip.errors import ParseError
from engine.sip.multipart import find_part
from engine.sip.types import Body
from media import NegotiationFailed

if TYPE_CHECKING:
    from engine.transport.endpoint import SipEndpoint
    from media import MediaPlane

__all__ = ["SDP", "LegServices", "dtmf_of", "dtmf_relay", "required_sdp_of", "sdp_of"]

SDP = "application/sdp"

_DIGITS = frozenset("0123456789*#ABCD")
_EVENT_DIGITS = {"10": "*", "11": "#", "12": "A", "13": "B", "14": "C", "15": "D"}
"""Some phones write the event number of RFC 4733 in place of the digit."""
_DEFAULT_DTMF_MS = 250


class LegServices(Struct, frozen=True):
    """Signalling and media of this process."""

    endpoint: SipEndpoint
    media: MediaPlane


def sdp_of(body: Body | None) -> bytes | None:
    """The SDP in a body, also inside a multipart one; None if there is none.

    Raises NegotiationFailed(400) for a multipart body that cannot be taken apart.
    """
    if body is None:
        return None
    try:
        return find_part(body.content_type, body.data, SDP)
    except ParseError as error:
        raise NegotiationFailed(f"unreadable multipart body: {error}", status=400) from error


def required_sdp_of(body: Body | None) -> bytes:
    """As `sdp_of`, where there has to be one. Raises NegotiationFailed."""
    sdp = sdp_of(body)
    if sdp is None:
        raise NegotiationFailed(f"no SDP in {body.content_type!r}" if body else "no SDP")
    return sdp


def dtmf_of(body: Body | None) -> tuple[str, int] | None:
    """Digit and duration (ms) from the body of an INFO; None if it carries no digit.

    `application/dtmf-relay` (`Signal=5`, `Duration=160`) and `application/dtmf` (just the digit) are not
    standardised; both are what phones send.
    """
    if body is None:
        return None
    kind = body.content_type.partition(";")[0].strip().lower()
    text = body.data.decode("ascii", "replace")
    if kind == "application/dtmf":
        return _digit(text, _DEFAULT_DTMF_MS)
    if kind != "application/dtmf-relay":
        return None
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        fields[name.strip().lower()] = value.strip()
    duration = fields.get("duration", "")
    return _digit(fields.get("signal", ""), int(duration[:6]) if duration.isdigit() else _DEFAULT_DTMF_MS)


def _digit(text: str, duration_ms: int) -> tuple[str, int] | None:
    digit = text.strip().upper()
    digit = _EVENT_DIGITS.get(digit, digit)
    return (digit, duration_ms) if digit in _DIGITS else None


def dtmf_relay(digit: str, duration_ms: int) -> Body:
    """A digit as the body of an INFO, for a side without telephone-event."""
    return Body("application/dtmf-relay", f"Signal={digit}\r\nDuration={duration_ms}\r\n".encode("ascii"))
