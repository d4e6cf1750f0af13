"""Documents: JSON in, verbs out, or the path and the reason why not (dial contract, section 1).

The whole document is checked before anything of it is executed (DV-02). What passes here will not be refused
later for its form: targets, URIs, headers, digits and durations have all been looked at.

The fast path is one conversion per verb by msgspec; only a fault costs more, to say where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine.application.faults import DocumentError, explain, refuse_nulls
from engine.application.schema import (
    AnswerVerb,
    ConfigVerb,
    DeclineVerb,
    DialVerb,
    DtmfVerb,
    GatherVerb,
    HangupVerb,
    ListenVerb,
    PauseVerb,
    PlayVerb,
    RedirectVerb,
    SayVerb,
    TagVerb,
    TranscribeVerb,
    Verb,
)
from engine.application.schema.fields import decode_field, json_kind

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "ON_HOLD",
    "SCREENING",
    "VERBS",
    "AnswerVerb",
    "ConfigVerb",
    "DeclineVerb",
    "DialVerb",
    "DocumentError",
    "DtmfVerb",
    "GatherVerb",
    "HangupVerb",
    "ListenVerb",
    "PauseVerb",
    "PlayVerb",
    "RedirectVerb",
    "SayVerb",
    "TagVerb",
    "TranscribeVerb",
    "Verb",
    "decode_document",
    "parse_document",
]

MAX_BYTES = 1_000_000
"""A document of this size or more is refused unread (hooks contract, section 9, case 5)."""
MAX_DEPTH = 32
"""Arrays and objects inside each other; a usual document has five."""

VERBS: Mapping[str, type[Verb]] = {
    verb.name(): verb
    for verb in (
        AnswerVerb,
        ConfigVerb,
        DeclineVerb,
        DialVerb,
        DtmfVerb,
        GatherVerb,
        HangupVerb,
        ListenVerb,
        PauseVerb,
        PlayVerb,
        RedirectVerb,
        SayVerb,
        TagVerb,
        TranscribeVerb,
    )
}
"""By the name in a document; `stream` is another name of `listen`."""

SCREENING: frozenset[type[Verb]] = frozenset(
    (
        SayVerb,
        PlayVerb,
        PauseVerb,
        GatherVerb,
        DtmfVerb,
        TagVerb,
        HangupVerb,
        ConfigVerb,
        ListenVerb,
        TranscribeVerb,
        RedirectVerb,
    )
)
"""What may run on a callee before it is connected (section 7)."""
ON_HOLD: frozenset[type[Verb]] = frozenset((PlayVerb, SayVerb, PauseVerb))
"""What a held party may hear (`onHoldHook`)."""

_ALIASES = {"stream": "listen"}


def parse_document(raw: object, *, only: frozenset[type[Verb]] | None = None) -> tuple[Verb, ...]:
    """The verbs of a document, in order. DocumentError: the first fault, nothing of it may be executed.

    raw: decoded JSON. only: the verbs that are allowed where it will run (`SCREENING`, `ON_HOLD`); None: all.
    """
    if not isinstance(raw, (list, tuple)):
        raise DocumentError("$", f"a document is an array of verbs, not {json_kind(raw)}")
    has_null = _look_through(raw)
    return tuple([_verb(index, each, only, has_null) for index, each in enumerate(raw)])


def decode_document(text: bytes | str, *, only: frozenset[type[Verb]] | None = None) -> tuple[Verb, ...]:
    """The same from JSON text (a document in a configuration file, `app_json` of a REST call)."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) >= MAX_BYTES:
        raise DocumentError("$", f"{len(data)} bytes; less than {MAX_BYTES} are allowed")
    try:
        raw = msgspec.json.decode(data)
    except RecursionError:
        raise DocumentError("$", f"is nested more than {MAX_DEPTH} deep") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise DocumentError("$", f"is not JSON: {fault}") from None
    return parse_document(raw, only=only)


def _verb(index: int, raw: object, only: frozenset[type[Verb]] | None, has_null: bool) -> Verb:
    """One element: `{"verb": "dial", ...}` or `{"dial": {...}}` (DV-01)."""
    path: tuple[str | int, ...] = (index,)
    if not isinstance(raw, Mapping):
        raise DocumentError.at(path, f"a verb is an object, not {json_kind(raw)}")
    name = raw.get("verb")
    content: object = raw
    if name is None and "verb" not in raw:
        if len(raw) != 1:
            raise DocumentError.at(path, "has no `verb`, and not exactly one property that names one")
        ((name, content),) = raw.items()
        path = (index, name)
        named_at = path
    else:
        named_at = (index, "verb")
    kind = VERBS.get(name) if isinstance(name, str) else None
    if kind is None:
        if not isinstance(name, str) or name not in _ALIASES:
            raise DocumentError.unknown_verb(named_at, name, (*VERBS, *_ALIASES))
        kind = VERBS[_ALIASES[name]]
        if content is raw:
            content = {**raw, "verb": _ALIASES[name]}
    if only is not None and kind not in only:
        raise DocumentError.at(named_at, f"{name} is not allowed here")
    if has_null:
        refuse_nulls(content, kind, path)
    try:
        return msgspec.convert(content, kind, dec_hook=decode_field)
    except (msgspec.ValidationError, OverflowError) as fault:
        raise explain(fault, kind, path, content) from None


def _look_through(raw: Sequence[object]) -> bool:
    """Whether there is a null anywhere. Level by level, so that a document made to be deep costs no stack."""
    level: list[Any] = [raw]
    has_null = False
    for _ in range(MAX_DEPTH):
        inside = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        has_null = has_null or None in inside
        level = [inner for inner in inside if isinstance(inner, (dict, list))]
        if not level:
            return has_null
    raise DocumentError("$", f"is nested more than {MAX_DEPTH} deep")
