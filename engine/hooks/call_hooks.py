"""`CallHooks`: how one call speaks to its application, whatever carries it (HTTP or one WebSocket)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from engine.hooks.hook import Hook
from engine.hooks.reply import HookReply

__all__ = ["CallHooks", "HookKind", "Payload"]

Payload = Mapping[str, object]


class HookKind(StrEnum):
    """What a hook is about: names it in alerts, keys, and in messages over WebSocket."""

    SESSION_NEW = "session:new"
    SESSION_REDIRECT = "session:redirect"
    SESSION_RECONNECT = "session:reconnect"
    SESSION_ADULTING = "session:adulting"
    CALL_STATUS = "call:status"
    VERB_HOOK = "verb:hook"
    VERB_STATUS = "verb:status"
    DIAL_ACTION = "dial:action"
    DIAL_CONFIRM = "dial:confirm"


class CallHooks(Protocol):
    """The hooks of one call, in order, one at a time (WH-09). Nothing here delays the call or raises into it
    but `ask`, which raises HookFailed.

    Payloads are taken as they are at the moment of the call; URLs may be relative to `base`.
    """

    base: Hook | str
    """The hook that delivered the current document; whoever takes a new document sets it (WH-02)."""

    def notify(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.CALL_STATUS) -> None:
        """Queue it; whatever is answered is ignored. A failure is an alert."""

    async def ask(self, hook: Hook, payload: Payload, kind: HookKind = HookKind.VERB_HOOK) -> HookReply:
        """Send it after what was queued before it, and return the answer.

        A slow hook before it holds it up for half a second at most: it delays its own kind, not the call.
        Cancelling the asker does not recall the hook. HookFailed; the alert has been reported already.
        """

    def promise(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """Have it sent by the next process if this one dies before `deliver` or `ask_durably` of the same
        kind and subject. `subject`: sid of the leg or id of the dial it is about; empty: the call."""

    def deliver(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> None:
        """As `notify`, but never lost: kept in the outbox until the application has answered."""

    async def ask_durably(self, hook: Hook, payload: Payload, kind: HookKind, subject: str = "") -> HookReply:
        """As `ask`, but never lost. What fails here is delivered later; nobody waits for that answer."""

    def withdraw(self, kind: HookKind, subject: str = "") -> None:
        """Take back a promise that has become pointless."""

    async def close(self) -> None:
        """Return when everything queued has been sent or has failed. Nothing may be queued afterwards."""
