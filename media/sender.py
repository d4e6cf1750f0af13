"""What a leg hears when the engine itself speaks: a player, tones, digits, another leg's decoded audio.

One speaker at a time: digits before everything, then the source being played, then the audio fed by a bridge.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from msgspec.structs import replace

from media.audio import PTIME_MS, Pcm, Source, samples_in, silence
from media.codecs import Codec, open_codec
from media.dtmf import EventPacket, digit_packets
from media.negotiate import NegotiatedMedia
from media.overlay import Overlays
from media.port import RtpPort
from media.resample import Resampler
from media.tones import DTMF_TONES, ToneSource

__all__ = ["AudioSender"]

_NOTHING = silence(0)
_PAUSE_S = 0.2
"""A silence of ours after which audio begins anew: marker set, timestamps moved on (RFC 3551 §4.1)."""


class AudioSender:
    """One leg's own voice. `tick` is called every 20 ms while `is_busy`."""

    __slots__ = (
        "_codec",
        "_digits",
        "_digits_began",
        "_event",
        "_events",
        "_media",
        "_on_source_end",
        "_packet_samples",
        "_pending",
        "_port",
        "_resampler",
        "_source",
        "_step",
        "_timestamp",
        "_tones",
        "overlays",
    )

    def __init__(self, port: RtpPort, on_source_end: Callable[[bool, float], None]) -> None:
        """on_source_end: called with (interrupted, at) when what was played is over."""
        self._port = port
        self._on_source_end = on_source_end
        self._media: NegotiatedMedia | None = None
        self._codec: Codec | None = None
        self._source: Source | None = None
        self._resampler: Resampler | None = None
        self._pending: Pcm = _NOTHING
        self._packet_samples = self._step = 0
        self._timestamp = 0
        self._digits: deque[tuple[str, int, int]] = deque()
        self._events: Iterator[EventPacket] | None = None
        self._event: EventPacket | None = None
        self._tones: deque[ToneSource] = deque()
        self._digits_began: tuple[float, int] = (0.0, 0)
        self.overlays: Overlays | None = None
        """Tracks mixed into what a bridge brings and what is played; None: never were any."""

    def configure(self, media: NegotiatedMedia) -> None:
        """A new or renewed agreement; what is playing goes on in the new codec."""
        before, self._media = self._media, media
        if before is None or before.codec != media.codec or before.fmtp != media.fmtp:
            self._codec = open_codec(media.codec, media.fmtp)
            self._pending = _NOTHING
            self._resampler = None
        self._packet_samples = samples_in(media.ptime_ms, media.codec.sample_rate_hz)
        self._step = samples_in(media.ptime_ms, media.codec.clock_rate_hz)

    @property
    def is_busy(self) -> bool:
        """Something is being said by the engine itself; what a bridge brings has to wait."""
        return self._source is not None or self._is_dialling

    @property
    def _is_dialling(self) -> bool:
        return self._events is not None or bool(self._digits) or bool(self._tones)

    @property
    def is_playing(self) -> bool:
        return self._source is not None

    def play(self, source: Source, at: float) -> None:
        self.stop(at)
        self._source = source
        self._resampler = None
        self._pending = _NOTHING

    def stop(self, at: float) -> None:
        if self._source is not None:
            self._source = None
            self._on_source_end(True, at)

    def give_up(self, at: float) -> None:
        """Fall silent: whatever is being said or waits to be said is dropped."""
        self.stop(at)
        self._stop_digits()

    def close(self, at: float) -> None:
        """Fall silent for good and let the owner go."""
        self.give_up(at)
        self._on_source_end = _ignore_end

    def send_digits(self, digits: str, duration_ms: int, gap_ms: int) -> None:
        """As telephone-events where that was agreed, else as tones in the audio."""
        self._digits.append((digits, duration_ms, gap_ms))

    def tick(self, at: float) -> bool:
        """One packet time of whatever is to be said; False if that was the last."""
        if self._is_dialling:
            self._say_digits(at)
        elif self._source is not None:
            self._say_source(self._source, at)
        return self.is_busy

    def feed(self, pcm: Pcm, sample_rate_hz: int, at: float) -> None:
        """Audio of another leg, int16[n]; not heard while the engine itself speaks."""
        if not self.is_busy:
            if self.overlays:
                pcm = self.overlays.mixed(pcm, sample_rate_hz)
            self._say(self._resampled(pcm, sample_rate_hz), at)

    def say_silence(self, at: float) -> None:
        """One packet of it: opens the way through a NAT and keeps it open (RFC 6263 §4.6)."""
        if self._packet_samples and not self.is_busy:
            self._say(silence(self._packet_samples), at)

    def _say_source(self, source: Source, at: float) -> None:
        pcm = source.read(samples_in(PTIME_MS, source.sample_rate_hz))
        if pcm is None:
            self._source = None
            self._on_source_end(False, at)
            return
        if self.overlays:
            pcm = self.overlays.mixed(pcm, source.sample_rate_hz)
        self._say(self._resampled(pcm, source.sample_rate_hz), at)

    def _resampled(self, pcm: Pcm, sample_rate_hz: int) -> Pcm:
        codec = self._codec
        if codec is None or codec.sample_rate_hz == sample_rate_hz:
            return pcm
        if self._resampler is None or self._resampler.from_hz != sample_rate_hz:
            self._resampler = Resampler(sample_rate_hz, codec.sample_rate_hz)
        return self._resampler.push(pcm)

    def _say(self, pcm: Pcm, at: float) -> None:
        """Packets of the agreed length out of pieces of any length."""
        media, codec = self._media, self._codec
        if media is None or codec is None or not media.can_send:
            return
        if len(self._pending):
            pcm = np.concatenate((self._pending, pcm))
        length = self._packet_samples
        if len(pcm) == length:
            self._say_packet(codec.encode(pcm), media.send_payload_type, at)
            self._pending = pcm[:0]
            return
        begin = 0
        while len(pcm) - begin >= length:
            self._say_packet(codec.encode(pcm[begin : begin + length]), media.send_payload_type, at)
            begin += length
        self._pending = pcm[begin:]

    def _say_packet(self, payload: bytes, payload_type: int, at: float) -> None:
        sending = self._port.sending
        is_new = sending.owner is not self or at - sending.last_at > _PAUSE_S
        if is_new:
            self._timestamp = sending.anchor(self, at)
        self._port.send(self, payload, payload_type, self._timestamp, at, marker=is_new)
        self._timestamp = (self._timestamp + self._step) & 0xFFFFFFFF

    def _stop_digits(self) -> None:
        self._digits.clear()
        self._tones.clear()
        self._events = self._event = None

    def _say_digits(self, at: float) -> None:
        media = self._media
        if media is None or not media.can_send:
            self._stop_digits()
        elif self._tones:
            self._say_tones(at)
        elif self._events is None and media.dtmf_send_payload_type is None:
            digits, duration_ms, gap_ms = self._digits.popleft()
            cadence_s = (duration_ms / 1000, gap_ms / 1000)
            rate = media.codec.sample_rate_hz
            self._tones.extend(
                ToneSource(replace(DTMF_TONES[digit], cadence_s=cadence_s), rate) for digit in digits
            )
            self._say_tones(at)
        elif media.dtmf_send_payload_type is None:  # renegotiated away in the middle of a digit
            self._stop_digits()
        else:
            self._say_events(media, media.dtmf_send_payload_type, at)

    def _say_tones(self, at: float) -> None:
        tone = self._tones[0]
        pcm = tone.read(samples_in(PTIME_MS, tone.sample_rate_hz))
        if pcm is not None:
            self._say(self._resampled(pcm, tone.sample_rate_hz), at)
            return
        self._tones.popleft()
        if self._tones:
            self._say_tones(at)

    def _say_events(self, media: NegotiatedMedia, payload_type: int, at: float) -> None:
        sending, rate = self._port.sending, media.codec.clock_rate_hz
        if self._events is None:
            digits, duration_ms, gap_ms = self._digits.popleft()
            self._events = digit_packets(digits, clock_rate_hz=rate, duration_ms=duration_ms, gap_ms=gap_ms)
            self._event = next(self._events, None)
            # The iterator owns these packets: audio after them anchors itself anew.
            self._digits_began = (at, sending.anchor(self._events, at))
        began_at, timestamp = self._digits_began
        elapsed_ms = (at - began_at) * 1000 + 1
        while self._event is not None and self._event.at_ms <= elapsed_ms:
            event, offset = self._event, self._event.timestamp_offset
            self._port.send(
                self._events,
                event.payload,
                payload_type,
                (timestamp + offset) & 0xFFFFFFFF,
                began_at + offset / rate,
                marker=event.marker,
            )
            self._event = next(self._events, None)
        if self._event is None:
            self._events = None


def _ignore_end(interrupted: bool, at: float) -> None:
    """After `close`."""
