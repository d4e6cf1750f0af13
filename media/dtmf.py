"""DTMF as RTP events (RFC 4733) and as tones in the audio. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from media.audio import Pcm

__all__ = [
    "DigitHeard",
    "DtmfReceiver",
    "EventPacket",
    "TelephoneEvent",
    "ToneDetector",
    "decode_event",
    "digit_packets",
    "encode_event",
]


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
    """The payload of one packet."""
    raise NotImplementedError


def decode_event(payload: bytes | bytearray | memoryview) -> TelephoneEvent | None:
    """The event in a payload; None if it is too short."""
    raise NotImplementedError


def digit_packets(
    digits: str, *, clock_rate_hz: int = 8000, ptime_ms: int = 20, duration_ms: int = 120, gap_ms: int = 80
) -> Iterator[EventPacket]:
    """All packets that send these digits, in order, each digit ended three times (RFC 4733 §2.5.1.4)."""
    raise NotImplementedError


class DtmfReceiver:
    """Turns received event packets into key presses, each reported once whatever is lost or repeated."""

    __slots__ = ("_clock_rate_hz",)

    def __init__(self, clock_rate_hz: int = 8000) -> None:
        self._clock_rate_hz = clock_rate_hz

    def push(self, payload: bytes | bytearray | memoryview, timestamp: int) -> DigitHeard | None:
        """One packet of the telephone-event payload type with its RTP timestamp."""
        raise NotImplementedError

    def audio_resumed(self, timestamp: int) -> DigitHeard | None:
        """An ordinary audio packet came: a digit whose end packets were all lost is over."""
        raise NotImplementedError


class ToneDetector:
    """Finds DTMF in audio (ITU-T Q.24 limits). The clock is the count of samples."""

    __slots__ = ("_sample_rate_hz",)

    def __init__(self, sample_rate_hz: int = 8000) -> None:
        self._sample_rate_hz = sample_rate_hz

    def push(self, pcm: Pcm) -> list[DigitHeard]:
        """Digits that ended within this piece of any length."""
        raise NotImplementedError
