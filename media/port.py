"""One leg's packets: who is believed, what was counted, reports both ways. Knows neither codecs nor SDP
text.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from functools import lru_cache

from media.latch import Latch
from media.negotiate import Address, NegotiatedMedia
from media.rtcp import (
    Received,
    ReportBlock,
    SenderInfo,
    build_report,
    ntp_time,
    parse_compound,
    report_interval_s,
    round_trip_s,
)
from media.rtp import (
    HEADER_SIZE,
    MARKER,
    PLAIN,
    Reception,
    RtpStatistics,
    Sending,
    is_rtcp,
    pack_header,
    payload_span,
    unpack_header,
)
from media.transports import PacketTransport, SocketAddress

__all__ = ["PacketSink", "RtpPort", "socket_address"]

PacketSink = Callable[[bytearray, int, int, int, int, int, float], None]
"""Called with (buffer, start, end, marked_type, sequence, timestamp, at); the payload is buffer[start:end].

The header before it may be overwritten: there are always 12 writable bytes in front of `start`.
"""


class RtpPort:
    """Receives, checks and counts the packets of one leg and sends what it is told, as one clean stream."""

    __slots__ = (
        "_cname",
        "_is_mux",
        "_last_sr",
        "_last_sr_at",
        "_last_sr_ssrc",
        "_latch",
        "_malformed",
        "_on_goodbye",
        "_on_latched",
        "_remote_rtcp",
        "_report_due",
        "_reported",
        "_rtt_s",
        "_strangers",
        "_transport",
        "_types",
        "_wall",
        "is_taken",
        "is_watched",
        "reception",
        "remote",
        "sending",
        "sink",
    )

    def __init__(
        self,
        transport: PacketTransport,
        *,
        on_latched: Callable[[SocketAddress, float], None],
        on_goodbye: Callable[[float], None],
        cname: str = "",
        relatch_after_s: float = 5.0,
        wall_utc: Callable[[], float] = time.time,
    ) -> None:
        """cname: of RTCP, must not tell who the user is. wall_utc: seconds since 1970, for RTCP only."""
        self._transport = transport
        self._latch = Latch(relatch_after_s)
        self._types: tuple[bool, ...] = ()
        self._on_latched = on_latched
        self._on_goodbye = on_goodbye
        self._cname = cname
        self._wall = wall_utc
        self._malformed = 0
        self._strangers = 0
        self._is_mux = False
        self._remote_rtcp: SocketAddress | None = None
        self._report_due = 0.0
        self._last_sr = 0
        self._last_sr_at = 0.0
        self._last_sr_ssrc: int | None = None
        self._reported: ReportBlock | None = None
        self._rtt_s: float | None = None
        self.reception = Reception()
        self.sending = Sending()
        self.remote: SocketAddress | None = None
        """Where our packets go: to the latched sender, before that to the address in the SDP; None:
        nowhere.
        """
        self.sink: PacketSink = _ignore
        self.is_watched = False
        """Somebody wants to see every packet that comes in; a relay shows them, then."""
        self.is_taken = False
        """The leg's own voice is speaking; a relay has to wait."""

    def configure(self, media: NegotiatedMedia, now: float) -> None:
        """A new or renewed agreement: where to send, which payload types to take. Begins to receive."""
        is_first = not self._types
        self._types = _accepted(
            media.receive_payload_type,
            media.dtmf_receive_payload_type,
            media.cn_receive_payload_type,
            *[payload_type for payload_type, _codec in media.receive_codecs],
        )
        self._is_mux = media.rtcp_mux
        self.reception.set_clock_rate(media.codec.clock_rate_hz)
        self.sending.clock_rate_hz = media.codec.clock_rate_hz
        signalled = socket_address(media.remote)
        if signalled is None:
            self.remote = None
        elif self._latch.signal(signalled, now):
            self.remote = signalled
            self._remote_rtcp = signalled if media.rtcp_mux else socket_address(media.remote_rtcp)
        elif self.remote is None:  # the peer ends a hold at 0.0.0.0
            self.remote = self._latch.source or signalled
        if is_first:
            self._report_due = now + report_interval_s(random.random(), is_first=True)
            self._transport.open(self._rtp_arrived, self._rtcp_arrived)

    @property
    def last_heard_at(self) -> float:
        """When the latched sender's last packet came; -inf before the first."""
        return self.reception.last_at

    # -- receiving --------------------------------------------------------------------------------------

    def _rtp_arrived(self, buffer: bytearray, size: int, source: SocketAddress) -> None:
        now = time.monotonic()
        if size > HEADER_SIZE and buffer[0] == PLAIN:
            start, end = HEADER_SIZE, size
        else:
            span = payload_span(buffer, size)
            if span is None:
                self._malformed += 1
                return
            start, end = span
        _, marked_type, sequence, timestamp, ssrc = unpack_header(buffer)
        if not self._types[marked_type]:
            if self._is_mux and is_rtcp(marked_type):
                self._rtcp_arrived(buffer, size, source)
            else:
                self._malformed += 1
            return
        if source != self._latch.source and not self._admit(source, ssrc, sequence, now):
            self._strangers += 1
            return
        self._latch.last_at = now
        if self.reception.packet(ssrc, sequence, timestamp, end - start, now):
            self.sink(buffer, start, end, marked_type, sequence, timestamp, now)

    def _admit(self, source: SocketAddress, ssrc: int, sequence: int, now: float) -> bool:
        if not self._latch.admit(source, ssrc, sequence, now):
            return False
        if self.remote is not None:
            if source != self.remote:
                self._remote_rtcp = source if self._is_mux else _next_port(source)
            self.remote = source
        self._on_latched(source, now)
        return True

    def _rtcp_arrived(self, buffer: bytearray, size: int, source: SocketAddress) -> None:
        known = self._latch.source if self._latch.source is not None else self._remote_rtcp
        if known is None or known[0] != source[0]:
            self._strangers += 1
            return
        received = parse_compound(memoryview(buffer)[:size])
        if received is None:
            self._malformed += 1
            return
        if self._latch.source is not None:
            self._remote_rtcp = source
        self._take_report(received, time.monotonic())

    def _take_report(self, received: Received, now: float) -> None:
        wall = self._wall()
        if received.sender is not None:
            self._last_sr = received.sender.ntp >> 16 & 0xFFFFFFFF
            self._last_sr_at = now
            self._last_sr_ssrc = received.ssrc
        for block in received.blocks:
            if block.ssrc == self.sending.ssrc:
                self._reported = block
                round_trip = round_trip_s(block, wall)
                if round_trip is not None:
                    self._rtt_s = round_trip
        # A BYE is about its own SSRC (§6.6): a third party's, or one of a stream long replaced, ends nothing.
        if received.is_goodbye and self.reception.ssrc in (None, received.ssrc):
            self._on_goodbye(now)

    # -- sending ----------------------------------------------------------------------------------------

    def send(
        self,
        owner: object,
        payload: bytes,
        payload_type: int,
        timestamp: int,
        at: float,
        *,
        marker: bool = False,
    ) -> None:
        """One packet of `owner`, who got his first timestamp from `sending.anchor`."""
        remote = self.remote
        if remote is None:
            return
        sending = self.sending
        packet = bytearray(HEADER_SIZE)
        marked_type = payload_type | MARKER if marker else payload_type
        pack_header(packet, 0, PLAIN, marked_type, sending.sequence, timestamp, sending.ssrc)
        packet += payload
        sending.sequence = (sending.sequence + 1) & 0xFFFF
        step = (timestamp - sending.last_timestamp) & 0xFFFFFFFF
        if 0 < step < 0x8000:
            sending.step = step
        sending.last_timestamp = timestamp
        sending.last_at = at
        if self._transport.send_rtp(packet, remote):
            sending.packets += 1
            sending.octets += len(payload)

    def forward(self, packet: memoryview, remote: SocketAddress) -> bool:
        """A relay's own packet, header and all, to `self.remote`; the relay keeps `sending` up to date."""
        return self._transport.send_rtp(packet, remote)

    # -- reports ----------------------------------------------------------------------------------------

    def report_if_due(self, now: float) -> float:
        """Send the RTCP report whose time has come; seconds until the next one's."""
        if now >= self._report_due and self._types:
            self._report_due = now + report_interval_s(random.random())
            self.report(now)
        return self._report_due - now

    def say_goodbye(self, now: float) -> None:
        """The last report, with BYE; only to a peer that ever got or sent anything (§6.3.7)."""
        if self.sending.packets or self.reception.ssrc is not None:
            self.report(now, is_goodbye=True)

    def report(self, now: float, *, is_goodbye: bool = False) -> None:
        """Send one at once: SR or RR, SDES, and BYE if it is the last. Nothing to tell: nothing is sent."""
        remote = self._remote_rtcp
        if remote is None:
            return
        reception, sending = self.reception, self.sending
        sender = block = None
        wall = self._wall()
        if sending.packets:
            sender = SenderInfo(ntp_time(wall), sending.at(now), sending.packets, sending.octets)
        if reception.ssrc is not None:
            fraction, lost, highest, jitter = reception.report()
            last_sr = self._last_sr if self._last_sr_ssrc == reception.ssrc else 0  # of this source (§6.4.1)
            delay = int((now - self._last_sr_at) * 65536) if last_sr else 0
            block = ReportBlock(reception.ssrc, fraction, lost, highest, jitter, last_sr, delay)
        if sender is None and block is None:
            return
        packet = build_report(sending.ssrc, self._cname, sender=sender, block=block, is_goodbye=is_goodbye)
        if self._is_mux:
            self._transport.send_rtp(packet, remote)
        else:
            self._transport.send_rtcp(packet, remote)

    def statistics(self) -> RtpStatistics:
        reception, sending, reported = self.reception, self.sending, self._reported
        expected = reception.packets_expected
        return RtpStatistics(
            packets_received=reception.packets_received,
            bytes_received=reception.bytes_received,
            packets_sent=sending.packets,
            bytes_sent=sending.octets,
            lost=reception.lost,
            loss_fraction=reception.lost / expected if expected else 0.0,
            jitter_ms=reception.jitter_ms,
            ssrc_changes=reception.ssrc_changes,
            malformed=self._malformed,
            strangers=self._strangers,
            remote_lost=reported.lost if reported else 0,
            remote_jitter_ms=reported.jitter * 1000 / sending.clock_rate_hz if reported else 0.0,
            rtt_ms=None if self._rtt_s is None else self._rtt_s * 1000,
        )

    def close(self) -> None:
        """Idempotent. The counts stay readable; the owner is let go: no cycle waits for the collector."""
        self.sink = _ignore
        self._on_latched, self._on_goodbye = _ignore_latched, _ignore_goodbye
        self._transport.close()


