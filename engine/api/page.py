"""A page for people, made from an OpenAPI document: plain HTML, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import msgspec

__all__ = ["render_page"]

_METHODS = ("get", "post", "put", "patch", "delete")


def render_page(document: Mapping[str, Any]) -> str:
    """HTML of an OpenAPI 3.1 document."""
    info = document["info"]
    groups: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                tag = next(iter(operation.get("tags", ())), "Other")
                groups.setdefault(tag, []).append(_operation(method, path, operation))
    body = [f"<h1>{escape(info['title'])}</h1><p>{_prose(info.get('description', ''))}</p>"]
    body.append('<p>For programs: <a href="/docs/openapi.json">openapi.json</a></p>')
    for tag, operations in groups.items():
        body.append(f"<h2>{escape(tag)}</h2>" + "".join(operations))
    body.append("<h2>Objects</h2>")
    schemas = document.get("components", {}).get("schemas", {})
    body += [_schema(name, schema) for name, schema in sorted(schemas.items())]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title>{_STYLE}</head><body>{''.join(body)}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    head = f"<b class={method}>{method.upper()}</b> <code>{escape(path)}</code>"
    summary, description = (_prose(operation.get(key, "")) for key in ("summary", "description"))
    parts = [f"<details><summary>{head} {summary}</summary><p>{description}</p>"]
    rows = [
        (each["name"], each["in"], _type(each.get("schema", {})), each.get("description", ""))
        for each in operation.get("parameters", ())
    ]
    if rows:
        parts.append(_table(("parameter", "in", "type", ""), rows))
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, each in content.items():
        parts.append(f"<p>Body ({escape(media_type)}): {_type(each.get('schema', {}))}</p>")
    answers = [
        (
            status,
            _Html(" ".join(_type(each.get("schema", {})) for each in answer.get("content", {}).values())),
            answer.get("description", ""),
        )
        for status, answer in sorted(operation.get("responses", {}).items())
    ]
    parts.append(_table(("status", "body", ""), answers))
    data = " -H 'Content-Type: application/json' -d @body.json" if content else ""
    parts.append(
        f'<pre>curl -X {method.upper()} -H "Authorization: Bearer $KEY"{data} $URL{escape(path)}</pre>'
    )
    return "".join(parts) + "</details>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (field, _type(each), "required" if field in required else _default(each), each.get("description", ""))
        for field, each in schema.get("properties", {}).items()
    ]
    return (
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{_prose(schema.get('description', ''))}</p>"
        + (_table(("field", "type", "", ""), rows) if rows else f"<p>{_type(schema)}</p>")
        + "</details>"
    )


def _default(schema: Mapping[str, Any]) -> str:
    return f"default {msgspec.json.encode(schema['default']).decode()}" if "default" in schema else ""


class _Html(str):
    """Text that needs no escaping any more."""

    __slots__ = ()


def _type(schema: Mapping[str, Any]) -> _Html:
    """What a value must look like."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return _Html(f'<a href="#{name}">{name}</a>')
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return _Html(" or ".join(_type(each) for each in schema[key]))
    if "enum" in schema:
        return _Html(" | ".join(f"<code>{escape(_json(each))}</code>" for each in schema["enum"]))
    if "const" in schema:
        return _Html(f"<code>{escape(str(schema['const']))}</code>")
    kind = schema.get("type", "anything")
    text = escape(" or ".join(kind) if isinstance(kind, list) else str(kind))
    if text == "array":
        text = f"array of {_type(schema.get('items', {}))}"
    limits = (f", {word} {escape(_json(schema[key]))}" for key, word in _LIMITS.items() if key in schema)
    return _Html(text + "".join(limits))


_LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "more than",
    "maximum": "to",
    "minLength": "at least",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
    "pattern": "matching",
}


def _json(value: object) -> str:
    """As it is written in JSON; whole numbers without a fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    lines = ["".join(f"<td>{_cell(each)}</td>" for each in row) for row in rows]
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(text: str) -> str:
    return text if isinstance(text, _Html) else _prose(text)


def _prose(text: str) -> str:
    """`code` in backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


_STYLE = """<style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:64rem;margin:0 auto;padding:1rem}
summary{cursor:pointer;padding:.3rem 0}details{border-bottom:1px solid #8884}
details>:not(summary){margin-left:1rem}
table{border-collapse:collapse}
td,th{padding:.2rem .6rem;text-align:left;vertical-align:top;border-top:1px solid #8884}
pre{overflow:auto;background:#8882;padding:.6rem}b{display:inline-block;min-width:4.5rem}
.get{color:#27c}.post{color:#283}.put,.patch{color:#a60}.delete{color:#c33}
</style>"""
