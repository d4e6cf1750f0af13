"""What is wrong with a document, and exactly where: RFC 9535 paths, words of JSON, a suggestion for a slip.

msgspec names the first fault in words of Python with a path to the nearest container; this module goes the
rest of the way. It runs only for documents that are refused.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from engine.application.schema.fields import HookField, HookObject, NestedFault, PropertyError
from engine.errors import EngineError

__all__ = ["DocumentError", "explain", "refuse_nulls"]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_STEP = re.compile(r"\.(?P<name>[^.\[`]+)|\[(?P<index>\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`\Z")
_TYPES = re.compile(r"`([a-z |]+)`")
_WORDS = {"int": "integer", "float": "number", "str": "string", "bool": "boolean"}


class DocumentError(EngineError):
    """A document that cannot be run. `path`: the culprit; for something missing, where it should be."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem

    @classmethod
    def at(cls, steps: Iterable[str | int], problem: str) -> DocumentError:
        """`steps`: names and indices from the root."""
        return cls(_written(steps), problem)

    @classmethod
    def unknown_verb(cls, steps: Iterable[str | int], name: object, known: Iterable[str]) -> DocumentError:
        """With what may have been meant."""
        return cls.at(steps, f"unknown verb {_quoted(name)}{_suggestion(name, known)}")


def explain(fault: Exception, kind: type, above: Sequence[str | int], raw: object) -> DocumentError:
    """A refused conversion of `raw` into `kind`, found at `above`."""
    problem, _, path = str(fault).rpartition(" - at `")
    if not problem:
        problem, path = path, "$"
    steps = _steps(path, raw)
    cause = fault.__cause__
    if isinstance(cause, NestedFault):
        return explain(cause.fault, cause.kind, (*above, *steps), cause.raw)
    if isinstance(cause, PropertyError):
        return DocumentError.at((*above, *steps, *cause.suffix), cause.problem)
    unknown = _UNKNOWN.match(problem)
    if unknown is not None:
        name = unknown[1]
        where = _value_at(raw, steps)
        known = _properties(kind, steps, raw)
        problem = f"unknown property{_suggestion(name, known)}"
        return DocumentError.at((*above, *steps, *((name,) if _has(where, name) else ())), problem)
    missing = _MISSING.match(problem)
    if missing is not None:
        return DocumentError.at((*above, *steps), f"missing required property `{missing[1]}`")
    if problem.startswith("Invalid "):
        value = _value_at(raw, steps)
        allowed = _allowed(kind, steps, raw)
        problem = f"{_quoted(value)} is none of {', '.join(allowed)}{_suggestion(value, allowed)}"
        return DocumentError.at((*above, *steps), problem)
    return DocumentError.at((*above, *steps), _in_json_words(problem))


def refuse_nulls(raw: object, kind: typing.Any, path: Sequence[str | int]) -> None:
    """`null` is no value of any property (DV-02), except inside what is only carried (`tag`, `metadata`).

    Absent properties are None in the structs, which is why msgspec would let it pass.
    """
    kind = HookObject if kind is HookField else kind
    if isinstance(raw, Mapping) and _is_struct(kind):
        for name, value in raw.items():
            inside = _inside(kind, name)
            if value is None and inside and typing.Any not in inside:
                raise DocumentError.at((*path, name), "expected a value, got null")
            for each in [each for each in inside if _fits_tag(each, value)] or inside:
                refuse_nulls(value, each, (*path, name))
    elif isinstance(raw, (list, tuple)):
        for index, value in enumerate(raw):
            inside = _inside(kind, index)
            for each in [each for each in inside if _fits_tag(each, value)] or inside:
                refuse_nulls(value, each, (*path, index))


def _steps(path: str, raw: object) -> list[str | int]:
    """msgspec's path, as far as it leads: where a map has an unsuitable key, it stops at the map."""
    steps: list[str | int] = []
    for found in _STEP.finditer(path):
        step = found["name"] if found["index"] is None else int(found["index"])
        if not _exists(raw, (*steps, step)):
            break
        steps.append(step)
    return steps


