"""WH-03, WH-04 and the edge cases 1 and 5 of section 9: what an answer says."""

from __future__ import annotations

import pytest

from engine.hooks import HookReply, MalformedReply
from engine.hooks.reply import MAX_DEPTH, MAX_REPLY_BYTES, parse_reply


@pytest.mark.parametrize(
    ("body", "verbs"),
    [
        (b"", None),
        (b"  \r\n", None),
        (b"null", None),
        (b"{}", None),
        (b"[]", []),
        (b'[{"verb":"hangup"}]', [{"verb": "hangup"}]),
        (b'{"verb":"hangup"}', [{"verb": "hangup"}]),
        (b'{"hangup":{}}', [{"hangup": {}}]),
        (b'\xef\xbb\xbf[{"verb":"hangup"}]', [{"verb": "hangup"}]),
        (b'[1,"two"]', [1, "two"]),
    ],
)
def test_wh04_an_array_one_verb_or_nothing(body: bytes, verbs: list[object] | None) -> None:
    assert parse_reply(200, body) == HookReply(200, verbs)


@pytest.mark.parametrize("status", [202, 204])
def test_wh03_202_and_204_give_no_instructions_whatever_their_body(status: int) -> None:
    assert parse_reply(status, b'[{"verb":"hangup"}]') == HookReply(status, None)


@pytest.mark.parametrize("body", [b"<html>", b'"hangup"', b"42", b"true", b"[{]", b'["\xff"]', b"[1] 2"])
def test_wh04_what_is_not_a_document_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedReply) as caught:
        parse_reply(200, body)
    assert caught.value.status == 200


def test_wh04_the_reason_does_not_repeat_what_the_application_said() -> None:
    with pytest.raises(MalformedReply) as caught:
        parse_reply(200, b'[{"number": "+15550100" oops}]')
    assert "5550100" not in str(caught.value)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_edge_5_a_document_may_be_nested_64_deep_and_no_deeper() -> None:
    assert parse_reply(200, nested(MAX_DEPTH)).verbs is not None
    for depth in (MAX_DEPTH + 1, 900, 100_000, 400_000):
        with pytest.raises(MalformedReply, match="nested too deeply"):
            parse_reply(200, nested(depth))
    deep_object = b'{"a":' * 100 + b"1" + b"}" * 100
    with pytest.raises(MalformedReply, match="nested too deeply"):
        parse_reply(200, deep_object)


def test_edge_5_many_shallow_brackets_are_not_depth() -> None:
    assert parse_reply(200, b"[" + b"{}," * 5000 + b"{}]").verbs == [{}] * 5001


def test_edge_5_a_megabyte_is_too_much() -> None:
    with pytest.raises(MalformedReply, match="bytes"):
        parse_reply(200, b'["' + b"a" * MAX_REPLY_BYTES + b'"]')
