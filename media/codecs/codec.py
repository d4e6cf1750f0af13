"""What a codec is. `CodecSpec` is the fact that SDP talks about, `Codec` one open instance with its state.

`clock_rate_hz` counts RTP timestamps and stands in the rtpmap; `sample_rate_hz` is the rate of the Pcm. They
are the same except where history made them differ (G.722: 8000 and 16000, RFC 3551 §4.5.2).
"""

from typing import Protocol

from msgspec import Struct

from media.audio import Pcm

__all__ = ["Codec", "CodecSpec"]


class CodecSpec(Struct, frozen=True, cache_hash=True):
    """An audio encoding as an rtpmap line names it (RFC 8866 §6.6)."""

    name: str
    """Encoding name in its registered spelling: PCMU, PCMA, L16. Compare with `matches`, case is free."""
    clock_rate_hz: int
    """RTP timestamp units per second."""
    sample_rate_hz: int
    """Rate of the Pcm that `encode` takes and `decode` gives."""
    static_payload_type: int | None = None
    """The number RFC 3551 table 4 assigned, if any."""
    channels: int = 1
    fmtp: str = ""
    """Format parameters that we offer."""

    def matches(self, name: str, clock_rate_hz: int, channels: int = 1) -> bool:
        """Whether an rtpmap with these values means this codec."""
        return (
            clock_rate_hz == self.clock_rate_hz
            and channels == self.channels
            and name.lower() == self.name.lower()
        )

    @property
    def rtpmap(self) -> str:
        """The value behind the payload number in a=rtpmap, e.g. `PCMU/8000`."""
        suffix = f"/{self.channels}" if self.channels > 1 else ""
        return f"{self.name}/{self.clock_rate_hz}{suffix}"


class Codec(Protocol):
    """One open encoder and decoder, used by one stream (some codecs carry state from frame to frame)."""

    @property
    def name(self) -> str: ...

    @property
    def payload_type(self) -> int | None:
        """The static payload type, None for a codec that only has dynamic ones."""
        ...

    @property
    def clock_rate_hz(self) -> int: ...

    @property
    def sample_rate_hz(self) -> int: ...

    def encode(self, pcm: Pcm) -> bytes:
        """The payload of one packet. pcm: int16[n] at `sample_rate_hz`, any n the codec has a frame for."""
        ...

    def decode(self, payload: bytes | bytearray | memoryview) -> Pcm:
        """The audio of one payload. Never raises for what the network sent: nonsense gives noise."""
        ...
