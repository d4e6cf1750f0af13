"""Numbers as people write them."""

from __future__ import annotations

import pytest

from engine.dial.request import DialRequest, InvalidRequest, Target
from engine.routing.numbers import Numbering

AMERICAN = Numbering(country_code="1", international_prefix="011", national_prefix="1")
GERMAN = Numbering(country_code="49")
ITALIAN = Numbering(country_code="39", national_prefix="")
NOWHERE = Numbering()


@pytest.mark.parametrize(
    ("plan", "typed", "number"),
    [
        (AMERICAN, "+1 (555) 010-0123", "+15550100123"),
        (AMERICAN, "011 44 7700 900123", "+447700900123"),
        (AMERICAN, "1 555 010 0123", "+15550100123"),
        (AMERICAN, "1001", "1001"),
        (GERMAN, "0171/2345678", "+491712345678"),
        (GERMAN, "0049 171 2345678", "+491712345678"),
        (GERMAN, "110", "110"),
        (GERMAN, "0110", "0110"),
        (GERMAN, "1712345678", "1712345678"),
        (ITALIAN, "06 5550 1234", "+390655501234"),
        (NOWHERE, "0171 2345678", "01712345678"),
        (NOWHERE, "00491712345678", "+491712345678"),
        (GERMAN, "*21#", "*21#"),
        (GERMAN, "bob", "bob"),
        (GERMAN, "", ""),
        (GERMAN, "+49", "+49"),
        (GERMAN, "00" + "9" * 20, "00" + "9" * 20),
    ],
)
def test_a_number_becomes_e164_where_the_plan_says_how(plan: Numbering, typed: str, number: str) -> None:
    assert plan.normalise(typed) == number


@pytest.mark.parametrize("plan", [AMERICAN, GERMAN, ITALIAN, NOWHERE])
@pytest.mark.parametrize("typed", ["0171 2345678", "011 44 7700 900123", "+15550100123", "1001", "*21#"])
def test_normalising_twice_changes_nothing_more(plan: Numbering, typed: str) -> None:
    once = plan.normalise(typed)
    if once.startswith("+") or plan is not ITALIAN:
        assert plan.normalise(once) == once


def test_dv12_strict_numbering_refuses_what_is_not_e164() -> None:
    strict = Numbering(is_strict=True)
    good = Target.phone("+15550100123")
    strict.check(DialRequest([good, Target.user("1001"), Target.sip("sip:bob@example.com")]))
    with pytest.raises(InvalidRequest, match="caller_id"):
        strict.check(DialRequest([good], caller_id="1001"))
    with pytest.raises(InvalidRequest, match=r"targets\[1\]\.number"):
        strict.check(DialRequest([good, Target.phone("1001")]))


def test_dv12_without_strict_numbering_nothing_is_refused() -> None:
    Numbering().check(DialRequest([Target.phone("1001")], caller_id="1001"))
