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

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

__all__ = ["StrictJson", "decode"]

T = TypeVar("T")

_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def decode(data: bytes, kind: type[T]) -> T:
    """Raises ApiError (400) that names the field."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(data)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise _named(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, "the body is nested too deeply") from error


_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.+)`")


def _named(text: str) -> ApiError:
    """Out of msgspec's "Expected `str`, got `int` - at `$.to.number`"."""
    problem, _, path = text.partition(" - at `")
    field = path.removesuffix("`").removeprefix("$").removeprefix(".")
    named = _FIELD.fullmatch(problem)
    if named:
        field = f"{field}.{named[1]}" if field else named[1]
        problem = "is required" if "missing" in problem else "is unknown"
    if not field:
        return ApiError(400, f"the body: {problem}")
    return Invalid(field, problem)


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
