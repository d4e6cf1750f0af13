"""RTP by RFC 3550: the packet's shape, what a receiver learns from it, what a sender has to count.

Pure: no sockets, no clock. Packets live in a shared buffer and are never turned into objects; a packet is
named by the buffer and the bounds of its payload. Facts worth knowing before reading on:

- Byte 1 carries the marker bit and the payload type. Relays look at the whole byte: `marked_type`.
- A sequence number wraps every 22 minutes at 50 packets a second; the extended number counts the wraps.
- Timestamps count the RTP clock, which for G.722 is 8000 Hz though it samples at 16000 (RFC 3551 §4.5.2).
"""

from __future__ import annotations

import random
import struct

import msgspec

__all__ = [
    "HEADER_SIZE",
    "MARKER",
    "PLAIN",
    "Reception",
    "RtpStatistics",
    "Sending",
    "is_rtcp",
    "pack_header",
    "payload_span",
    "unpack_header",
]

HEADER_SIZE = 12
MARKER = 0x80
PLAIN = 0x80
"""First byte of a packet without padding, extension or contributing sources: nearly every one of a phone."""

_HEADER = struct.Struct(">BBHII")
unpack_header = _HEADER.unpack_from
"""(buffer, offset=0) -> (first byte, marked type, sequence, timestamp, ssrc)"""
pack_header = _HEADER.pack_into
"""(buffer, offset, first byte, marked type, sequence, timestamp, ssrc)"""

_NEVER = float("-inf")
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


def is_rtcp(marked_type: int) -> bool:
    """Whether the second byte of a packet on a multiplexed port announces RTCP (RFC 5761 §4: 192 to 223)."""
    return 192 <= marked_type <= 223


def payload_span(buffer: bytes | bytearray | memoryview, size: int) -> tuple[int, int] | None:
    """The payload's (start, end) in a packet of `size` bytes; None for what is not RTP (RFC 3550 §5.1, A.1).

    Contributing sources and the header extension are skipped, padding is cut off. An empty payload is valid.
    """
    if size < HEADER_SIZE:
        return None
    first = buffer[0]
    if first >> 6 != 2:
        return None
    if first == PLAIN:
        return HEADER_SIZE, size
    start = HEADER_SIZE + 4 * (first & 0x0F)
    if first & 0x10:
        if size < start + 4:
            return None
        start += 4 + 4 * (buffer[start + 2] << 8 | buffer[start + 3])
    end = size
    if first & 0x20:
        padding = buffer[size - 1]
        if padding == 0:
            return None
        end -= padding
    return (start, end) if start <= end else None


class RtpStatistics(msgspec.Struct, frozen=True):
    """Both directions of one leg's RTP, from its beginning to the moment of asking."""

    packets_received: int = 0
    bytes_received: int = 0
    """Payload bytes, without headers."""
    packets_sent: int = 0
    bytes_sent: int = 0
    lost: int = 0
    """Packets expected but not received, over all SSRCs; never negative."""
    loss_fraction: float = 0.0
    """`lost` divided by the packets expected: 0.0 to 1.0."""
    jitter_ms: float = 0.0
    """Interarrival jitter by RFC 3550 §6.4.1, smoothed."""
    ssrc_changes: int = 0
    malformed: int = 0
    """Datagrams dropped because they were not RTP, or of a payload type nobody negotiated."""
    strangers: int = 0
    """Well-formed packets dropped because their sender is not the one latched on."""
    remote_lost: int = 0
    """What the far side says it lost of our packets (its last report)."""
    remote_jitter_ms: float = 0.0
    rtt_ms: float | None = None
    """Round trip from the last report that answered one of ours; None until there is one."""


