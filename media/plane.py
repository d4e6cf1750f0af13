"""What all media streams of a process share: port range, epoll, media clock, housekeeping timer."""

from __future__ import annotations

import asyncio
import math
import secrets
import time

from msgspec import Struct

from media.clock import MediaClock
from media.negotiate import AudioCapabilities
from media.ports import PortRange
from media.recording import Recording
from media.stream import MediaStream
from media.transports import Poller, make_poller
from media.wheel import Wheel

__all__ = ["MediaConfig", "MediaPlane"]

_HOUSEKEEPING_S = 0.5


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
    in_band_dtmf: bool = False
    """Where no telephone-event was agreed: listen for DTMF tones in the audio, and send digits as tones."""


class MediaPlane:
    """One per process (per event loop). Make it inside the running loop, close it last."""

    __slots__ = (
        "_finishing",
        "_loop",
        "_rounds",
        "_timer",
        "clock",
        "cname",
        "config",
        "poller",
        "ports",
        "streams",
    )

    def __init__(self, config: MediaConfig | None = None) -> None:
        """Raises ValueError or OSError for an address or a range of ports that cannot be used."""
        self.config = config = config or MediaConfig()
        if config.host in ("0.0.0.0", "::") and not config.advertised:
            raise ValueError(f"listening for media on {config.host} needs an advertised address")
        self.ports = PortRange(
            config.host, config.first_port, config.last_port, quarantine_s=config.quarantine_s
        )
        self._loop = asyncio.get_running_loop()
        self.poller: Poller = make_poller(self._loop)
        self.clock = MediaClock()
        self.cname = secrets.token_hex(8)
        """Of RTCP: random, it names the process and not a user (RFC 7022 §4.2)."""
        self.streams: set[MediaStream] = set()
        """All that are open."""
        self._rounds: Wheel[MediaStream] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._finishing: set[asyncio.Task[None]] = set()

    def stream(self, capabilities: AudioCapabilities | None = None, *, label: str = "") -> MediaStream:
        """A new stream with its own pair of ports. Raises PortsExhausted.

        label: for `repr` and reports, e.g. the leg's id.
        """
        stream = MediaStream(self, capabilities or self.config.capabilities, label)
        self.streams.add(stream)
        return stream

    async def close(self) -> None:
        """Close every stream that is still open and finish their recordings."""
        for stream in tuple(self.streams):
            stream.close()
        if self._finishing:
            await asyncio.wait(self._finishing)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.poller.close()

    @property
    def is_keeping_house(self) -> bool:
        """Whether streams are looked after: while any of them has an agreement."""
        return len(self._rounds) > 0

    # -- for the streams --------------------------------------------------------------------------------

    def watch(self, stream: MediaStream) -> None:
        """An agreement is in force: reports and silence have to be looked after."""
        self._rounds.put(stream, 1)
        if self._timer is None:
            self._timer = self._loop.call_later(_HOUSEKEEPING_S, self._housekeeping)

    def forget(self, stream: MediaStream) -> None:
        """The stream closed. The timer runs out by itself: the next call needs it again."""
        self.streams.discard(stream)
        self._rounds.remove(stream)

    def report(self, what: str, error: BaseException) -> None:
        """A bug or a failure that must not stop the audio goes to the loop's exception handler."""
        self._loop.call_exception_handler({"message": what, "exception": error})

    def finish(self, recording: Recording) -> None:
        """Close a file in the background; a failure is reported to the loop's exception handler."""
        task = self._loop.create_task(recording.stop(), name="finish recording")
        self._finishing.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.report("a recording was not finished", error)

    def _housekeeping(self) -> None:
        """One timer for all streams; each is looked at when it asked for it, or once it may have fallen
        silent."""
        if not self._rounds:
            self._timer = None
            return
        self._timer = self._loop.call_later(_HOUSEKEEPING_S, self._housekeeping)
        now = time.monotonic()
        config = self.config
        for stream in self._rounds.turn():
            try:
                wait_s = stream.housekeeping(now, config.rtp_timeout_s, rtcp=config.rtcp)
            except Exception as error:  # noqa: BLE001 - one stream's bug must not leave the others unkept
                self.report("the housekeeping of a media stream failed", error)
                wait_s = 0.0
            if stream in self.streams:  # it may have closed itself in the course of that
                self._rounds.put(stream, math.ceil(wait_s / _HOUSEKEEPING_S))
