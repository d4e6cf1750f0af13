"""`Courier`: delivers what nobody waits for any more: left by an earlier process, or unanswered in life.

What an HTTP answer has been received for is delivered, whatever the status says, except 5xx: the application
was not there. That, and no answer at all, is tried again after half a minute, doubling to an hour, for a day.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import structlog

from engine.hooks.alerts import AlertKind, Alerts
from engine.hooks.hook import origin_of, without_secrets
from engine.hooks.outbox import Delivery, DeliveryState, Outbox
from engine.hooks.reply import HookFailed, HookFailure, MalformedReply
from engine.hooks.request import HookRequest
from engine.hooks.websocket_connect import deliver_by_websocket

if TYPE_CHECKING:
    from engine.hooks.client import HookClient

__all__ = ["Courier", "is_lost_on"]

log = structlog.get_logger(__name__)

FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 3600.0
_GIVE_UP_AFTER_S = 86400.0
_MAX_WAITING = 50_000
"""In memory; more stay in the store until the next start."""
_ROUTES = 16
"""Calls whose left deliveries are sent at the same time."""


def is_lost_on(failed: HookFailed) -> bool:
    """Whether a failure leaves the application without the news: no answer, or one from nobody at home."""
    if isinstance(failed, MalformedReply) or failed.failure is HookFailure.REQUEST:
        return False
    return failed.status is None or failed.status >= 500


class Courier:
    """Owned by the `HookService`. In order within one call; calls do not wait for each other."""

    __slots__ = (
        "_alerts",
        "_client",
        "_clock",
        "_due",
        "_first_pause_s",
        "_has_caught_up",
        "_kick",
        "_outbox",
        "_secrets_of",
        "_sequence",
        "delivered",
    )

    def __init__(
        self,
        client: HookClient,
        outbox: Outbox,
        alerts: Alerts,
        secrets_of: Callable[[str], tuple[str, ...]],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._outbox = outbox
        self._alerts = alerts
        self._secrets_of = secrets_of
        self._first_pause_s = first_pause_s
        self._clock = clock
        self._due: list[tuple[float, int, Delivery]] = []
        self._sequence = 0
        self._kick = asyncio.Event()
        self._has_caught_up = asyncio.Event()
        self.delivered = 0
        """Deliveries that reached their application through the courier."""

    @property
    def waiting(self) -> int:
        """Deliveries held for another attempt."""
        return len(self._due)

    async def caught_up(self) -> None:
        """Returns when all that an earlier process left has been tried once."""
        await self._has_caught_up.wait()

    def failed(self, delivery: Delivery, failed: HookFailed) -> None:
        """An attempt failed: try again later, or let it be."""
        if is_lost_on(failed):
            self.later(msgspec.structs.replace(delivery, attempts=delivery.attempts + 1))
        else:
            self._outbox.done(delivery.key)

    def later(self, delivery: Delivery) -> None:
        """Have it tried again, at its time. Returns at once."""
        if self._clock() - delivery.created_utc > _GIVE_UP_AFTER_S:
            self._outbox.done(delivery.key)
            self._alerts.report(
                delivery.call_sid,
                delivery.account_sid,
                AlertKind.HOOKS_DROPPED,
                f"{without_secrets(delivery.url)}: given up after {delivery.attempts} attempts",
            )
            return
        if len(self._due) >= _MAX_WAITING:
            return
        if delivery.attempts:
            self._outbox.put(msgspec.structs.replace(delivery, state=DeliveryState.DUE))
        pause_s = min(self._first_pause_s * 2 ** min(max(delivery.attempts - 1, 0), 10), _LONGEST_PAUSE_S)
        self._sequence += 1
        heapq.heappush(self._due, (self._now() + pause_s, self._sequence, delivery))
        self._kick.set()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Deliver what an earlier process left, then what fails in this one; until cancelled."""
        await self._deliver(await self._outbox.pending())
        self._has_caught_up.set()
        while True:
            self._kick.clear()
            now = self._now()
            ripe: list[Delivery] = []
            while self._due and self._due[0][0] <= now:
                ripe.append(heapq.heappop(self._due)[2])
            if ripe:
                await self._deliver(ripe)
                continue
            try:
                async with asyncio.timeout_at(self._due[0][0] if self._due else None):
                    await self._kick.wait()
            except TimeoutError:
                continue

    async def _deliver(self, deliveries: list[Delivery]) -> None:
        calls: dict[str, list[Delivery]] = {}
        for delivery in deliveries:
            calls.setdefault(delivery.call_sid, []).append(delivery)
        if not calls:
            return
        log.info("delivering what was left", hooks=len(deliveries), calls=len(calls))
        chains = iter(calls.values())
        silent: set[str] = set()  # hosts that gave no answer: the rest for them waits for the next round

        async def walk() -> None:
            for chain in chains:
                for delivery in chain:
                    if origin_of(delivery.url) in silent:
                        self.later(delivery)
                    elif not await self._try(delivery):
                        silent.add(origin_of(delivery.url))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_ROUTES, len(calls))):
                group.create_task(walk(), name="hook courier")

    async def _try(self, delivery: Delivery) -> bool:
        """False: nobody answered."""
        try:
            if delivery.method == "WS":
                await deliver_by_websocket(self._client, delivery)
            else:
                await self._client.perform(
                    HookRequest(
                        delivery.url, delivery.method, delivery.username, delivery.password, delivery.body
                    ),
                    secrets=self._secrets_of(delivery.account_sid),
                    idempotency_key=delivery.key,
                    is_answer_used=False,
                )
        except HookFailed as failed:
            self.failed(delivery, failed)
            return failed.status is not None
        except Exception:
            # A mistake of ours takes one delivery with it, not all that come after; the outbox keeps it.
            log.exception("a delivery broke", key=delivery.key, kind=delivery.kind)
            return True
        self.delivered += 1
        self._outbox.done(delivery.key)
        return True
