"""Documents as such: both forms of a verb, strictness, limits, and where a fault is said to be."""

from __future__ import annotations

from typing import Any

import pytest

from engine.application.document import (
    MAX_BYTES,
    MAX_DEPTH,
    ON_HOLD,
    SCREENING,
    VERBS,
    AnswerVerb,
    DialVerb,
    DocumentError,
    HangupVerb,
    ListenVerb,
    PauseVerb,
    SayVerb,
    decode_document,
    parse_document,
)
from tests.application.documents import PHONE, one, refused

CONTRACT_VERBS = {
    "dial",
    "say",
    "play",
    "pause",
    "gather",
    "hangup",
    "redirect",
    "sip:decline",
    "answer",
    "dtmf",
    "tag",
    "listen",
    "transcribe",
    "config",
}


def test_the_verbs_are_those_of_the_contract() -> None:
    assert set(VERBS) == CONTRACT_VERBS


def test_dv01_both_forms_of_a_verb_are_the_same() -> None:
    long = parse_document([{"verb": "dial", "target": [PHONE], "timeout": 20}])
    short = parse_document([{"dial": {"target": [PHONE], "timeout": 20}}])
    assert long == short
    assert isinstance(long[0], DialVerb)


def test_dv01_a_document_may_mix_the_forms_and_keeps_its_order() -> None:
    document = parse_document([{"answer": {}}, {"verb": "pause", "length": 1}, {"hangup": {}}])
    assert [type(verb) for verb in document] == [AnswerVerb, PauseVerb, HangupVerb]


def test_dv01_an_empty_document_is_a_document() -> None:
    assert parse_document([]) == ()


@pytest.mark.parametrize("raw", [{}, {"verb": "hangup"}, "hangup", 3, None, True])
def test_dv01_a_document_that_is_not_an_array_is_malformed(raw: object) -> None:
    with pytest.raises(DocumentError) as refusal:
        parse_document(raw)
    assert refusal.value.path == "$"


@pytest.mark.parametrize(
    "element", [{}, {"say": {"text": "a"}, "pause": {"length": 1}}, {"text": "a", "loop": 1}]
)
def test_dv01_an_element_with_neither_a_verb_nor_exactly_one_key_is_malformed(element: object) -> None:
    path, problem = refused({"verb": "answer"}, element)
    assert path == "$[1]"
    assert "verb" in problem


@pytest.mark.parametrize("element", [None, "hangup", 3, [], [{"verb": "hangup"}]])
def test_dv01_an_element_that_is_not_an_object_is_malformed(element: object) -> None:
    assert refused(element)[0] == "$[0]"


def test_dv02_an_unknown_verb_is_refused_with_what_was_meant() -> None:
    assert refused({"verb": "dail"}) == ("$[0].verb", 'unknown verb "dail"; did you mean `dial`?')
    assert refused({"verb": "answer"}, {"sip:declined": {}})[0] == "$[1]['sip:declined']"
    assert refused({"verb": "conference", "name": "team"})[0] == "$[0].verb"
    assert refused({"verb": 3})[0] == "$[0].verb"
    assert refused({"verb": None})[0] == "$[0].verb"
    assert refused({"verb": ["dial"]})[0] == "$[0].verb"


def test_dv02_an_unknown_property_is_refused_by_its_path_in_the_form_that_was_written() -> None:
    assert refused({"verb": "pause", "length": 1, "lenght": 2}) == (
        "$[0].lenght",
        "unknown property; did you mean `length`?",
    )
    assert refused({"pause": {"length": 1, "unit": "s"}}) == ("$[0].pause.unit", "unknown property")
    assert refused({"verb": "dial", "target": [PHONE | {"numbr": "1"}]})[0] == "$[0].target[0].numbr"
    assert refused({"sip:decline": {"status": 486, "text": "no"}})[0] == "$[0]['sip:decline'].text"


def test_dv02_a_property_in_another_case_is_unknown_but_recognised() -> None:
    path, problem = refused({"verb": "dial", "target": [PHONE], "forwardPai": False})
    assert (path, problem) == ("$[0].forwardPai", "unknown property; did you mean `forwardPAI`?")


