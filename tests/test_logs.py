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


def test_lines_below_the_level_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(level="warning", json=True)
    structlog.get_logger().info("nothing")
    assert capsys.readouterr().err == ""


def test_a_short_value_is_masked_whole() -> None:
    assert mask("100") == "***"
