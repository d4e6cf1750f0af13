"""Which codecs there are: by rtpmap name, by static payload type, and how to open one.

A new codec is one file here beside g711.py, one `CodecSpec` and one line in `_OPENERS`.
"""

from collections.abc import Callable

from media.codecs.codec import Codec, CodecSpec
from media.codecs.g711 import Pcma, Pcmu
from media.codecs.l16 import L16

__all__ = ["DEFAULT_CODECS", "L16_8K", "L16_16K", "PCMA", "PCMU", "find_codec", "open_codec", "static_codec"]

PCMU = CodecSpec(name="PCMU", clock_rate_hz=8000, sample_rate_hz=8000, static_payload_type=0)
PCMA = CodecSpec(name="PCMA", clock_rate_hz=8000, sample_rate_hz=8000, static_payload_type=8)
L16_8K = CodecSpec(name="L16", clock_rate_hz=8000, sample_rate_hz=8000)
L16_16K = CodecSpec(name="L16", clock_rate_hz=16000, sample_rate_hz=16000)

DEFAULT_CODECS: tuple[CodecSpec, ...] = (PCMU, PCMA)
"""What is offered when nobody configured anything, in this order."""

_PCMU, _PCMA = Pcmu(), Pcma()

_OPENERS: dict[CodecSpec, Callable[[str], Codec]] = {
    PCMU: lambda fmtp: _PCMU,
    PCMA: lambda fmtp: _PCMA,
    L16_8K: lambda fmtp: L16(8000),
    L16_16K: lambda fmtp: L16(16000),
}
_BY_RTPMAP = {(spec.name.lower(), spec.clock_rate_hz, spec.channels): spec for spec in _OPENERS}
_BY_STATIC = {spec.static_payload_type: spec for spec in _OPENERS if spec.static_payload_type is not None}


def find_codec(name: str, clock_rate_hz: int = 8000, channels: int = 1) -> CodecSpec | None:
    """The codec an rtpmap names, in any case; None if we do not have it."""
    return _BY_RTPMAP.get((name.lower(), clock_rate_hz, channels))


def static_codec(payload_type: int) -> CodecSpec | None:
    """The codec RFC 3551 fixed for this number, which needs no rtpmap; None if we do not have it."""
    return _BY_STATIC.get(payload_type)


def open_codec(spec: CodecSpec, fmtp: str = "") -> Codec:
    """An instance for one stream. fmtp: the peer's format parameters. Raises KeyError for a foreign spec."""
    return _OPENERS[_BY_RTPMAP[spec.name.lower(), spec.clock_rate_hz, spec.channels]](fmtp)
