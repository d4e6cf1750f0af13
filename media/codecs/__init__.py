"""Audio codecs behind one protocol."""

from media.codecs.codec import Codec, CodecSpec
from media.codecs.g711 import alaw_to_ulaw, ulaw_to_alaw
from media.codecs.registry import (
    DEFAULT_CODECS,
    L16_8K,
    L16_16K,
    PCMA,
    PCMU,
    find_codec,
    open_codec,
    static_codec,
)

__all__ = [
    "DEFAULT_CODECS",
    "L16_8K",
    "L16_16K",
    "PCMA",
    "PCMU",
    "Codec",
    "CodecSpec",
    "alaw_to_ulaw",
    "find_codec",
    "open_codec",
    "static_codec",
    "ulaw_to_alaw",
]
