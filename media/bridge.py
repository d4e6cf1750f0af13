"""Joins two streams so that each side hears the other, in the cheapest way that their codecs allow."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from media.audio import Pcm, apply_gain, silence
from media.dtmf import DigitHeard
from media.negotiate import NegotiatedMedia
from media.recording import Recording
from media.relay import Relay, translation
from media.stream import MediaStream

__all__ = ["Bridge", "BridgeMode"]


class BridgeMode(StrEnum):
    """How packets of one direction cross."""

    RELAY = "relay"
    """Both sides speak the same codec: headers are rewritten, payloads stay as they are."""
    TRANSLATE = "translate"
    """A-law to µ-law or back: byte by byte, never decoded."""
    TRANSCODE = "transcode"
    """Jitter buffer, decode, resample, encode; also where a gain or a track to be mixed in asks for it."""
    MUTED = "muted"
    """Audio stays behind, digits cross."""
    CLOSED = "closed"
    """Nothing crosses: not open, held, or one side has no agreement yet."""


_WITHOUT_EVENTS = frozenset({BridgeMode.TRANSCODE, BridgeMode.MUTED})
"""Telephone-events are no part of what crosses: a digit is said again."""


class Bridge:
    """Two streams, joined. A stream is in at most one open bridge at a time."""

    __slots__ = ("_a_to_b", "_b_to_a", "_is_open", "_recordings", "a", "b")

    def __init__(self, a: MediaStream, b: MediaStream) -> None:
        self.a = a
        self.b = b
        self._is_open = False
        self._a_to_b = self._b_to_a = BridgeMode.CLOSED
        self._recordings: list[Recording] = []

    def __repr__(self) -> str:
        return f"<Bridge {self.a!r} {self._a_to_b} / {self._b_to_a} {self.b!r}>"

    @property
    def modes(self) -> tuple[BridgeMode, BridgeMode]:
        """(a to b, b to a); chosen anew whenever either side renegotiates."""
        return self._a_to_b, self._b_to_a

    @property
    def is_open(self) -> bool:
        return self._is_open

    def open(self) -> None:
        """Audio and DTMF cross from now on. Idempotent.

        Raises RuntimeError if a stream is in another open bridge.
        """
        if self._is_open:
            return
        for stream in (self.a, self.b):
            if stream.joint is not None:
                raise RuntimeError(f"{stream!r} is in another bridge")
        self._is_open = True
        self.a.joint = self.b.joint = self
        self._choose()

    def close(self) -> None:
        """Nothing crosses any more; both streams stay open. Idempotent; also done when a stream closes."""
        if not self._is_open:
            return
        self._is_open = False
        for stream in (self.a, self.b):
            stream.joint = None
            _let_go(stream)
        self._a_to_b = self._b_to_a = BridgeMode.CLOSED

    def record(self, path: Path | str, *, sample_rate_hz: int = 8000) -> Recording:
        """Record both sides, `a` on the left channel and `b` on the right. Raises OSError."""
        recording = Recording(path, sample_rate_hz, channels=2)
        self.a.keep(recording, channel=0)
        self.b.keep(recording, channel=1)
        return recording

    # -- what the streams tell (Joint) ------------------------------------------------------------------

    def renegotiated(self, stream: MediaStream) -> None:
        self._choose()

    def heard(self, stream: MediaStream, pcm: Pcm, at: float) -> None:
        media, other = stream.negotiated, self._other(stream)
        if media is None or other.is_bypassed:
            return
        if stream.is_muted:
            pcm = silence(len(pcm))
        elif stream.gain_db:
            pcm = apply_gain(pcm, stream.gain_db)
        other.sender.feed(pcm, media.codec.sample_rate_hz, at)

    def digit(self, stream: MediaStream, digit: DigitHeard) -> None:
        """Said again where its packets could not be passed on."""
        other = self._other(stream)
        mode = self._a_to_b if stream is self.a else self._b_to_a
        if mode is BridgeMode.CLOSED:
            return
        if mode in _WITHOUT_EVENTS or not _passes_events(stream.negotiated, other.negotiated):
            other.send_dtmf(digit.digit, duration_ms=max(round(digit.duration_ms), 40))

    def keyed(self, stream: MediaStream, digit: str, duration_ms: int) -> None:
        """Said where the other side can hear it: as an event, or by its owner's means."""
        mode = self._a_to_b if stream is self.a else self._b_to_a
        if mode is not BridgeMode.CLOSED:
            self._other(stream).send_dtmf(digit, duration_ms=max(duration_ms, 40))

    # -- the choice -------------------------------------------------------------------------------------

    def _other(self, stream: MediaStream) -> MediaStream:
        return self.b if stream is self.a else self.a

    def _choose(self) -> None:
        self._a_to_b = _join(self.a, self.b)
        self._b_to_a = _join(self.b, self.a)


def _join(source: MediaStream, target: MediaStream) -> BridgeMode:
    """Lead what `source` hears to what `target` says."""
    heard, said = source.negotiated, target.negotiated
    if heard is None or said is None or not heard.can_receive or not said.can_send:
        _let_go(source)
        return BridgeMode.CLOSED
    if source.is_muted and not target.has_overlays:
        _let_go(source)
        return BridgeMode.MUTED
    is_same = heard.codec == said.codec
    needs_pcm = source.gain_db != 0.0 or target.has_overlays
    if needs_pcm or (not is_same and translation(heard.codec, said.codec) is None):
        source.rtp.sink = source.observe
        source.decode_for_bridge(True)
        return BridgeMode.TRANSCODE
    source.rtp.sink = Relay(source.rtp, target.rtp, heard, said, source.observe).packet
    source.decode_for_bridge(False)
    return BridgeMode.RELAY if is_same else BridgeMode.TRANSLATE


def _let_go(source: MediaStream) -> None:
    source.rtp.sink = source.observe
    source.decode_for_bridge(False)


def _passes_events(heard: NegotiatedMedia | None, said: NegotiatedMedia | None) -> bool:
    return (
        heard is not None
        and said is not None
        and heard.dtmf_receive_payload_type is not None
        and said.dtmf_send_payload_type is not None
    )
