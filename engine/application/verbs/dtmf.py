"""`dtmf`: digits sent to the party, as RFC 4733 events where those were agreed, as INFO otherwise."""

from __future__ import annotations

import asyncio

from engine.application.document import DtmfVerb
from engine.application.session import Session
from media.audio import PTIME_MS

__all__ = ["run"]

_GAP_MS = 80
_SHORTEST_MS = 40
"""What a receiver is sure to notice."""
_LONGEST_UNITS = 0xFFFF
"""Of the RTP clock: an event's duration has 16 bits (RFC 4733 §2.3.5)."""


async def run(verb: DtmfVerb, session: Session) -> None:
    """One digit after the other, until the last has been sent: INFOs sent at once could overtake."""
    stream = await session.ensure_media()
    clock_rate_hz = stream.negotiated.codec.clock_rate_hz if stream.negotiated is not None else 8000
    longest_ms = (_LONGEST_UNITS * 1000 // clock_rate_hz) // PTIME_MS * PTIME_MS
    duration_ms = min(max(round(verb.duration), _SHORTEST_MS), longest_ms)
    for digit in verb.dtmf:
        session.leg.send_dtmf(digit, duration_ms=duration_ms)
        await asyncio.sleep((duration_ms + _GAP_MS) / 1000)