class Reception:
    """What one receiver knows about its one sender: RFC 3550 A.1 (sequence), A.3 (loss), A.8 (jitter).

    A new SSRC starts a new sender; the totals of the old one are kept in the sums.
    """

    __slots__ = (
        "_bad_sequence",
        "_base",
        "_before",
        "_clock_rate_hz",
        "_expected_before",
        "_jitter",
        "_received",
        "_received_before",
        "_report_expected",
        "_report_received",
        "_transit",
        "bytes_received",
        "generation",
        "highest",
        "last_at",
        "ssrc",
        "ssrc_changes",
    )

    def __init__(self, clock_rate_hz: int = 8000) -> None:
        self._clock_rate_hz = clock_rate_hz
        self.ssrc: int | None = None
        self.ssrc_changes = 0
        self.generation = 0
        """Changes when the sender starts its numbers anew: another SSRC, or a jump that was believed."""
        self.bytes_received = 0
        self.last_at = float("-inf")
        """When the last packet came, monotonic seconds."""
        self.highest = 0
        """Extended highest sequence number received: wraps in the upper bits."""
        self._base = 0
        self._received = 0
        self._bad_sequence = -1
        self._transit: float | None = None
        self._jitter = 0.0
        self._expected_before = 0
        self._received_before = 0
        self._report_expected = 0
        self._report_received = 0

    def set_clock_rate(self, clock_rate_hz: int) -> None:
        """A renegotiated codec may tick differently; the jitter measured so far keeps its length in time."""
        if clock_rate_hz != self._clock_rate_hz:
            self._jitter *= clock_rate_hz / self._clock_rate_hz
            self._clock_rate_hz = clock_rate_hz
            self._transit = None

    def packet(self, ssrc: int, sequence: int, timestamp: int, size: int, at: float) -> bool:
        """Count one packet; `size` is its payload in bytes, `at` its arrival in monotonic seconds.

        Returns False for a packet that must not be used: the first after a jump of the sequence number, which
        is believed only when the next one follows it (A.1). Late and duplicate packets are counted and used;
        the jitter buffer sorts them out.
        """
        if ssrc != self.ssrc:
            self._begin(ssrc, sequence)
        else:
            delta = (sequence - self.highest) & 0xFFFF
            if delta < _MAX_DROPOUT:
                self.highest += delta
            elif delta <= 0x10000 - _MAX_MISORDER:
                if sequence != self._bad_sequence:
                    self._bad_sequence = (sequence + 1) & 0xFFFF
                    return False
                self._begin(ssrc, sequence)
        self._received += 1
        self.bytes_received += size
        transit = at * self._clock_rate_hz - timestamp
        before = self._transit
        self._transit = transit
        if before is not None:
            change = abs(transit - before)
            if change < self._clock_rate_hz:  # a restart of the timestamps is not jitter
                self._jitter += (change - self._jitter) / 16
        self.last_at = at
        return True

    def _begin(self, ssrc: int, sequence: int) -> None:
        if self.ssrc is not None:
            self._expected_before += self.highest - self._base + 1
            self._received_before += self._received
            if ssrc != self.ssrc:
                self.ssrc_changes += 1
        self.ssrc = ssrc
        self.generation += 1
        self.highest = self._base = sequence
        self._received = 0
        self._bad_sequence = -1
        self._transit = None
        self._report_expected = self._report_received = 0

    @property
    def packets_received(self) -> int:
        return self._received_before + self._received

    @property
    def packets_expected(self) -> int:
        current = self.highest - self._base + 1 if self.ssrc is not None else 0
        return self._expected_before + current

    @property
    def lost(self) -> int:
        """Over all senders heard; duplicates can hide a loss, so it is an estimate, but never below zero."""
        return max(0, self.packets_expected - self.packets_received)

    @property
    def jitter(self) -> float:
        """In timestamp units."""
        return self._jitter

    @property
    def jitter_ms(self) -> float:
        return self._jitter * 1000 / self._clock_rate_hz

    def report(self) -> tuple[int, int, int, int]:
        """For a report block: (fraction lost in 1/256, cumulative lost, extended highest, jitter).

        Begins a new interval.
        """
        expected = self.highest - self._base + 1
        lost = max(-0x800000, min(expected - self._received, 0x7FFFFF))
        expected_now = expected - self._report_expected
        lost_now = expected_now - (self._received - self._report_received)
        self._report_expected = expected
        self._report_received = self._received
        fraction = (lost_now << 8) // expected_now if expected_now > 0 and lost_now > 0 else 0
        return min(fraction, 255), lost, self.highest & 0xFFFFFFFF, int(self._jitter)


class Sending:
    """The one clean stream a leg hears from us, whatever its source: player, tones, another leg in turn.

    Sequence numbers never jump; timestamps run on through a change of source by the time that passed.
    """

    __slots__ = (
        "clock_rate_hz",
        "last_at",
        "last_timestamp",
        "octets",
        "owner",
        "packets",
        "sequence",
        "ssrc",
        "step",
    )

    def __init__(self, clock_rate_hz: int = 8000, rng: random.Random | None = None) -> None:
        draw = (rng or _random).getrandbits
        drawn = draw(32 + 32 + 15)  # at once: the system's generator costs a call to the kernel each time
        self.ssrc = drawn & 0xFFFFFFFF
        self.sequence = drawn >> 64
        """Of the next packet. Starts in the lower half: no wrap among the first packets (RFC 3711 §3.3.1)."""
        self.last_timestamp = drawn >> 32 & 0xFFFFFFFF
        self.last_at = _NEVER
        """The instant `last_timestamp` stands for, monotonic seconds; -inf before the first packet."""
        self.step = 0
        """Timestamp units from one packet to the next, as last seen."""
        self.clock_rate_hz = clock_rate_hz
        self.packets = 0
        self.octets = 0
        self.owner: object = None
        """The source whose packets went last; another one has to `anchor` first."""

    def anchor(self, owner: object, at: float) -> int:
        """The timestamp of a source that begins at `at`: on from the last one by the time that passed."""
        self.owner = owner
        if self.last_at == _NEVER:
            self.last_at = at  # the first packet may be an event, which does not move the clock on
            return self.last_timestamp
        passed = round((at - self.last_at) * self.clock_rate_hz)
        return (self.last_timestamp + max(passed, self.step)) & 0xFFFFFFFF

    def at(self, at: float) -> int:
        """The timestamp that belongs to the instant `at`, for sender reports."""
        if self.last_at == _NEVER:
            return self.last_timestamp
        return (self.last_timestamp + round((at - self.last_at) * self.clock_rate_hz)) & 0xFFFFFFFF


_random = random.SystemRandom()
