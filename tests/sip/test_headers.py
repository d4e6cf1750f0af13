"""engine.sip.headers: names, order, compact forms, folding, and what must never get in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sip.errors import ParseError
from engine.sip.headers import Headers, canonical_name


def test_names_are_found_without_case_and_in_both_forms() -> None:
    headers = Headers.from_lines(["i: 1", "X-Thing : 2", "CONTENT-length:0"])
    assert headers.get("Call-ID") == headers.get("call-id") == headers.get("I") == "1"
    assert headers.get("x-thing") == "2"
    assert headers.get("l") == "0"
    assert "call-id" in headers
    assert "y" not in headers
    assert 7 not in headers
    assert list(headers.items()) == [("i", "1"), ("X-Thing", "2"), ("CONTENT-length", "0")]


def test_comma_lists_are_split_outside_quotes_and_brackets() -> None:
    headers = Headers.from_lines(
        ['m: "a,b" <sip:a,b@example.com>, <sip:c@example.com>', "Contact: <sip:d@example.com>,,"]
    )
    assert headers.values("Contact") == [
        '"a,b" <sip:a,b@example.com>',
        "<sip:c@example.com>",
        "<sip:d@example.com>",
    ]
    assert headers.get_all("contact") == [
        '"a,b" <sip:a,b@example.com>, <sip:c@example.com>',
        "<sip:d@example.com>,,",
    ]


def test_a_quote_that_does_not_end_is_named() -> None:
    with pytest.raises(ParseError, match="contact"):
        Headers.from_lines(['Contact: "a, <sip:a@example.com>']).values("Contact")


def test_folded_lines_become_one() -> None:
    headers = Headers.from_lines(
        ["Subject: a", "  b", "\tc", "   ", "To:", " <sip:a@example.com>", "Subject: x", " y"]
    )
    assert headers.get_all("subject") == ["a b c", "x y"]
    assert headers.get("to") == "<sip:a@example.com>"
    assert len(Headers.from_lines([" folds nothing"])) == 0


def test_set_replaces_all_at_the_first_place() -> None:
    headers = Headers([("A", "1"), ("B", "2"), ("A", "3"), ("C", "4")])
    headers.set("a", "5")
    assert list(headers) == [("a", "5"), ("B", "2"), ("C", "4")]
    headers.set("D", "6")
    headers.remove("b")
    headers.remove("nothing")
    assert list(headers) == [("a", "5"), ("C", "4"), ("D", "6")]
    assert headers.get("b") is None


def test_a_copy_is_independent() -> None:
    headers = Headers([("A", "1")])
    copy = headers.copy()
    copy.add("B", "2")
    assert copy != headers
    assert "b" not in headers
    assert "A: 1" in repr(headers)


def test_select_keeps_order_and_bytes() -> None:
    headers = Headers.from_lines(["v: 1", "X: 2", "f: \x00 odd", "Via: 3"])
    selected = headers.select(frozenset(("via", "from")))
    assert selected.to_text() == "v: 1\r\nf: \x00 odd\r\nVia: 3\r\n"
    assert selected.get("Via") == "1"


@pytest.mark.parametrize("bad", ["a\r\nX: 1", "a\nb", "a\rb", "a\0b", "a\x7f", "\x1b"])
def test_control_characters_are_refused_with_the_name(bad: str) -> None:
    headers = Headers([("Subject", "")])
    for act in (headers.add, headers.set, headers.extend_first):
        with pytest.raises(ValueError, match="Subject"):
            act("Subject", bad)
    assert list(headers) == [("Subject", "")]


@pytest.mark.parametrize("bad", ["", "a b", "a:b", "a\r\n", "ä"])
def test_a_name_has_to_be_a_token(bad: str) -> None:
    with pytest.raises(ValueError, match="not a token"):
        Headers().add(bad, "x")


@pytest.mark.parametrize("bad", ["a\r\nX: 1", "a\nb", "a\rb"])
def test_line_ends_are_refused_even_in_what_is_echoed(bad: str) -> None:
    headers = Headers([("Via", "1")])
    with pytest.raises(ValueError, match="Via"):
        headers.echo("Via", bad)
    with pytest.raises(ValueError, match="Via"):
        headers.echo_first("Via", bad)


def test_tabs_and_any_text_are_fine() -> None:
    assert Headers([("Subject", "ä\t漢\u202f")]).get("s") == "ä\t漢\u202f"


@given(st.text(), st.text())
def test_nothing_a_caller_gives_makes_a_second_line(name: str, value: str) -> None:
    headers = Headers([("Subject", "x")])
    try:
        headers.add(name, value)
    except ValueError:
        assert len(headers) == 1
    else:
        assert headers.to_text().count("\n") == headers.to_text().count("\r") == 2
        assert headers.get_all(name)[-1] == value


@pytest.mark.parametrize(
    ("name", "key"), [("V", "via"), (" Via ", "via"), ("X-ABC", "x-abc"), ("x", "session-expires")]
)
def test_canonical_names(name: str, key: str) -> None:
    assert canonical_name(name) == key
