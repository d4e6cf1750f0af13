"""One leg's audio, end to end: its SDP, its packets, what it hears and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from media.audio import Pcm, Source
from media.events import StreamEvent
from media.negotiate import AudioCapabilities, NegotiatedMedia
from media.rtp import RtpStatistics

if TYPE_CHECKING:
    from media.plane import MediaPlane

__all__ = ["MediaStream", "Recording", "Tap"]

Tap = Callable[[Pcm], None]
"""Called with received audio, int16[n] mono, on the loop; must not block and must not keep a lock on the
array.
"""


class Recording:
    """A recording in progress."""

    __slots__ = ()

    async def stop(self) -> None:
        """Finish the file; idempotent. Raises OSError if it could not be written."""
        raise NotImplementedError


class MediaStream:
    """Made by `MediaPlane.stream()`. Every method returns at once; nothing is received before an SDP is
    there.
    """

    def __init__(self, plane: MediaPlane, capabilities: AudioCapabilities, label: str = "") -> None:
        """Raises PortsExhausted."""
        raise NotImplementedError

    # -- offer and answer -------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Local RTP port."""
        raise NotImplementedError

    @property
    def negotiated(self) -> NegotiatedMedia | None:
        """The agreement in force; None before the first."""
        raise NotImplementedError

    def create_offer(self) -> bytes:
        """An SDP offer, first or again (re-INVITE), with the present wish to hold or not."""
        raise NotImplementedError

    def receive_answer(self, sdp: bytes) -> NegotiatedMedia:
        """The answer to the last offer: audio may flow from now on, early media included.

        May be called again for the same offer (183 then 200, or another fork); the last one holds.
        Raises NegotiationFailed; what was agreed before still stands.
        """
        raise NotImplementedError

    def receive_offer(self, sdp: bytes) -> bytes:
        """The answer to the peer's offer, first or again. Raises NegotiationFailed(status 400 or 488)."""
        raise NotImplementedError

    def withdraw_offer(self) -> None:
        """The peer refused our last offer (488, 491): everything is as it was before."""
        raise NotImplementedError

    def hold(self) -> bytes:
        """The offer that puts the peer on hold (sendonly: it may hear music, we do not listen)."""
        raise NotImplementedError

    def resume(self) -> bytes:
        """The offer that ends our hold."""
        raise NotImplementedError

    @property
    def is_holding(self) -> bool:
        """We asked the peer to be silent."""
        raise NotImplementedError

    @property
    def is_held(self) -> bool:
        """The peer put us on hold: it does not listen."""
        raise NotImplementedError

    # -- saying -----------------------------------------------------------------------------------------

    def play(self, source: Source) -> None:
        """Say `source` in place of whatever is being said; ends with PlaybackEnded. A bridge pauses
        meanwhile.
        """
        raise NotImplementedError

    def stop_playing(self) -> None:
        """Within one packet time. Nothing playing: nothing happens."""
        raise NotImplementedError

    def send_dtmf(self, digits: str, *, duration_ms: int = 120, gap_ms: int = 80) -> None:
        """Queue digits (0-9 * # A-D); RFC 4733 events where negotiated, else DtmfUndeliverable per digit.

        Raises ValueError for anything that is no digit.
        """
        raise NotImplementedError

    # -- hearing ----------------------------------------------------------------------------------------

    def add_tap(self, tap: Tap, *, sample_rate_hz: int = 8000) -> None:
        """Hear what the peer says, in order, gaps concealed, in pieces of one packet time."""
        raise NotImplementedError

    def remove_tap(self, tap: Tap) -> None:
        """Unknown is fine. May be called from within a tap."""
        raise NotImplementedError

    def record(self, path: Path | str) -> Recording:
        """Record what the peer says to a WAV file. Raises OSError if the file cannot be made."""
        raise NotImplementedError

    def on_event(self, handler: Callable[[StreamEvent], None]) -> None:
        """Call `handler` for everything that happens here; several may listen, in order of arrival."""
        raise NotImplementedError

    def statistics(self) -> RtpStatistics:
        """Both directions, so far; also after `close`."""
        raise NotImplementedError

    def close(self) -> None:
        """Give everything back; idempotent. Sends an RTCP BYE if packets ever flowed."""
        raise NotImplementedError
