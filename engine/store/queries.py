"""What the API asks the database. Blocking: called in the store's reader thread."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Engine, func, select

from engine.store.mapping import alert_of, by_key, call_of, leg_of
from engine.store.rows import AlertRow, CallQuery, CallRow, LegRow
from engine.store.schema import alerts, calls, legs

__all__ = ["latest_alerts", "legs_of", "number_of_calls", "one_call", "some_calls"]


def one_call(engine: Engine, call_sid: str) -> CallRow | None:
    """One call, if it is known."""
    with engine.connect() as connection:
        row = connection.execute(select(calls).where(calls.c.call_sid == call_sid)).mappings().first()
    return None if row is None else call_of(by_key(calls, row))


def some_calls(engine: Engine, query: CallQuery) -> list[CallRow]:
    """Calls, newest first."""
    statement = (
        select(calls)
        .where(*_conditions(query))
        .order_by(calls.c.started_utc.desc(), calls.c.call_sid)
        .limit(query.limit)
        .offset(query.offset)
    )
    with engine.connect() as connection:
        return [call_of(by_key(calls, row)) for row in connection.execute(statement).mappings()]


def number_of_calls(engine: Engine, query: CallQuery) -> int:
    """How many there are."""
    with engine.connect() as connection:
        return connection.execute(
            select(func.count()).select_from(calls).where(*_conditions(query))
        ).scalar_one()


def legs_of(engine: Engine, call_sid: str) -> list[LegRow]:
    """The branches of a call, as they were started."""
    statement = select(legs).where(legs.c.call_sid == call_sid).order_by(legs.c.started_utc, legs.c.leg_sid)
    with engine.connect() as connection:
        return [leg_of(by_key(legs, row)) for row in connection.execute(statement).mappings()]


def latest_alerts(engine: Engine, account_sid: str, limit: int) -> list[AlertRow]:
    """Alerts of one account, or of all, newest first."""
    statement = select(alerts).order_by(alerts.c.at_utc.desc(), alerts.c.alert_sid).limit(limit)
    if account_sid:
        statement = statement.where(alerts.c.account_sid == account_sid)
    with engine.connect() as connection:
        return [alert_of(by_key(alerts, row)) for row in connection.execute(statement).mappings()]


def _conditions(query: CallQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        calls.c[name] == value
        for name in ("account_sid", "from_", "to", "direction", "call_status")
        if (value := getattr(query, name))
    ]
    if query.started_from_utc is not None:
        conditions.append(calls.c.started_utc >= query.started_from_utc)
    if query.started_before_utc is not None:
        conditions.append(calls.c.started_utc < query.started_before_utc)
    if query.is_open is not None:
        conditions.append(calls.c.ended_utc.is_(None) if query.is_open else calls.c.ended_utc.is_not(None))
    return conditions
