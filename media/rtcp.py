"""RTCP by RFC 3550 §6: reports about what was received, made and read. Pure; wall-clock time comes in.

A compound packet is SR or RR first, then SDES with CNAME, then BYE if it is the last one. Received
packets of other types (XR, feedback) are skipped. Nothing received raises: what is not RTCP reads as
None.
"""

from __future__ import annotations

import struct

from msgspec import Struct

__all__ = [
    "Received",
    "ReportBlock",
    "SenderInfo",
    "build_report",
    "compact_ntp",
    "ntp_time",
    "parse_compound",
    "report_interval_s",
    "round_trip_s",
]

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_CNAME = 1
_NTP_EPOCH = 2208988800
_HEAD = struct.Struct(">BBHI")
_SENDER = struct.Struct(">IIIII")
_BLOCK = struct.Struct(">IIIIII")
_MINIMUM_S = 5.0
_COMPENSATION = 2.718281828459045 - 1.5


class SenderInfo(Struct, frozen=True):
    """The sender's half of an SR (§6.4.1)."""

    ntp: int
    """Wall clock, 64 bits: seconds since 1900 in the upper half."""
    timestamp: int
    """The same instant in units of the RTP stream."""
    packets: int
    octets: int


class ReportBlock(Struct, frozen=True):
    """What its sender received from one of the others (§6.4.1)."""

    ssrc: int
    fraction_lost: int
    """Since the last report, in 1/256."""
    lost: int
    """Altogether; negative when duplicates came."""
    highest: int
    """Extended highest sequence number."""
    jitter: int
    """Timestamp units."""
    last_sr: int = 0
    """Middle 32 bits of the NTP time of the last SR received from `ssrc`; 0: none."""
    delay: int = 0
    """Since that SR, in 1/65536 s."""


class Received(Struct, frozen=True):
    """One compound packet, read."""

    ssrc: int
    sender: SenderInfo | None
    blocks: tuple[ReportBlock, ...]
    cname: str = ""
    is_goodbye: bool = False


def ntp_time(wall_utc: float) -> int:
    """64-bit NTP time of seconds since 1970."""
    return int((wall_utc + _NTP_EPOCH) * 4294967296)


def compact_ntp(wall_utc: float) -> int:
    """The middle 32 bits, in 1/65536 s, as LSR and DLSR are counted."""
    return int((wall_utc + _NTP_EPOCH) * 65536) & 0xFFFFFFFF


def round_trip_s(block: ReportBlock, arrival_utc: float) -> float | None:
    """Figure 2 of §6.4.1: arrival - LSR - DLSR. None if the block answers no SR of ours, or is absurd."""
    if not block.last_sr:
        return None
    units = (compact_ntp(arrival_utc) - block.last_sr - block.delay) & 0xFFFFFFFF
    if units >= 0x80000000:  # a clock was set back, or the delay rounded past the arrival
        return 0.0 if units > 0xFFFF0000 else None
    return units / 65536


def report_interval_s(draw: float, *, is_first: bool = False) -> float:
    """Seconds to the next report. `draw`: a random number in [0, 1).

    §6.2, §6.3.1: with two members of a call the bandwidth share never asks for more than the minimum of 5
    s (half of it for the first), spread over 0.5 to 1.5 and corrected for reconsideration.
    """
    minimum = _MINIMUM_S / 2 if is_first else _MINIMUM_S
    return minimum * (0.5 + draw) / _COMPENSATION


def build_report(
    ssrc: int,
    cname: str,
    *,
    sender: SenderInfo | None = None,
    block: ReportBlock | None = None,
    is_goodbye: bool = False,
) -> bytes:
    """A compound packet: SR (with `sender`) or RR, SDES, and BYE on request."""
    out = bytearray()
    count = 0 if block is None else 1
    if sender is not None:
        out += _HEAD.pack(0x80 | count, _SR, 6 + 6 * count, ssrc)
        out += _SENDER.pack(
            sender.ntp >> 32 & 0xFFFFFFFF,
            sender.ntp & 0xFFFFFFFF,
            sender.timestamp & 0xFFFFFFFF,
            sender.packets & 0xFFFFFFFF,
            sender.octets & 0xFFFFFFFF,
        )
    else:
        out += _HEAD.pack(0x80 | count, _RR, 1 + 6 * count, ssrc)
    if block is not None:
        out += _BLOCK.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.lost & 0xFFFFFF,
            block.highest & 0xFFFFFFFF,
            block.jitter & 0xFFFFFFFF,
            block.last_sr,
            block.delay & 0xFFFFFFFF,
        )
    name = cname.encode()[:255]
    chunk = bytes((_CNAME, len(name))) + name
    chunk += bytes(4 - len(chunk) % 4)  # at least one zero octet ends the list, and pads to the word (§6.5)
    out += _HEAD.pack(0x81, _SDES, 1 + len(chunk) // 4, ssrc) + chunk
    if is_goodbye:
        out += _HEAD.pack(0x81, _BYE, 1, ssrc)
    return bytes(out)


def parse_compound(data: bytes | bytearray | memoryview) -> Received | None:
    """What one datagram says; None for anything that is not RTCP (§A.2, with lone RTCP packets let
    through).
    """
    size, at = len(data), 0
    ssrc: int | None = None
    sender: SenderInfo | None = None
    blocks: list[ReportBlock] = []
    cname = ""
    is_goodbye = False
    while size - at >= 4:
        first, kind, words = data[at], data[at + 1], data[at + 2] << 8 | data[at + 3]
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > size or not 192 <= kind <= 223:
            break
        body, count = at + 8, first & 0x1F
        if words and ssrc is None:
            ssrc = int.from_bytes(data[at + 4 : at + 8], "big")
        if kind == _SR and end - body >= _SENDER.size:
            high, low, timestamp, packets, octets = _SENDER.unpack_from(data, body)
            sender = SenderInfo(high << 32 | low, timestamp, packets, octets)
            body += _SENDER.size
            blocks += _read_blocks(data, body, end, count)
        elif kind == _RR:
            blocks += _read_blocks(data, body, end, count)
        elif kind == _SDES and words:
            cname = _read_cname(data, body, end) or cname
        elif kind == _BYE:
            is_goodbye = True
        at = end
    if ssrc is None:
        return None
    return Received(ssrc, sender, tuple(blocks), cname, is_goodbye)


def _read_blocks(data: bytes | bytearray | memoryview, at: int, end: int, count: int) -> list[ReportBlock]:
    blocks = []
    for _ in range(count):
        if end - at < _BLOCK.size:
            break
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(data, at)
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 0x1000000
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
        at += _BLOCK.size
    return blocks


def _read_cname(data: bytes | bytearray | memoryview, at: int, end: int) -> str:
    """Of the first chunk; it is the only one an end point sends."""
    while end - at >= 2 and data[at]:
        length = data[at + 1]
        if data[at] == _CNAME and at + 2 + length <= end:
            return bytes(data[at + 2 : at + 2 + length]).decode("utf-8", "replace")
        at += 2 + length
    return ""
