"""What both kinds of call share once there is a dialog: RFC 3261 §14, §15, RFC 3311, 3515, 4028, 6086."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.sip.types import Body, InviteState

if TYPE_CHECKING:
    from engine.sip.stack import SipStack

__all__ = ["Call"]


class Call:
    """One INVITE usage (RFC 5057). Methods return at once; what comes of them arrives as events.

    After a batch of calls the shell drains `stack.transmits()` and `stack.events()`.
    """

    __slots__ = ("_stack", "call_id", "owner", "state")

    def __init__(self, stack: SipStack, call_id: str) -> None:
        self._stack = stack
        self.call_id = call_id
        self.owner: object | None = None
        """Whoever the shell wants this call's events delivered to; never touched by the core."""
        self.state = InviteState.CALLING

    def hang_up(self, now: float, reason_header: str = "", *, status: int = 480) -> None:
        """End the call from any state, any number of times (CANCEL, BYE or `status` as fits).

        `reason_header` is a Reason value (RFC 3326), e.g. `SIP;cause=200;text="Call completed elsewhere"`.
        """
        raise NotImplementedError

    def offer(self, body: Body, now: float) -> None:
        """Change the session by re-INVITE: → `AnswerReceived` or `OfferRejected`. Glare is retried for you.

        Raises WrongState unless established with no offer pending in either direction (`can_offer`).
        """
        raise NotImplementedError

    def update(self, body: Body, now: float) -> None:
        """Change the session by UPDATE (RFC 3311), also in an early dialog: → events as for `offer`.

        Raises WrongState as `offer`, and if the peer does not allow UPDATE.
        """
        raise NotImplementedError

    def answer_offer(self, body: Body, now: float) -> None:
        """Reply to `OfferReceived`. Raises WrongState if no offer waits."""
        raise NotImplementedError

    def reject_offer(self, now: float, status: int = 488) -> None:
        """Refuse an `OfferReceived`; the session stays as it was. Raises WrongState if no offer waits."""
        raise NotImplementedError

    def send_info(self, body: Body, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """INFO (RFC 6086 or legacy DTMF). Raises WrongState unless there is a dialog."""
        raise NotImplementedError

    def refer(self, refer_to: str, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the peer to contact `refer_to` (RFC 3515): → `ReferProgress`. WrongState unless established."""
        raise NotImplementedError

    @property
    def can_offer(self) -> bool:
        """Whether `offer` is allowed now."""
        raise NotImplementedError
