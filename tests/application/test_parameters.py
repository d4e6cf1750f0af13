"""`tests/PARAMETERS.md` names every property of every verb, and tests that exist and speak of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import Struct

from engine.application.document import VERBS
from engine.application.schema import (
    Amd,
    AmdTimers,
    BidirectionalAudio,
    PhoneTarget,
    SipTarget,
    TeamsTarget,
    UserTarget,
)

TESTS = Path(__file__).resolve().parents[1]
ROW = re.compile(r"\| `(?P<name>[^`]+)` \| (?P<form>[^|]*) \| (?P<call>[^|]*) \|")
LINK = re.compile(r"\]\(([^)]+)\)")


def table() -> dict[str, dict[str, list[str]]]:
    """Heading -> property -> the tests named for it."""
    found: dict[str, dict[str, list[str]]] = {}
    for section in (TESTS / "PARAMETERS.md").read_text().split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        found[heading] = {row["name"]: LINK.findall(row[0]) for row in ROW.finditer(text)}
    return found


def properties(*structs: type[Struct], prefix: str = "") -> set[str]:
    return {
        prefix + name
        for struct in structs
        for name in struct.__struct_encode_fields__
        if name not in ("id", "_")
    }


EXPECTED: dict[str, set[str]] = {
    **{name: properties(verb) for name, verb in VERBS.items()},
    "target": {"type", *properties(PhoneTarget, SipTarget, UserTarget, TeamsTarget)},
    "amd": properties(Amd) | properties(AmdTimers, prefix="timers."),
    "listen": properties(VERBS["listen"]) | properties(BidirectionalAudio, prefix="bidirectionalAudio."),
}


def test_every_verb_has_its_table() -> None:
    assert set(table()) == set(EXPECTED)


@pytest.mark.parametrize("heading", EXPECTED)
def test_every_property_is_in_its_table(heading: str) -> None:
    assert set(table()[heading]) == EXPECTED[heading]


@pytest.mark.parametrize("heading", [heading for heading in EXPECTED if EXPECTED[heading]])
def test_every_test_that_is_named_exists_and_speaks_of_the_property(heading: str) -> None:
    for name, files in table()[heading].items():
        assert files, f"{heading}.{name} has no test"
        wire = name.rpartition(".")[2]
        attribute = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", wire).lower()
        word = re.compile(rf"\b({re.escape(wire)}|{attribute})\b")
        for file in files:
            text = (TESTS / file).read_text()
            assert word.search(text), f"{file} does not speak of {heading}.{name}"
