"""Calls as the call-control API sees them: `engine.application.calls.Calls`, or a double of it in tests.

What is asked and how it can be refused is in `engine.application.orders`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from engine.application.orders import CallOrder, CallUpdate, Counts, CreatedCall, SipReply

__all__ = ["CallControl"]


class CallControl(Protocol):
    """The calls of all accounts. What is not awaited returns at once."""

    @property
    def refusal(self) -> str:
        """Why a new call would be refused now, whatever it asks for; empty: it would not."""

    async def create(self, order: CallOrder) -> CreatedCall:
        """Returns when the INVITE has been created, not later.

        Raises InvalidRequest (its `field` by the names of the HTTP body), NoSuchApplication, Overloaded.
        """

    async def update(self, account_sid: str, call_sid: str, change: CallUpdate) -> SipReply | None:
        """The reply only for a `sip_request`. Raises NoSuchCall, WrongCallState, InvalidRequest."""

    def hang_up(self, account_sid: str, call_sid: str) -> None:
        """In any state. Raises NoSuchCall."""

    async def get(self, account_sid: str, call_sid: str) -> Mapping[str, object] | None:
        """The common call properties under their names on the wire, also of a call that has ended."""

    def list(self, account_sid: str) -> Iterable[Mapping[str, object]]:
        """Those of every call in progress."""

    def counts(self, account_sid: str) -> Counts: ...
