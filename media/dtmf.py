"""DTMF as RTP events (RFC 4733): the payload, the packets of a key press, and their reception. Pure.

Facts about received events: packets of one press share their timestamp and grow in duration; the last is
sent three times; any of them may be lost, late or doubled. A press longer than 65535 units goes on in a new
segment (§2.5.1.3), and some phones wrongly give every packet its own timestamp. Tones: see `dtmf_tones`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

__all__ = [
    "DIGITS",
    "DigitHeard",
    "DtmfReceiver",
    "EventPacket",
    "TelephoneEvent",
    "decode_event",
    "digit_packets",
    "encode_event",
]

DIGITS = "0123456789*#ABCD"
"""A digit's place is its event code (RFC 4733 §3.2)."""

_END_PACKETS = 3
_MAX_DURATION = 0xFFFF
_STALE_S = 5.0


class TelephoneEvent(NamedTuple):
    """The four octets of RFC 4733 §2.3."""

    event: int
    """0-9 digits, 10 *, 11 #, 12-15 A-D, 16 flash."""
    is_end: bool
    volume: int
    """dBm0 without its minus sign, 0-63."""
    duration: int
    """In timestamp units, since the packet's RTP timestamp."""


class DigitHeard(Struct, frozen=True):
    """A complete key press."""

    digit: str
    """One of 0123456789*#ABCD."""
    duration_ms: float


class EventPacket(NamedTuple):
    """One packet to send for a digit."""

    payload: bytes
    marker: bool
    timestamp_offset: int
    """Added to the RTP timestamp at which the sequence of digits began: all packets of one digit share it."""
    at_ms: int
    """When to send it, since the beginning of the sequence."""


def encode_event(event: TelephoneEvent) -> bytes:
    """The payload of one packet. Raises ValueError for a field that does not fit."""
    if not (0 <= event.event < 256 and 0 <= event.volume < 64 and 0 <= event.duration <= _MAX_DURATION):
        raise ValueError(f"not a telephone event: {event}")
    return bytes((event.event, event.is_end << 7 | event.volume)) + event.duration.to_bytes(2, "big")


def decode_event(payload: bytes | bytearray | memoryview) -> TelephoneEvent | None:
    """The event in a payload (the first, if there are several); None if it is too short."""
    if len(payload) < 4:
        return None
    flags = payload[1]
    return TelephoneEvent(payload[0], flags >= 0x80, flags & 0x3F, payload[2] << 8 | payload[3])


def digit_packets(
    digits: str,
    *,
    clock_rate_hz: int = 8000,
    ptime_ms: int = 20,
    duration_ms: int = 120,
    gap_ms: int = 80,
    volume: int = 10,
) -> Iterator[EventPacket]:
    """All packets that send these digits, in order, each digit ended three times (RFC 4733 §2.5.1.4).

    Times are rounded up to whole packets, and the gap leaves room for the repeated ends. Raises ValueError,
    at once, for what is not a digit.
    """
    for digit in digits:
        if digit.upper() not in DIGITS:
            raise ValueError(f"not a DTMF digit: {digit!r}")
    packets = max(1, -(-duration_ms // ptime_ms))
    unit = clock_rate_hz * ptime_ms // 1000
    if packets * unit > _MAX_DURATION:
        raise ValueError(f"a digit of {duration_ms} ms does not fit into one event")
    period = packets + max(_END_PACKETS - 1, -(-gap_ms // ptime_ms))
    return _digit_packets(digits, packets, period, unit, ptime_ms, volume)


def _digit_packets(
    digits: str, packets: int, period: int, unit: int, ptime_ms: int, volume: int
) -> Iterator[EventPacket]:
    for nth, digit in enumerate(digits):
        code = DIGITS.index(digit.upper())
        for step in range(packets + _END_PACKETS - 1):
            event = TelephoneEvent(code, step >= packets - 1, volume, min(step + 1, packets) * unit)
            slot = nth * period
            yield EventPacket(encode_event(event), step == 0, slot * unit, (slot + step) * ptime_ms)


class DtmfReceiver:
    """Turns received event packets into key presses, each reported once whatever is lost or repeated.

    A press is reported at its end: by its end packet, by the next press, or by the audio that follows it.
    """

    __slots__ = ("_base", "_clock_rate_hz", "_duration", "_event", "_is_open", "_timestamp")

    def __init__(self, clock_rate_hz: int = 8000) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._event = -1  # Of the latest press; -1 before the first.
        self._timestamp = 0
        self._duration = 0  # Of the present segment.
        self._base = 0  # Of the segments before it.
        self._is_open = False

    def push(self, payload: bytes | bytearray | memoryview, timestamp: int) -> DigitHeard | None:
        """One packet of the telephone-event payload type with its RTP timestamp."""
        packet = decode_event(payload)
        if packet is None or packet.event >= len(DIGITS):
            return None  # Flash, fax and modem signals are not digits.
        heard: DigitHeard | None = None
        ahead = timestamp - self._timestamp & 0xFFFFFFFF
        if self._event < 0 or ahead:
            stale = int(_STALE_S * self._clock_rate_hz)
            if self._event >= 0 and ahead > 0xFFFFFFFF - stale:
                return None  # A packet of a press before this one, late.
            earlier = self._earlier(packet, ahead) if self._is_open else None
            if earlier is not None:
                self._base += earlier
            else:
                heard = self._finish()
                self._base = 0
                self._is_open = True
                self._event = packet.event
            self._timestamp = timestamp
            self._duration = packet.duration
        elif packet.event != self._event:
            return None  # Two keys at one moment: a broken sender; the first counts.
        else:
            self._duration = max(self._duration, packet.duration)
        if packet.is_end and heard is None:
            return self._finish()
        # The press before this one was reported just now; a repeated end packet will report this one.
        return heard

    def audio_resumed(self, timestamp: int) -> DigitHeard | None:
        """An ordinary audio packet came: a digit whose end packets were all lost is over.

        Audio up to 60 ms behind the event does not count: some senders let both overlap.
        """
        if not self._is_open:
            return None
        behind = timestamp - self._timestamp - self._duration & 0xFFFFFFFF
        tolerance = 60 * self._clock_rate_hz // 1000
        return self._finish() if tolerance < behind < 0x80000000 else None

    def _earlier(self, packet: TelephoneEvent, ahead: int) -> int | None:
        """Of a packet with a new timestamp: how much of the press lies before it; None for a new press."""
        if packet.event != self._event:
            return None
        if ahead == self._duration and self._duration >= 0xF000:
            return ahead  # The next segment of a long press.
        if packet.duration > self._duration and ahead <= self._clock_rate_hz // 10:
            return 0  # A sender whose every packet has its own timestamp; durations count from the press.
        return None

    def _finish(self) -> DigitHeard | None:
        if not self._is_open:
            return None
        self._is_open = False
        duration_ms = (self._base + self._duration) * 1000 / self._clock_rate_hz
        return DigitHeard(DIGITS[self._event], duration_ms)
