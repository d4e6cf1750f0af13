"""Outside tools a test needs: present, or a skip with the reason; a failure where CI is set."""

from __future__ import annotations

import importlib.util
import os
import shutil

import pytest

__all__ = ["require_pjsua2", "require_sipp", "require_sox"]


def require_sipp() -> str:
    """Path of the `sipp` binary."""
    path = shutil.which("sipp")
    if path is None:
        _missing("SIPp is not installed (Debian and Ubuntu: apt-get install sip-tester)")
    return path or ""


def require_sox() -> str:
    """Path of the `sox` binary."""
    path = shutil.which("sox")
    if path is None:
        _missing("sox is not installed, there is no GSM encoder (Debian and Ubuntu: apt-get install sox)")
    return path or ""


def require_pjsua2() -> None:
    """The phones' library can be found (it is loaded in the phone process only)."""
    if importlib.util.find_spec("pjsua2") is None:
        _missing(
            "pjsua2 is not installed (pip install 'dial-engine[softphone]', x86-64, Python 3.11 or 3.12)"
        )


def _missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
