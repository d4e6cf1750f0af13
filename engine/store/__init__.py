"""Records of calls, and the outbox of hooks that must not be lost: see README.md."""

from engine.store.rows import (
    AlertRow,
    CallQuery,
    CallRow,
    Delivery,
    DeliveryState,
    LegRow,
    RtpQuality,
    StatusStep,
    StoreHealth,
)
from engine.store.store import Store, StoreError

__all__ = [
    "AlertRow",
    "CallQuery",
    "CallRow",
    "Delivery",
    "DeliveryState",
    "LegRow",
    "RtpQuality",
    "StatusStep",
    "Store",
    "StoreError",
    "StoreHealth",
]
