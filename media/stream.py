"""One leg's audio, end to end: its SDP, its packets, what it hears and what it says."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from media.audio import Pcm, Source
from media.dtmf import DigitHeard, DtmfReceiver
from media.dtmf_tones import ToneDetector
from media.events import (
    DtmfMethod,
    DtmfReceived,
    DtmfUndeliverable,
    MediaResumed,
    MediaStarted,
    MediaTimeout,
    PlaybackEnded,
    RemoteGoodbye,
    StreamEvent,
)
from media.listener import Listener, Tap
from media.negotiate import Address, AudioCapabilities, NegotiatedMedia, Negotiator
from media.overlay import Overlays
from media.port import RtpPort
from media.receiver import AudioReceiver
from media.recording import Recording
from media.rtp import RtpStatistics
from media.sdp import Direction
from media.sender import AudioSender
from media.transports import PacketTransport, SocketAddress, UdpTransport

if TYPE_CHECKING:
    from media.plane import MediaPlane

__all__ = ["Joint", "MediaStream", "Tap"]

DIGITS = frozenset("0123456789*#ABCD")
_KEEPALIVE_S = 15.0
"""RFC 6263 §4.6 asks for one packet per 15 s."""


class Joint(Protocol):
    """What a bridge is to its streams."""

    def renegotiated(self, stream: MediaStream) -> None:
        """A new agreement is in force."""
        ...

    def keyed(self, stream: MediaStream, digit: str, duration_ms: int) -> None:
        """A digit that came outside RTP."""

    def heard(self, stream: MediaStream, pcm: Pcm, at: float) -> None:
        """Decoded audio, asked for by `stream.decode_for_bridge`."""
        ...

    def digit(self, stream: MediaStream, digit: DigitHeard) -> None:
        """A complete digit came as telephone-event."""
        ...

    def close(self) -> None: ...


class MediaStream:
    """Made by `MediaPlane.stream()`. Every method returns at once; nothing is received before an SDP is
    there.
    """

    __slots__ = (
        "__weakref__",
        "_agreed",
        "_bridge_decodes",
        "_clock_running",
        "_closed",
        "_digit_pending",
        "_digits_in",
        "_direction_before",
        "_gain_db",
        "_handlers",
        "_is_bypassed",
        "_is_muted",
        "_is_silent",
        "_listeners",
        "_needs",
        "_negotiator",
        "_plane",
        "_port",
        "_receiver",
        "_recordings",
        "_sender",
        "_silent_since",
        "_tone_detector",
        "_transport",
        "joint",
        "label",
        "usage_changed",
    )

    def __init__(self, plane: MediaPlane, capabilities: AudioCapabilities, label: str = "") -> None:
        """Raises PortsExhausted."""
        self.label = label
        self.joint: Joint | None = None
        """The open bridge this stream is in. Set by the bridge."""
        self.usage_changed: Callable[[], None] | None = None
        """Called whenever `is_in_use` may have become another."""
        self._plane = plane
        self._transport: PacketTransport = UdpTransport(plane.ports, plane.poller)
        self._negotiator = Negotiator(
            capabilities,
            Address(plane.config.advertised or plane.config.host, self._transport.port),
            session_id=random.getrandbits(62),
        )
        self._port = RtpPort(
            self._transport,
            on_latched=self._latched,
            on_goodbye=self._goodbye,
            cname=plane.cname,
            relatch_after_s=plane.config.relatch_after_s,
        )
        self._port.sink = self.observe
        self._sender: AudioSender | None = None
        self._receiver: AudioReceiver | None = None
        self._listeners: list[Listener] = []
        self._recordings: list[Recording] = []
        self._handlers: list[Callable[[StreamEvent], None]] = []
        self._digits_in: DtmfReceiver | None = None
        self._digit_pending = False
        self._tone_detector: ToneDetector | None = None
        self._agreed: NegotiatedMedia | None = None
        self._direction_before = self._negotiator.direction
        self._bridge_decodes = False
        self._clock_running = False
        self._is_silent = False
        self._is_bypassed = False
        self._is_muted = False
        self._needs = 0
        self._gain_db = 0.0
        self._silent_since = 0.0
        self._closed = False

    def __repr__(self) -> str:
        media = self.negotiated
        what = f"{media.codec.rtpmap} {media.direction} to {self._port.remote}" if media else "no agreement"
        return f"<MediaStream {self.label or id(self)} port {self.port}: {what}>"

    # -- offer and answer -------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Local RTP port."""
        return self._transport.port

    @property
    def rtp(self) -> RtpPort:
        """The packets below; for bridges."""
        return self._port

    @property
    def sender(self) -> AudioSender:
        """The stream's own voice, made when it is first needed; for bridges."""
        sender = self._sender
        if sender is None:
            sender = self._sender = AudioSender(self._port, self._source_ended)
            if self._agreed is not None:
                sender.configure(self._agreed)
        return sender

    @property
    def negotiated(self) -> NegotiatedMedia | None:
        """The agreement in force; None before the first."""
        return self._negotiator.negotiated

    def create_offer(self) -> bytes:
        """An SDP offer, first or again (re-INVITE), with the present wish to hold or not."""
        return self._negotiator.create_offer()

    def receive_answer(self, sdp: bytes, *, is_refresh: bool = False) -> NegotiatedMedia:
        """The answer to the last offer: audio may flow from now on, early media included.

        May be called again for the same offer (183 then 200, or another fork); the last one holds.
        `is_refresh`: we offered what we had said last. Raises NegotiationFailed; the agreement then stands.
        """
        if is_refresh:
            self._negotiator.repeat()
        media = self._negotiator.receive_answer(sdp)
        self._direction_before = self._negotiator.direction
        self._apply(media)
        return media

    def receive_offer(self, sdp: bytes) -> bytes:
        """The answer to the peer's offer, first or again. Raises NegotiationFailed(status 400 or 488)."""
        answer, media = self._negotiator.receive_offer(sdp)
        self._apply(media)
        return answer

    def withdraw_offer(self) -> None:
        """The peer refused our last offer (488, 491): everything is as it was before."""
        self._negotiator.withdraw_offer()
        self._negotiator.direction = self._direction_before

    def hold(self) -> bytes:
        """The offer that puts the peer on hold (sendonly: it may hear music, we do not listen)."""
        self._negotiator.direction = Direction.SENDONLY
        return self._negotiator.create_offer()

    def resume(self) -> bytes:
        """The offer that ends our hold."""
        self._negotiator.direction = Direction.SENDRECV
        return self._negotiator.create_offer()

    @property
    def has_pending_offer(self) -> bool:
        """We offered, and no answer is in yet."""
        return self._negotiator.has_pending_offer

    def describe_other(self, sdp: bytes, offer: bytes | None = None) -> bytes:
        """What another party said about its audio, as an offer to our peer, or as the answer to its `offer`.

        See `Negotiator.describe_other`. Raises NegotiationFailed.
        """
        return self._negotiator.describe_other(sdp, offer)

    @property
    def is_bypassed(self) -> bool:
        """Our peer and another party send their media to each other: here nothing comes and nothing is sent.

        Silence is no time-out then, nothing is kept alive or passed on, and digits are not said in RTP: a
        phone that hears from two addresses may choose the wrong one to send to.
        """
        return self._is_bypassed

    @is_bypassed.setter
    def is_bypassed(self, wanted: bool) -> None:
        self._is_bypassed = wanted
        self._silent_since = time.monotonic()
        self._changed()

    @property
    def is_in_use(self) -> bool:
        """Audio of this peer is wanted here, or it is given some: tap, source, gain, mute, track."""
        is_changed = self._gain_db != 0.0 or self._is_muted or self.has_overlays
        return is_changed or self._needs > 0 or bool(self._listeners) or self.is_speaking

    def need(self, *, wanted: bool = True) -> None:
        """Somebody wants this peer's digits, or does no more: that is use, too, though nothing is decoded."""
        self._needs += 1 if wanted else -1
        if self.usage_changed is not None:
            self.usage_changed()

    @property
    def is_speaking(self) -> bool:
        """Something of our own is being said."""
        return self._sender is not None and self._sender.is_busy

    @property
    def is_holding(self) -> bool:
        """We asked the peer to be silent."""
        return not self._negotiator.direction.receives

    @property
    def is_held(self) -> bool:
        """The peer put us on hold: it does not listen."""
        media = self.negotiated
        return media is not None and media.is_held_by_remote

    def _apply(self, media: NegotiatedMedia) -> None:
        if self._closed or media == self._agreed:
            return  # a session refresh (RFC 4028), or a 200 that repeats its 183: nothing may click
        self._agreed = media
        now = time.monotonic()
        self._port.configure(media, now)
        if self._sender is not None:
            self._sender.configure(media)
        self._receiver = None
        self._digits_in = None
        self._digit_pending = False
        listens_for_tones = self._plane.config.in_band_dtmf and media.dtmf_receive_payload_type is None
        self._tone_detector = ToneDetector(media.codec.sample_rate_hz) if listens_for_tones else None
        self._silent_since = now
        self._plane.watch(self)
        self._changed()
        if self.joint is not None:
            self.joint.renegotiated(self)

    def _changed(self) -> None:
        """Whatever decides who is decoded and who speaks: let the clock and the bridge know."""
        media = self.negotiated
        listening = bool(self._listeners) or self._bridge_decodes or self._tone_detector is not None
        if not listening or media is None or not media.can_receive:
            self._receiver = None
        elif self._receiver is None:
            self._receiver = AudioReceiver(media)
        self._port.is_watched = self._receiver is not None or self._digit_pending
        is_speaking = self.is_speaking
        self._port.is_taken = is_speaking or self._is_bypassed
        needs_clock = not self._closed and media is not None and (self._receiver is not None or is_speaking)
        if needs_clock != self._clock_running:
            self._clock_running = needs_clock
            if needs_clock:
                self._plane.clock.add(self._tick)
            else:
                self._plane.clock.remove(self._tick)
        if self.usage_changed is not None:
            self.usage_changed()

    # -- saying -----------------------------------------------------------------------------------------

    def play(self, source: Source) -> None:
        """Say `source` in place of whatever is being said; ends with PlaybackEnded. A bridge pauses
        meanwhile.

        May be called before there is an agreement: it then begins with it.
        """
        if self._closed:
            return
        self.sender.play(source, time.monotonic())
        self._changed()

    def stop_playing(self) -> None:
        """Within one packet time. Nothing playing: nothing happens."""
        self.sender.stop(time.monotonic())
        self._changed()

    def send_dtmf(self, digits: str, *, duration_ms: int = 120, gap_ms: int = 80) -> None:
        """Queue digits (0-9 * # A-D); RFC 4733 events where negotiated.

        Else as tones if the configuration says so, or DtmfUndeliverable is told per digit.
        Raises ValueError for anything that is no digit.
        """
        digits = digits.upper()
        if not DIGITS.issuperset(digits):
            raise ValueError(f"not DTMF digits: {digits!r}")
        if self._closed or not digits:
            return
        media = self.negotiated
        has_way = media is not None and (
            media.dtmf_send_payload_type is not None or self._plane.config.in_band_dtmf
        )
        if media is not None and has_way and media.can_send and not self._is_bypassed:
            self.sender.send_digits(digits, duration_ms, gap_ms)
            self._changed()
            return
        now = time.monotonic()
        for digit in digits:
            self._emit(DtmfUndeliverable(digit, duration_ms, now))

    def _source_ended(self, interrupted: bool, at: float) -> None:
        self._emit(PlaybackEnded(interrupted, at))

    def pass_digit(self, digit: str, duration_ms: int) -> None:
        """The peer keyed `digit` outside RTP (INFO): said again on the other side of the bridge, if any."""
        if self.joint is not None:
            self.joint.keyed(self, digit, duration_ms)

    # -- hearing ----------------------------------------------------------------------------------------

    @property
    def gain_db(self) -> float:
        """How much louder others hear this peer across a bridge, which decodes then; taps hear it as it came.
        What would be too loud is clipped."""
        return self._gain_db

    @gain_db.setter
    def gain_db(self, gain_db: float) -> None:
        if gain_db != self._gain_db:
            self._gain_db = gain_db
            self._crossing_changed()

    @property
    def is_muted(self) -> bool:
        """Others do not hear this peer across a bridge; its digits pass. Taps hear it."""
        return self._is_muted

    @is_muted.setter
    def is_muted(self, is_muted: bool) -> None:
        if is_muted != self._is_muted:
            self._is_muted = is_muted
            self._crossing_changed()

    def overlay(self, name: str, source: Source, *, gain_db: float = 0.0) -> None:
        """Mix `source` into whatever this peer hears, from a bridge (which decodes then) or played; in place
        of one of that name. While there is neither, the track waits."""
        if self._closed:
            return
        sender = self.sender
        if sender.overlays is None:
            sender.overlays = Overlays(
                self._crossing_changed,
                lambda error: self._plane.report("a track failed and is not mixed in any further", error),
            )
        sender.overlays.add(name, source, gain_db)
        self._crossing_changed()

    def remove_overlay(self, name: str) -> None:
        """Unknown is fine."""
        if self._sender is not None and self._sender.overlays is not None:
            self._sender.overlays.remove(name)
            self._crossing_changed()

    def silence_overlay(self, name: str, *, wanted: bool = True) -> None:
        """Let a track go on unheard, or be heard again. Unknown is fine."""
        if self._sender is not None and self._sender.overlays is not None:
            self._sender.overlays.silence(name, wanted=wanted)

    @property
    def has_overlays(self) -> bool:
        return self._sender is not None and bool(self._sender.overlays)

    def _crossing_changed(self) -> None:
        """How audio crosses the bridge has to be chosen anew."""
        if self.usage_changed is not None:
            self.usage_changed()
        if self.joint is not None:
            self.joint.renegotiated(self)

    def add_tap(
        self, tap: Tap, *, sample_rate_hz: int = 8000, lost: Callable[[int], None] | None = None
    ) -> None:
        """Hear what the peer says, in order, gaps concealed, in pieces of 20 ms.

        `lost`: called in place of the tap, with a number of samples, for audio that was lost on the way; the
        tap then gets what arrived only, and both together add up to the time that passed.
        """
        if not self._closed:
            self._listeners.append(Listener(tap, sample_rate_hz, lost))
            self._changed()

    def remove_tap(self, tap: Tap) -> None:
        """Unknown is fine. May be called from within a tap."""
        self._listeners = [listener for listener in self._listeners if listener.tap != tap]
        self._changed()

    def record(self, path: Path | str, *, sample_rate_hz: int = 8000) -> Recording:
        """Record what the peer says to a WAV file. Raises OSError if the file cannot be made."""
        recording = Recording(path, sample_rate_hz)
        self.keep(recording)
        return recording

    def keep(self, recording: Recording, channel: int = 0) -> None:
        """Be recorded; the file is finished when this stream closes, at the latest."""
        if self._closed:
            self._plane.finish(recording)
            return
        recording.follow(self, channel)
        self._recordings.append(recording)

    def decode_for_bridge(self, wanted: bool) -> None:
        """The bridge transcodes and wants what the peer says as Pcm. For bridges."""
        if wanted != self._bridge_decodes:
            self._bridge_decodes = wanted
            self._changed()

    def observe(
        self,
        buffer: bytearray,
        start: int,
        end: int,
        marked_type: int,
        sequence: int,
        timestamp: int,
        at: float,
    ) -> None:
        """A `PacketSink`: what the stream itself learns from a packet."""
        media = self.negotiated
        if media is None:
            return
        payload_type = marked_type & 0x7F
        if payload_type == media.dtmf_receive_payload_type:
            self._event_packet(buffer[start:end], timestamp, at)
            return
        if self._digit_pending and self._digits_in is not None:
            self._digit_done(self._digits_in.audio_resumed(timestamp), at)
        if self._receiver is not None:
            generation = self._port.reception.generation
            self._receiver.push(payload_type, sequence, timestamp, bytes(buffer[start:end]), at, generation)

    def _event_packet(self, payload: bytearray, timestamp: int, at: float) -> None:
        if self._agreed is None or len(payload) < 2 or payload[0] >= len(DIGITS):
            return
        if self._digits_in is None:
            self._digits_in = DtmfReceiver(self._agreed.codec.clock_rate_hz)
        # Until its end is seen, audio has to be looked at as well: it tells that the end was lost.
        self._digit_pending = not payload[1] & 0x80
        self._port.is_watched = self._digit_pending or self._receiver is not None
        self._digit_done(self._digits_in.push(payload, timestamp), at)

    def _digit_done(self, digit: DigitHeard | None, at: float) -> None:
        if digit is None:
            return
        self._digit_pending = False
        self._port.is_watched = self._receiver is not None
        if self.joint is not None:
            self.joint.digit(self, digit)
        self._emit(DtmfReceived(digit.digit, round(digit.duration_ms), DtmfMethod.EVENT, at))

    # -- the clock --------------------------------------------------------------------------------------

    def _tick(self, at: float) -> None:
        receiver = self._receiver
        if receiver is not None:
            pcm = receiver.pull()
            for listener in tuple(self._listeners):
                try:
                    listener.hear(pcm, receiver.sample_rate_hz, receiver.gaps)
                except Exception as error:  # noqa: BLE001 - a listener's bug must not silence the call
                    self._plane.report("a tap failed and was removed", error)
                    self.remove_tap(listener.tap)
            if self._tone_detector is not None:
                for digit in self._tone_detector.push(pcm):
                    self._emit(DtmfReceived(digit.digit, round(digit.duration_ms), DtmfMethod.IN_BAND, at))
            if self._bridge_decodes and self.joint is not None:
                self.joint.heard(self, pcm, at)
        if self.is_speaking and not self._say(at):
            self._changed()

    def _say(self, at: float) -> bool:
        """One packet time of our own voice; False if that was the last."""
        try:
            return self.sender.tick(at)
        except Exception as error:  # noqa: BLE001 - the source's bug; who waits for its end must hear of it
            self._plane.report("a source failed and is not played any further", error)
            self.sender.give_up(at)
            return False

    def housekeeping(self, now: float, rtp_timeout_s: float | None, *, rtcp: bool) -> float:
        """Reports, keep-alive, silence. Called by the plane; returns after how many seconds to look again."""
        media = self.negotiated
        wait_s = _KEEPALIVE_S
        if media is None or self._is_bypassed:
            return wait_s
        if rtcp:
            wait_s = min(wait_s, self._port.report_if_due(now))
        if media.can_send:
            if now - self._port.sending.last_at > _KEEPALIVE_S:
                self.sender.say_silence(now)
            wait_s = min(wait_s, max(0.0, self._port.sending.last_at + _KEEPALIVE_S - now))
        if not media.can_receive:
            self._silent_since = now
            return wait_s
        if rtp_timeout_s is None:
            return wait_s
        silent_s = now - max(self._port.last_heard_at, self._silent_since)
        is_silent = silent_s >= rtp_timeout_s
        if is_silent != self._is_silent:
            self._is_silent = is_silent
            self._emit(MediaTimeout(silent_s, now) if is_silent else MediaResumed(now))
        # While it is silent every look counts, so that its return is told soon.
        return 0.0 if is_silent else min(wait_s, rtp_timeout_s - silent_s)

    def _latched(self, source: SocketAddress, at: float) -> None:
        self._emit(MediaStarted((source[0], source[1]), at))

    def _goodbye(self, at: float) -> None:
        self._emit(RemoteGoodbye(at))

    # -- the owner --------------------------------------------------------------------------------------

    def on_event(self, handler: Callable[[StreamEvent], None]) -> None:
        """Call `handler` for everything that happens here; several may listen, in order of arrival."""
        self._handlers.append(handler)

    def _emit(self, event: StreamEvent) -> None:
        for handler in tuple(self._handlers):
            try:
                handler(event)
            except Exception as error:  # noqa: BLE001 - one owner's bug must not cost the others the news
                self._plane.report("the handler of a media event failed", error)

    def statistics(self) -> RtpStatistics:
        """Both directions, so far; also after `close`."""
        return self._port.statistics()

    def close(self) -> None:
        """Give everything back; idempotent. Sends an RTCP BYE if packets ever flowed.

        Recordings of this stream are finished by the plane.
        """
        if self._closed:
            return
        now = time.monotonic()
        self._closed = True
        if self.joint is not None:
            self.joint.close()
        if self._sender is not None:
            self._sender.close(now)
        for recording in self._recordings:
            self._plane.finish(recording)
        self._listeners.clear()
        self._tone_detector = None
        self._bridge_decodes = False
        self._changed()
        if self._plane.config.rtcp:
            self._port.say_goodbye(now)
        self._port.close()
        self._plane.forget(self)
        self._handlers.clear()
        self.usage_changed = None
