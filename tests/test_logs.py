"""engine.logs: personal data stays masked."""

import json
from collections.abc import Iterator

import pytest
import structlog

from engine.logs import configure_logging, mask


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_personal_fields_are_masked_and_others_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True)
    structlog.get_logger().info("leg answered", to="+15550123", leg="abc", after_ms=412)
    line = json.loads(capsys.readouterr().err)
    assert line["to"] == "******123"
    assert line["leg"] == "abc"
    assert line["after_ms"] == 412
    assert line["event"] == "leg answered"


def test_masking_can_be_turned_off(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(json=True, mask_personal=False)
    structlog.get_logger().info("leg answered", to="+15550123")
    assert json.loads(capsys.readouterr().err)["to"] == "+15550123"


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_traceback_shows_where_and_never_the_values_of_variables(
    capsys: pytest.CaptureFixture[str], json_lines: bool
) -> None:
    def fail(number: str) -> None:
        raise LookupError("no such table", len(number))

    configure_logging(json=json_lines)
    secret = "+15550100" + "123"
    try:
        fail(secret)
    except LookupError:
        structlog.get_logger().exception("dial failed by a bug")
    shown = capsys.readouterr().err
    assert "LookupError" in shown
    assert "in fail" in shown
    assert secret not in shown


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="warning", json=True)
    structlog.get_logger().info("nothing")
    assert capsys.readouterr().err == ""


def test_a_short_value_is_masked_whole() -> None:
    assert mask("100") == "***"
