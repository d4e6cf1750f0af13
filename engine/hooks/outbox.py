"""The outbox as hooks see it. `engine.store.Store` is one; `NoOutbox` is for who keeps none."""

from __future__ import annotations

from typing import Protocol

from engine.store.rows import Delivery, DeliveryState

__all__ = ["Delivery", "DeliveryState", "NoOutbox", "Outbox"]


class Outbox(Protocol):
    """Keeps deliveries until they are done, over the death of the process. Writing returns at once."""

    def put(self, delivery: Delivery) -> None:
        """Keep it; a delivery with the same key is replaced."""

    def done(self, key: str) -> None:
        """It was delivered, or given up."""

    async def pending(self) -> list[Delivery]:
        """What an earlier process left behind, in the order it is to be sent."""

    async def settled(self) -> None:
        """Returns when what was put before is on disk; also, soon, when that cannot be."""


class NoOutbox:
    """Forgets."""

    def put(self, delivery: Delivery) -> None:
        """Forgotten."""

    def done(self, key: str) -> None:
        """Nothing to forget."""

    async def pending(self) -> list[Delivery]:
        """Nothing."""
        return []

    async def settled(self) -> None:
        """At once."""
