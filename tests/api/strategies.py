"""Requests out of an OpenAPI document: values that fit a schema, values that almost do, and anything else."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

__all__ = ["Attempt", "attempts"]

_TRICKY = st.sampled_from(
    [
        "",
        "\x00",
        "\r\nVia: x",
        "<sip:alice@example.com>",
        "sip:",
        "sip:@",
        "sips:bob@[::1]:5061;transport=tls?x=y",
        "sip:bob@192.0.2.1:99999",
        "sip:bob@[::g]",
        "tel:+1-555-0100",
        "+15550100",
        "user:1001",
        "1001@sip.example.com",
        "http://app.example.com/x#rc=5&rp=all",
        "wss://",
        "//app.example.com",
        '[{"verb":"say","text":"x"}]',
        '[{"dial":{"target":[]}}]',
        "[" * 2000,
        "é\u202e😀",
        "\ud7ff\ue000\uffff",
        "' OR 1=1 --",
        "../../etc/passwd",
        "a" * 5000,
        "10 dB",
        "NaN",
        "1e999",
    ]
)
_TEXT = st.one_of(st.text(st.characters(codec="utf-8"), max_size=40), _TRICKY)
_GOOD = {
    "actionHook": "https://app.example.com/amd",
    "app_json": '[{"verb":"say","text":"Hello"}]',
    "call_hook": "https://app.example.com/call",
    "call_status_hook": "https://app.example.com/status",
    "caller_id": "+15550100",
    "child_call_hook": "https://app.example.com/child",
    "codecs": "PCMU",
    "content_type": "text/plain",
    "digit": "5",
    "from": "+15550100",
    "fromHost": "sip.example.com",
    "host": "sip.example.com",
    "name": "1001@sip.example.com",
    "number": "+15550100",
    "password": "secret",
    "proxy": "sip:192.0.2.1",
    "sipUri": "sip:bob@192.0.2.1",
    "sip_uri": "sip:bob@192.0.2.1",
    "targets": "sip:bob@192.0.2.1",
    "trunk": "CarrierA",
    "url": "https://app.example.com/x",
    "username": "alice",
}
"""Text that is usable, by the name of its field."""
_USUAL = frozenset({"call_hook", "call_status_hook"})
"""Optional, and needed by most who come so far."""
_NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -1, 1]),
)
_ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_TEXT, inner, max_size=4)),
    max_leaves=8,
)


class Attempt(Struct, frozen=True):
    """One request to be made."""

    method: str
    path: str
    """A template, with what is to be put into it beside."""
    values: dict[str, str]
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any = None
    has_body: bool = False


def attempts(document: dict[str, Any]) -> st.SearchStrategy[Attempt]:
    """For every operation."""
    schemas = document["components"]["schemas"]
    return st.one_of(
        [
            _attempt(schemas, method, path, operation)
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]
    )


def _attempt(
    schemas: dict[str, Any], method: str, path: str, operation: dict[str, Any]
) -> st.SearchStrategy[Attempt]:
    where: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation.get("parameters", ()):
        where[parameter["in"]][parameter["name"]] = parameter["schema"]
    content = operation.get("requestBody", {}).get("content", {})
    body = _loose(schemas, content["application/json"]["schema"], 4) if content else st.none()
    return st.builds(
        Attempt,
        method=st.just(method.upper()),
        path=st.just(path),
        values=st.fixed_dictionaries(dict.fromkeys(where["path"], _TEXT)),
        query=st.lists(
            st.one_of(
                [
                    st.tuples(st.just(name), _loose(schemas, schema, 1, name).map(str))
                    for name, schema in where["query"].items()
                ]
                or [st.tuples(_TEXT, _TEXT)]
            ),
            max_size=3,
        ),
        headers=st.fixed_dictionaries(
            {}, optional={name: st.text("0123456789-x", max_size=70) for name in where["header"]}
        ),
        body=body,
        has_body=st.just(bool(content)),
    )


def _loose(
    schemas: dict[str, Any], schema: dict[str, Any], depth: int, name: str = ""
) -> st.SearchStrategy[Any]:
    """Mostly what fits, sometimes anything. `name`: of the field."""
    fitting = _fitting(schemas, schema, depth, name)
    return _mostly(fitting, _ANYTHING, 40) if depth > 0 else fitting


def _fitting(
    schemas: dict[str, Any], schema: dict[str, Any], depth: int, name: str
) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _fitting(schemas, schemas[schema["$ref"].rpartition("/")[2]], depth, name)
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return st.one_of([_loose(schemas, each, depth - 1, name) for each in schema[key]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case "object":
            return _object(schemas, schema, depth)
        case "array":
            items = _loose(schemas, schema.get("items", {}), depth - 1, name)
            return st.lists(items, min_size=min(schema.get("minItems", 0), 1), max_size=3)
        case "string":
            good = st.just(_GOOD.get(name, "x"))
            return _mostly(good, _TEXT, 15)
        case "integer":
            return st.integers(int(schema.get("minimum", -5)), int(schema.get("maximum", 5)))
        case "number":
            return st.floats(schema.get("minimum", 0), schema.get("maximum", 1000), allow_nan=False)
        case "boolean":
            return st.booleans()
        case _:
            return _ANYTHING


def _object(schemas: dict[str, Any], schema: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    if not properties or depth <= 0:
        return st.dictionaries(_TEXT, _TEXT, max_size=3)
    needed = set(schema.get("required", ()))
    each = {name: _loose(schemas, inner, depth - 1, name) for name, inner in properties.items()}
    required = {name: strategy for name, strategy in each.items() if name in needed}
    usual = {name: strategy for name, strategy in each.items() if name in needed | _USUAL}
    least = st.fixed_dictionaries(usual)
    exact = st.fixed_dictionaries(
        required, optional={name: strategy for name, strategy in each.items() if name not in needed}
    )
    odd = st.tuples(exact, st.dictionaries(_TEXT, _ANYTHING, max_size=1)).map(_joined)
    return _mostly(_mostly(least, exact, 2), odd, 10)


def _mostly(
    usual: st.SearchStrategy[Any], other: st.SearchStrategy[Any], times: int
) -> st.SearchStrategy[Any]:
    """`other` once in so many times; `one_of` would not count the same strategy twice."""
    return st.integers(0, times).flatmap(lambda dice: other if dice == times else usual)


def _joined(pair: tuple[dict[str, Any], dict[str, Any]]) -> dict[str, Any]:
    return {**pair[0], **pair[1]}
