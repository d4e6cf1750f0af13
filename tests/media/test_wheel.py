"""media.wheel"""

from hypothesis import given
from hypothesis import strategies as st

from media.wheel import Wheel


def test_each_thing_is_due_once_at_its_own_turn() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.put("alice", 2)
    wheel.put("bob", 1)
    wheel.put("carol", 2)
    assert [wheel.turn() for _ in range(4)] == [("bob",), ("alice", "carol"), (), ()]
    assert len(wheel) == 0


def test_who_is_put_again_or_removed_is_not_due_at_the_old_time() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.put("alice", 1)
    wheel.put("alice", 3)
    wheel.put("bob", 1)
    wheel.remove("bob")
    wheel.remove("bob")
    assert "alice" in wheel
    assert "bob" not in wheel
    assert [wheel.turn() for _ in range(3)] == [(), (), ("alice",)]


def test_a_turn_at_once_is_the_next_one() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.put("alice", 0)
    wheel.put("bob", -5)
    assert wheel.turn() == ("alice", "bob")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.booleans()), max_size=40))
def test_nothing_is_lost_and_nothing_comes_too_early_or_late(steps: list[tuple[int, int, bool]]) -> None:
    wheel: Wheel[int] = Wheel()
    expected: dict[int, int] = {}
    turn = 0
    for thing, turns, is_put in steps:
        if is_put:
            wheel.put(thing, turns)
            expected[thing] = turn + max(1, turns)
        else:
            turn += 1
            due = wheel.turn()
            assert set(due) == {each for each, at in expected.items() if at == turn}
            for each in due:
                del expected[each]
        assert len(wheel) == len(expected)