def socket_address(address: Address | None) -> SocketAddress | None:
    """The SDP's address as `sendto` wants it and `recvfrom` will give it.

    None for what is no numeric address: `sendto` would ask DNS and block the loop. Such a peer is latched
    on by its packets. 0.0.0.0 is the hold of old (RFC 2543) and no destination.
    """
    if address is None or not address.port:
        return None
    host, port = address
    canonical = _canonical(host)
    if canonical is None:
        return None
    return (canonical, port, 0, 0) if ":" in host else (canonical, port)


@lru_cache(maxsize=1024)
def _canonical(host: str) -> str | None:
    """As `recvfrom` spells it; None for a name and for 0.0.0.0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        packed = socket.inet_pton(family, host)
    except OSError:
        return None
    return socket.inet_ntop(family, packed) if any(packed) else None


@lru_cache(maxsize=64)
def _accepted(*payload_types: int | None) -> tuple[bool, ...]:
    """Whether to take a packet, by its whole second byte: the hot path need not mask the marker away."""
    types = [number in payload_types for number in range(128)]
    return tuple(types + types)


def _next_port(address: SocketAddress) -> SocketAddress | None:
    """Where RTCP is if nobody says otherwise; 65535 has no successor."""
    host, port, *rest = address
    return (host, port + 1, *rest) if port < 65535 else None  # type: ignore[return-value]


def _ignore(
    buffer: bytearray, start: int, end: int, marked_type: int, sequence: int, timestamp: int, at: float
) -> None:
    """The sink of a port nobody listens to."""


def _ignore_latched(source: SocketAddress, at: float) -> None:
    """After `close`."""


def _ignore_goodbye(at: float) -> None:
    """After `close`."""
