"""A whole dial over a bad network: real dial, plan, legs, media ports and SIP cores, far sides with scripts.

Whatever is lost, delayed, doubled or overtaken for a while, and whatever callees, caller and API do at any
moment: there is one result, at most one callee is connected and the result names the one who was; everybody
else's call is over; and when all timers have run, nothing is left of it on either side. Where no message is
lost, the result is the one that sections 6.2 and 6.3 of the contract say.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dial.outcome import DialStatus
from engine.dial.result import DialResult
from tests.properties.expected import expected
from tests.properties.stage import PERFECT, Ending, Network, Stage, Story, tell
from tests.support.virtual_time import run_in_virtual_time
from tests.support.wire_phones import CalleeScript, CallerScript

_SLOT_S = 0.01
"""Every deed has a slot of its own within half a second: where nothing is lost, no two of them race."""
_DEEDS = 6

moments = st.sampled_from([0, 0, 0, 1, 1, 2, 3, 5, 8, 13, 21, 55])
codes = st.sampled_from([302, 401, 403, 404, 408, 480, 486, 487, 488, 500, 503, 600, 603, 604, 607])


@st.composite
def scripts(draw: st.DrawFn, who: int) -> CalleeScript:
    """Of the callee with number `who`."""

    def at(deed: int, *, is_usual: bool) -> float | None:
        half_seconds = draw(moments if is_usual else st.none() | moments)
        slot = (1 + who * _DEEDS + deed) * _SLOT_S
        return None if half_seconds is None else half_seconds * 0.5 + slot

    final = draw(st.sampled_from(["answers", "refuses", "refuses", "nothing"]))
    return CalleeScript(
        rings_s=at(0, is_usual=False),
        early_media_s=at(1, is_usual=False),
        is_reliable=draw(st.booleans()),
        answers_s=at(2, is_usual=True) if final == "answers" else None,
        refuses_s=at(3, is_usual=True) if final == "refuses" else None,
        code=draw(codes),
        hangs_up_s=at(4, is_usual=False),
        reoffers_s=at(5, is_usual=False),
    )


@st.composite
def stories(draw: st.DrawFn, network: st.SearchStrategy[Network], *, is_plain: bool) -> Story:
    """`is_plain`: without forks, screening and lines that are cut."""
    count = draw(st.integers(1, 4))
    presences = st.sampled_from(["here"] * 6 + ["named", "silent", "refusing", "unknown"])
    callees = [draw(scripts(who)) for who in range(count)]
    goes = draw(st.none() | st.none() | moments)
    asks = draw(st.none() | st.none() | moments)
    caller = CallerScript(
        goes_s=None if goes is None else goes * 0.5 + 0.4,
        is_delayed=draw(st.booleans()),
        requires_100rel=draw(st.booleans()),
        reoffers_s=draw(st.sampled_from([None, 0.48, 3.48])),
    )
    cuts = st.just(None) if is_plain else st.sampled_from([None, None, None, None, 0.05, 1.0, 6.0, 30.0])
    screening = st.none() if is_plain else st.none() | st.lists(st.booleans(), min_size=count, max_size=count)
    accepts = draw(screening)
    return Story(
        callees=tuple(callees),
        presences=tuple(draw(presences) for _ in callees),
        dies_s=tuple(draw(cuts) for _ in callees),
        accepts=None if accepts is None else tuple(accepts),
        twin=None if is_plain else draw(st.none() | scripts(4)),
        caller=draw(st.none() | st.just(caller)),
        caller_dies_s=draw(cuts),
        answer_on_bridge=draw(st.booleans()),
        timeout_s=draw(st.sampled_from([1.0, 5.0, 40.0, 40.0])),
        time_limit_s=draw(st.sampled_from([None, None, 2.25])),
        hang_up_s=None if asks is None else asks * 0.5 + 0.45,
        ending=draw(st.sampled_from(Ending)),
        session_expires_s=draw(st.sampled_from([None, 90])),
        network=draw(network),
    )


bad_networks = st.builds(
    Network,
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    doubled=st.sampled_from([0.0, 0.2]),
    jitter_s=st.sampled_from([0.0, 0.02, 0.8]),
    batch_s=st.sampled_from([0.001, 0.02, 0.3]),
)


@settings(max_examples=600)
@given(stories(bad_networks, is_plain=False))
def test_one_result_at_most_one_connected_and_nothing_left_whatever_the_network_does(story: Story) -> None:
    run_in_virtual_time(tell(story))


@settings(max_examples=500)
@given(stories(st.just(PERFECT), is_plain=True))
def test_where_nothing_is_lost_the_result_is_that_of_the_contract(story: Story) -> None:
    stage = run_in_virtual_time(tell(story))
    if stage.results:
        _compare(story, stage, stage.results[0])
    else:
        assert story.caller is not None
        assert story.caller.goes_s is not None


def _compare(story: Story, stage: Stage, result: DialResult) -> None:
    verdict = expected(story)
    assert result.dial_status.value == verdict.dial_status, stage.wire.ladder()
    assert result.dial_sip_status == verdict.sip_status
    assert result.termination_reason.value == verdict.reason
    if verdict.who is not None:
        assert result.leg == result.legs[verdict.who].leg
    if result.dial_status is DialStatus.COMPLETED:
        assert result.ended_by.value == verdict.ended_by
    if story.caller is not None and story.caller.goes_s is None:
        _compare_response(story, stage, result)


def _compare_response(story: Story, stage: Stage, result: DialResult) -> None:
    """Section 9: what a caller who was never answered is told in the end."""
    assert stage.caller is not None
    status = stage.caller.refused_with
    assert status == (None if stage.caller.is_confirmed else result.response_to_caller())
    if story.answer_on_bridge:
        assert stage.caller.is_confirmed == result.is_answered
