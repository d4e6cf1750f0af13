"""Hooks: what applications are told and asked, delivered signed, in order, retried. See README.md."""

from engine.hooks.alerts import AlertKind, Alerts
from engine.hooks.call_hooks import CallHooks, HookKind, Payload
from engine.hooks.client import HookClient
from engine.hooks.hook import Hook, resolve
from engine.hooks.outbox import Delivery, DeliveryState, NoOutbox, Outbox
from engine.hooks.payloads import CallFacts, first_hook, interrupted, interrupted_dial
from engine.hooks.reply import HookFailed, HookFailure, HookReply, MalformedReply
from engine.hooks.service import HookService
from engine.hooks.websocket_messages import Command

__all__ = [
    "AlertKind",
    "Alerts",
    "CallFacts",
    "CallHooks",
    "Command",
    "Delivery",
    "DeliveryState",
    "Hook",
    "HookClient",
    "HookFailed",
    "HookFailure",
    "HookKind",
    "HookReply",
    "HookService",
    "MalformedReply",
    "NoOutbox",
    "Outbox",
    "Payload",
    "first_hook",
    "interrupted",
    "interrupted_dial",
    "resolve",
]
