"""What a phone is and how it behaves when it is called: sounds, behaviours, configuration. Plain data."""

from __future__ import annotations

from msgspec import Struct

__all__ = [
    "Account",
    "Answer",
    "Behaviour",
    "EarlyMedia",
    "Manual",
    "Refuse",
    "Ring",
    "Silence",
    "SoftphoneConfig",
    "Sound",
    "Tone",
    "Voicemail",
    "Wav",
]


# --- sounds


class Silence(Struct, frozen=True, tag=True):
    """Digital silence, but packets are sent."""


class Tone(Struct, frozen=True, tag=True):
    """A steady tone of one or two frequencies until something else is played."""

    hz: int
    second_hz: int = 0
    volume: int = 12000
    """Peak amplitude, 1-32767."""
    on_ms: int = 0
    """With `off_ms`: an interrupted tone (ringback, busy); 0 is steady."""
    off_ms: int = 0


class Wav(Struct, frozen=True, tag=True):
    """A WAV file (16 bit mono PCM, any usual rate)."""

    path: str
    loop: bool = False


Sound = Silence | Tone | Wav


# --- what a phone does when it is called


class Manual(Struct, frozen=True, tag=True):
    """Only 100 Trying; everything else is commanded."""


class Ring(Struct, frozen=True, tag=True):
    """Rings (180) until the caller gives up or a command answers."""


class Answer(Struct, frozen=True, tag=True):
    """Rings, picks up after a while, plays; may hang up by itself."""

    after_s: float = 0.0
    sound: Sound = Silence()
    record: str = ""
    """Path of a WAV file that receives what the other side says; empty: no recording."""
    hang_up_after_s: float | None = None
    """Seconds from the answer; None: stays."""
    rings: bool = True
    """False: no 180 before the 200."""


class Refuse(Struct, frozen=True, tag=True):
    """A final refusal: 486 busy, 603 decline, 480 unavailable, ..."""

    status: int = 486
    after_s: float = 0.0
    reason: str = ""


class EarlyMedia(Struct, frozen=True, tag=True):
    """183 with SDP and audio before (or without) an answer."""

    sound: Sound = Tone(440, 480, on_ms=2000, off_ms=4000)
    answer_after_s: float | None = None
    """None: never answers."""
    answered_sound: Sound = Silence()
    record: str = ""


class Voicemail(Struct, frozen=True, tag=True):
    """Answers, speaks a greeting, beeps, then records."""

    greeting: str = ""
    """WAV path; empty: bursts of sound in the rhythm of speech, `greeting_s` long."""
    greeting_s: float = 4.0
    beep_hz: int = 1000
    beep_ms: int = 500
    after_s: float = 1.0
    record: str = ""


Behaviour = Manual | Ring | Answer | Refuse | EarlyMedia | Voicemail


# --- configuration


class Account(Struct, frozen=True):
    """Who the phone is and what it answers a 401 or 407 with; without it the phone is just its address."""

    aor: str = ""
    """Address of record, e.g. sip:alice@example.com; empty: the phone's own address."""
    registrar: str = ""
    """sip: URI to register with, e.g. sip:example.com; empty: credentials only, no registration."""
    username: str = ""
    password: str = ""
    expires_s: int = 300


class SoftphoneConfig(Struct, frozen=True):
    """One phone: its name, where it listens, how it behaves."""

    name: str = "phone"
    """User part of its URI."""
    address: str = "127.0.0.1"
    """Local IPv4 address of signalling and media; the published wheel is built without IPv6."""
    port: int = 0
    """SIP port, 0: chosen by the kernel."""
    tcp: bool = False
    """Listen on TCP as well (same rule for the port)."""
    rtp_port: int = 0
    """First RTP port, 0: chosen by the kernel."""
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    """In order of preference; all others are off. Names as in SDP."""
    clock_rate_hz: int = 8000
    """Rate of the phone's sound and of its recordings; 16000 for wideband codecs."""
    behaviour: Behaviour = Ring()
    account: Account | None = None
    requires_100rel: bool = False
    """Require reliable provisionals (RFC 3262)."""
    session_expires_s: int = 0
    """Insist on session timers (RFC 4028) with this interval; 0: only if the peer wants them."""
    log_path: str = ""
    """File for pjsip's log with every SIP message; empty: no log."""
