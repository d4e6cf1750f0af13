"""CPU time of reading documents: `python -m tests.bench.bench_document`. Prints, asserts nothing.

Reading is on the way of every call; the budget of a usual document is 60 µs on the machine of the README. The
calibration loop of the same run tells how fast the machine is at the moment: compare ratios.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from engine.application.document import DocumentError, decode_document, parse_document
from tests.bench.bench_message import cpu_us

SHORT = [
    {"verb": "say", "text": "Welcome"},
    {"verb": "dial", "target": [{"type": "phone", "number": "+15550100"}]},
]
USUAL = [
    {
        "verb": "dial",
        "actionHook": "dial",
        "callerId": "+15550142",
        "answerOnBridge": True,
        "dtmfCapture": ["*2", "*3"],
        "dtmfHook": {"url": "/dtmf", "method": "GET"},
        "amd": {"actionHook": "amd", "recognizer": {"vendor": "default", "language": "en-US"}},
        "target": [
            {"type": "phone", "number": "+15550100", "trunk": "CarrierA"},
            {
                "type": "sip",
                "sipUri": "sip:bob@sip.example.com",
                "auth": {"username": "user", "password": "secret"},
            },
            {"type": "user", "name": "1001@sip.example.com"},
        ],
    }
]
LARGE = [
    {"verb": "dial", "target": [{"type": "sip", "sipUri": f"sip:user{i}@example.com"} for i in range(10)]}
] * 20
BROKEN = [{"verb": "dial", "target": [{"type": "phone", "nubmer": "+15550100"}]}]


def refuse() -> None:
    with suppress(DocumentError):
        parse_document(BROKEN)


def main() -> None:
    text = msgspec.json.encode(USUAL)
    rows: list[tuple[str, Callable[[], object], int]] = [
        ("calibration: sum(range(1000))", lambda: sum(range(1000)), 5000),
        ("a greeting and a dial of one target", lambda: parse_document(SHORT), 5000),
        ("the dial of the contract's example, three targets", lambda: parse_document(USUAL), 5000),
        ("the same from JSON text", lambda: decode_document(text), 5000),
        ("twenty dials of ten targets each", lambda: parse_document(LARGE), 200),
        ("a misspelled property, named with what was meant", refuse, 500),
    ]
    for name, action, repeat in rows:
        print(f"{cpu_us(action, repeat):9.1f} µs  {name}")


if __name__ == "__main__":
    main()
