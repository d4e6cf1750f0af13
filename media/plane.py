"""What all media streams of a process share: port range, epoll, media clock, housekeeping timer."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from media.clock import MediaClock
from media.negotiate import AudioCapabilities
from media.ports import PortRange
from media.stream import MediaStream
from media.transports import Poller, make_poller

__all__ = ["MediaConfig", "MediaPlane"]


class MediaConfig(Struct, frozen=True):
    """Where media lives on this machine and how patient it is."""

    host: str = "127.0.0.1"
    """Local address of the RTP sockets, numeric; 0.0.0.0 or :: for all (then `advertised` is needed)."""
    advertised: str = ""
    """Address written into SDP when it is not `host`: behind NAT, or with a wildcard."""
    first_port: int = 0
    """First and last RTP port, inclusive; 0: the kernel chooses."""
    last_port: int = 0
    quarantine_s: float = 10.0
    """How long a used port rests before it is used again."""
    capabilities: AudioCapabilities = AudioCapabilities()
    """For streams that are opened without their own."""
    rtp_timeout_s: float | None = 60.0
    """Silence of a far side that should be sending, until MediaTimeout is reported; None: never."""
    relatch_after_s: float = 5.0
    """Silence after which another sender may take the place of the one latched on."""
    rtcp: bool = True
    """Send RTCP reports. Received ones are always read."""


class MediaPlane:
    """One per process (per event loop). Make it inside the running loop, close it last."""

    __slots__ = ("_poller", "clock", "config", "ports", "streams")

    def __init__(self, config: MediaConfig | None = None) -> None:
        self.config = config = config or MediaConfig()
        self.ports = PortRange(
            config.host, config.first_port, config.last_port, quarantine_s=config.quarantine_s
        )
        self._poller: Poller = make_poller(asyncio.get_running_loop())
        self.clock = MediaClock()
        self.streams: set[MediaStream] = set()

    def stream(self, capabilities: AudioCapabilities | None = None, *, label: str = "") -> MediaStream:
        """A new stream with its own pair of ports. Raises PortsExhausted.

        label: for `repr` and reports, e.g. the leg's id.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close every stream that is still open and finish their recordings."""
        raise NotImplementedError
