"""The heap of deadlines."""

from __future__ import annotations

import gc
import weakref

from engine.sip.timers import TimerQueue


def test_timers_fire_in_order_of_deadline_and_then_of_setting() -> None:
    queue = TimerQueue()
    fired: list[str] = []
    queue.at(2.0, lambda now: fired.append("late"))
    queue.at(1.0, lambda now: fired.append("first"))
    queue.at(1.0, lambda now: fired.append("second"))
    assert queue.next_deadline() == 1.0
    queue.run(1.5)
    assert fired == ["first", "second"]
    assert queue.next_deadline() == 2.0
    queue.run(2.0)
    assert fired == ["first", "second", "late"]
    assert queue.next_deadline() is None


def test_a_cancelled_timer_neither_fires_nor_counts() -> None:
    queue = TimerQueue()
    fired: list[float] = []
    timer = queue.at(1.0, fired.append)
    queue.at(2.0, fired.append)
    timer.cancel()
    timer.cancel()
    assert not timer.is_pending
    assert len(queue) == 1
    assert queue.next_deadline() == 2.0
    queue.run(3.0)
    assert fired == [3.0]
    assert len(queue) == 0


def test_a_timer_set_while_firing_fires_in_the_same_run_if_due() -> None:
    queue = TimerQueue()
    fired: list[float] = []
    queue.at(1.0, lambda now: fired.append(queue.at(1.5, fired.append).deadline))
    queue.run(2.0)
    assert fired == [1.5, 2.0]


def test_a_timer_may_cancel_others_that_are_due_in_the_same_run() -> None:
    queue = TimerQueue()
    fired: list[float] = []
    others = [queue.at(1.0 + serial / 1000, fired.append) for serial in range(1, 600)]

    def cancel_all(now: float) -> None:
        for other in others:
            other.cancel()

    queue.at(0.5, cancel_all)
    last = queue.at(3.0, fired.append)
    queue.run(2.0)
    assert fired == []
    assert len(queue) == 1
    assert queue.next_deadline() == last.deadline


def test_many_cancelled_timers_do_not_stay_in_memory_until_their_deadline() -> None:
    queue = TimerQueue()
    for _ in range(10_000):
        queue.at(32.0, lambda now: None).cancel()
    assert len(queue._heap) < 1000
    assert queue.next_deadline() is None


def test_a_cancelled_timer_lets_go_of_what_it_would_have_called() -> None:
    class Owner:
        def act(self, now: float) -> None:
            raise AssertionError("cancelled")

    queue = TimerQueue()
    owner = Owner()
    seen = weakref.ref(owner)
    timer = queue.at(32.0, owner.act)
    timer.cancel()
    del owner
    gc.collect()
    assert seen() is None
