"""The OpenAPI document: Litestar's, plus what it cannot know."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.openapi.spec import OpenAPIType, Reference, Schema
from litestar.plugins import OpenAPISchemaPlugin

from engine.api.errors import FAMILY_PREFIX
from engine.application.schema.fields import Decibels, Headers, HookField

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.typing import FieldDefinition

__all__ = ["PUBLIC", "FieldSchemas", "complete"]

PUBLIC = frozenset({"/", "/docs", "/docs/", "/docs/openapi.json", "/healthz", "/readyz"})
"""No key is needed to see these."""


def complete(document: dict[str, Any], bodies: Sequence[type[msgspec.Struct]]) -> None:
    """What Litestar cannot know: why the gate refuses, and what the fields of bodies mean (the string under a
    field is its description, as everywhere in this code). Idempotent.
    """
    for path, item in document["paths"].items():
        is_public = path in PUBLIC
        for operation in item.values():
            for status, answer in operation["responses"].items():
                if status in _SUCCESSES and answer["description"] in _GENERIC:
                    answer["description"] = _SUCCESSES[status]
            if is_public:
                operation["security"] = []
            else:
                _add_refusals(operation, path)
    schemas = document["components"]["schemas"]
    for body in bodies:
        for name, text in _field_docs(body).items():
            field = schemas.get(body.__name__, {}).get("properties", {}).get(name)
            if field is not None:
                field.setdefault("description", text)


def _add_refusals(operation: dict[str, Any], path: str) -> None:
    shape, media_type = (
        ("FamilyError", "application/json")
        if path.startswith(FAMILY_PREFIX)
        else ("Problem", "application/problem+json")
    )
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{shape}"}}}
    for status, why in _REFUSALS.items():
        if "requestBody" in operation or status not in _OF_BODIES:
            operation["responses"].setdefault(status, {"description": why, "content": content})


_GENERIC = frozenset(
    {
        "Document created, URL follows",
        "File Download",
        "Request accepted, processing continues off-line",
        "Request fulfilled, document follows",
        "Request fulfilled, nothing follows",
        "Stream Response",
    }
)
"""What Litestar says where nothing was said."""
_SUCCESSES = {"200": "Here it is", "201": "Created", "202": "It is being done", "204": "Done"}
_REFUSALS = {
    "401": "No valid key",
    "403": "The account is inactive",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "429": "Too many requests; see Retry-After",
}
_OF_BODIES = frozenset({"413", "415"})


def _field_docs(body: type[msgspec.Struct]) -> dict[str, str]:
    """By name on the wire; empty where the source is not at hand."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(body)))
    except (OSError, TypeError):
        return {}
    wire = {each.name: each.encode_name for each in msgspec.structs.fields(body)}
    definition = tree.body[0]
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in itertools.pairwise(definition.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[wire[name]] = " ".join(text.split())
    return found


class FieldSchemas(OpenAPISchemaPlugin):
    """What the fields of documents that JSON cannot name look like."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """A type of `engine.application.schema.fields`."""
        return value in _FIELDS

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """That of the JSON value."""
        return _FIELDS[field_definition.annotation]()


def _text(description: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, description=description)


def _hook() -> Schema:
    properties: dict[str, Reference | Schema] = {
        "url": _text("http or https"),
        "method": Schema(type=OpenAPIType.STRING, enum=["GET", "POST"]),
        "username": _text("For basic authentication"),
        "password": _text(""),
    }
    return Schema(
        one_of=[
            _text("A URL"),
            Schema(type=OpenAPIType.OBJECT, properties=properties, required=["url"]),
        ]
    )


def _headers() -> Schema:
    return Schema(type=OpenAPIType.OBJECT, additional_properties=Schema(type=OpenAPIType.STRING))


def _decibels() -> Schema:
    return Schema(one_of=[Schema(type=OpenAPIType.NUMBER, minimum=-60, maximum=60), _text("`10 dB`")])


_FIELDS: dict[object, Callable[[], Schema]] = {HookField: _hook, Headers: _headers, Decibels: _decibels}
