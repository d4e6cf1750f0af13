"""Offer/answer state: one offer at a time, refusals change nothing."""

from __future__ import annotations

import pytest

from engine.sip.negotiation import Negotiation, OfferState
from engine.sip.types import WrongState
from tests.support.wire import sdp

OURS, THEIRS, NEW = sdp("ours"), sdp("theirs"), sdp("new")


def agreed() -> Negotiation:
    negotiation = Negotiation()
    negotiation.offer_locally(OURS)
    negotiation.answer_remotely(THEIRS)
    return negotiation


def test_an_answered_offer_is_in_force() -> None:
    negotiation = agreed()
    assert (negotiation.local, negotiation.remote, negotiation.offered) == (OURS, THEIRS, None)
    negotiation.offer_remotely(NEW)
    assert not negotiation.is_complete
    negotiation.answer_locally(OURS)
    assert (negotiation.local, negotiation.remote) == (OURS, NEW)


def test_a_refused_offer_leaves_what_was() -> None:
    negotiation = agreed()
    negotiation.offer_locally(NEW)
    negotiation.withdraw()
    assert (negotiation.local, negotiation.remote) == (OURS, THEIRS)
    assert negotiation.is_complete


def test_only_one_offer_at_a_time_and_no_answer_without_one() -> None:
    negotiation = Negotiation()
    for answer in (negotiation.answer_locally, negotiation.answer_remotely):
        with pytest.raises(WrongState, match="stable"):
            answer(OURS)
    negotiation.offer_locally(OURS)
    for offer in (negotiation.offer_locally, negotiation.offer_remotely):
        with pytest.raises(WrongState, match="local offer"):
            offer(NEW)
    with pytest.raises(WrongState, match="local offer"):
        negotiation.answer_locally(NEW)
    assert negotiation.state is OfferState.LOCAL_OFFER
