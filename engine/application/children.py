"""The legs of a dial as hooks and records see them: facts of each child, its call status notifications in
order with a terminal one last (DV-31, hooks contract, 4.2), its row in the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from engine.application.journal import TERMINAL, quality_of
from engine.application.services import Records
from engine.dial.callstatus import CallStatus, CallStatuses, StatusChange
from engine.dial.dial import Dial, Happening
from engine.dial.leg import Cause, EndedBy
from engine.dial.request import DialRequest
from engine.dial.result import LegRecord
from engine.hooks.call_hooks import CallHooks, HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts, interrupted
from engine.ids import CallSid
from engine.legs.call_leg import CallLeg
from engine.store.rows import LegRow, StatusStep

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Children"]


class Children:
    """Follows one dial. `of(leg)` are the facts of a child at this moment."""

    __slots__ = (
        "_clock",
        "_customer_data",
        "_dial",
        "_facts",
        "_hooks",
        "_parent",
        "_records",
        "_rows",
        "_status_hook",
        "_statuses",
        "amd",
    )

    def __init__(
        self,
        dial: Dial,
        parent: Callable[[], CallFacts],
        hooks: CallHooks,
        records: Records,
        status_hook: Callable[[], Hook | None],
        customer_data: Mapping[str, object] | None,
        clock: Callable[[], float],
    ) -> None:
        self._dial = dial
        self._parent = parent
        self._hooks = hooks
        self._records = records
        self._status_hook = status_hook
        self._customer_data = customer_data
        self._clock = clock
        self._statuses = CallStatuses()
        self._facts: dict[CallSid, CallFacts] = {}
        self._rows: dict[CallSid, LegRow] = {}
        self.amd = ""
        """What the detector decided about the winner."""

    def of(self, leg: CallSid) -> CallFacts:
        """KeyError: the dial has no such leg."""
        facts = self._facts.get(leg)
        if facts is None:
            target, parent = self._dial.target_of(leg), self._parent()
            request = self._dial.request
            facts = self._facts[leg] = CallFacts(
                call_sid=leg,
                direction="outbound",
                from_=_presented(request, parent),
                to=target.address,
                caller_id=request.caller_id or parent.caller_id,
                caller_name=request.caller_name,
                call_status=CallStatus.TRYING.value,
                account_sid=parent.account_sid,
                application_sid=parent.application_sid,
                trace_id=parent.trace_id,
                parent_call_sid=parent.call_sid,
                customer_data=self._customer_data,
                api_base_url=parent.api_base_url,
            )
        return facts

    def learn(self, leg: CallSid, **facts: object) -> None:
        """More is known about a child."""
        self._facts[leg] = msgspec.structs.replace(self.of(leg), **facts)

    def release(self, leg: CallSid) -> None:
        """A callee has become a call of its own, which tells the rest of its story."""
        self._hooks.withdraw(HookKind.CALL_STATUS, leg)
        row = self._rows.get(leg)
        if row is not None:
            now = time.time()
            talked = None if row.answered_utc is None else now - row.answered_utc
            row = msgspec.structs.replace(row, call_status="completed", ended_utc=now, duration_s=talked)
            self._records.leg_ended(row)

    def follow(self, happening: Happening) -> None:
        """From the dial's observer."""
        change = self._statuses.of(happening)
        if change is None:
            return
        self._note(change)
        hook = self._status_hook()
        if change.status in TERMINAL or change.record is not None:
            if hook is not None:
                payload = self._facts[change.leg].to_dict()
                self._hooks.deliver(hook, payload, HookKind.CALL_STATUS, change.leg)
            self._records.leg_ended(self._rows[change.leg])
            return
        if hook is not None:
            if change.status is CallStatus.TRYING:
                payload = interrupted(self._facts[change.leg]).to_dict()
                self._hooks.promise(hook, payload, HookKind.CALL_STATUS, change.leg)
            self._hooks.notify(hook, self._facts[change.leg].to_dict(), HookKind.CALL_STATUS)
        self._records.leg_changed(self._rows[change.leg])

    def _note(self, change: StatusChange) -> None:
        record = change.record
        leg = self._dial.leg(change.leg)
        call_id = record.sip_call_id if record is not None else ""
        if not call_id and isinstance(leg, CallLeg):
            call_id = leg.sip_call_id
        facts = msgspec.structs.replace(
            self.of(change.leg),
            call_status=change.status.value,
            sip_status=change.sip_status,
            sip_reason=change.sip_reason,
        )
        if call_id:
            facts = msgspec.structs.replace(facts, call_id=call_id, sbc_callid=call_id)
        if record is not None:
            facts = _ended(facts, record)
        self._facts[change.leg] = facts
        self._write(change, facts)

    def _write(self, change: StatusChange, facts: CallFacts) -> None:
        row = self._rows.get(change.leg)
        if row is None:
            target = self._dial.target_of(change.leg)
            row = LegRow(
                leg_sid=change.leg,
                call_sid=facts.parent_call_sid,
                dial_id=self._dial.id,
                account_sid=facts.account_sid,
                type=target.type.value,
                from_=facts.from_,
                to=facts.to,
                trunk=target.trunk,
                started_utc=time.time(),
            )
        at_utc = time.time() if change.at is None else time.time() - (self._clock() - change.at)
        step = StatusStep(at_utc, change.sip_status, change.sip_reason, change.status.value)
        changes: dict[str, object] = {
            "call_id": facts.call_id,
            "call_status": change.status.value,
            "sip_status": change.sip_status,
            "sip_reason": change.sip_reason,
            "statuses": (*row.statuses, step),
        }
        if change.status is CallStatus.RINGING or change.status is CallStatus.EARLY_MEDIA:
            changes["ringing_utc"] = row.ringing_utc or at_utc
        elif change.status is CallStatus.IN_PROGRESS:
            changes["answered_utc"] = at_utc
        record = change.record
        if record is not None:
            leg = self._dial.leg(change.leg)
            line = leg if isinstance(leg, CallLeg) else None
            is_winner = self._dial.winner is not None and self._dial.winner.id == change.leg
            changes |= {
                "ended_utc": at_utc,
                "ended_by": record.ended_by.value,
                "reason_header": facts.sip_reason_header,
                "is_answered_elsewhere": record.is_answered_elsewhere,
                "duration_s": _talked(record),
                "codec": line.codec if line is not None else "",
                "rtp": quality_of(line),
                "amd": self.amd if is_winner else "",
            }
        self._rows[change.leg] = msgspec.structs.replace(row, **changes)


def _presented(request: DialRequest, parent: CallFacts) -> str:
    """Whom the callee sees calling, as far as hooks are concerned (DV-22)."""
    return request.caller_id or parent.caller_id or parent.from_


def _ended(facts: CallFacts, record: LegRecord) -> CallFacts:
    reason = record.reason_header
    if record.is_answered_elsewhere:
        reason = reason or Cause.COMPLETED_ELSEWHERE.reason_header
    talked = _talked(record)
    return msgspec.structs.replace(
        facts,
        sip_reason_header=reason,
        call_termination_by="jambonz" if record.ended_by is EndedBy.ENGINE else "caller",
        duration=None if talked is None else round(talked),
    )


def _talked(record: LegRecord) -> float | None:
    """Seconds of a completed call."""
    if record.status.value != CallStatus.COMPLETED.value or record.answered_at is None:
        return None
    return max(0.0, (record.ended_at or record.answered_at) - record.answered_at)
