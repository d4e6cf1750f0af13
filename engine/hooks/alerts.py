"""Alerts: what a customer has to know and to repair (DV-04, WH-04, DV-43): a log line and a record each."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Protocol

import structlog

from engine.ids import new_call_sid
from engine.store.rows import AlertRow

__all__ = ["AlertKind", "AlertStore", "Alerts"]

log = structlog.get_logger(__name__)


class AlertKind(StrEnum):
    """What went wrong."""

    HOOK_FAILED = "hook-failed"
    MALFORMED_DOCUMENT = "malformed-document"
    """Not JSON, not valid, too large, too deep."""
    APPLICATION_LOOP = "application-loop"
    """Twenty documents without media activity."""
    SOUND_FAILED = "sound-failed"
    SPEECH_FAILED = "speech-failed"
    LISTEN_FAILED = "listen-failed"
    TRANSCRIBE_FAILED = "transcribe-failed"
    HOOKS_DROPPED = "hooks-dropped"


class AlertStore(Protocol):
    """Where alerts are kept."""

    def alert(self, row: AlertRow) -> None: ...


class Alerts:
    """Reports alerts. `text` is for the customer: it names things, never people."""

    __slots__ = ("_store",)

    def __init__(self, store: AlertStore | None = None) -> None:
        self._store = store

    def report(self, call_sid: str, account: str, kind: str, text: str, path: str = "") -> None:
        """Log it and keep it. `path`: JSON path into the document at fault."""
        log.warning("alert", kind=str(kind), call=call_sid, account=account, path=path, problem=text)
        if self._store is not None:
            self._store.alert(
                AlertRow(
                    alert_sid=new_call_sid(),
                    at_utc=time.time(),
                    kind=str(kind),
                    text=text,
                    path=path,
                    call_sid=call_sid,
                    account_sid=account,
                )
            )
