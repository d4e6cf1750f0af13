"""engine.agenda: one turn of the event loop for a chain of steps, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from engine.agenda import Agenda


def _noting(notes: list[str], what: str) -> Callable[[], None]:
    return lambda: notes.append(what)


async def test_what_is_added_waits_for_the_next_turn_of_the_loop_and_keeps_its_order() -> None:
    agenda, notes = Agenda(asyncio.get_running_loop()), list[str]()
    agenda.add(_noting(notes, "first"))
    agenda.add(_noting(notes, "second"))
    assert notes == []
    await asyncio.sleep(0)
    assert notes == ["first", "second"]


async def test_a_chain_of_steps_is_one_turn_and_nothing_is_called_inside_another_step() -> None:
    agenda, notes = Agenda(asyncio.get_running_loop()), list[str]()

    def answer() -> None:
        notes.append("answer")
        agenda.add(_noting(notes, "goodbye"))

    def step() -> None:
        agenda.add(answer)
        agenda.run()  # somebody is at work already
        notes.append("message")

    agenda.run(step)
    assert notes == ["message", "answer", "goodbye"]


async def test_whoever_is_at_work_does_what_waited_and_the_turn_that_was_ordered_finds_nothing() -> None:
    agenda, notes = Agenda(asyncio.get_running_loop()), list[str]()
    agenda.add(_noting(notes, "waited"))
    agenda.run(_noting(notes, "now"))
    assert notes == ["now", "waited"]
    await asyncio.sleep(0)
    assert notes == ["now", "waited"]
    agenda.add(_noting(notes, "later"))
    await asyncio.sleep(0)
    assert notes == ["now", "waited", "later"]


async def test_an_action_that_raises_is_told_to_the_loop_and_costs_the_others_nothing() -> None:
    loop = asyncio.get_running_loop()
    agenda, notes, told = Agenda(loop), list[str](), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, context: told.append(context))

    def broken() -> None:
        raise RuntimeError("a bug")

    agenda.add(broken)
    agenda.add(_noting(notes, "done"))
    await asyncio.sleep(0)
    assert notes == ["done"]
    assert [str(each["exception"]) for each in told] == ["a bug"]
