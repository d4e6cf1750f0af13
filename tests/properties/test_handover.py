"""A callee handed over in the middle of a whole dial over a bad network has one owner all its life.

Whatever the network, the parties and the moment: the leg is given away once or not at all, a dial that gave
it away says so, both ends agree whether it is up, and when its new owner has let go of it, nothing is left.
"""

from __future__ import annotations

import asyncio

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.dial.dial import Dial, DialState, Observer
from engine.dial.leg import Cause, Leg
from engine.dial.outcome import DialStatus, TerminationReason
from engine.legs.notes import LegGone, LegNote
from engine.legs.sip_leg import SipLeg
from tests.properties.stage import PERFECT, SETTLED_AT_S, Stage, Story
from tests.properties.test_whole_dial import bad_networks, stories
from tests.support.virtual_time import run_in_virtual_time

_FORGOTTEN_AFTER_S = 300.0


class _HandOver(Stage):
    """Somebody asks for the callee `after_s` after the start of the dial."""

    def __init__(self, story: Story, after_s: float) -> None:
        super().__init__(story)
        self.after_s = after_s
        self.asked: asyncio.Future[bool] | None = None
        self.taken: SipLeg | None = None
        self.gone: list[LegGone] = []
        self.was_talking = False

    def _watch(self, dial: Dial) -> Observer:
        self._loop.call_later(self.after_s, self._ask, dial)
        return super()._watch(dial)

    def _ask(self, dial: Dial) -> None:
        self.was_talking = dial.state is DialState.TALKING
        self.asked = dial.hand_over(self._take_over)

    def _take_over(self, leg: Leg) -> None:
        assert self.taken is None, "given away twice"
        assert isinstance(leg, SipLeg)
        self.taken = leg
        leg.watch(self._on_note)

    def _on_note(self, note: LegNote) -> None:
        if isinstance(note, LegGone):
            self.gone.append(note)

    def check_agreement(self) -> None:
        if self.taken is None:
            super().check_agreement()
            return
        # Without an application behind it the caller is let go with the dial; the callee's call is its own.
        mortal = [phone for phone in self._all_phones() if phone.is_mortal]
        up = [phone for phone in self._all_phones() if phone.is_up and phone not in mortal]
        assert len(up) <= 1, "two talk to one"
        if not mortal:
            assert bool(up) == (not self.taken.is_over), "one end thinks it is up"
        assert len(self.gone) == int(self.taken.is_over)

    def end(self) -> None:
        if self.taken is not None:
            self.taken.hang_up(Cause.NORMAL)
        super().end()

    def check_end(self) -> None:
        super().check_end()
        if self.asked is not None:
            assert self.asked.result() is (self.taken is not None)
        given = [record for result in self.results for record in result.legs if record.is_handed_over]
        if self.taken is None:
            assert given == []
            return
        assert [record.leg for record in given] == [self.taken.id]
        (result,) = self.results
        assert result.termination_reason is TerminationReason.REPLACED
        assert (result.dial_status, result.leg) == (DialStatus.COMPLETED, self.taken.id)
        assert len(self.gone) == 1


async def _tell(story: Story, after_s: float) -> _HandOver:
    stage = _HandOver(story, after_s)
    with capture_logs() as lines:
        await stage.set()
        async with stage.dials:
            stage.begin()
            await asyncio.sleep(SETTLED_AT_S)
            stage.check_agreement()
            stage.end()
            await asyncio.sleep(_FORGOTTEN_AFTER_S)
            stage.check_end()
        await stage.wire.close()
        await stage.ours.media.close()
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]
    return stage


moments = st.sampled_from([0.0, 0.013, 0.5, 0.513, 1.0, 2.0, 4.0, 8.0, 30.0])


@settings(max_examples=250)
@given(stories(bad_networks, is_plain=False), moments)
def test_a_leg_that_is_handed_over_has_one_owner_whatever_the_network_does(
    story: Story, after_s: float
) -> None:
    run_in_virtual_time(_tell(story, after_s))


@settings(max_examples=150)
@given(stories(st.just(PERFECT), is_plain=True), moments)
def test_where_nothing_is_lost_it_is_handed_over_if_and_only_if_two_are_talking(
    story: Story, after_s: float
) -> None:
    stage = run_in_virtual_time(_tell(replace(story, time_limit_s=None), after_s))
    assert (stage.taken is not None) == stage.was_talking
    event("given away" if stage.taken is not None else "kept")
