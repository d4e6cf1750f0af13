"""What a media stream tells its owner: facts, frozen, delivered on the loop in the order they happened."""

from enum import StrEnum

from msgspec import Struct

__all__ = [
    "DtmfMethod",
    "DtmfReceived",
    "DtmfUndeliverable",
    "MediaResumed",
    "MediaStarted",
    "MediaTimeout",
    "PlaybackEnded",
    "RemoteGoodbye",
    "StreamEvent",
]


class DtmfMethod(StrEnum):
    """How a digit reached us."""

    EVENT = "telephone-event"
    IN_BAND = "in-band"


class MediaStarted(Struct, frozen=True):
    """The first valid packet came and its sender was latched on."""

    remote: tuple[str, int]
    """Where it came from; behind NAT not what the SDP said."""
    at: float


class MediaTimeout(Struct, frozen=True):
    """Nothing was received for as long as the configuration allows, though the far side should be sending."""

    silent_s: float
    at: float


class MediaResumed(Struct, frozen=True):
    """Packets came again after a MediaTimeout."""

    at: float


class DtmfReceived(Struct, frozen=True):
    """A digit is complete (RFC 4733 §2.5.2.2: reported once, however often its end was repeated)."""

    digit: str
    """One of 0-9 * # A-D."""
    duration_ms: int
    method: DtmfMethod
    at: float


class DtmfUndeliverable(Struct, frozen=True):
    """A digit for this leg could not go out in RTP: no telephone-event was negotiated. INFO is the
    owner's choice.
    """

    digit: str
    duration_ms: int
    at: float


class PlaybackEnded(Struct, frozen=True):
    """The source handed to `play` is over. `interrupted`: it was stopped or replaced, or the stream was
    closed.
    """

    interrupted: bool
    at: float


class RemoteGoodbye(Struct, frozen=True):
    """The far side sent an RTCP BYE: its audio is over, the call may not be (RFC 3550 §6.6)."""

    at: float


StreamEvent = (
    MediaStarted
    | MediaTimeout
    | MediaResumed
    | DtmfReceived
    | DtmfUndeliverable
    | PlaybackEnded
    | RemoteGoodbye
)
