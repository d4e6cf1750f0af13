"""SipStack: the RFC 3261 user-agent core behind six verbs.

Bytes and the time go in; datagrams, events and the next deadline come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from engine.sip.events import SipEvent
from engine.sip.types import Body, Flow, Hop, InviteParams, StackConfig, Transmit

if TYPE_CHECKING:
    from engine.sip.uac import OutgoingInvite

__all__ = ["PendingRequest", "SipStack"]


class PendingRequest:
    """A request outside any dialog that waits for the shell's response."""

    __slots__ = ()

    def respond(
        self,
        now: float,
        status: int,
        reason: str = "",
        headers: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
    ) -> None:
        """Send a final response, once. Raises WrongState the second time."""
        raise NotImplementedError


class SipStack:
    """RFC 3261 user-agent core. Performs no I/O, reads no clock, never logs, never raises for received bytes.

    `entropy(n)` returns n random bytes (`os.urandom`, or a seeded generator in tests).
    """

    __slots__ = ("config", "entropy")

    def __init__(self, config: StackConfig, entropy: Callable[[int], bytes]) -> None:
        self.config = config
        self.entropy = entropy

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """One whole message (a datagram, or framed from a stream) that came over `flow`."""
        raise NotImplementedError

    def transport_failed(self, flow: Flow, error: OSError, now: float) -> None:
        """Sending to `flow.remote` failed (ICMP error, refused or broken connection)."""
        raise NotImplementedError

    def timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next; None: not before other input."""
        raise NotImplementedError

    def handle_timeout(self, now: float) -> None:
        """Fire every timer due at `now`."""
        raise NotImplementedError

    def transmits(self) -> Iterator[Transmit]:
        """Drain what is to be sent, in order."""
        raise NotImplementedError

    def events(self) -> Iterator[SipEvent]:
        """Drain what happened, in order."""
        raise NotImplementedError

    def resolved(self, ticket: int, hops: Sequence[Hop], now: float) -> None:
        """Answer to `ResolveNeeded`: hops in order of preference; empty: the name cannot be resolved.

        A ticket that is not waited for any more is ignored.
        """
        raise NotImplementedError

    def invite(self, params: InviteParams, now: float, owner: object | None = None) -> OutgoingInvite:
        """Start a call. Raises ValueError for parameters that cannot be put into a message."""
        raise NotImplementedError

    def describe(self) -> str:
        """Every live transaction, dialog, call and ticket, one per line; empty if there is none."""
        raise NotImplementedError
