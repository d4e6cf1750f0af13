"""WH-07: what is signed is what JavaScript would write; tests/judge_npm asks it about many more numbers."""

from __future__ import annotations

import math

import pytest

from engine.hooks import Hook
from engine.hooks.javascript import encode_for_javascript
from engine.hooks.request import prepare


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-2.0, "-2"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (0.00012, "0.00012"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (-1.5e300, "-1.5e+300"),
        (math.inf, "null"),
        (math.nan, "null"),
        (2**53 + 1, "9007199254740993"),
        (True, "true"),
    ],
)
def test_wh07_a_number_is_written_as_javascript_writes_it(number: float, text: str) -> None:
    assert encode_for_javascript({"n": number}) == b'{"n":%s}' % text.encode()
    assert encode_for_javascript({"a": [{"deep": (number, "1.0")}]}) == b'{"a":[{"deep":[%s,"1.0"]}]}' % (
        text.encode()
    )


def test_wh07_bodies_and_queries_are_written_so_also_beside_words_that_are_no_utf8() -> None:
    payload: dict[str, object] = {
        "customerData": {"order": 7.0},
        "caller_name": "J\udcfcrg",
        "duration": 3.0,
    }
    body = prepare(Hook("https://app.example.com/call"), payload).body
    assert body.decode() == '{"customerData":{"order":7},"caller_name":"J\ufffdrg","duration":3}'
    url = prepare(Hook("https://app.example.com/call", "GET"), payload).url
    assert url.partition("?")[2] == ("customerData=%7B%22order%22%3A7%7D&caller_name=J%EF%BF%BDrg&duration=3")
