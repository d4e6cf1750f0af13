"""Outside tools a test needs: present, or a skip with the reason; a failure where CI is set."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest

__all__ = ["missing", "require_openssl", "require_pjsua2", "require_sipp", "require_sox"]


def require_sipp() -> str:
    """Path of the `sipp` binary."""
    path = shutil.which("sipp")
    if path is None:
        missing("SIPp is not installed (Debian and Ubuntu: apt-get install sip-tester)")
    return path


def require_sox() -> str:
    """Path of the `sox` binary."""
    path = shutil.which("sox")
    if path is None:
        missing("sox is not installed, there is no GSM encoder (Debian and Ubuntu: apt-get install sox)")
    return path


def require_openssl() -> None:
    """The `openssl` command can be found."""
    if shutil.which("openssl") is None:
        missing("openssl is not installed (Debian and Ubuntu: apt-get install openssl)")


def require_pjsua2() -> None:
    """The phones' library can be found (it is loaded in the phone process only)."""
    if importlib.util.find_spec("pjsua2") is None:
        missing("pjsua2 is not installed (pip install 'dial-engine[softphone]', x86-64, Python 3.11 or 3.12)")


def missing(what: str) -> NoReturn:
    """Skip with the reason; fail where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)
