"""A missing tool is a skip with its reason, and a failure on the build machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.tools import require_pjsua2, require_sipp


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delenv("CI", raising=False)


@pytest.mark.parametrize(("require", "what"), [(require_sipp, "sip-tester"), (require_pjsua2, "softphone")])
def test_a_missing_tool_skips_and_says_what_to_install(require: object, what: str) -> None:
    assert callable(require)
    with pytest.raises(pytest.skip.Exception, match=what):
        require()


@pytest.mark.parametrize(("require", "what"), [(require_sipp, "sip-tester"), (require_pjsua2, "softphone")])
def test_under_ci_it_is_a_failure(require: object, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(require)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=what):
        require()
