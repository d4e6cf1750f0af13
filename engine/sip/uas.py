"""IncomingInvite: an INVITE we received (RFC 3261 §13.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.sip.session import Call
from engine.sip.types import Body, Flow

if TYPE_CHECKING:
    from engine.sip.message import Request

__all__ = ["IncomingInvite"]


class IncomingInvite(Call):
    """The callee's side: ring any number of times, then answer or reject once."""

    __slots__ = ("flow", "request")

    request: Request
    flow: Flow

    def ring(
        self,
        now: float,
        status: int = 180,
        body: Body | None = None,
        *,
        reason: str = "",
        reliable: bool | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send a provisional response 101-199. `reliable` None: only if the caller requires it (RFC 3262).

        Raises WrongState after a final response; ValueError for other statuses.
        """
        raise NotImplementedError

    def answer(self, body: Body | None, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Send 200; retransmitted until the ACK comes (→ `Confirmed`). WrongState after a final response.

        `body` is the answer, or our offer when the INVITE had none; None only if a reliable provisional
        response carried it already.
        """
        raise NotImplementedError

    def reject(
        self, now: float, status: int = 480, reason: str = "", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Send a final response 300-699. Raises WrongState after a final response."""
        raise NotImplementedError
