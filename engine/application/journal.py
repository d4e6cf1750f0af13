"""What is known of a call and who is told: its facts, every change of status, its record.

One place turns a change of status into all three: the facts that later hooks carry, the call status hook, and
the row in the store. The first terminal status is the last one (DV-31).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from engine.application.services import Records
from engine.dial.callstatus import CallStatus
from engine.dial.leg import EndedBy
from engine.hooks.call_hooks import CallHooks, HookKind
from engine.hooks.hook import Hook
from engine.hooks.payloads import CallFacts, interrupted
from engine.store.rows import CallRow, RtpQuality, StatusStep

if TYPE_CHECKING:
    from engine.application.party import Line

__all__ = ["TERMINAL", "Journal", "quality_of"]

TERMINAL = frozenset({CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.BUSY, CallStatus.NO_ANSWER})
_ORDER = (
    CallStatus.QUEUED,
    CallStatus.TRYING,
    CallStatus.RINGING,
    CallStatus.EARLY_MEDIA,
    CallStatus.IN_PROGRESS,
)


class Journal:
    """Of one call. `status_hook` may be replaced at any time; None: nobody asked to be told."""

    __slots__ = (
        "_answered_at",
        "_answered_utc",
        "_clock",
        "_hooks",
        "_is_promised",
        "_records",
        "_row",
        "_started_utc",
        "_status",
        "_steps",
        "facts",
        "status_hook",
    )

    def __init__(
        self,
        facts: CallFacts,
        hooks: CallHooks,
        records: Records,
        clock: Callable[[], float],
        status_hook: Hook | None,
    ) -> None:
        """`clock`: monotonic seconds."""
        self.facts = facts
        """As they are now; replaced, never changed."""
        self.status_hook = status_hook
        self._hooks = hooks
        self._records = records
        self._clock = clock
        self._status: CallStatus | None = None
        self._steps: list[StatusStep] = []
        self._answered_at: float | None = None
        self._answered_utc: float | None = None
        self._started_utc = time.time()
        self._is_promised = False
        self._row = CallRow(
            call_sid=facts.call_sid,
            direction=facts.direction,
            from_=facts.from_,
            to=facts.to,
            account_sid=facts.account_sid,
            application_sid=facts.application_sid,
            parent_call_sid=facts.parent_call_sid,
            call_id=facts.call_id,
            trunk=facts.originating_sip_trunk_name,
            originating_ip=facts.originating_sip_ip,
            started_utc=self._started_utc,
        )

    @property
    def status(self) -> CallStatus | None:
        """None before the first."""
        return self._status

    @property
    def is_over(self) -> bool:
        """The terminal status has been told."""
        return self._status in TERMINAL

    @property
    def was_answered(self) -> bool:
        return self._answered_at is not None

    def begin(self, sip_status: int = 100, sip_reason: str = "Trying") -> None:
        """The first status, and the promise that there will be a last one even if this process dies."""
        self._change(CallStatus.TRYING, sip_status, sip_reason)
        self.promise()
        self._records.call_started(self._row)
        self._tell()

    def adopt(self) -> None:
        """The call is up already and was told about by somebody else until now."""
        self._status = CallStatus.IN_PROGRESS
        self._answered_at, self._answered_utc = self._clock(), time.time()
        self._row = msgspec.structs.replace(
            self._row, call_status=self._status.value, answered_utc=self._answered_utc
        )
        self.promise()
        self._records.call_started(self._row)

    def promise(self) -> None:
        """Have a terminal status sent by the next process if this one dies."""
        if self.status_hook is not None and not self.is_over:
            self._is_promised = True
            payload = interrupted(self.facts).to_dict()
            self._hooks.promise(self.status_hook, payload, HookKind.CALL_STATUS)

    def progress(self, status: CallStatus, sip_status: int, sip_reason: str) -> None:
        """A status that is further than the last one; others are no news."""
        if self.is_over or (self._status is not None and _ORDER.index(status) <= _ORDER.index(self._status)):
            return
        if status is CallStatus.IN_PROGRESS:
            self._answered_at, self._answered_utc = self._clock(), time.time()
        self._change(status, sip_status, sip_reason)
        self._records.call_changed(self._row)
        self._tell()

    def learn(self, **facts: object) -> None:
        """More is known: fields of CallFacts. No hook is sent."""
        self.facts = msgspec.structs.replace(self.facts, **facts)
        data = self.facts.customer_data
        self._row = msgspec.structs.replace(
            self._row, call_id=self.facts.call_id, customer_data=dict(data) if data else {}
        )

    def note_result(self, *, dial_status: str = "", amd: str = "") -> None:
        """For the record: what the last dial came to, what the detector decided."""
        changes = {name: value for name, value in (("dial_status", dial_status), ("amd", amd)) if value}
        self._row = msgspec.structs.replace(self._row, **changes)
        if not self.is_over:
            self._records.call_changed(self._row)

    def finish(
        self,
        status: CallStatus,
        sip_status: int,
        sip_reason: str,
        *,
        by: EndedBy,
        reason_header: str = "",
        headers: Mapping[str, str] | None = None,
        line: Line | None = None,
    ) -> None:
        """The terminal status. Once; later calls do nothing. `by`: CALLER, CALLEE: the far side."""
        if self.is_over:
            return
        is_completed = status is CallStatus.COMPLETED
        talked = None if self._answered_at is None else max(0.0, self._clock() - self._answered_at)
        self.facts = msgspec.structs.replace(
            self.facts,
            sip_reason_header=reason_header,
            call_termination_by="jambonz" if by is EndedBy.ENGINE else "caller",
            duration=round(talked) if is_completed and talked is not None else None,
            headers=headers or None,
        )
        self._change(status, sip_status, sip_reason)
        self._row = msgspec.structs.replace(
            self._row,
            reason_header=reason_header,
            ended_by=by.value,
            ended_utc=time.time(),
            duration_s=talked,
            codec=line.codec if line is not None else "",
            rtp=quality_of(line),
        )
        self._records.call_ended(self._row)
        if self.status_hook is not None:
            self._hooks.deliver(self.status_hook, self.facts.to_dict(), HookKind.CALL_STATUS)
        elif self._is_promised:
            self._hooks.withdraw(HookKind.CALL_STATUS)

    def _change(self, status: CallStatus, sip_status: int, sip_reason: str) -> None:
        self._status = status
        self.facts = msgspec.structs.replace(
            self.facts, call_status=status.value, sip_status=sip_status, sip_reason=sip_reason
        )
        self._steps.append(StatusStep(time.time(), sip_status, sip_reason, status.value))
        self._row = msgspec.structs.replace(
            self._row,
            call_status=status.value,
            sip_status=sip_status,
            sip_reason=sip_reason,
            answered_utc=self._answered_utc,
            statuses=tuple(self._steps),
        )

    def _tell(self) -> None:
        if self.status_hook is not None:
            self._hooks.notify(self.status_hook, self.facts.to_dict(), HookKind.CALL_STATUS)


def quality_of(line: Line | None) -> RtpQuality | None:
    """RTP statistics of a leg as the store keeps them."""
    statistics = line.statistics() if line is not None else None
    if statistics is None:
        return None
    return RtpQuality(
        packets_sent=statistics.packets_sent,
        packets_received=statistics.packets_received,
        packets_lost=statistics.lost,
        jitter_ms=statistics.jitter_ms,
        remote_packets_lost=statistics.remote_lost or None,
        remote_jitter_ms=statistics.remote_jitter_ms or None,
        round_trip_ms=statistics.rtt_ms,
    )
