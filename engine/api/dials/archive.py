"""Finished dials in the store: a call record of their own, found again when memory has forgotten them."""

from __future__ import annotations

import asyncio
import time

import msgspec

from engine.dial.result import DialResult, LegRecord
from engine.store import CallRow, LegRow, Store

__all__ = ["StoreArchive"]

_VIEW = "dial"


class StoreArchive:
    """A `DialArchive`. The record's `call_sid` is the dial's id; the view is kept with it as it was shown."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(self, account_sid: str, dial_id: str, view: bytes, result: DialResult, caller_id: str) -> None:
        """Returns at once, never raises."""
        decisive = result.record_of(result.leg) or (result.legs[0] if result.legs else None)
        to_utc = time.time() - asyncio.get_running_loop().time()
        ended = [leg.ended_at for leg in result.legs if leg.ended_at is not None]
        self._store.call_ended(
            CallRow(
                call_sid=dial_id,
                direction="outbound",
                from_=caller_id,
                to=decisive.to if decisive else "",
                account_sid=account_sid,
                call_id=decisive.sip_call_id if decisive else "",
                call_status="failed" if result.dial_status.value == "queued" else result.dial_status.value,
                sip_status=result.dial_sip_status,
                sip_reason=decisive.sip_reason if decisive else "",
                reason_header=decisive.reason_header if decisive else "",
                ended_by=result.ended_by.value,
                started_utc=result.started_at_utc,
                answered_utc=_utc(decisive.answered_at if decisive else None, to_utc),
                ended_utc=_utc(max(ended), to_utc) if ended else time.time(),
                duration_s=result.talk_s if result.is_answered else None,
                dial_status=result.dial_status.value,
                customer_data={_VIEW: msgspec.json.decode(view)},
            )
        )
        for leg in result.legs:
            self._store.leg_ended(_leg_row(leg, account_sid, dial_id, caller_id, to_utc))

    async def load(self, account_sid: str, dial_id: str) -> bytes | None:
        """What `keep` was given. Raises StoreError."""
        row = await self._store.call(dial_id)
        if row is None or row.account_sid != account_sid:
            return None
        view = row.customer_data.get(_VIEW)
        return msgspec.json.encode(view) if isinstance(view, dict) and view.get("id") == dial_id else None


def _leg_row(leg: LegRecord, account_sid: str, dial_id: str, caller_id: str, to_utc: float) -> LegRow:
    talked = leg.answered_at is not None and leg.ended_at is not None
    return LegRow(
        leg_sid=leg.leg,
        call_sid=dial_id,
        dial_id=dial_id,
        account_sid=account_sid,
        type=leg.type,
        from_=caller_id,
        to=leg.to,
        call_id=leg.sip_call_id,
        call_status="failed" if leg.status.value == "queued" else leg.status.value,
        sip_status=leg.sip_status,
        sip_reason=leg.sip_reason,
        reason_header=leg.reason_header,
        ended_by=leg.ended_by.value,
        is_answered_elsewhere=leg.is_answered_elsewhere,
        started_utc=_utc(leg.started_at, to_utc) or 0.0,
        ringing_utc=_utc(leg.ringing_at, to_utc),
        answered_utc=_utc(leg.answered_at, to_utc),
        ended_utc=_utc(leg.ended_at, to_utc) or time.time(),
        duration_s=leg.ended_at - leg.answered_at if talked and leg.ended_at and leg.answered_at else None,
    )


def _utc(at: float | None, to_utc: float) -> float | None:
    return None if at is None else at + to_utc
