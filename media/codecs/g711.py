"""G.711 µ-law and A-law (PCMU, PCMA of RFC 3551 §4.5.14) by tables.

Facts: µ-law is sign, 3 bits segment, 4 bits step, all bits inverted, with a bias of 33 in 14-bit units
(132 in ours, which are 16-bit). A-law is the same shape on 13 bits without a bias, every other bit inverted.
Each direction is one table lookup per frame; between the laws it is one `bytes.translate`, no Pcm at all.
The tables are computed once, here, from the recommendation's definition; `_ulaw_of` and `_alaw_of` are the
readable twins of the lookups.
"""

import numpy as np
from numpy.typing import NDArray

from media.audio import Pcm

__all__ = ["ALAW_SILENCE", "ULAW_SILENCE", "Pcma", "Pcmu", "alaw_to_ulaw", "ulaw_to_alaw"]

ULAW_SILENCE = b"\xff"
"""The µ-law octet for zero."""
ALAW_SILENCE = b"\xd5"
"""The A-law octet for the smallest positive value; A-law has no zero."""


def _pcm_of_ulaw(code: int) -> int:
    """One µ-law octet to 16 bits (G.711 table 2)."""
    inverted = ~code & 0xFF
    segment, step = (inverted >> 4) & 7, inverted & 15
    magnitude = (((step << 3) + 132) << segment) - 132
    return -magnitude if inverted & 0x80 else magnitude


def _pcm_of_alaw(code: int) -> int:
    """One A-law octet to 16 bits (G.711 table 1)."""
    toggled = code ^ 0x55
    segment, step = (toggled >> 4) & 7, toggled & 15
    magnitude = (step << 4) + 8 if segment == 0 else ((step << 4) + 264) << (segment - 1)
    return magnitude if toggled & 0x80 else -magnitude


def _ulaw_of(sample: int) -> int:
    """16 bits to the µ-law octet whose interval holds it; beyond the last interval it saturates."""
    sign = 0x80 if sample < 0 else 0
    biased = min(abs(sample), 32635) + 132
    segment = biased.bit_length() - 8
    return ~(sign | segment << 4 | (biased >> (segment + 3)) & 15) & 0xFF


def _alaw_of(sample: int) -> int:
    """16 bits to the A-law octet whose interval holds it."""
    # The negative half is the mirror of the positive one: -1 falls into the first interval below zero.
    sign, magnitude = (0x80, sample) if sample >= 0 else (0, ~sample)
    segment = max(0, magnitude.bit_length() - 8)
    step = (magnitude >> 4 if segment == 0 else magnitude >> (segment + 3)) & 15
    return (sign | segment << 4 | step) ^ 0x55


def _decode_table(law: str) -> Pcm:
    of = _pcm_of_ulaw if law == "u" else _pcm_of_alaw
    return np.array([of(code) for code in range(256)], np.int16)


def _encode_table(law: str) -> NDArray[np.uint8]:
    """Octet for each 16-bit pattern, so that the lookup needs no sign handling: index 0xFFFF is -1."""
    of = _ulaw_of if law == "u" else _alaw_of
    return np.array([of(s if s < 32768 else s - 65536) for s in range(65536)], np.uint8)


_PCM_OF_ULAW, _PCM_OF_ALAW = _decode_table("u"), _decode_table("a")
_ULAW_OF, _ALAW_OF = _encode_table("u"), _encode_table("a")


def _translation(decoded: Pcm, encoding: NDArray[np.uint8]) -> bytes:
    """One law's octets in the other. Bit 7 is the sign in both, and the negative half mirrors the positive.

    Going through the encoder for both halves would not: samples on the border of two intervals belong to the
    upper one, which is the larger magnitude above zero and the smaller below, and minus zero would turn plus.
    """
    positive = encoding[decoded[0x80:].view(np.uint16)]
    return (positive & 0x7F).tobytes() + positive.tobytes()


_ALAW_OF_ULAW = _translation(_PCM_OF_ULAW, _ALAW_OF)
_ULAW_OF_ALAW = _translation(_PCM_OF_ALAW, _ULAW_OF)


def alaw_to_ulaw(payload: bytes | bytearray) -> bytes | bytearray:
    """The same audio in µ-law, octet by octet."""
    return payload.translate(_ULAW_OF_ALAW)


def ulaw_to_alaw(payload: bytes | bytearray) -> bytes | bytearray:
    """The same audio in A-law, octet by octet."""
    return payload.translate(_ALAW_OF_ULAW)


class Pcmu:
    """µ-law; stateless, one instance may serve everybody."""

    __slots__ = ()
    name = "PCMU"
    payload_type = 0
    clock_rate_hz = sample_rate_hz = 8000

    def encode(self, pcm: Pcm) -> bytes:
        return _ULAW_OF[pcm.view(np.uint16)].tobytes()

    def decode(self, payload: bytes | bytearray | memoryview) -> Pcm:
        return _PCM_OF_ULAW[np.frombuffer(payload, np.uint8)]


class Pcma:
    """A-law; stateless, one instance may serve everybody."""

    __slots__ = ()
    name = "PCMA"
    payload_type = 8
    clock_rate_hz = sample_rate_hz = 8000

    def encode(self, pcm: Pcm) -> bytes:
        return _ALAW_OF[pcm.view(np.uint16)].tobytes()

    def decode(self, payload: bytes | bytearray | memoryview) -> Pcm:
        return _PCM_OF_ALAW[np.frombuffer(payload, np.uint8)]
