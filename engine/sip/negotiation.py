"""Offer/answer as SIP sees it (RFC 3264, RFC 6337): who has offered, and whether a new offer may start.
Knows no SDP.

STABLE --local offer--> LOCAL_OFFER --answer | refusal--> STABLE
STABLE --remote offer--> REMOTE_OFFER --answer | refusal--> STABLE
"""

from __future__ import annotations

from enum import StrEnum

from engine.sip.types import Body, WrongState

__all__ = ["Negotiation", "OfferState"]


class OfferState(StrEnum):
    """Whether an offer is under way, and whose."""

    STABLE = "stable"
    LOCAL_OFFER = "local offer"
    REMOTE_OFFER = "remote offer"


class Negotiation:
    """The offer/answer state of one dialog."""

    __slots__ = ("local", "offered", "remote", "state")

    def __init__(self) -> None:
        self.state = OfferState.STABLE
        self.local: Body | None = None
        """Our description in force."""
        self.remote: Body | None = None
        """The peer's description in force."""
        self.offered: Body | None = None
        """The offer under way, whoever made it."""

    @property
    def is_complete(self) -> bool:
        """A first exchange has succeeded and none is under way."""
        return self.state is OfferState.STABLE and self.local is not None and self.remote is not None

    def offer_locally(self, body: Body) -> None:
        """We send an offer."""
        self._expect(OfferState.STABLE)
        self.state, self.offered = OfferState.LOCAL_OFFER, body

    def offer_remotely(self, body: Body) -> None:
        """An offer came."""
        self._expect(OfferState.STABLE)
        self.state, self.offered = OfferState.REMOTE_OFFER, body

    def answer_locally(self, body: Body) -> None:
        """We answer theirs."""
        self._expect(OfferState.REMOTE_OFFER)
        self.state, self.local, self.remote, self.offered = OfferState.STABLE, body, self.offered, None

    def answer_remotely(self, body: Body) -> None:
        """They answer ours."""
        self._expect(OfferState.LOCAL_OFFER)
        self.state, self.local, self.remote, self.offered = OfferState.STABLE, self.offered, body, None

    def withdraw(self) -> None:
        """The offer under way was refused or abandoned: as before (RFC 3261 §14.1)."""
        self.state, self.offered = OfferState.STABLE, None

    def _expect(self, state: OfferState) -> None:
        if self.state is not state:
            raise WrongState(f"offer/answer is in state {self.state!r}, not {state!r}")
