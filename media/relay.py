"""Packets of one leg handed on to another without decoding them: the fast path of a bridge.

The header is rewritten so that the receiving side sees one clean stream whatever happens behind us: our SSRC,
its payload numbers, sequence numbers and timestamps that run on through a change of source. What was lost or
overtaken on the way in stays visible on the way out: that is the business of the peer's jitter buffer.

The header is written in front of the payload where the packet lies, so nothing is copied: contributing
sources, header extensions and padding are left behind by that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from media.audio import samples_in
from media.codecs import PCMA, PCMU, CodecSpec, alaw_to_ulaw, ulaw_to_alaw
from media.negotiate import NegotiatedMedia
from media.port import PacketSink, RtpPort
from media.rtp import HEADER_SIZE, MARKER, PLAIN, pack_header

__all__ = ["Kind", "Relay", "Translation", "translation"]

Translation = Callable[[bytearray], bytes | bytearray]

_DROP = -1
_EVENT = 0x100
"""Flag in the table: a telephone-event, whose timestamp is that of its beginning (RFC 4733 §2.1)."""
_NOISE = 0x200
"""Flag in the table: comfort noise, which is not translated."""
_TRANSLATED = 0x400
"""Flag in the table: audio of the other companding law."""
_SPECIAL = _EVENT | _NOISE
"""Mask: what is not audio has one of these bits (`_DROP` has both)."""
_OLD = 0x8000


def translation(source: CodecSpec, target: CodecSpec) -> Translation | None:
    """How payloads of one codec become the other's byte by byte; None if they cannot."""
    if (source, target) == (PCMA, PCMU):
        return alaw_to_ulaw
    if (source, target) == (PCMU, PCMA):
        return ulaw_to_alaw
    return None


class Kind(NamedTuple):
    """One entry of a relay's table."""

    payload_type: int | None
    """The receiving side's number; None: dropped."""
    is_audio: bool
    is_event: bool
    is_translated: bool


class Relay:
    """One direction: the sink of `source`'s port while it lasts, the owner of what `target`'s port sends."""

    __slots__ = (
        "_first",
        "_first_count",
        "_generation",
        "_observer",
        "_reception",
        "_sending",
        "_sequence_shift",
        "_source",
        "_target",
        "_timestamp_shift",
        "_translate",
        "_types",
    )

    def __init__(
        self,
        source: RtpPort,
        target: RtpPort,
        heard: NegotiatedMedia,
        said: NegotiatedMedia,
        observer: PacketSink,
    ) -> None:
        """heard, said: the agreements of the two legs. observer: gets events always, audio while the port
        is watched.

        Raises ValueError if the codecs differ and cannot be translated.
        """
        if heard.codec != said.codec and translation(heard.codec, said.codec) is None:
            raise ValueError(f"{heard.codec.rtpmap} cannot be relayed to {said.codec.rtpmap}")
        # Of two companding laws there is one that is not the target's, so one translation is enough.
        self._translate: Translation = alaw_to_ulaw if said.codec == PCMU else ulaw_to_alaw
        self._source = source
        self._reception = source.reception
        self._target = target
        self._sending = target.sending
        self._sending.step = samples_in(heard.ptime_ms, heard.codec.clock_rate_hz)
        self._observer = observer
        self._types = _type_table(_without_addresses(heard), _without_addresses(said))
        self._generation = -1
        self._sequence_shift = 0
        self._timestamp_shift = 0
        self._first = self._first_count = 0

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
        """A `PacketSink`: forward one packet."""
        out_type = self._types[marked_type]
        if self._source.is_watched or out_type & _SPECIAL:
            self._observer(buffer, start, end, marked_type, sequence, timestamp, at)
        remote = self._target.remote
        if remote is None or self._target.is_taken:
            return
        if out_type == _DROP:
            # A packet left out on purpose must not look like a lost one; a late one has left its gap already.
            if (sequence + self._sequence_shift - self._sending.sequence) & 0xFFFF < _OLD:
                self._sequence_shift -= 1
            return
        sending = self._sending
        if sending.owner is not self or self._reception.generation != self._generation:
            self._take_over(sequence, timestamp, at)
            if not out_type & _SPECIAL:
                out_type |= MARKER
        out_sequence = (sequence + self._sequence_shift) & 0xFFFF
        out_timestamp = (timestamp + self._timestamp_shift) & 0xFFFFFFFF
        if (out_sequence - sending.sequence) & 0xFFFF < _OLD:
            sending.sequence = (out_sequence + 1) & 0xFFFF
            if not out_type & _EVENT:
                sending.last_timestamp = out_timestamp
                sending.last_at = at
        elif self._precedes_first(out_sequence):
            return
        if out_type & _TRANSLATED:
            buffer[start:end] = self._translate(buffer[start:end])
        start -= HEADER_SIZE
        pack_header(buffer, start, PLAIN, out_type & 0xFF, out_sequence, out_timestamp, sending.ssrc)
        if self._target.forward(memoryview(buffer)[start:end], remote):
            sending.packets += 1
            sending.octets += end - start - HEADER_SIZE

    def kind(self, payload_type: int) -> Kind:
        """What becomes of packets with this number, in words."""
        entry = self._types[payload_type]
        return Kind(
            payload_type=None if entry == _DROP else entry & 0x7F,
            is_audio=not entry & _SPECIAL,
            is_event=entry != _DROP and bool(entry & _EVENT),
            is_translated=entry != _DROP and bool(entry & _TRANSLATED),
        )

    def _take_over(self, sequence: int, timestamp: int, at: float) -> None:
        """Our first packet after another source's last, or after the source began its numbers anew."""
        sending = self._sending
        self._generation = self._reception.generation
        self._sequence_shift = sending.sequence - sequence
        self._timestamp_shift = sending.anchor(self, at) - timestamp
        self._first, self._first_count = sending.sequence, sending.packets

    def _precedes_first(self, out_sequence: int) -> bool:
        """A late packet from before we took over: its number was another source's."""
        is_early_days = self._sending.packets - self._first_count < _OLD
        return is_early_days and (out_sequence - self._first) & 0xFFFF >= _OLD


def _without_addresses(media: NegotiatedMedia) -> NegotiatedMedia:
    """What calls between the same two gateways have in common."""
    return replace(media, remote=None, remote_rtcp=None)


@lru_cache(maxsize=256)
def _type_table(heard: NegotiatedMedia, said: NegotiatedMedia) -> tuple[int, ...]:
    """What becomes of each second byte (marker and payload type), 256 entries.

    A peer may change among the codecs of its answer in mid-stream (RFC 3264 §7): those that can cross do.
    """
    table = [_DROP] * 128
    for payload_type, codec in (*heard.receive_codecs, (heard.receive_payload_type, heard.codec)):
        if codec == said.codec:
            table[payload_type] = said.send_payload_type
        elif translation(codec, said.codec) is not None:
            table[payload_type] = said.send_payload_type | _TRANSLATED
    same_clock = heard.codec.clock_rate_hz == said.codec.clock_rate_hz
    if same_clock and heard.dtmf_receive_payload_type is not None and said.dtmf_send_payload_type is not None:
        table[heard.dtmf_receive_payload_type] = said.dtmf_send_payload_type | _EVENT
    if same_clock and heard.cn_receive_payload_type is not None and said.cn_send_payload_type is not None:
        table[heard.cn_receive_payload_type] = said.cn_send_payload_type | _NOISE
    return tuple(table) + tuple(entry if entry == _DROP else entry | MARKER for entry in table)