def _in_json_words(problem: str) -> str:
    """msgspec speaks of `int` and `str`; whoever wrote JSON did not."""
    words = _TYPES.sub(lambda found: " or ".join(_WORDS.get(w, w) for w in found[1].split(" | ")), problem)
    return words[:1].lower() + words[1:]


def _properties(kind: type, steps: Sequence[str | int], raw: object) -> list[str]:
    """Names of the properties of the struct that stands at `steps` below `kind`."""
    structs = [each for each in _types_at(kind, steps, raw) if _is_struct(each)]
    return [name for struct in structs for name in struct.__struct_encode_fields__]


def _allowed(kind: type, steps: Sequence[str | int], raw: object) -> list[str]:
    """What an enumeration or the tag of a union may be."""
    values = [
        str(value)
        for each in _types_at(kind, steps, raw)
        if typing.get_origin(each) is typing.Literal
        for value in typing.get_args(each)
    ]
    owners = [each for each in _types_at(kind, steps[:-1], None) if _is_struct(each)]
    return values or [str(each.__struct_config__.tag) for each in owners]


def _types_at(kind: type, steps: Sequence[str | int], raw: object) -> list[typing.Any]:
    """The types that may stand at `steps` below `kind`; of a union, the one its tag names."""
    candidates: list[typing.Any] = [kind]
    value = raw
    for step in steps:
        value = _value_at(value, (step,))
        candidates = [inner for each in candidates for inner in _inside(each, step)]
        candidates = [each for each in candidates if _fits_tag(each, value)] or candidates
    return candidates


def _inside(kind: typing.Any, step: str | int) -> list[typing.Any]:
    """The types a member of `kind` may have, unions taken apart."""
    if isinstance(step, str):
        if not _is_struct(kind):
            return []
        names = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        return _alternatives(typing.get_type_hints(kind)[names[step]]) if step in names else []
    return [inner for each in typing.get_args(kind) for inner in _alternatives(each)]


def _alternatives(hint: object) -> list[typing.Any]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return [each for inner in typing.get_args(hint) for each in _alternatives(inner)]
    return [hint]


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _fits_tag(kind: typing.Any, value: object) -> bool:
    if not _is_struct(kind) or not isinstance(value, Mapping):
        return False
    config = kind.__struct_config__
    return config.tag_field is not None and bool(value.get(config.tag_field) == config.tag)


def _value_at(raw: object, steps: Iterable[str | int]) -> object:
    """What stands at `steps`; None where they lead nowhere."""
    value = raw
    for step in steps:
        if not _has(value, step):
            return None
        value = value[step]  # type: ignore[index]
    return value


def _exists(raw: object, steps: Sequence[str | int]) -> bool:
    return _has(_value_at(raw, steps[:-1]), steps[-1])


def _has(raw: object, step: str | int) -> bool:
    if isinstance(step, str):
        return isinstance(raw, Mapping) and step in raw
    return isinstance(raw, (list, tuple)) and step < len(raw)


def _suggestion(name: object, known: Iterable[str]) -> str:
    """The nearest known name, without regard to case."""
    if not isinstance(name, str):
        return ""
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else ""


def _quoted(value: object) -> str:
    """A value as in JSON, short enough for a log line."""
    try:
        text = msgspec.json.encode(value).decode("utf-8")
    except (TypeError, ValueError, OverflowError):
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _written(steps: Iterable[str | int]) -> str:
    """A path of RFC 9535: `$[0].target[2].number`, `$[0].headers['X-Account']`."""
    path = "$"
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _PLAIN.match(step):
            path += f".{step}"
        else:
            escaped = step.replace("\\", "\\\\").replace("'", "\\'")
            path += f"['{escaped}']"
    return path