def test_dv02_a_missing_property_is_refused_where_it_should_be() -> None:
    assert refused({"verb": "pause"}) == ("$[0]", "missing required property `length`")
    assert refused({"tag": {}}) == ("$[0].tag", "missing required property `data`")


def test_dv02_a_wrong_type_is_said_in_words_of_json() -> None:
    assert refused({"verb": "pause", "length": "1"}) == ("$[0].length", "expected number, got string")
    assert refused({"verb": "pause", "length": True}) == ("$[0].length", "expected number, got boolean")
    assert refused({"pause": 1}) == ("$[0].pause", "expected object, got integer")
    assert refused({"pause": None})[0] == "$[0].pause"
    assert refused({"verb": "dial", "target": PHONE})[0] == "$[0].target"


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"verb": "dial", "target": [PHONE], "confirmHook": None}, "$[0].confirmHook"),
        ({"dial": {"target": [PHONE], "timeLimit": None}}, "$[0].dial.timeLimit"),
        ({"dial": {"target": [PHONE, PHONE | {"from": None}]}}, "$[0].dial.target[1].from"),
        ({"dial": {"target": [None]}}, "$[0].dial.target[0]"),
        (
            {"dial": {"target": [PHONE], "amd": {"actionHook": "/a", "recognizer": None}}},
            "$[0].dial.amd.recognizer",
        ),
        (
            {"redirect": {"actionHook": {"url": "/a", "basicAuth": None}}},
            "$[0].redirect.actionHook.basicAuth",
        ),
        ({"gather": {"say": {"text": "a", "synthesizer": None}}}, "$[0].gather.say.synthesizer"),
        ({"listen": {"url": "wss://app.example.com", "auth": None}}, "$[0].listen.auth"),
    ],
)
def test_dv02_null_is_a_wrong_type(raw: object, path: str) -> None:
    assert refused(raw)[0] == path


def test_null_inside_what_is_only_carried_is_kept() -> None:
    document = parse_document(
        [{"tag": {"data": {"a": None}, "_": None}}, {"config": {"synthesizer": {"options": {"a": None}}}}]
    )
    assert len(document) == 2


def test_dv02_a_value_outside_an_enumeration_is_refused_with_what_is_allowed() -> None:
    assert refused({"verb": "gather", "input": ["digit"]}) == (
        "$[0].input[0]",
        '"digit" is none of digits, speech; did you mean `digits`?',
    )


def test_dv02_the_whole_document_is_refused_for_its_last_verb() -> None:
    path, _ = refused({"verb": "answer"}, {"verb": "say", "text": "Welcome"}, {"verb": "hangup", "now": True})
    assert path == "$[2].now"


@pytest.mark.parametrize("name", sorted(CONTRACT_VERBS))
def test_dv02_id_and_underscore_are_allowed_on_every_verb(name: str) -> None:
    examples: dict[str, dict[str, Any]] = {
        "dial": {"target": [PHONE]},
        "say": {"text": "a"},
        "play": {"url": "a.wav"},
        "pause": {"length": 1},
        "redirect": {"actionHook": "/next"},
        "sip:decline": {"status": 486},
        "dtmf": {"dtmf": "1"},
        "tag": {"data": {}},
        "listen": {"url": "wss://app.example.com"},
    }
    required = examples.get(name, {})
    verb = one(VERBS[name], {"verb": name, "id": "step-7", "_": {"anything": [1, None]}, **required})
    assert verb.id == "step-7"
    assert verb.note == {"anything": [1, None]}
    assert verb == one(VERBS[name], {name: {"id": "step-7", "_": {"anything": [1, None]}, **required}})


def test_dv02_an_id_is_a_string() -> None:
    assert refused({"verb": "answer", "id": 7}) == ("$[0].id", "expected string, got integer")


def test_the_alias_stream_is_listen_in_both_forms() -> None:
    listen = one(ListenVerb, {"verb": "listen", "url": "wss://app.example.com"})
    assert one(ListenVerb, {"verb": "stream", "url": "wss://app.example.com"}) == listen
    assert one(ListenVerb, {"stream": {"url": "wss://app.example.com"}}) == listen
    assert refused({"stream": {"uri": "wss://app.example.com"}})[0] == "$[0].stream.uri"
    assert refused({"verb": "stream", "uri": "wss://app.example.com"})[0] == "$[0].uri"


