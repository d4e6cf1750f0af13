"""Any JSON gives a document or a DocumentError whose path exists in it."""

from __future__ import annotations

import copy
import re
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from engine.application.document import SCREENING, VERBS, DocumentError, Verb, decode_document, parse_document

STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]", re.DOTALL)

PROPERTIES = sorted(
    {name for verb in VERBS.values() for name in verb.__struct_encode_fields__}
    | {"type", "number", "sipUri", "name", "url", "method", "username", "password", "enable", "verb"}
)
NAMES = sorted({*VERBS, "stream", "conference", "Dial"})

text = st.sampled_from(
    ["", "a", "+15550100", "sip:bob@example.com", "phone", "sip", "forever", "\r\n", "*1"]
) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(PROPERTIES) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
properties = st.dictionaries(st.sampled_from(PROPERTIES), anything, max_size=5)
verbs = st.builds(lambda name, rest: {**rest, "verb": name}, st.sampled_from(NAMES), properties) | st.builds(
    lambda name, rest: {name: rest}, st.sampled_from(NAMES), properties
)

SOUND: list[dict[str, Any]] = [
    {"verb": "answer", "id": "a", "_": 1},
    {
        "verb": "dial",
        "target": [
            {"type": "phone", "number": "+15550100", "trunk": "A", "headers": {"X-A": "1"}},
            {"type": "sip", "sipUri": "sip:bob@example.com", "auth": {"username": "u", "password": "p"}},
            {"type": "user", "name": "carol@example.com", "confirmHook": {"url": "/a", "method": "GET"}},
        ],
        "amd": {
            "actionHook": "/amd",
            "timers": {"toneTimeoutMs": 5},
            "recognizer": {"vendor": "a", "hints": ["b"]},
        },
        "dtmfCapture": {"childCall": ["*1"], "parentCall": ["#"]},
        "listen": {"url": "wss://app.example.com", "bidirectionalAudio": {"sampleRate": 8000}},
        "boostAudioSignal": "3 dB",
    },
    {
        "gather": {
            "input": ["digits"],
            "say": {"text": ["a", "b"]},
            "play": {"url": ["c"]},
            "actionHook": "/b",
        }
    },
    {"sip:decline": {"status": 486, "headers": {"X-B": 1}}},
    {"config": {"listen": {"enable": False}, "synthesizer": {"voice": "a"}}},
]


def found_at(raw: object, path: str) -> object:
    """What stands at a path of RFC 9535; KeyError, IndexError or AssertionError if there is no such place."""
    assert path.startswith("$")
    rest, value = path[1:], raw
    while rest:
        step = STEP.match(rest)
        assert step is not None, f"not a path: {path}"
        plain, index, quoted = step.groups()
        if index is not None:
            assert isinstance(value, list)
            value = value[int(index)]
        else:
            assert isinstance(value, dict)
            value = value[plain if plain is not None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)]
        rest = rest[step.end() :]
    return value


def parsed(raw: object) -> tuple[Verb, ...] | DocumentError:
    """The document or why not; nothing else may be raised, and nothing of `raw` be changed."""
    before = repr(raw)
    try:
        outcome: tuple[Verb, ...] | DocumentError = parse_document(raw)
    except DocumentError as refusal:
        outcome = refusal
    assert repr(raw) == before
    return outcome


def judged(raw: object) -> tuple[Verb, ...] | None:
    """The document, or None if it is refused; a refusal must lead somewhere, in words of JSON."""
    outcome = parsed(raw)
    if isinstance(outcome, tuple):
        return outcome
    found_at(raw, outcome.path)
    assert outcome.problem
    assert "`int`" not in outcome.problem
    return None


@given(anything)
@example([{"verb": "hangup", "headers": {"'": "\n"}}])
@example([{"verb": "hangup", "headers": {"\\'": "\n"}}])
@example([{"verb": "x` - at `$.y"}])
@example([{"verb": "hangup", "a` - at `$[3].b": 1}])
@example([{"verb": "dial", "target": [{"type": "x` - at `$[3].b"}]}])
@example([{"verb": "pause", "length": 10**400}])
@example([{"verb": "gather", "numDigits": 2**70}])
def test_any_json_gives_a_document_or_a_path_that_exists(raw: object) -> None:
    judged(raw)


@given(st.lists(verbs, max_size=3))
def test_things_like_verbs_give_a_document_or_a_path_that_exists(raw: list[object]) -> None:
    document = judged(raw)
    if document is not None:
        assert len(document) == len(raw)


def places(raw: object, *path: str | int) -> list[tuple[str | int, ...]]:
    """The paths of everything in a document."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(raw, dict):
        inner = list(raw.items())
    elif isinstance(raw, list):
        inner = list(enumerate(raw))
    return [path, *(place for step, value in inner for place in places(value, *path, step))]


@given(st.sampled_from(places(SOUND)[1:]), anything)
def test_one_thing_exchanged_in_a_sound_document_is_found_there_or_does_no_harm(
    place: tuple[str | int, ...], value: object
) -> None:
    document: Any = copy.deepcopy(SOUND)
    holder = document
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    outcome = parsed(document)
    if isinstance(outcome, DocumentError):
        found_at(document, outcome.path)
        assert outcome.path == "$" or outcome.path.startswith(f"$[{place[0]}]"), outcome


@given(st.sampled_from(places(SOUND)), st.sampled_from(["xyz", "verb", "url", "Type"]))
def test_an_unknown_property_anywhere_is_named_or_does_no_harm(
    place: tuple[str | int, ...], name: str
) -> None:
    document: Any = copy.deepcopy(SOUND)
    holder = document
    for step in place:
        holder = holder[step]
    if isinstance(holder, dict):
        holder.setdefault(name, "xyz")
        judged(document)


def test_the_sound_document_is_sound() -> None:
    assert len(parse_document(SOUND)) == len(SOUND)


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_give_a_document_or_a_document_error(data: bytes) -> None:
    try:
        document = decode_document(data)
    except DocumentError:
        return
    assert document == parse_document(msgspec.json.decode(data))


@given(st.lists(verbs, max_size=2))
def test_what_is_allowed_where_is_a_part_of_what_is_allowed(raw: list[object]) -> None:
    try:
        narrow = parse_document(raw, only=SCREENING)
    except DocumentError as refusal:
        found_at(raw, refusal.path)
    else:
        assert narrow == parse_document(raw)
        assert {type(verb) for verb in narrow} <= SCREENING
