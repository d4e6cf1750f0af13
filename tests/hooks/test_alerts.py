"""One log line and one record for everything a customer has to repair (DV-04)."""

from __future__ import annotations

import time

from structlog.testing import capture_logs

from engine.hooks import AlertKind, Alerts
from engine.store.rows import AlertRow


class Rows:
    def __init__(self) -> None:
        self.rows: list[AlertRow] = []

    def alert(self, row: AlertRow) -> None:
        self.rows.append(row)


def test_dv04_an_alert_is_one_log_line_and_one_record_with_path_and_reason() -> None:
    kept, begun = Rows(), time.time()
    with capture_logs() as lines:
        Alerts(kept).report("call", "account", AlertKind.MALFORMED_DOCUMENT, "unknown verb", "$[0].verb")
    [row], [line] = kept.rows, lines
    assert (row.kind, row.text, row.path) == ("malformed-document", "unknown verb", "$[0].verb")
    assert (row.call_sid, row.account_sid) == ("call", "account")
    assert begun <= row.at_utc <= time.time()
    assert len(row.alert_sid) == 36
    assert line == {
        "event": "alert",
        "log_level": "warning",
        "kind": "malformed-document",
        "call": "call",
        "account": "account",
        "path": "$[0].verb",
        "problem": "unknown verb",
    }


def test_without_a_store_an_alert_is_a_log_line() -> None:
    with capture_logs() as lines:
        Alerts().report("call", "", "something-else", "text")
    assert [line["kind"] for line in lines] == ["something-else"]