def test_a_short_form_that_names_another_verb_inside_is_refused() -> None:
    assert refused({"say": {"verb": "play", "text": "a"}})[0] == "$[0].say.verb"


def test_screening_documents_may_hold_what_section_7_allows_and_nothing_else() -> None:
    allowed = "say play pause gather dtmf tag hangup config listen transcribe redirect"
    assert {verb.name() for verb in SCREENING} == set(allowed.split())
    assert parse_document([{"verb": "say", "text": "Press 1"}], only=SCREENING)
    for raw in ({"verb": "dial", "target": [PHONE]}, {"sip:decline": {"status": 603}}, {"verb": "answer"}):
        with pytest.raises(DocumentError, match="is not allowed here"):
            parse_document([{"verb": "pause", "length": 1}, raw], only=SCREENING)


def test_a_held_party_hears_play_say_and_pause_only() -> None:
    assert {verb.name() for verb in ON_HOLD} == {"play", "say", "pause"}
    with pytest.raises(DocumentError) as refusal:
        parse_document([{"hangup": {}}], only=ON_HOLD)
    assert refusal.value.path == "$[0].hangup"


def test_case5_text_of_a_megabyte_is_refused_unread() -> None:
    document = '[{"verb":"say","text":"' + "a" * (MAX_BYTES - 27) + '"}]'
    assert len(document) == MAX_BYTES - 1
    assert isinstance(decode_document(document)[0], SayVerb)
    with pytest.raises(DocumentError, match="bytes"):
        decode_document(document + " ")
    with pytest.raises(DocumentError, match="bytes"):
        decode_document("not even json " * MAX_BYTES)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 500, 100_000])
def test_case5_deep_nesting_is_refused(levels: int) -> None:
    text = '[{"tag":{"data":{"a":' + "[" * (levels - 4) + "]" * (levels - 4) + "}}}]"
    with pytest.raises(DocumentError, match="nested"):
        decode_document(text)


def test_case5_as_deep_as_allowed_is_accepted() -> None:
    inner = MAX_DEPTH - 4
    assert decode_document('[{"tag":{"data":{"a":' + "[" * inner + "]" * inner + "}}}]")


def test_case5_a_deep_object_that_is_decoded_already_is_refused_too() -> None:
    deep: object = {}
    for _ in range(50_000):
        deep = {"a": deep}
    assert refused({"tag": {"data": deep}})[0] == "$"
    while isinstance(deep, dict) and deep:  # taken apart gently: Python would recurse
        deep = deep.pop("a")


@pytest.mark.parametrize(
    "text", ["", "[", "nil", "[{'verb':'hangup'}]", '[{"verb":"say","text":"\ud800"}]', "[1e999]"]
)
def test_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        decode_document(text)


@pytest.mark.parametrize("data", [b"\xff[]", b'[{"verb":"say","text":"\xe4"}]', b"[]\x00"])
def test_bytes_that_are_not_utf8_are_refused(data: bytes) -> None:
    with pytest.raises(DocumentError):
        decode_document(data)


def test_text_beyond_ascii_is_kept() -> None:
    (verb,) = decode_document('[{"verb":"say","text":"Grüße, 日本"}]'.encode())
    assert isinstance(verb, SayVerb)
    assert verb.text == ("Grüße, 日本",)


def test_a_path_of_odd_names_is_one_of_rfc_9535() -> None:
    assert refused({"verb": "hangup", "headers": {"X-A": "a\r\nb"}})[0] == "$[0].headers['X-A']"
    assert refused({"it's": 1})[0] == r"$[0]['it\'s']"


def test_a_long_value_is_not_repeated_in_full() -> None:
    assert len(refused({"verb": "x" * 5000})[1]) < 120
    assert len(refused({"verb": "gather", "input": ["y" * 5000]})[1]) < 160


def test_the_error_reads_as_one_line() -> None:
    with pytest.raises(DocumentError) as refusal:
        parse_document([{"verb": "pause"}])
    assert str(refusal.value) == "$[0]: missing required property `length`"
