"""Referral: a REFER the peer sent in its call, for whoever decides about it (RFC 3515, DV-82)."""

from __future__ import annotations

from engine.sip.message import Request
from engine.sip.refer import IncomingRefer
from engine.transport.endpoint import SipEndpoint

__all__ = ["Referral"]


class Referral:
    """Taken by one, accepted or rejected once, then its progress told until a final status.

    After the call has ended every method does nothing.
    """

    __slots__ = ("_endpoint", "_is_answered", "_refer", "is_taken", "request")

    def __init__(self, refer: IncomingRefer, request: Request, endpoint: SipEndpoint) -> None:
        self._refer = refer
        self._endpoint = endpoint
        self._is_answered = False
        self.request = request
        """The REFER as received."""
        self.is_taken = False
        """Somebody decides about it; otherwise it gets 501."""

    @property
    def refer_to(self) -> str:
        """Refer-To, verbatim."""
        return self._refer.refer_to

    @property
    def is_over(self) -> bool:
        """Rejected, told to its end, or the call has ended."""
        return self._refer.is_over

    def take(self) -> bool:
        """Decide about it; False if somebody else does already."""
        was_taken, self.is_taken = self.is_taken, True
        return not was_taken

    def accept(self) -> None:
        """202, then NOTIFY `100 Trying` unless the peer wants no subscription. Nothing if it was answered."""
        if not self._is_answered:
            self._is_answered = self.is_taken = True
            self._refer.accept(self._endpoint.now())
            self._endpoint.touch()

    def reject(self, status: int, reason: str = "") -> None:
        """The final response 300-699. Nothing if it was answered. ValueError for another status."""
        if not self._is_answered:
            self._refer.reject(self._endpoint.now(), status, reason)
            self._is_answered = self.is_taken = True
            self._endpoint.touch()

    def progress(self, status: int, reason: str = "") -> None:
        """NOTIFY with this status line; a final one (200 and up) ends the subscription. Only if accepted."""
        if self._is_answered and not self._refer.is_over:
            self._refer.progress(self._endpoint.now(), status, reason)
            self._endpoint.touch()
