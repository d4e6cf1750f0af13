"""REFER in a dialog and its implicit subscription (RFC 3515, RFC 4488), both roles."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["IncomingRefer"]


class IncomingRefer:
    """A REFER the peer sent us: accept or reject it once, then report progress until a final status."""

    __slots__ = ("refer_to", "referred_by")

    refer_to: str
    """Refer-To value, verbatim."""
    referred_by: str | None

    def accept(self, now: float) -> None:
        """202, and NOTIFY with `SIP/2.0 100 Trying` unless the peer wants no subscription."""
        raise NotImplementedError

    def reject(
        self, now: float, status: int = 603, reason: str = "", headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Refuse with a final response 300-699."""
        raise NotImplementedError

    def progress(self, now: float, status: int, reason: str = "") -> None:
        """NOTIFY with a status line; a final one ends the subscription. Nothing once it is over."""
        raise NotImplementedError
