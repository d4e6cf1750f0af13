"""Request bodies, decoded as strictly as msgspec can: no number in a string's place, no unknown field.

Litestar's own decoding converts ("30" passes for 30); `StrictJson` takes its place where a handler says
`dto=StrictJson[Body]`, and the OpenAPI document stays Litestar's.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from litestar.dto import AbstractDTO

from engine.api.errors import ApiError, Invalid
from engine.application.faults import DocumentError, explain
from engine.application.schema.fields import decode_field
from engine.hooks.reply import MAX_DEPTH, is_too_deep

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

__all__ = ["StrictJson", "decode"]

T = TypeVar("T")

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}
_TOO_DEEP = "the body is nested too deeply"
_MISSING = re.compile(r"missing required property `(.+)`")


def decode(data: bytes, kind: type[T]) -> T:
    """Raises ApiError (400) that names the field."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind, dec_hook=decode_field)
    try:
        _check_depth(data)
        try:
            return decoder.decode(data)  # type: ignore[no-any-return]
        except (msgspec.ValidationError, OverflowError) as fault:
            raise _named(explain(fault, kind, (), msgspec.json.decode(data))) from fault
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, _TOO_DEEP) from error


def _check_depth(data: bytes) -> None:
    """Raises ApiError (400). What is taken is given back, in hooks and answers, with less stack left."""
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > MAX_DEPTH and is_too_deep(msgspec.json.decode(data)):
        raise ApiError(400, _TOO_DEEP)


def _named(fault: DocumentError) -> ApiError:
    """The field as its writer would call it: `to.number`, without the `$` of a path."""
    field, problem = fault.path.removeprefix("$").removeprefix("."), fault.problem
    missing = _MISSING.fullmatch(problem)
    if missing:
        return Invalid(f"{field}.{missing[1]}" if field else missing[1], "is required")
    return Invalid(field, problem) if field else ApiError(400, f"the body: {problem}")


class StrictJson(AbstractDTO[T]):
    """The body of a handler, decoded by `decode`."""

    __slots__ = ()

    def decode_bytes(self, value: bytes) -> T:
        """The body as the handler's type."""
        return decode(value, self.model_type)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: object = None
    ) -> None:
        """Nothing to generate: msgspec knows the type."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """That of the type itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Not used, as no transfer model is generated."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Not used, as no transfer model is generated."""
        return False
