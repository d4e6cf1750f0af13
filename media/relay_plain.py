"""The relay once more, to be read: what `Relay.packet` does, step by step and packet object by packet object.

The tests run over both and hold them equal, packet for packet. Nothing else uses this.
"""

from __future__ import annotations

from typing import NamedTuple

from media.relay import Relay
from media.rtp import HEADER_SIZE, MARKER, pack_header

__all__ = ["PlainRelay"]


class _Packet(NamedTuple):
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    def to_bytes(self) -> bytes:
        header = bytearray(HEADER_SIZE)
        marked_type = self.payload_type | (MARKER if self.marker else 0)
        pack_header(header, 0, 0x80, marked_type, self.sequence, self.timestamp, self.ssrc)
        return bytes(header) + self.payload


class PlainRelay(Relay):
    """One direction of a bridge."""

    __slots__ = ()

    def packet(
        self,
        buffer: bytearray,
        start: int,
        end: int,
        marked_type: int,
        sequence: int,
        timestamp: int,
        at: float,
    ) -> None:
        kind = self.kind(marked_type & 0x7F)
        if self._source.is_watched or not kind.is_audio:
            self._observer(buffer, start, end, marked_type, sequence, timestamp, at)

        remote = self._target.remote
        if remote is None or self._target.is_taken:
            return
        if kind.payload_type is None:
            if (sequence + self._sequence_shift - self._sending.sequence) % 0x10000 < 0x8000:
                self._sequence_shift -= 1
            return

        sending = self._sending
        is_first = sending.owner is not self or self._reception.generation != self._generation
        if is_first:
            self._take_over(sequence, timestamp, at)
        payload = bytes(buffer[start:end])
        if kind.is_translated:
            payload = bytes(self._translate(bytearray(payload)))
        out = _Packet(
            payload_type=kind.payload_type,
            marker=bool(marked_type & MARKER) or (is_first and kind.is_audio),
            sequence=(sequence + self._sequence_shift) % 0x10000,
            timestamp=(timestamp + self._timestamp_shift) % 0x100000000,
            ssrc=sending.ssrc,
            payload=payload,
        )

        is_newest = (out.sequence - sending.sequence) % 0x10000 < 0x8000
        if is_newest:
            sending.sequence = (out.sequence + 1) % 0x10000
            if not kind.is_event:
                sending.last_timestamp = out.timestamp
                sending.last_at = at
        elif self._precedes_first(out.sequence):
            return

        if self._target.forward(memoryview(out.to_bytes()), remote):
            sending.packets += 1
            sending.octets += len(out.payload)
