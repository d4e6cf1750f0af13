"""The tables laid beside RFC 3261 §17 and RFC 6026."""

from __future__ import annotations

import pytest

from engine.sip.tables import (
    CLIENT_INVITE,
    CLIENT_NON_INVITE,
    SERVER_INVITE,
    SERVER_NON_INVITE,
    Action,
    Input,
    State,
    Transitions,
    draw,
)

TABLES = {
    "client INVITE": (CLIENT_INVITE, State.CALLING),
    "client non-INVITE": (CLIENT_NON_INVITE, State.TRYING),
    "server INVITE": (SERVER_INVITE, State.PROCEEDING),
    "server non-INVITE": (SERVER_NON_INVITE, State.TRYING),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_state_is_reachable_and_leads_to_the_end(name: str) -> None:
    table, first = TABLES[name]
    edges: dict[State, set[State]] = {}
    for (state, _), (successor, _) in table.items():
        edges.setdefault(state, set()).add(successor)
    reached, todo = {first}, [first]
    while todo:
        for successor in edges.get(todo.pop(), set()) - reached:
            reached.add(successor)
            todo.append(successor)
    assert State.TERMINATED in reached
    assert set(edges) == reached - {State.TERMINATED}
    for state in edges:
        seen, todo = {state}, [state]
        while todo:
            for successor in edges.get(todo.pop(), set()) - seen:
                seen.add(successor)
                todo.append(successor)
        assert State.TERMINATED in seen


@pytest.mark.parametrize("name", TABLES)
def test_a_timer_is_only_awaited_where_it_runs(name: str) -> None:
    table, first = TABLES[name]
    started_at_birth = {
        State.CALLING: {Input.TIMER_A, Input.TIMER_B},
        State.TRYING: {Input.TIMER_E, Input.TIMER_F},
        State.PROCEEDING: set(),
    }[first]
    starts = {action.value.split()[-1]: action for action in Action if action.value.startswith("start")}
    for _, stimulus in table:
        if stimulus.value.startswith("Timer") and stimulus not in started_at_birth:
            letter = stimulus.value.split()[-1]
            assert any(starts[letter] in actions for _, actions in table.values())


def test_rfc6026_a_2xx_leads_to_accepted_where_copies_reach_the_tu() -> None:
    assert CLIENT_INVITE[State.PROCEEDING, Input.RESPONSE_2XX][0] is State.ACCEPTED
    assert CLIENT_INVITE[State.ACCEPTED, Input.RESPONSE_2XX] == (State.ACCEPTED, (Action.REPORT,))
    assert SERVER_INVITE[State.PROCEEDING, Input.SEND_2XX][0] is State.ACCEPTED
    assert (State.ACCEPTED, Input.REQUEST) not in SERVER_INVITE


def test_a_non_2xx_is_acknowledged_by_the_transaction_only() -> None:
    for state in (State.CALLING, State.PROCEEDING, State.COMPLETED):
        assert Action.ACK in CLIENT_INVITE[state, Input.RESPONSE_3XX_TO_6XX][1]
    assert all(Action.ACK not in actions for _, actions in CLIENT_NON_INVITE.values())


def test_a_provisional_after_the_final_response_is_ignored() -> None:
    for state in (State.COMPLETED, State.ACCEPTED):
        assert (state, Input.RESPONSE_1XX) not in CLIENT_INVITE
    assert (State.COMPLETED, Input.RESPONSE_1XX) not in CLIENT_NON_INVITE


@pytest.mark.parametrize("table", [table for table, _ in TABLES.values()])
def test_a_table_draws_every_row(table: Transitions) -> None:
    picture = draw(table).splitlines()
    assert picture[0] == "stateDiagram-v2"
    assert len(picture) == len(table) + 1
