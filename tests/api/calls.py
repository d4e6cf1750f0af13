"""A double of the calls behind the call-control API: typed, records what it is asked, answers as told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from engine.application.orders import (
    CallOrder,
    CallUpdate,
    Counts,
    CreatedCall,
    NoSuchApplication,
    NoSuchCall,
    SipReply,
)
from engine.ids import new_call_sid

__all__ = ["FakeCalls"]


class FakeCalls:
    """A `CallControl`."""

    def __init__(self, applications: Iterable[str] = ()) -> None:
        self.applications = set(applications)
        self.refusal = ""
        self.orders: list[CallOrder] = []
        self.changes: list[tuple[str, CallUpdate]] = []
        self.hung_up: list[str] = []
        self.calls: dict[str, dict[str, object]] = {}
        self.exception: Exception | None = None
        """Raised by the next `create` or `update`."""
        self.reply: SipReply | None = None
        """What `update` answers to a `sip_request`."""

    async def create(self, order: CallOrder) -> CreatedCall:
        self._refuse()
        if order.application_sid and order.application_sid not in self.applications:
            raise NoSuchApplication(order.application_sid)
        self.orders.append(order)
        sid = new_call_sid()
        self.calls[sid] = {
            "call_sid": sid,
            "account_sid": order.account.sid,
            "direction": "outbound",
            "from": order.from_,
            "to": order.target.address,
            "call_status": "trying",
        }
        return CreatedCall(sid, f"{sid}@192.0.2.1")

    async def update(self, account_sid: str, call_sid: str, change: CallUpdate) -> SipReply | None:
        self._refuse()
        self._need(account_sid, call_sid)
        self.changes.append((call_sid, change))
        return self.reply if change.sip_request is not None else None

    def hang_up(self, account_sid: str, call_sid: str) -> None:
        self._need(account_sid, call_sid)
        self.hung_up.append(call_sid)

    async def get(self, account_sid: str, call_sid: str) -> Mapping[str, object] | None:
        call = self.calls.get(call_sid)
        return call if call is not None and call["account_sid"] == account_sid else None

    def list(self, account_sid: str) -> Iterable[Mapping[str, object]]:
        return [call for call in self.calls.values() if call["account_sid"] == account_sid]

    def counts(self, account_sid: str) -> Counts:
        directions = [call["direction"] for call in self.list(account_sid)]
        return Counts(inbound=directions.count("inbound"), outbound=directions.count("outbound"))

    def _need(self, account_sid: str, call_sid: str) -> None:
        call = self.calls.get(call_sid, {})
        if call.get("account_sid") != account_sid or call["call_status"] == "completed":
            raise NoSuchCall(call_sid)

    def _refuse(self) -> None:
        exception, self.exception = self.exception, None
        if exception is not None:
            raise exception
