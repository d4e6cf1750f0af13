"""WH-08: how often, after what, and how long between."""

from __future__ import annotations

import pytest

from engine.hooks import HookFailed, HookFailure, MalformedReply
from engine.hooks.retries import RetryPolicy

CONNECT = HookFailed("no connection")
READ = HookFailed("no answer", failure=HookFailure.TIMEOUT)
GONE = HookFailed("404", 404, HookFailure.STATUS)
BROKEN = HookFailed("503", 503, HookFailure.STATUS)
REDIRECTED = HookFailed("302", 302, HookFailure.STATUS)
MALFORMED = MalformedReply("not JSON", 200)


def test_wh08_pauses_are_half_a_second_doubling_to_two_then_two_more_each() -> None:
    assert list(RetryPolicy.parse("rc=5").pauses_s()) == [0.5, 1.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize(
    ("fragment", "count"),
    [("", 0), ("rc=0", 0), ("rc=3", 3), ("rc=5", 5), ("rc=9", 5), ("rc=-1", 0), ("rc=many", 0), ("top", 0)],
)
def test_wh08_at_most_five_retries_and_none_by_default(fragment: str, count: int) -> None:
    assert RetryPolicy.parse(fragment).count == count


@pytest.mark.parametrize(
    ("fragment", "covered"),
    [
        ("rc=1", {CONNECT}),
        ("rc=1&rp=ct", {CONNECT}),
        ("rc=1&rp=rt", {READ}),
        ("rc=1&rp=4xx", {GONE}),
        ("rc=1&rp=5xx", {BROKEN}),
        ("rc=1&rp=ct,rt,5xx", {CONNECT, READ, BROKEN}),
        ("rc=1&rp=CT%2C5xx", {CONNECT, BROKEN}),
        ("rc=1&rp=sometimes", {CONNECT}),
        ("rc=1&rp=all", {CONNECT, READ, GONE, BROKEN, REDIRECTED}),
    ],
)
def test_wh08_the_policy_list_says_after_which_failures(fragment: str, covered: set[HookFailed]) -> None:
    policy = RetryPolicy.parse(fragment)
    everything = {CONNECT, READ, GONE, BROKEN, REDIRECTED, MALFORMED}
    assert {failure for failure in everything if policy.covers(failure)} == covered
