"""Rows as facts, and as the database wants them. Text is made storable: no NUL, nothing but UTF-8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from sqlalchemy import RowMapping, Table

from engine.json_text import encode_json
from engine.store.rows import AlertRow, CallRow, Delivery, DeliveryState, LegRow

__all__ = [
    "Columns",
    "Row",
    "alert_of",
    "by_key",
    "call_of",
    "delivery_of",
    "leg_of",
    "storable",
    "values_of",
]

Row = CallRow | LegRow | AlertRow | Delivery
Columns = dict[str, object]

_STRUCTURED = frozenset({"statuses", "rtp", "customer_data"})


def storable(value: str) -> str:
    """What came over the network may hold anything; a database holds text."""
    if value.isascii():
        return value.replace("\0", "\ufffd") if "\0" in value else value
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "\ufffd")


def _json(value: object) -> str | None:
    return None if value is None else encode_json(value).decode()


def values_of(row: Row, names: Sequence[str], node: str, run: str) -> tuple[object, ...]:
    """The parameters of an INSERT, in the order of `names`; `node` and `run` are what the store adds."""
    values: list[object] = []
    for name in names:
        if name == "node":
            value: object = node
        elif name == "run":
            value = run
        else:
            value = getattr(row, name)
            if type(value) is str:
                if not value.isascii() or "\0" in value:
                    value = storable(value)
            elif name in _STRUCTURED:
                value = _json(value)
            elif type(value) is DeliveryState:
                value = value.value
        values.append(value)
    return tuple(values)


def by_key(table: Table, row: RowMapping) -> Columns:
    """A result row under the names of the facts (`from_`), not of the columns (`caller`)."""
    return {column.key: row[column] for column in table.c}


def call_of(columns: Mapping[str, object]) -> CallRow:
    """A CallRow as read."""
    return msgspec.convert(_facts(columns, CallRow), CallRow)


def leg_of(columns: Mapping[str, object]) -> LegRow:
    """A LegRow as read."""
    return msgspec.convert(_facts(columns, LegRow), LegRow)


def alert_of(columns: Mapping[str, object]) -> AlertRow:
    """An AlertRow as read."""
    return msgspec.convert(_facts(columns, AlertRow), AlertRow)


def delivery_of(columns: Mapping[str, object]) -> Delivery:
    """A Delivery as read."""
    return msgspec.convert(_facts(columns, Delivery), Delivery, builtin_types=(bytes,))


def _facts(columns: Mapping[str, object], kind: type[Row]) -> dict[str, object]:
    facts = {name: columns[name] for name in kind.__struct_fields__}
    for name in _STRUCTURED.intersection(facts):
        if facts[name] is not None:
            facts[name] = msgspec.json.decode(cast("str", facts[name]))
    return facts
